"""Sources: where a file of weights comes from, and how it is told from another file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from dreamd.errors import WeightsError


def check_address(url: str) -> None:
    """Raise WeightsError unless `url` is a plain http or https address."""
    words = f"{url!r} is no address to fetch weights from; it must be a plain http:// or https:// one"
    try:
        host = urlsplit(url).hostname
    except ValueError as error:
        raise WeightsError(words) from error
    if not host or not re.fullmatch(r"https?://[!-~]+", url):
        raise WeightsError(words)


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file of weights on the network.

    Attributes:
        url: where it is; http or https.
        sha256: its SHA-256, whole (64 hex digits) or its first eight, which torchvision and timm put into their file
            names; "" when nobody pinned it: then what the first fetch brings is recorded and checked ever after.
        filename: its name in the cache; "" means the last part of the URL. Give one where that part is as common as
            `model.safetensors`: all weights share one folder.
        size: about how many bytes it has, to be told before it is fetched; 0: nobody knows.

    Raises:
        WeightsError: a field is not what it should be.
    """

    url: str
    sha256: str = ""
    filename: str = ""
    size: int = 0

    def __post_init__(self) -> None:
        check_address(self.url)
        if not re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", self.sha256, re.IGNORECASE):
            raise WeightsError(f"{self.sha256!r} is no SHA-256: give its 64 hex digits, the first 8 of them, or none")
        name = self.cache_name
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise WeightsError(f"{name!r} cannot be a file name in the cache; give {self.url} a plain `filename`")

    @property
    def cache_name(self) -> str:
        """The file's name in the cache."""
        return self.filename or unquote(PurePosixPath(urlsplit(self.url).path).name)


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A file of weights inside an installed Python package, which is found without importing it.

    Attributes:
        package: the package's import name.
        path: the file's path inside the package.
        sha256: the file's SHA-256, 64 hex digits.

    Raises:
        WeightsError: a field is not what it should be.
    """

    package: str
    path: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256, re.IGNORECASE):
            raise WeightsError(f"{self.sha256!r} is no SHA-256 of {self.package}/{self.path}: give all 64 hex digits")
        if not all(name.isidentifier() for name in self.package.split(".")):
            raise WeightsError(f"{self.package!r} is no import name of a Python package")


Source = Download | Packaged
"""A file of weights comes from the network, or with an installed package."""


class MissingWeightsError(WeightsError):
    """Weights are not here, and who needs them may not fetch them.

    Attributes:
        backbone: whose weights.
        source: where they come from.
    """

    def __init__(self, backbone: str, source: Download) -> None:
        self.backbone = backbone
        self.source = source
        super().__init__(f"the weights of {backbone} are not here yet; `dreamd weights fetch {backbone}` gets them")

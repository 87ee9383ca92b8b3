"""What ships with dreamd of its own plugins: what they bring, and the layers, labels and weights of their backbones.

With it the first command after an install needs no torch. It is written by `tests/shipped_catalogue.py`. A plugin whose
code is not what was looked at then is asked itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Collection, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dreamd.errors import DreamdError
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.finding.discovery import Candidate, file_of_module, find_plugins
from dreamd.plugin_host.kinds import Group, Kind

_FOLDER = Path(__file__).parent / "shipped"

CATALOGUE = _FOLDER / "catalogue.json"
"""The entries of dreamd's own plugins, without versions, and a digest of each plugin's code."""

SOURCES = _FOLDER / "sources.json"
"""Where the weights of each backbone come from, and the series of torchvision that says so."""

NETWORKS = _FOLDER / "networks.zip"
"""The layers of well-known backbones, a member each, and the names of their classes."""


class _Written(BaseModel):
    """What is in the file of the catalogue.

    Attributes:
        code: a digest of each plugin's code.
        entries: what the plugins bring.
    """

    code: dict[str, str]
    entries: tuple[Entry, ...]


class _WrittenSources(BaseModel):
    """What is in the file of sources.

    Attributes:
        torchvision: the series of torchvision that was asked, since another may have other weights.
        sources: where the weights of each backbone come from, as JSON has it.
    """

    torchvision: str
    sources: dict[str, dict[str, Any] | None]


class Shipped:
    """What ships of the plugins that would be loaded now."""

    def __init__(self, group: Group, folders: Sequence[Path], disable: Collection[str]) -> None:
        """Read nothing yet.

        Args:
            group: the entry-point group.
            folders: folders of drop-ins.
            disable: names of plugins that are left out.
        """
        self._group = group
        self._folders = folders
        self._disable = disable

    @cached_property
    def catalogue(self) -> Catalogue | None:
        """What all plugins bring; None where one of them must be asked."""
        found = self._found
        if found is None or any(candidate.name in self._disable for candidate in found):
            return None
        if {candidate.name for candidate in found} != self._unchanged.keys():
            return None
        return self.own

    @cached_property
    def own(self) -> Catalogue:
        """What dreamd's own plugins bring, those that are used and are the same as when they were looked at."""
        used = {name: each.version for name, each in self._unchanged.items() if name not in self._disable}
        entries = (entry for entry in self._written.entries if entry.plugin in used)
        return Catalogue(entries=tuple(entry.model_copy(update={"version": used[entry.plugin]}) for entry in entries))

    @cached_property
    def sources(self) -> dict[str, Any]:
        """Where the weights of backbones come from, as JSON has it; nothing where torchvision is of another series."""
        try:
            written = _WrittenSources.model_validate(_read_json(SOURCES))
        except ValidationError:
            return {}
        if written.torchvision != series_of("torchvision"):
            return {}
        return {name: source for name, source in written.sources.items() if self._knows(name)}

    def network(self, name: str) -> dict[str, Any] | None:
        """Return the `layers` of a backbone, its `default` layer and its `labels`; None where they are not known."""
        if not self._knows(name):
            return None
        try:
            with zipfile.ZipFile(NETWORKS) as archive:
                known = json.loads(archive.read(f"{name}.json"))
                return {**known, "labels": json.loads(archive.read(f"{known['labels']}.json"))}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def _knows(self, backbone: str) -> bool:
        """Whether a backbone is brought by a plugin that is used, and that is the same as when it was looked at."""
        plugin = self._plugin_of.get(backbone)
        return plugin in self._unchanged and plugin not in self._disable

    @cached_property
    def _plugin_of(self) -> dict[str, str]:
        """The plugin that brings each backbone."""
        return {entry.name: entry.plugin for entry in self._written.entries if entry.kind is Kind.BACKBONE}

    @cached_property
    def _found(self) -> list[Candidate] | None:
        """Every plugin that there is; None where loading them will say what is wrong."""
        try:
            return list(find_plugins(self._group, self._folders))
        except DreamdError:
            return None

    @cached_property
    def _unchanged(self) -> dict[str, Candidate]:
        """The plugins of dreamd's own that are the same as when they were looked at."""
        own = {candidate.name: candidate for candidate in self._found or () if candidate.own}
        code = self._written.code
        return {name: each for name, each in own.items() if code.get(name) == digest_of_module(each.origin)}

    @cached_property
    def _written(self) -> _Written:
        try:
            return _Written.model_validate(_read_json(CATALOGUE))
        except ValidationError:
            return _Written(code={}, entries=())


def digest_of_module(name: str) -> str:
    """Return what changes with the code of a module, which is found without importing it; "" where there is none.

    A package changes with each of its files.
    """
    file = file_of_module(name)
    if file is None:
        return ""
    files = sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]
    with contextlib.suppress(OSError):
        return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:16]
    return ""


def series_of(package: str) -> str:
    """Return the first two numbers of an installed package's version; "" where it is not installed."""
    try:
        return ".".join(version(package).split(".")[:2])
    except PackageNotFoundError:
        return ""


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None

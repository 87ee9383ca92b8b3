"""What a person wants of weights that are not here: to fetch them, or to leave them alone.

Each order is a small file in the state folder, named after the backbone. So it outlives whoever gave it and the daemon,
which goes on with what was begun when it starts again. The daemon removes an order that is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from dreamd.errors import DreamdError, UsageError
from dreamd.files.durable import draft_of
from dreamd.files.problems import os_errors_explained
from dreamd.json_text import to_json
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.tree.control import wake
from dreamd.tree.layout import StateFolder
from dreamd.weights.cache import cached_path
from dreamd.weights.sources import Download
from dreamd.wording import suggestion


@dataclass(frozen=True, kw_only=True)
class FetchOrder:
    """An order.

    Attributes:
        backbone: whose weights.
        source: where they come from.
        fetch: whether to fetch them; False: not by itself, whoever needs them.
    """

    backbone: str
    source: Download
    fetch: bool


def order_fetch(config: Config, backbone: str, source: Download) -> str:
    """Have the daemon fetch weights; returns what to tell.

    Raises:
        UsageError: the config forbids it.
    """
    if config.weights.fetch == "never":
        raise UsageError(
            f"`weights.fetch: never` in {config.file} forbids the daemon to fetch weights; `dreamd weights fetch "
            f"{backbone}` does it, or put the file at {cached_path(source)}"
        )
    FetchOrders(config.state).give(FetchOrder(backbone=backbone, source=source, fetch=True))
    wake(config)
    return f"the weights of {backbone} are fetched"


def cancel_fetch(config: Config, backbone: str) -> str:
    """Have the daemon stop fetching weights, and not begin again by itself; returns what to tell.

    Raises:
        UsageError: they are not missing, as far as the daemon knows.
    """
    values = snapshot.read(config.state)
    fetches = {each["backbone"]: each for each in (values or {"fetches": []})["fetches"]}
    if (fetch := fetches.get(backbone)) is None:
        raise UsageError(f"the daemon does not fetch the weights of {backbone}; {suggestion(backbone, fetches)}")
    FetchOrders(config.state).give(FetchOrder(backbone=backbone, source=source_told(fetch), fetch=False))
    wake(config)
    return f"the weights of {backbone} are not fetched any more; what has come is kept"


def source_told(fetch: Mapping[str, Any]) -> Download:
    """Return where weights come from, by what the snapshot says of a fetch."""
    name = PurePosixPath(fetch["path"]).name
    return Download(url=fetch["url"], sha256=fetch["sha256"], filename=name, size=fetch["total"] or 0)


class FetchOrders:
    """The orders of one tree."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = StateFolder(state_folder).fetches

    def mark(self) -> int:
        """Return a number that changes with the orders; costs a few microseconds."""
        try:
            return self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def __iter__(self) -> Iterator[FetchOrder]:
        """Yield the orders; a file that cannot be read is none."""
        with suppress(FileNotFoundError):
            for file in sorted(self._folder.glob("*.json")):
                with suppress(OSError, ValueError, TypeError, KeyError, DreamdError):
                    values = json.loads(file.read_bytes())
                    yield FetchOrder(**{**values, "source": Download(**values["source"])})

    def give(self, order: FetchOrder) -> None:
        """Keep an order, in place of an earlier one about the same weights. Raises DreamdError."""
        with os_errors_explained("write", self._file(order.backbone)):
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft_of(self._file(order.backbone), durable=True) as draft:
                draft.write_text(to_json(asdict(order)), encoding="utf-8")

    def remove(self, backbone: str) -> None:
        """Forget the order about a backbone's weights; nothing where there is none."""
        with suppress(OSError):  # one that stays is met again, and is then as done as it is now
            self._file(backbone).unlink()

    def _file(self, backbone: str) -> Path:
        return self._folder / f"{quote(backbone, safe='')}.json"

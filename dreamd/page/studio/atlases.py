"""Atlases, to choose layers by looking: those that ship, those that were made here, and making one meanwhile."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from dreamd.errors import UsageError
from dreamd.files.nofollow import opened_file
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.studio.process import StudioProcess
from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.settings.config import Config
from dreamd.studio import AtlasOrder, CancelOrder, Going, StudioAnswer
from dreamd.tree.layout import StateFolder
from dreamd.wording import printable

log = logging.getLogger(__name__)

_LARGEST_RECORD = 4 << 20
"""The most bytes of a record of a sheet that are read."""

_MOST_RECORDS = 200
"""The most records of sheets among which a network's atlas is looked for, the newest first."""

_TILE = re.compile(r"[\w.-]{1,120}\.webp")
"""The name of a tile's file."""

_NICE = 10
"""By how much the priority of making an atlas is lower than that of dreams."""


@dataclass(kw_only=True)
class Making:
    """An atlas that is being made.

    Attributes:
        id: of its order.
        backbone: of which network.
        share: how much of it is done, 0 to 1.
        words: the same in words.
    """

    id: str
    backbone: str
    share: float = 0.0
    words: str = "getting ready"

    def values(self) -> dict[str, Any]:
        """Return what a page may know of it, as values of JSON."""
        return {"backbone": self.backbone, "share": self.share, "words": self.words}


class Atlases:
    """The atlases of one tree."""

    def __init__(self, config: Config) -> None:
        self._sheets = StateFolder(config.state).sheets
        self._shipped = Shipped("dreamd.engine", config.plugins.engine, config.plugins.disable)
        self._process = StudioProcess(config.file, self._take, self._take_end, nice=_NICE)
        self._making: Making | None = None
        self._count = 0
        self._problems: dict[str, str] = {}

    def show(self, backbone: str) -> dict[str, Any]:
        """Show a network's tiles, its layers, and the atlas that is being made of it. Reads files."""
        making = self._making
        record = self._record(backbone) or _shipped_record(backbone)
        facts = self._facts(backbone, record)
        return {
            "backbone": backbone,
            "tiles": [] if record is None else [_tile(cell, facts) for cell in record["cells"]],
            "making": None if making is None else making.values(),
            "problem": self._problems.get(backbone),
        }

    async def make(self, backbone: str) -> None:
        """Begin to make a network's atlas. Raises UsageError while another is being made."""
        if not backbone or len(backbone) > 200:
            raise UsageError("name a network")
        if self._making is not None:
            raise UsageError(f"the atlas of {printable(self._making.backbone)} is being made; wait, or cancel it")
        self._count += 1
        self._problems.pop(backbone, None)
        self._making = Making(id=str(self._count), backbone=backbone)
        await self._process.send(AtlasOrder(id=self._making.id, backbone=backbone))

    async def cancel(self) -> None:
        """Stop making an atlas. What of it is dreamed is kept, and shown."""
        if self._making is not None:
            await self._process.send(CancelOrder(id=self._making.id))

    def tile(self, place: str, name: str) -> bytes:
        """Read a tile: of `made`, those made here, or of a network's that ships. Raises NotThereError."""
        if _TILE.fullmatch(name) is None:
            raise NotThereError("there is no such tile")
        try:
            if place == "made":
                with opened_file(self._sheets, PurePosixPath("cells", name)) as file:
                    return file.read(_LARGEST_RECORD)
            if re.fullmatch(r"\w+", place) is None:
                raise NotThereError("there is no such tile")
            return (_shipped_folder() / place / name).read_bytes()
        except OSError as error:
            raise NotThereError("there is no such tile") from error

    async def close(self) -> None:
        """End what is being made."""
        await self._process.close()

    def _record(self, backbone: str) -> Mapping[str, Any] | None:
        """Read the newest atlas of a network's layers that was made here; None where there is none with a picture."""
        found = (record for record in self._records() if record["backbone"] == backbone)
        return next((record for record in found if any(cell["picture"] for cell in record["cells"])), None)

    def _records(self) -> Iterator[dict[str, Any]]:
        """Yield the atlases of layers that were made here, the newest first."""
        try:
            every = sorted(self._sheets.glob("atlas-*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        except FileNotFoundError:  # one went away meanwhile, with `dreamd prune`
            return
        for file in every[:_MOST_RECORDS]:
            try:
                with opened_file(self._sheets, PurePosixPath(file.name)) as stream:
                    yield _read_record(json.loads(stream.read(_LARGEST_RECORD)))
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                log.debug("%s is no atlas of layers: %s", file, error)

    def _facts(self, backbone: str, record: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what is known of a network's layers, by name: what ships, else what the atlas says."""
        network = self._shipped.network(backbone)
        if network is not None:
            return {layer["name"]: layer for layer in network["layers"]}
        return {} if record is None else dict(record["layers"])

    def _take(self, answer: StudioAnswer) -> None:
        making = self._making
        if making is None or answer.id != making.id:
            return
        if isinstance(answer, Going):
            making.share, making.words = answer.share, answer.words
            return
        self._making = None
        if answer.problem is not None:
            self._problems[making.backbone] = printable(answer.problem)

    def _take_end(self) -> None:
        if self._making is not None:
            self._problems[self._making.backbone] = "the process that made the atlas has ended; begin again, it goes on"
            self._making = None


def _read_record(values: Any) -> dict[str, Any]:
    """Take out of a sheet's record what the page shows. Raises KeyError, TypeError or IndexError for another kind."""
    if values["fields"][0]["field"] != "layers" or len(values["fields"]) > 1:
        raise KeyError("layers")
    recipes = [cell["recipe"] for cell in values["cells"] if cell["recipe"]]
    cells = [
        {
            "layer": str(cell["values"][0]),
            "note": "" if cell["state"] == "done" else str(cell["note"]),
            "picture": f"made/{PurePosixPath(cell['thumbnail']).name}" if cell["thumbnail"] else None,
            "is_waiting": cell["state"] == "waiting",
        }
        for cell in values["cells"]
    ]
    return {"backbone": recipes[0]["backbone"]["name"], "cells": cells, "layers": values.get("layers", {})}


def _shipped_record(backbone: str) -> Mapping[str, Any] | None:
    """Read a network's atlas that ships; None where there is none."""
    if re.fullmatch(r"\w+", backbone) is None:
        return None
    try:
        layers = json.loads((_shipped_folder() / backbone / "atlas.json").read_bytes())["layers"]
    except FileNotFoundError:
        return None
    cells = [
        {"layer": name, "note": "", "picture": f"{backbone}/{file}", "is_waiting": False}
        for name, file in layers.items()
    ]
    return {"cells": cells, "layers": {}}


def _tile(cell: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    names = list(facts)
    depth = names.index(cell["layer"]) + 1 if cell["layer"] in facts else None
    picture = None if cell["picture"] is None else f"atlas/{cell['picture']}"
    return {**cell, "picture": picture, "depth": depth, "of": len(names), **_caption(facts.get(cell["layer"], {}))}


def _caption(fact: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person is told of a layer: its stride, and how many pixels across a cell sees."""
    return {"stride": fact.get("stride"), "sees": fact.get("receptive_field")}


def _shipped_folder() -> Path:
    return Path(str(files("dreamd") / "sheets" / "shipped"))

"""What came of each dream of a sheet. Knows no network and draws nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dreamd.sheets.keeping import Kept, thumbnail_name
from dreamd.sheets.plan import Cell

State = Literal["done", "waiting", "skipped", "failed"]
"""A dream is done, not dreamed yet, left out as none that can be dreamed, or was tried in vain."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a dream.

    Attributes:
        cell: its place on the sheet.
        state: how far it is.
        note: what is worth knowing of it; where there is no picture, why.
        picture: the file of the dream, small; None when there is none.
        kept: what is known of it; None when there is no dream.
    """

    cell: Cell
    state: State
    note: str
    picture: Path | None = None
    kept: Kept | None = None

    def values(self) -> dict[str, object]:
        """Return what programs may know of it, as values of JSON."""
        recipe = self.cell.recipe
        return {
            "values": list(self.cell.values),
            "state": self.state,
            "note": self.note,
            "thumbnail": None if self.picture is None else thumbnail_name(self.picture),
            "seconds": self.kept and self.kept.seconds,
            "loss_before": self.kept and self.kept.loss_before,
            "loss_after": self.kept and self.kept.loss_after,
            "recipe": None if recipe is None else recipe.recipe.model_dump(mode="json"),
        }

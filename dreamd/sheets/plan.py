"""The plan of a sheet: which dreams are on it, and in which order. Knows recipes, and neither pictures nor networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dreamd.settings.recipes.merging import Resolved
from dreamd.settings.recipes.sweeping import Axis

Kind = Literal["atlas", "sweep"]
"""What a sheet is for: an `atlas` shows what there is in a network, a `sweep` what a recipe's fields do."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A dream of a sheet.

    Attributes:
        values: the value on each of the sheet's axes.
        recipe: what is dreamed; None for what cannot be.
        note: what is worth knowing of it; for what cannot be dreamed, why.
    """

    values: tuple[str, ...]
    recipe: Resolved | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All dreams of a sheet.

    Attributes:
        kind: what the sheet is for.
        title: what stands above it.
        base: what all its dreams have in common: the recipe as JSON, before the axes.
        axes: what differs between them, the last running fastest.
        cells: the dreams, one for each combination of values.
    """

    kind: Kind
    title: str
    base: str
    axes: tuple[Axis, ...]
    cells: Sequence[Cell]

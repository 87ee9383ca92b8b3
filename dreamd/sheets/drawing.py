"""Lays out the dreams of a sheet: a table for two axes and more, rows of labelled pictures for one. Dreams nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from PIL import Image

from dreamd.files.durable import draft_of
from dreamd.pictures.contact_sheet import Sheet, Tile
from dreamd.sheets.outcome import Outcome
from dreamd.sheets.plan import Plan

_QUALITY = 92
"""The quality of a page, of 100."""


def lay_out(plan: Plan, outcomes: Sequence[Outcome], *, title: str, original: Path, side: int) -> Sheet:
    """Return what is on a sheet, for `draw_sheet`.

    Args:
        plan: what is on it.
        title: what stands above it.
        outcomes: what came of each of the plan's cells.
        original: the picture that the dreams began with, which is shown where there is no table.
        side: the longest side of a dream in pixels.
    """
    if len(plan.axes) == 1:
        tiles = [Tile(picture=_opened(original), label="original")]
        tiles += [_tile(outcome, " ".join(outcome.cell.values)) for outcome in outcomes]
        return Sheet(tiles=tiles, title=title, side=side)
    *down, across = plan.axes
    return Sheet(
        tiles=[_tile(outcome, "") for outcome in outcomes],
        title=title,
        column_heads=across.values,
        row_heads=[", ".join(values) for values in product(*(axis.values for axis in down))],
        side=side,
    )


def save_pages(pages: Sequence[Image.Image], target: Path) -> list[Path]:
    """Write pages as files and return them: the first has the target's name, the others are numbered."""
    files = [target, *(target.with_stem(f"{target.stem}-{number}") for number in range(2, len(pages) + 1))]
    for page, file in zip(pages, files, strict=True):
        with draft_of(file, durable=False) as draft:
            page.save(draft, format=Image.registered_extensions()[file.suffix.lower()], quality=_QUALITY)
    return files


def _tile(outcome: Outcome, label: str) -> Tile:
    picture = None if outcome.picture is None else _opened(outcome.picture)
    return Tile(picture=picture, label=label, note=outcome.note)


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        return picture.convert("RGB")

"""Where each dream stands on a sheet, and with which words."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from dreamd.pictures.contact_sheet import Sheet
from dreamd.settings.recipes.sweeping import Axis
from dreamd.sheets.drawing import lay_out, save_pages
from dreamd.sheets.outcome import Outcome
from dreamd.sheets.plan import Cell, Plan

ORIGINAL = (9, 9, 9)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return saved(tmp_path / "original.png", ORIGINAL)


def saved(file: Path, colour: tuple[int, int, int]) -> Path:
    Image.new("RGB", (16, 12), colour).save(file)
    return file


def laid_out(original: Path, *axes: Axis) -> Sheet:
    """A sheet whose dreams have colours by their places on the axes."""
    outcomes = []
    for values in product(*(axis.values for axis in axes)):
        places = [axis.values.index(value) * 50 for axis, value in zip(axes, values, strict=True)]
        colour = (*places, 7, 7)[:3]
        file = saved(original.with_name(f"{'-'.join(map(str, places))}.png"), (colour[0], colour[1], colour[2]))
        outcomes.append(Outcome(cell=Cell(values=values, recipe=None), state="done", note="a note", picture=file))
    plan = Plan(kind="sweep", title="", base="", axes=axes, cells=[outcome.cell for outcome in outcomes])
    return lay_out(plan, outcomes, title="a title", original=original, side=64)


def colours(sheet: Sheet) -> list[object]:
    return [tile.picture.getpixel((0, 0)) if tile.picture else None for tile in sheet.tiles]


def test_one_field_gives_labelled_pictures_behind_the_original(original: Path) -> None:
    sheet = laid_out(original, Axis("seed", ("3", "4")))
    assert [tile.label for tile in sheet.tiles] == ["original", "3", "4"]
    assert colours(sheet) == [ORIGINAL, (0, 7, 7), (50, 7, 7)]
    assert (sheet.title, sheet.tiles[1].note) == ("a title", "a note")
    assert (sheet.column_heads, sheet.row_heads) == ((), ())


def test_two_fields_give_a_table_the_first_down_and_the_second_across(original: Path) -> None:
    sheet = laid_out(original, Axis("seed", ("3", "4")), Axis("ascent.lr", ("0.1", "0.2", "0.3")))
    assert list(sheet.row_heads) == ["3", "4"]
    assert list(sheet.column_heads) == ["0.1", "0.2", "0.3"]
    assert colours(sheet) == [(down, across, 7) for down in (0, 50) for across in (0, 50, 100)]


def test_of_three_fields_the_last_goes_across_and_the_others_down(original: Path) -> None:
    sheet = laid_out(original, Axis("seed", ("3", "4")), Axis("loss", ("l2", "mean")), Axis("ascent.lr", ("0.1", "1")))
    assert list(sheet.row_heads) == ["3, l2", "3, mean", "4, l2", "4, mean"]
    assert colours(sheet)[4:6] == [(50, 0, 0), (50, 0, 50)]


def test_what_is_not_dreamed_has_its_place_and_its_reason(original: Path) -> None:
    cell = Cell(values=("3",), recipe=None)
    plan = Plan(kind="sweep", title="", base="", axes=(Axis("seed", ("3",)),), cells=[cell])
    outcomes = [Outcome(cell=cell, state="waiting", note="not dreamed yet")]
    tile = lay_out(plan, outcomes, title="", original=original, side=64).tiles[1]
    assert (tile.picture, tile.label, tile.note) == (None, "3", "not dreamed yet")


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet.png", "sheet.webp"])
def test_pages_are_numbered_files_of_the_format_of_their_name(tmp_path: Path, name: str) -> None:
    files = save_pages([Image.new("RGB", (8, 8)), Image.new("RGB", (9, 9))], tmp_path / name)
    assert [file.name for file in files] == [name, name.replace(".", "-2.")]
    for file in files:
        with Image.open(file) as page:
            assert page.format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[name.partition(".")[2]]
    assert len(list(tmp_path.iterdir())) == 2

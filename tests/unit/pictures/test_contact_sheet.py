"""Contact sheets, looked at where pictures and letters must be and where nothing may be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFont

from dreamd.pictures import contact_sheet
from dreamd.pictures.contact_sheet import LARGEST_SIDE, Sheet, Tile, draw_sheet

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (200, 30, 200)]


def tile(number: int, size: tuple[int, int] = (64, 48), **texts: str) -> Tile:
    return Tile(picture=Image.new("RGB", size, COLOURS[number % len(COLOURS)]), **texts)


def values(page: Image.Image) -> NDArray[np.int_]:
    return np.asarray(page).astype(int)


def box_of(page: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Where a colour is: left, top, right and bottom, the last two outside."""
    rows, columns = np.nonzero((values(page) == colour).all(2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def area_of(page: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour."""
    return {found: count for count, found in page.getcolors(1 << 24) or ()}.get(colour, 0)


def test_pictures_stand_row_by_row_at_even_distances() -> None:
    (page,) = draw_sheet(Sheet(tiles=[tile(number) for number in range(5)], columns=3, side=64))
    boxes = [box_of(page, colour) for colour in COLOURS]
    assert [(right - left, bottom - top) for left, top, right, bottom in boxes] == [(64, 48)] * 5
    lefts, tops = [box[0] for box in boxes], [box[1] for box in boxes]
    assert lefts[:3] == [lefts[0], lefts[0] + 78, lefts[0] + 156]
    assert (lefts[3:], tops) == (lefts[:2], [tops[0]] * 3 + [tops[0] + 62] * 2)
    assert (page.width - boxes[2][2], page.height - boxes[4][3]) == (lefts[0], tops[0])


def test_pictures_of_other_shapes_keep_them_in_the_middle_of_their_places() -> None:
    tiles = [tile(0, (80, 20)), tile(1, (20, 80)), tile(2, (300, 300))]
    (page,) = draw_sheet(Sheet(tiles=tiles, columns=3, side=100))
    wide, high, square = (box_of(page, colour) for colour in COLOURS[:3])
    assert (wide[2] - wide[0], wide[3] - wide[1]) == (100, 25)
    assert (high[2] - high[0], high[3] - high[1]) == (25, 100)
    assert (square[2] - square[0], square[3] - square[1]) == (100, 100)
    assert wide[1] + wide[3] == pytest.approx(high[1] + high[3], abs=1)


def test_a_label_stands_under_its_own_picture_and_within_its_width() -> None:
    bare = draw_sheet(Sheet(tiles=[tile(0), tile(1, label=" ")], columns=2, side=200))[0]
    text = "features.denseblock4.denselayer16.conv2.weight_and_more"
    (page,) = draw_sheet(Sheet(tiles=[tile(0), tile(1, label=text)], columns=2, side=200))
    left, _, right, bottom = box_of(page, COLOURS[1])
    written = values(page)[bottom:].sum(2) > values(bare)[0, 0].sum() + 60
    columns = np.nonzero(written.any(0))[0]
    assert columns.size
    assert left <= columns.min()
    assert columns.max() < right
    assert columns.min() + columns.max() == pytest.approx(left + right, abs=6)


def test_a_long_name_is_shortened_in_its_middle() -> None:
    font = ImageFont.load_default(15)
    (short,) = contact_sheet._wrapped("features.denseblock4.denselayer16.conv2", font, 150)
    assert font.getlength(short) <= 150
    assert short.startswith("features.")
    assert short.endswith(".conv2")
    assert "…" in short


def test_what_is_too_long_for_two_lines_is_shortened_in_the_second() -> None:
    font = ImageFont.load_default(15)
    lines = contact_sheet._wrapped("[{name: smooth, sigma: 0.5}, {name: natural, amount: 0.7}, normalize]", font, 200)
    assert len(lines) == 2
    assert lines[0].startswith("[{name:")
    assert lines[1].endswith("normalize]")
    assert all(font.getlength(line) <= 200 for line in lines)


def test_a_place_without_a_picture_says_why() -> None:
    tiles = [tile(0, label="a"), Tile(picture=None, label="b", note="one cell, 1 x 1")]
    silent = [tiles[0], Tile(picture=None, label="b")]
    told, empty = (draw_sheet(Sheet(tiles=shown, columns=2, side=160))[0] for shown in (tiles, silent))
    changed = np.nonzero((values(told) != values(empty)).any(2))
    assert changed[0].size
    left, top, _, bottom = box_of(told, COLOURS[0])
    assert top < changed[0].min()
    assert changed[0].max() < bottom
    assert changed[1].min() > left + 160


def test_heads_name_the_rows_and_the_columns_of_a_table() -> None:
    tiles = [tile(number) for number in range(4)]
    bare = Sheet(tiles=tiles, columns=2, side=128)
    heads = Sheet(tiles=tiles, column_heads=["0.02", "0.05"], row_heads=["blocks.3.2", "blocks.4.2"], side=128)
    before, after = draw_sheet(bare)[0], draw_sheet(heads)[0]
    first, last = box_of(after, COLOURS[0]), box_of(after, COLOURS[3])
    assert first[0] > box_of(before, COLOURS[0])[0] + 60
    assert first[1] > box_of(before, COLOURS[0])[1]
    light = values(after).sum(2) > 400
    assert light[: first[1], first[0] : first[2]].any()
    assert light[: first[1], last[0] : last[2]].any()
    assert light[first[1] : first[3], : first[0]].any()
    assert light[last[1] : last[3], : first[0]].any()


def test_what_is_too_much_for_a_page_goes_to_the_next_and_none_is_lost() -> None:
    tiles = [tile(number, label=str(number)) for number in range(120)]
    pages = draw_sheet(Sheet(tiles=tiles, columns=12, side=500, title="many"))
    assert len(pages) > 1
    assert max(max(page.size) for page in pages) <= LARGEST_SIDE
    assert sum(area_of(page, colour) for page in pages for colour in COLOURS) == 120 * 500 * 375


def test_a_table_that_is_too_wide_has_its_heads_on_every_page() -> None:
    heads = [str(number) for number in range(20)]
    sheet = Sheet(tiles=[tile(number) for number in range(40)], column_heads=heads, row_heads=["a", "b"], side=400)
    pages = draw_sheet(sheet)
    assert [page.height for page in pages] == [pages[0].height] * len(pages)
    assert sum(area_of(page, COLOURS[0]) for page in pages) == 8 * 400 * 300


def test_without_a_number_of_columns_the_page_has_a_good_shape() -> None:
    for count in (1, 2, 7, 30, 120):
        (page, *_) = draw_sheet(Sheet(tiles=[tile(number, label="x") for number in range(count)], side=120))
        assert count < 4 or 0.9 < page.width / page.height < 2.4

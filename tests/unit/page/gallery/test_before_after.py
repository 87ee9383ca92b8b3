"""One picture of an original and its dream."""

from __future__ import annotations

import pytest
from PIL import Image

from dreamd.page.gallery.before_after import before_after

RED, BLUE = (200, 20, 20), (20, 20, 200)


@pytest.mark.parametrize(
    ("layout", "size", "places"),
    [
        ("side", (300, 400), {"red": (20, 200), "blue": (580, 200)}),
        ("side", (600, 300), {"red": (300, 20), "blue": (300, 580)}),
        ("split", (600, 300), {"red": (290, 150), "blue": (310, 150)}),
    ],
)
def test_each_is_where_it_should_be_and_keeps_its_shape(
    layout: str, size: tuple[int, int], places: dict[str, tuple[int, int]]
) -> None:
    together = before_after(Image.new("RGBA", (size[0] + 1, size[1]), RED), Image.new("RGB", size, BLUE), layout, "x")
    assert together.getpixel(places["red"]) == RED
    assert together.getpixel(places["blue"]) == BLUE
    whole = {"side": (size[0] * size[1] * 2), "split": size[0] * size[1]}[layout]
    assert whole < together.width * together.height < 1.25 * whole


def test_a_caption_stands_below_and_is_cut_where_it_is_too_long() -> None:
    before, after = Image.new("RGB", (300, 300), RED), Image.new("RGB", (300, 300), BLUE)
    short, long, none = (before_after(before, after, "split", text) for text in ("a", "long words " * 40, ""))
    assert short.size == long.size == none.size
    band = (0, 300, 200, short.height)
    assert len({image.crop(band).tobytes() for image in (short, long, none)}) == 3
    assert len({image.crop((240, 300, 300, short.height)).tobytes() for image in (short, long, none)}) == 1


def test_a_small_picture_has_a_caption_that_can_be_read() -> None:
    assert before_after(Image.new("RGB", (40, 30)), Image.new("RGB", (40, 30)), "side", "x").height > 60 + 20

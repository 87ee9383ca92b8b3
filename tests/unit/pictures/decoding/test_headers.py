"""Sizes declared by headers are refused before memory is taken for them."""

from __future__ import annotations

import struct

import pytest

from dreamd.errors import PictureError
from tests import badfiles
from tests.unit.pictures.kit import Opened, no_more_memory_than


@pytest.mark.parametrize(
    ("bomb", "size"),
    [
        (lambda make: make.png_bomb(60_000), "60000 x 60000"),
        (lambda make: make.gif_bomb(30_000), "30000 x 30000"),
        (lambda make: make.icon(make.png_bomb(30_000)), "30000 x 30000"),
        (lambda make: make.icon(struct.pack("<IiiHHI", 40, 30_000, 60_000, 1, 32, 0) + bytes(20)), "30000 x 30000"),
        (lambda make: make.tile_bomb(20_000), "20000 x 20000"),
    ],
    ids=["png", "gif frame", "png in ico", "bitmap in ico", "tiff tile"],
)
def test_a_bomb_is_refused_before_its_memory_is_taken(opened: Opened, bomb, size: str) -> None:
    data = bomb(badfiles)
    with no_more_memory_than(100_000_000), pytest.raises(PictureError, match=size):
        opened(data)

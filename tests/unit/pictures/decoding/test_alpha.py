"""Alpha channels that nobody wrote."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened

CLEAR = Image.fromarray(np.dstack([np.asarray(badfiles.noise(16, 12)), np.zeros((12, 16), np.uint8)]))


def bitmap_of_32_bits(alpha: int, header_bytes: int) -> bytes:
    """A BMP with masks for four channels, as a clipboard holds it."""
    pixels = np.asarray(badfiles.noise(16, 12))[::-1, :, ::-1]
    body = np.dstack([pixels, np.full((12, 16), alpha, np.uint8)]).tobytes()
    head = struct.pack("<IiiHHIIiiII", header_bytes, 16, 12, 1, 32, 3, len(body), 0, 0, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = head.ljust(header_bytes, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


@pytest.mark.parametrize("header_bytes", [56, 108, 124])
def test_a_bitmap_whose_fourth_channel_is_zero_everywhere_is_opaque(opened: Opened, header_bytes: int) -> None:
    result = opened(bitmap_of_32_bits(0, header_bytes))
    assert result.alpha is None
    assert np.array_equal(result.pixels, np.asarray(badfiles.noise(16, 12)))


def test_a_bitmap_whose_fourth_channel_says_something_has_alpha(opened: Opened) -> None:
    result = opened(bitmap_of_32_bits(7, 124))
    assert result.alpha is not None
    assert (result.alpha == 7).all()


@pytest.mark.parametrize("kind", ["TGA", "SGI"])
def test_other_formats_that_do_not_define_it_are_opaque_too(opened: Opened, kind: str) -> None:
    result = opened(saved(CLEAR, kind))
    assert result.alpha is None
    assert np.array_equal(result.pixels, np.asarray(badfiles.noise(16, 12)))


def test_an_icon_whose_fourth_channel_is_zero_everywhere_is_opaque(opened: Opened) -> None:
    pixels = np.asarray(badfiles.noise(16, 16))[::-1, :, ::-1]
    body = np.dstack([pixels, np.zeros((16, 16), np.uint8)]).tobytes()
    inside = struct.pack("<IiiHHIIiiII", 40, 16, 32, 1, 32, 0, len(body), 0, 0, 0, 0) + body + bytes(16 * 4)
    result = opened(badfiles.icon(inside))
    assert result.alpha is None
    assert np.array_equal(result.pixels, np.asarray(badfiles.noise(16, 16)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_a_format_that_defines_alpha_may_hold_an_empty_sheet(opened: Opened, kind: str) -> None:
    image = CLEAR
    if kind == "GIF":
        image = Image.new("P", (16, 12))
    result = opened(saved(image, kind, **({"transparency": 0} if kind == "GIF" else {})))
    assert result.alpha is not None
    assert not result.alpha.any()


def test_a_fourth_sample_of_a_tiff_that_is_no_alpha_is_none(opened: Opened) -> None:
    whole = bytearray(saved(CLEAR, "TIFF"))
    extra_samples = whole.index(struct.pack("<HHI", 338, 3, 1)) + 8
    assert whole[extra_samples] == 2
    whole[extra_samples] = 0
    assert opened(bytes(whole)).alpha is None

"""What decoders hand over becomes a raster in one way, whichever library decoded it."""

from __future__ import annotations

import numpy as np
import pytest

from dreamd.pictures.decoders.raster import raster_of_codes


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)], ids=["grey", "colours"])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_colours_that_were_multiplied_by_alpha_come_out_as_they_were(shape: tuple[int, ...], bits: int) -> None:
    kind = np.uint8 if bits == 8 else np.uint16
    white = ((1 << bits) - 1) << (np.iinfo(kind).bits - bits)
    alpha = np.full((2, 3), white // 2, kind)
    alpha[0, 0] = 0
    result = raster_of_codes(np.full(shape, white // 4, kind), bits, alpha=alpha, is_associated=True)
    assert (result.white, result.depth, result.levels.shape) == (white, bits, shape)
    assert abs(int(result.levels[1, 1].max()) - white // 2) <= white / 200
    assert result.alpha is not None
    assert result.alpha[0, 0] == 0
    assert abs(int(result.alpha[1, 1]) - np.iinfo(kind).max // 2) <= 1


def test_white_of_10_bit_at_the_upper_end_of_16_is_opaque() -> None:
    white = np.full((1, 1), 1023 << 6, np.uint16)
    result = raster_of_codes(white, 10, alpha=white)
    assert result.white == 65_472
    assert result.alpha is not None
    assert result.alpha[0, 0] == 65_535


def test_bytes_have_8_bit_whatever_the_file_says_of_another_picture_in_it() -> None:
    result = raster_of_codes(np.full((1, 1, 3), 255, np.uint8), 10)
    assert (result.white, result.depth) == (255, 8)

"""Colour and alpha of every mode, depth and profile."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened


def test_cmyk_and_ycck_are_read_as_colour(opened: Opened) -> None:
    cmyk = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(opened(cmyk).pixels.astype(int) - [255, 0, 0]).max() < 6
    # As YCCK the same data is Y 255, Cb 0, Cr 0, which is the ink (76, 255, 29), inverted by Adobe's rule.
    ycck = opened(badfiles.ycck(cmyk)).pixels
    assert not np.allclose(ycck, opened(cmyk).pixels, atol=20)


def test_cmyk_goes_through_its_profile(opened: Opened) -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert opened(saved(image, "TIFF")).pixels[0, 0].tolist() == [0, 255, 255]
    assert opened(saved(image, "TIFF", icc_profile=badfiles.ink_profile())).pixels.max() < 5
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert opened(saved(white, "TIFF", icc_profile=badfiles.ink_profile())).pixels.min() > 250


def test_lab_is_read_as_colour(opened: Opened) -> None:
    # L 54, a 81, b 70 is sRGB's red under D50; Pillow's a and b begin at 128.
    result = opened(saved(Image.new("LAB", (4, 4), (138, 128 + 81, 128 + 70)), "TIFF"))
    assert result.pixels[0, 0, 0] > 240
    assert result.pixels[0, 0, 1:].max() < 40


def test_a_palette_with_one_clear_index_has_alpha(opened: Opened) -> None:
    result = opened(saved(badfiles.palette(), "PNG", transparency=1))
    assert result.pixels[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert result.alpha is not None
    assert result.alpha.tolist() == [[255, 0, 255]] * 2


def test_a_palette_with_an_alpha_for_each_entry_has_alpha(opened: Opened) -> None:
    result = opened(saved(badfiles.palette(), "PNG", transparency=b"\x80\x00\xff"))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[128, 0, 255]] * 2
    assert result.pixels[0, 0].tolist() == [255, 0, 0]


def test_a_clear_colour_of_rgb_and_of_grey_is_alpha(opened: Opened) -> None:
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 255))
    for other, colour in ((image, (0, 0, 255)), (image.convert("L"), 29)):
        result = opened(saved(other, "PNG", transparency=colour))
        assert result.alpha is not None
        assert result.alpha.tolist() == [[255, 0]]


def test_grey_with_alpha_keeps_both(opened: Opened) -> None:
    result = opened(saved(Image.new("LA", (3, 2), (100, 50)), "PNG"))
    assert result.alpha is not None
    assert (result.pixels[0, 0].tolist(), result.alpha[0, 0]) == ([100, 100, 100], 50)


def test_premultiplied_grey_is_undone(opened: Opened) -> None:
    whole = bytearray(saved(Image.new("LA", (1, 1), (50, 128)), "TIFF"))
    extra_samples = whole.index(struct.pack("<HHI", 338, 3, 1)) + 8
    assert whole[extra_samples] == 2
    whole[extra_samples] = 1  # associated alpha: what Pillow calls La
    result = opened(bytes(whole))
    assert result.alpha is not None
    assert (result.alpha[0, 0], abs(int(result.pixels[0, 0, 0]) - 100) <= 1) == (128, True)


def test_alpha_that_is_opaque_everywhere_is_none(opened: Opened) -> None:
    assert opened(saved(Image.new("RGBA", (3, 2), (1, 2, 3, 255)), "PNG")).alpha is None


def test_one_bit_is_black_and_white(opened: Opened) -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert opened(saved(image, "PNG")).pixels[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF"), ("I;16", "PPM")])
def test_grey_of_16_bit_is_scaled_in_either_byte_order(opened: Opened, mode: str, kind: str) -> None:
    image = Image.new(mode, (4, 1))
    for x, value in enumerate((0, 257 * 3, 257 * 128, 65_535)):
        image.putpixel((x, 0), value)
    assert opened(saved(image, kind)).pixels[0, :, 0].tolist() == [0, 3, 128, 255]


def test_a_dark_16_bit_greymap_stays_dark(opened: Opened) -> None:
    assert opened(b"P5 2 1 65535\n" + struct.pack(">2H", 0, 255)).pixels.max() == 1


def test_grey_of_16_bit_with_a_clear_value_has_alpha(opened: Opened) -> None:
    image = Image.new("I;16", (2, 1))
    image.putpixel((1, 0), 40_000)
    result = opened(saved(image, "PNG", transparency=40_000))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[255, 0]]


def tiff_by_hand(width: int, bits: int, photometric: int, strip: bytes) -> bytes:
    tags = ((256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 0), (277, 1), (279, len(strip)))
    start = 8 + 2 + 12 * len(tags) + 4
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4) + strip


def test_grey_of_12_bit_reaches_white(opened: Opened) -> None:
    assert opened(tiff_by_hand(2, 12, 1, b"\xff\xf0\x00")).pixels[0, :, 0].tolist() == [255, 0]


def test_16_bit_grey_whose_zero_is_white_is_turned_round(opened: Opened) -> None:
    result = opened(tiff_by_hand(2, 16, 0, struct.pack("<2H", 0, 65_535)))
    assert result.pixels[0, :, 0].tolist() == [255, 0]


def test_integers_of_32_bit_are_stretched_when_they_fit_no_other_range(opened: Opened) -> None:
    for values, expected in (
        ((0, 255), [0, 255]),
        ((0, 65_535), [0, 255]),
        ((-500, 99_500), [0, 255]),
        ((0, 7), [0, 7]),
    ):
        image = Image.new("I", (2, 1))
        for x, value in enumerate(values):
            image.putpixel((x, 0), value)
        assert opened(saved(image, "TIFF")).pixels[0, :, 0].tolist() == expected, values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.5, 1.0), [0, 128, 255]),
        ((0.0, 0.25, 0.25), [0, 64, 64]),
        ((-2.0, 0.0, 2.0), [0, 128, 255]),
        ((0.0, float("nan"), 1.0), [0, 0, 255]),
        ((float("-inf"), 0.5, float("inf")), [0, 0, 0]),
        ((float("inf"), 0.0, 3.0), [255, 0, 255]),
        ((float("nan"),) * 3, [0, 0, 0]),
        ((-3e38, 0.0, 3e38), [0, 128, 255]),
    ],
)
def test_floats_are_taken_as_they_are_in_0_to_1_and_stretched_else(opened: Opened, values, expected) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    expected = [0, 128, 255] if values[0] == float("-inf") else expected
    assert opened(saved(image, "TIFF")).pixels[0, :, 0].tolist() == expected


def test_every_row_of_a_deep_picture_is_scaled(opened: Opened) -> None:
    ramp = (np.arange(1000, dtype=np.uint16) * 65)[:, None]
    result = opened(saved(Image.fromarray(ramp), "PNG")).pixels[:, 0, 0]
    assert np.array_equal(result, np.rint(ramp[:, 0] / 257).astype(np.uint8))


def test_colour_of_16_bit_is_read(opened: Opened) -> None:
    data = badfiles.png(2, 1, 16, 2, struct.pack(">6H", 65_535, 0, 0, 0, 32_896, 0))
    assert opened(data).pixels[0].tolist() == [[255, 0, 0], [0, 128, 0]]


def test_an_srgb_profile_changes_next_to_nothing(opened: Opened) -> None:
    image = badfiles.noise(40, 40)
    result = opened(saved(image, "PNG", icc_profile=badfiles.srgb_profile())).pixels
    assert np.abs(result.astype(int) - np.asarray(image)).max() <= 1


def test_a_profile_is_applied_to_colour(opened: Opened) -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    for kind in ("PNG", "TIFF", "WEBP"):
        result = opened(saved(red, kind, icc_profile=badfiles.swapped_profile())).pixels
        assert result[0, 0, 2] > 250, kind
        assert result[0, 0, 0] < 5, kind


def test_a_profile_is_applied_beside_alpha_and_through_a_palette(opened: Opened) -> None:
    clear_red = Image.new("RGBA", (4, 4), (255, 0, 0, 77))
    result = opened(saved(clear_red, "PNG", icc_profile=badfiles.swapped_profile()))
    assert result.alpha is not None
    assert (result.pixels[0, 0].tolist(), result.alpha[0, 0]) == ([0, 0, 255], 77)
    result = opened(saved(badfiles.palette(), "PNG", icc_profile=badfiles.swapped_profile()))
    assert result.pixels[0].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]


def test_a_grey_profile_is_applied_to_grey_with_and_without_alpha(opened: Opened) -> None:
    for image in (Image.new("L", (4, 4), 128), Image.new("LA", (4, 4), (128, 9)), Image.new("I;16", (4, 4), 128 * 257)):
        result = opened(saved(image, "PNG", icc_profile=badfiles.linear_grey_profile()))
        assert abs(int(result.pixels[0, 0, 0]) - 188) <= 1, image.mode  # sRGB of linear 0.5


def test_a_colour_profile_on_grey_is_applied(opened: Opened) -> None:
    for image in (Image.new("L", (4, 4), 128), Image.new("RGB", (4, 4), (128, 128, 128))):
        result = opened(saved(image, "PNG", icc_profile=badfiles.linear_colour_profile()))
        assert np.abs(result.pixels.astype(int) - 188).max() <= 1, image.mode  # sRGB of linear 0.5


def test_a_broken_profile_is_left_out_and_logged(opened, caplog: pytest.LogCaptureFixture) -> None:
    image = badfiles.noise(8, 8)
    for profile in (b"no profile", badfiles.srgb_profile()[:200], badfiles.ink_profile()):
        caplog.clear()
        assert np.array_equal(opened(saved(image, "PNG", icc_profile=profile)).pixels, np.asarray(image))
        assert "ICC profile is broken and left out" in caplog.text

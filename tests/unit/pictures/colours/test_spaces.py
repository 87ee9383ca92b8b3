"""Colour spaces that are told by numbers, against the ICC profiles that say the same."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamd.pictures.colours.spaces import coded_space, measured_space
from tests import badfiles
from tests.badfiles import chunk, jpeg_with, png_with, saved
from tests.unit.pictures.kit import Opened, memory_of_reading, smooth

D65 = (0.3127, 0.3290)
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def as_profiled(opened: Opened, image: Image.Image, primaries: object, gamma: float | None) -> np.ndarray:
    """The picture as it comes out with an ICC profile of these primaries and this gamma."""
    profile = badfiles.matrix_profile(primaries, D65, gamma)
    return opened(saved(image, "PNG", icc_profile=profile)).pixels.astype(int)


def chromaticities(red: tuple, green: tuple, blue: tuple) -> bytes:
    values = [round(value * 100_000) for value in (*D65, *red, *green, *blue)]
    return chunk(b"cHRM", struct.pack(">8I", *values))


def gamma_chunk(exponent: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / exponent)))


RAMPS = Image.fromarray(smooth())


@pytest.mark.parametrize(("primaries", "gamma"), [(ADOBE, 2.2), (P3, 1.8), (BT2020, 1.0), (SRGB, 1.0), (SRGB, 2.8)])
def test_gamma_and_chromaticities_are_as_good_as_a_profile(opened: Opened, primaries: tuple, gamma: float) -> None:
    whole = png_with(gamma_chunk(gamma) + chromaticities(*primaries), saved(RAMPS, "PNG"))
    expected = as_profiled(opened, RAMPS, primaries, None if gamma == 2.2 else gamma)
    assert np.abs(opened(whole).pixels - expected).max() <= 3


@pytest.mark.parametrize("white", [(0.3457, 0.3585), (0.3140, 0.3510), (0.3101, 0.3162)])
def test_white_stays_white_whatever_its_chromaticity(opened: Opened, white: tuple[float, float]) -> None:
    values = [round(value * 100_000) for value in (*white, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)]
    plain = saved(Image.new("RGB", (4, 4), "white"), "PNG")
    assert opened(png_with(chunk(b"cHRM", struct.pack(">8I", *values)), plain)).pixels.min() >= 254


def test_gamma_applies_to_grey_palettes_and_beside_alpha(opened: Opened) -> None:
    linear = gamma_chunk(1.0)
    for image in (Image.new("L", (4, 4), 128), Image.new("LA", (4, 4), (128, 9)), Image.new("I;16", (4, 4), 128 * 257)):
        assert abs(int(opened(png_with(linear, saved(image, "PNG"))).pixels[0, 0, 0]) - 188) <= 1, image.mode
    for image in (Image.new("RGBA", (4, 4), (128, 0, 0, 9)), Image.new("RGB", (4, 4), (128, 0, 0)).quantize()):
        result = opened(png_with(linear, saved(image, "PNG")))
        assert abs(int(result.pixels[0, 0, 0]) - 188) <= 1, image.mode
    assert result.alpha is None


@pytest.mark.parametrize("gamma", [2.2, 1 / 0.45455, 2.25, 2.15])
def test_the_gamma_of_every_other_file_changes_nothing(opened: Opened, gamma: float) -> None:
    whole = png_with(gamma_chunk(gamma) + chromaticities(*SRGB), saved(RAMPS, "PNG"))
    assert np.array_equal(opened(whole).pixels, smooth())


def test_what_says_srgb_wins_over_gamma_and_a_profile_over_both(opened: Opened) -> None:
    linear, plain = gamma_chunk(1.0), saved(RAMPS, "PNG")
    assert np.array_equal(opened(png_with(linear + chunk(b"sRGB", b"\0"), plain)).pixels, smooth())
    red = saved(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG", icc_profile=badfiles.swapped_profile())
    assert opened(png_with(linear, red)).pixels[0, 0].tolist() == [0, 0, 255]
    assert opened(png_with(chunk(b"cICP", b"\x01\x0d\0\1"), red)).pixels[0, 0].tolist() == [255, 0, 0]
    assert opened(png_with(chunk(b"cICP", b"\x02\x02\0\1"), red)).pixels[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("number", "primaries"), [(12, P3), (9, BT2020), (1, SRGB)])
@pytest.mark.parametrize(("transfer", "gamma"), [(13, None), (8, 1.0), (4, 2.2), (5, 2.8)])
def test_cicp_is_as_good_as_a_profile(
    opened: Opened, number: int, primaries: tuple, transfer: int, gamma: float | None
) -> None:
    whole = png_with(chunk(b"cICP", bytes((number, transfer, 0, 1))), saved(RAMPS, "PNG"))
    assert np.abs(opened(whole).pixels - as_profiled(opened, RAMPS, primaries, gamma)).max() <= 4


def test_values_as_in_video_are_stretched(opened: Opened) -> None:
    image = Image.fromarray(np.array([[16, 126, 235, 0, 255]], np.uint8))
    whole = png_with(chunk(b"cICP", b"\x01\x0d\0\0"), saved(image, "PNG"))
    assert opened(whole).pixels[0, :, 0].tolist() == [0, 128, 255, 0, 255]


@pytest.mark.parametrize(("transfer", "paper", "brighter"), [(16, 148, 180), (18, 191, 220)])
def test_paper_in_pq_and_hlg_is_nearly_white_and_highlights_keep_their_order(
    opened: Opened, transfer: int, paper: int, brighter: int
) -> None:
    image = Image.fromarray(np.array([[0, paper // 2, paper, brighter, 255]], np.uint8))
    values = opened(png_with(chunk(b"cICP", bytes((9, transfer, 0, 1))), saved(image, "PNG"))).pixels[0, :, 0].tolist()
    assert values == sorted(values)
    assert values[0] == 0
    assert 235 <= values[2] < values[3] <= 255


def test_every_band_of_a_bright_picture_is_compressed_alike(opened: Opened) -> None:
    pixels = np.full((400, 2, 3), 140, np.uint8)
    pixels[:100] = 250
    result = opened(png_with(chunk(b"cICP", b"\x09\x10\0\1"), saved(Image.fromarray(pixels), "PNG"))).pixels
    assert len(np.unique(result[100:])) == 1


@pytest.mark.parametrize(
    ("inner", "interoperability"),
    [
        ({0xA001: badfiles.shorts(65_535)}, {1: badfiles.ascii_text("R03")}),
        ({}, {1: badfiles.ascii_text("R03")}),
        ({0xA001: badfiles.shorts(2)}, None),
    ],
    ids=["uncalibrated R03", "R03 alone", "2"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_adobe_rgb_that_a_camera_told_is_applied(
    opened: Opened, kind: str, inner: dict, interoperability: dict
) -> None:
    exif = b"Exif\0\0" + badfiles.exif({}, inner, interoperability)
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": "4:4:4"}, "AVIF": {"quality": 100}}
    options = lossless.get(kind, {})
    expected = as_profiled(opened, Image.fromarray(opened(saved(RAMPS, kind, **options)).pixels), ADOBE, 563 / 256)
    assert np.abs(opened(saved(RAMPS, kind, exif=exif, **options)).pixels - expected).max() <= 3


@pytest.mark.parametrize(("space", "is_applied"), [(65_535, True), (1, False)])
def test_adobe_rgb_that_a_tiff_tells_by_exif_is_applied(opened: Opened, space: int, is_applied: bool) -> None:
    tags, pixels = badfiles.tiff_page(RAMPS)
    # The directories of EXIF lie in front of the pixels, where no strip is looked for.
    inner = {0xA001: badfiles.shorts(space), 0xA005: badfiles.longs(0)}
    at = 8 + len(badfiles.directory(inner, 8))
    front = badfiles.directory({**inner, 0xA005: badfiles.longs(at)}, 8)
    front += badfiles.directory({1: badfiles.ascii_text("R03")}, at)
    whole = badfiles.tiff_of((tags | {0x8769: badfiles.longs(8)}, pixels), front=front)
    expected = as_profiled(opened, RAMPS, ADOBE, 563 / 256) if is_applied else smooth().astype(int)
    assert np.abs(opened(whole).pixels - expected).max() <= 3


def test_srgb_that_a_camera_told_changes_nothing(opened: Opened) -> None:
    for space, index in ((1, "R98"), (1, "R03"), (65_535, "R98"), (65_535, "THM")):
        block = badfiles.exif({}, {0xA001: badfiles.shorts(space)}, {1: badfiles.ascii_text(index)})
        whole = png_with(chunk(b"eXIf", block), saved(RAMPS, "PNG"))
        assert np.array_equal(opened(whole).pixels, smooth()), (space, index)


@pytest.mark.parametrize("said", [chunk(b"sRGB", b"\0"), chunk(b"cICP", b"\x01\x0d\0\1")], ids=["sRGB", "cICP"])
def test_a_png_that_says_srgb_wins_over_what_a_camera_told(opened: Opened, said: bytes) -> None:
    told = saved(RAMPS, "PNG", exif=b"Exif\0\0" + badfiles.exif({}, {0xA001: badfiles.shorts(2)}))
    assert np.array_equal(opened(png_with(said, told)).pixels, smooth())
    assert np.abs(opened(told).pixels - smooth().astype(int)).max() > 5


def test_a_profile_wins_over_what_a_camera_told(opened: Opened) -> None:
    block = b"Exif\0\0" + badfiles.exif({}, {0xA001: badfiles.shorts(2)})
    whole = saved(RAMPS, "PNG", exif=block, icc_profile=badfiles.srgb_profile())
    assert np.abs(opened(whole).pixels - smooth().astype(int)).max() <= 1
    assert np.abs(opened(jpeg_with((0xE1, block))).pixels - opened(jpeg_with()).pixels.astype(int)).max() > 5


@pytest.mark.parametrize(("numbers", "primaries", "gamma"), [((12, 13), P3, None), ((9, 8), BT2020, 1.0)])
def test_the_colours_of_avif_are_applied(opened: Opened, numbers: tuple[int, int], primaries: tuple, gamma) -> None:
    plain = saved(RAMPS, "AVIF", quality=100, subsampling="4:4:4")
    place = plain.index(b"nclx")
    told = plain[: place + 4] + struct.pack(">HH", *numbers) + plain[place + 8 :]
    expected = as_profiled(opened, Image.fromarray(opened(plain).pixels), primaries, gamma)
    assert np.abs(opened(told).pixels - expected).max() <= 4


def bitmap(space: int, endpoints: tuple[float, ...], gamma: float) -> bytes:
    """A BMP with a BITMAPV4HEADER."""
    pixels = np.asarray(RAMPS)[::-1, :, ::-1].tobytes()
    points = struct.pack("<9i", *(round(value * 2**30) for value in endpoints))
    gammas = struct.pack("<3I", *[round(gamma * 2**16)] * 3)
    head = struct.pack("<IiiHHIIiiII", 108, 64, 48, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16)
    head += struct.pack("<I", space) + points + gammas
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


def test_the_calibrated_colours_of_a_bitmap_are_applied(opened: Opened) -> None:
    points = tuple(value for x, y in ADOBE for value in (x, y, 1 - x - y))
    expected = as_profiled(opened, RAMPS, ADOBE, 1.8)
    assert np.abs(opened(bitmap(0, points, 1.8)).pixels - expected).max() <= 3
    for space, endpoints in ((0x73524742, points), (0, (0.0,) * 9)):
        assert np.array_equal(opened(bitmap(space, endpoints, 0)).pixels, smooth())


def test_senseless_numbers_are_left_out_and_logged(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    plain = saved(RAMPS, "PNG")
    for extra in (
        chunk(b"gAMA", bytes(4)),
        chunk(b"gAMA", struct.pack(">I", 1)),
        chunk(b"cHRM", bytes(32)),
        chromaticities((0.3, 0.3), (0.3, 0.3), (0.3, 0.3)),
        chunk(b"cICP", b"\x09\x10\x09\x01"),
    ):
        caplog.clear()
        assert np.array_equal(opened(png_with(extra, plain)).pixels, smooth())
        assert "broken and left out" in caplog.text


def test_numbers_that_mean_srgb_are_no_space() -> None:
    assert coded_space(1, 13) is None
    assert coded_space(2, 2) is None
    assert coded_space(1, 1) is None
    assert measured_space("x", None, 2.2) is None


def test_a_large_picture_is_converted_in_little_memory(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (3000, 3000), (10, 200, 30)).save(data, "PNG", compress_level=1)
    whole = png_with(gamma_chunk(1.0), data.getvalue())
    (tmp_path / "large.png").write_bytes(whole)
    assert memory_of_reading(tmp_path / "large.png") < 200_000_000

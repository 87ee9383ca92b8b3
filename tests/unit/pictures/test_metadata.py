"""What a file says about its picture: orientation, EXIF and dots per inch."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened, exif_with, smooth


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_turned_picture_stands_upright(opened: Opened, kind: str, orientation: int) -> None:
    upright = smooth(64, 32)
    # How a camera held that way would have stored it: the inverse of what a viewer does (EXIF 2.3, 4.6.4 A).
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: np.swapaxes(upright, 0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(np.swapaxes(upright, 0, 1), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = exif_with(ExifTags.Base.Orientation, orientation)
    options: dict[str, object] = {} if kind in ("PNG", "TIFF") else {"quality": 95}
    result = opened(saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert result.pixels.shape == (32, 64, 3)
    assert np.abs(result.pixels.astype(int) - upright).max() < 30


def test_alpha_and_dpi_turn_with_the_picture(opened: Opened) -> None:
    image = Image.new("RGBA", (2, 1), (9, 9, 9, 255))
    image.putpixel((1, 0), (9, 9, 9, 7))
    exif = exif_with(ExifTags.Base.Orientation, 6)
    result = opened(saved(image, "PNG", exif=exif, dpi=(100, 200)))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[255], [7]]
    assert result.dpi == pytest.approx((200, 100), abs=0.1)


def test_exif_keeps_what_speaks_of_the_picture_only(opened: Opened) -> None:
    exif = exif_with(ExifTags.Base.Orientation, 6)
    exif[ExifTags.Base.Make] = "Nikon"
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.FNumber: 2.8,
        ExifTags.Base.ExifImageWidth: 4000,
        ExifTags.Base.ColorSpace: 65_535,
        ExifTags.Base.MakerNote: b"secret offsets",
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        kept = opened(saved(Image.new("RGB", (16, 8)), kind, exif=exif.tobytes())).exif
        assert kept is not None, kind
        back = Image.Exif()
        back.load(kept)
        assert set(back) == {ExifTags.Base.Make, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}, kind
        assert back[ExifTags.Base.Make] == "Nikon"
        assert set(back.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.FNumber}, kind
        assert back.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}, kind


def test_a_thumbnail_is_not_carried_on(opened: Opened) -> None:
    thumbnail = saved(Image.new("RGB", (8, 8)), "JPEG")
    first = struct.pack("<IHHHI4sI", 8, 1, 0x010F, 2, 4, b"Abc\0", 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(thumbnail), 0)
    raw = b"Exif\0\0II*\0" + first + second + thumbnail
    kept = opened(saved(Image.new("RGB", (8, 8)), "JPEG", exif=raw)).exif
    assert kept is not None
    assert b"Abc" in kept
    assert b"\xff\xd8" not in kept


def test_hostile_exif_is_left_out(opened: Opened) -> None:
    image = badfiles.noise(8, 8)
    plain = opened(saved(image, "JPEG"))
    for name, exif in badfiles.hostile_exifs().items():
        result = opened(saved(image, "JPEG", exif=exif))
        assert np.array_equal(result.pixels, plain.pixels), name
        assert result.exif is None, name


def test_exif_of_many_segments_is_too_long_to_be_looked_at(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    whole = saved(Image.new("RGB", (8, 8)), "JPEG")
    block = b"Exif\0\0II*\0" + bytes(60_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert opened(whole[:2] + segment * 4 + whole[2:]).exif is None
    assert "too long" in caplog.text


def test_broken_dpi_is_left_out(opened: Opened) -> None:
    huge = badfiles.chunk(b"pHYs", struct.pack(">IIB", 2**32 - 1, 2**32 - 1, 1))
    assert opened(badfiles.png_with(huge)).dpi is None
    assert opened(saved(Image.new("RGB", (8, 8)), "TIFF")).dpi is None

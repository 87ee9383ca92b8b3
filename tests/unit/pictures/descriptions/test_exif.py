"""What a file says about its picture: orientation, EXIF and dots per inch."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.written import describe_tiff
from dreamd.pictures.writing import write_picture
from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened, exif_with, no_more_memory_than, smooth


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
        kept = opened(saved(Image.new("RGB", (16, 8)), kind, exif=exif.tobytes())).description.exif
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
    kept = opened(saved(Image.new("RGB", (8, 8)), "JPEG", exif=raw)).description.exif
    assert b"Abc" in kept
    assert b"\xff\xd8" not in kept


def test_hostile_exif_is_left_out(opened: Opened) -> None:
    image = badfiles.noise(8, 8)
    plain = opened(saved(image, "JPEG"))
    for name, exif in badfiles.hostile_exifs().items():
        result = opened(saved(image, "JPEG", exif=exif))
        assert np.array_equal(result.pixels, plain.pixels), name
        assert result.description.exif == b"", name


def test_broken_dpi_is_left_out(opened: Opened) -> None:
    huge = badfiles.chunk(b"pHYs", struct.pack(">IIB", 2**32 - 1, 2**32 - 1, 1))
    assert opened(badfiles.png_with(huge)).dpi is None
    assert opened(saved(Image.new("RGB", (8, 8)), "TIFF")).dpi is None


NAMES = {0x013B: "Jürgen Groß", 0x8298: "© 2024 Łukasz", 0x010E: "Café, 東京 🐕"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "shift_jis"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_name_in_any_encoding_comes_out_as_it_went_in(
    opened: Opened, tmp_path: Path, kind: str, encoding: str
) -> None:
    texts = {tag: text.encode(encoding, "ignore") for tag, text in NAMES.items()}
    block = badfiles.exif(
        {tag: (2, text + b"\0") for tag, text in texts.items()}, {0xA434: (2, b"Objektiv \xc3\xbc\0")}
    )
    whole = with_exif(kind, block)
    write_picture(opened(whole), tmp_path / "out", format=kind, quality=90)
    for source in (whole, (tmp_path / "out").read_bytes()):
        kept = opened(source).description.exif
        for text in (*texts.values(), b"Objektiv \xc3\xbc"):
            assert text + b"\0" in kept


def with_exif(kind: str, block: bytes) -> bytes:
    """A picture of 16 x 8 in a format, with this EXIF, bytes for bytes."""
    image = badfiles.noise(16, 8)
    if kind == "TIFF":
        written = io.BytesIO(saved(image, "TIFF"))
        describe_tiff(written, Description(exif=block))
        return written.getvalue()
    if kind == "WEBP":
        return badfiles.webp_with(saved(image, "WEBP", lossless=True), EXIF=block)
    return saved(image, kind, exif=b"Exif\0\0" + block)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_large_exif_keeps_the_orientation_and_all_but_the_maker_note(opened: Opened, kind: str) -> None:
    main = {0x010F: badfiles.ascii_text("Acme")}
    if kind != "AVIF":  # which has a box for it, that counts
        main[0x0112] = badfiles.shorts(6)
    inner = {0x9003: badfiles.ascii_text("2024:05:01 10:00:00"), 0x927C: (7, bytes(300_000))}
    result = opened(with_exif(kind, badfiles.exif(main, inner)))
    assert result.pixels.shape == ((8, 16, 3) if kind == "AVIF" else (16, 8, 3))
    assert b"Acme" in result.description.exif
    assert b"2024:05:01 10:00:00" in result.description.exif
    assert len(result.description.exif) < 500


def test_of_exif_that_is_too_long_for_a_jpeg_the_longest_values_go(opened: Opened) -> None:
    block = badfiles.exif(
        {0x010F: badfiles.ascii_text("Acme")}, {0x9286: (7, bytes(40_000)), 0xA435: (2, bytes(50_000))}
    )
    kept = opened(with_exif("PNG", block)).description.exif
    assert b"Acme" in kept
    assert 40_000 < len(kept) < 50_000


def test_values_that_all_point_at_the_same_bytes_take_little_memory(opened: Opened) -> None:
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(0x8000, 0x8000 + 5000))
    block = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 26) + bytes(4)
    block += struct.pack("<H", 5000) + entries + bytes(65_000)
    with no_more_memory_than(60_000_000):
        assert opened(with_exif("PNG", block)).pixels.shape == (8, 16, 3)


def test_big_endian_exif_is_kept_in_its_order_and_turned_round_in_a_tiff(opened: Opened, tmp_path: Path) -> None:
    exif = exif_with(ExifTags.Base.Make, "Acme")
    exif.endian = ">"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.FNumber: 2.8, ExifTags.Base.ISOSpeedRatings: 400}
    source = opened(saved(badfiles.noise(16, 8), "JPEG", exif=exif))
    assert source.description.exif.startswith(b"MM")
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        write_picture(source, tmp_path / "out", format=kind, quality=90)
        with Image.open(tmp_path / "out") as image:
            inner = image.getexif().get_ifd(ExifTags.IFD.Exif)
            assert (float(inner[ExifTags.Base.FNumber]), inner[ExifTags.Base.ISOSpeedRatings]) == (2.8, 400), kind


def test_the_utf_8_of_exif_3_is_kept(opened: Opened) -> None:
    block = badfiles.exif({0x013B: (129, "Jürgen\0".encode())})
    assert "Jürgen".encode() in opened(with_exif("JPEG", block)).description.exif

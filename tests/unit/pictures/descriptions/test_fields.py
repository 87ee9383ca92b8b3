"""What authors and cameras wrote comes out field by field, true of the result, and goes where a recipe says so."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from dreamd.pictures.descriptions.exif_block import parsed_exif
from dreamd.pictures.descriptions.reducing import reduced
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from tests import badfiles
from tests.badfiles import ascii_text, jpeg_with, longs, shorts
from tests.unit.pictures.descriptions.test_xmp import packet
from tests.unit.pictures.kit import Opened, read_deep
from tests.unit.pictures.test_depth import deep, ramp

_MAIN = {
    0x010F: ascii_text("Maker"),
    0x0110: ascii_text("Model 7"),
    0x0112: shorts(6),
    0x0131: ascii_text("Firmware"),
    0x013B: ascii_text("Jürgen"),
    0x8298: ascii_text("me"),
}
_TAKEN = {
    0x829A: badfiles.fractions(0.01),
    0x829D: badfiles.fractions(1.5),
    0x8827: shorts(400),
    0x9003: ascii_text("2024:05:06 07:08:09"),
    0x920A: badfiles.fractions(24),
    0xA434: ascii_text("Lens 24mm"),
}
_PLACE = {1: ascii_text("N"), 2: badfiles.fractions(48, 12, 30), 3: ascii_text("E"), 4: badfiles.fractions(16, 22, 6)}

IPTC = b"".join(
    b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text
    for number, text in ((5, b"Title"), (25, b"key"), (80, b"Me"), (90, b"Wien"), (101, b"Austria"), (120, b"Words"))
)


def exif_of_a_camera() -> bytes:
    """EXIF with a place and a thumbnail of another picture."""
    small = io.BytesIO()
    Image.new("RGB", (160, 120), (0, 255, 0)).save(small, "JPEG")
    main_entries = len(_MAIN) + 2
    start = 8
    taken_at = start + len(badfiles.directory({**_MAIN, 0x8769: longs(0), 0x8825: longs(0)}, start))
    place_at = taken_at + len(badfiles.directory(_TAKEN, taken_at))
    thumb_at = place_at + len(badfiles.directory(_PLACE, place_at))
    thumb = {0x0103: shorts(6), 0x0201: longs(0), 0x0202: longs(len(small.getvalue()))}
    thumb[0x0201] = longs(thumb_at + len(badfiles.directory(thumb, thumb_at)))
    main = {**_MAIN, 0x8769: longs(taken_at), 0x8825: longs(place_at)}
    assert main_entries == len(main)
    parts = [
        badfiles.directory(main, start, thumb_at),
        badfiles.directory(_TAKEN, taken_at),
        badfiles.directory(_PLACE, place_at),
        badfiles.directory(thumb, thumb_at),
        small.getvalue(),
    ]
    return b"II*\0" + struct.pack("<I", start) + b"".join(parts)


XMP = packet(
    'dc:rights="me" photoshop:City="Wien" exif:GPSLatitude="48,12.5N" drone:GpsLongitude="16" tiff:Orientation="6"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:drone="http://www.dji.com/drone-dji/1.0/"'
)


def of_a_camera(opened: Opened) -> Picture:
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    return opened(
        jpeg_with(
            (0xE1, b"Exif\0\0" + exif_of_a_camera()),
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
            (0xED, b"Photoshop 3.0\0" + resources),
        )
    )


def values(exif: bytes) -> dict[int, bytes]:
    block = parsed_exif(exif, longest=65_535)
    entries = {**block.main, **block.exif, **{0x10000 + tag: entry for tag, entry in block.gps.items()}}
    return {tag: entry.data for tag, entry in entries.items()}


KINDS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_comes_out_and_what_is_of_the_old_pixels_is_of_the_new(
    opened: Opened, tmp_path: Path, kind: str
) -> None:
    source = of_a_camera(opened)
    write_picture(source, tmp_path / "out", format=kind, quality=90)
    if kind not in ("HEIF", "AVIF"):  # which have a box for it
        with Image.open(tmp_path / "out") as image:
            assert image.getexif()[ExifTags.Base.Orientation] == 1
    told = values(read_deep(tmp_path / "out").description.exif)
    for tag, (_, data) in {**_MAIN, **_TAKEN, **{0x10000 + tag: value for tag, value in _PLACE.items()}}.items():
        if tag != 0x0112:
            assert told[tag] == data, hex(tag)
    xmp = read_deep(tmp_path / "out").description.xmp
    assert b'dc:rights="me"' in xmp
    assert b'tiff:Orientation="1"' in xmp
    if kind in ("JPEG", "PNG", "TIFF"):
        assert read_deep(tmp_path / "out").description.iptc == IPTC


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "AVIF"])
def test_every_field_comes_out_of_deep_files_too(tmp_path: Path, opened: Opened, kind: str) -> None:
    (tmp_path / "deep.png").write_bytes(deep(ramp(3, 60, 40), ".png"))
    source = read_deep(tmp_path / "deep.png")
    described = Picture(
        **{**source.__dict__, "description": of_a_camera(opened).description, "depth": 16 if kind != "AVIF" else 10}
    )
    write_picture(described, tmp_path / "out", format=kind, quality=90)
    result = read_deep(tmp_path / "out")
    assert result.depth == described.depth
    told = values(result.description.exif)
    for tag, (_, data) in {**_MAIN, **_TAKEN, **{0x10000 + tag: value for tag, value in _PLACE.items()}}.items():
        if tag != 0x0112:
            assert told[tag].rstrip(b"\0") == data.rstrip(b"\0"), hex(tag)
    assert b'dc:rights="me"' in result.description.xmp


def test_sizes_and_colours_are_the_results_own(opened: Opened, tmp_path: Path) -> None:
    source = of_a_camera(opened)
    write_picture(source, tmp_path / "out.jpg", format="JPEG", quality=90)
    with Image.open(tmp_path / "out.jpg") as image:
        taken = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert (taken[0xA002], taken[0xA003]) == image.size
        assert taken[0xA001] == 1


def test_the_thumbnail_is_of_the_result_and_only_there_where_there_was_one(opened: Opened, tmp_path: Path) -> None:
    source = of_a_camera(opened)
    red = Picture(**{**source.__dict__, "pixels": np.full((400, 300, 3), (255, 0, 0), np.uint8)})
    write_picture(red, tmp_path / "out.jpg", format="JPEG", quality=90)
    with Image.open(tmp_path / "out.jpg") as image:
        exif = parsed_exif(image.info["exif"].removeprefix(b"Exif\0\0"), longest=65_535)
    small = Image.open(io.BytesIO(exif.thumbnail))
    assert small.size == (120, 160)
    assert np.abs(np.asarray(small).astype(int) - (255, 0, 0)).max() < 10
    plain = opened(jpeg_with((0xE1, b"Exif\0\0" + badfiles.exif(_MAIN, _TAKEN))))
    write_picture(plain, tmp_path / "plain.jpg", format="JPEG", quality=90)
    with Image.open(tmp_path / "plain.jpg") as image:
        assert not parsed_exif(image.info["exif"].removeprefix(b"Exif\0\0"), longest=65_535).thumbnail


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_is_taken_out_of_exif_xmp_and_iptc_and_nothing_else_is(
    opened: Opened, tmp_path: Path, kind: str
) -> None:
    source = of_a_camera(opened)
    told = reduced(source.description, "strip_location")
    write_picture(Picture(**{**source.__dict__, "description": told}), tmp_path / "out", format=kind, quality=90)
    whole = (tmp_path / "out").read_bytes()
    result = read_deep(tmp_path / "out").description
    assert not parsed_exif(result.exif, longest=65_535).gps
    assert values(result.exif)[0xA434] == _TAKEN[0xA434][1]
    for word in (b"GPSLatitude", b"GpsLongitude", b"Wien", b"Austria"):
        assert word not in whole
    assert b'dc:rights="me"' in result.xmp
    if kind in ("JPEG", "PNG", "TIFF"):
        assert all(word in result.iptc for word in (b"Title", b"key", b"Me", b"Words"))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_was_written_is_left_where_it_is_to_be_stripped(opened: Opened, tmp_path: Path, kind: str) -> None:
    source = of_a_camera(opened)
    told = reduced(source.description, "strip")
    write_picture(Picture(**{**source.__dict__, "description": told}), tmp_path / "out", format=kind, quality=90)
    whole = (tmp_path / "out").read_bytes()
    for word in (b"Maker", b"Model 7", "Jürgen".encode(), b"rights", b"Wien", b"Title", b"Lens"):
        assert word not in whole


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ('hdrgm:Version="1.0"', "gain map"),
        ('a:HDRGainMapVersion="65536" xmlns:a="http://ns.apple.com/HDRGainMap/1.0/"', "gain map"),
        ('c:MotionPhoto="1" xmlns:c="http://ns.google.com/photos/1.0/camera/"', "motion photo"),
    ],
)
def test_what_lies_in_the_file_beside_the_picture_is_said(opened: Opened, properties: str, word: str) -> None:
    result = opened(jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(properties))))
    assert len(result.notes) == 1
    assert word in result.notes[0]
    assert properties.split('"')[0].encode() not in result.description.xmp

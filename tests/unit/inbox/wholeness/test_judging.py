"""A picture's own structure tells whether all of it is there."""

from __future__ import annotations

import io
import os
import random
import struct
import tempfile
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from dreamd.inbox.wholeness.judging import Wholeness, judge
from tests.films import panning, write_film

if TYPE_CHECKING:
    from pathlib import Path


def picture(mode: str = "RGB") -> Image.Image:
    return Image.frombytes("RGB", (40, 30), random.Random(0).randbytes(40 * 30 * 3)).convert(mode)


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    data = io.BytesIO()
    picture(mode).save(data, kind, **options)
    return data.getvalue()


def exif_with_thumbnail() -> bytes:
    """A camera's: a whole JPEG, with an end mark of its own, lies before the picture."""
    return b"Exif\0\0" + b"II*\0" + bytes(20) + saved("JPEG", quality=20)


def judged(data: bytes) -> Wholeness:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return judge(file.fileno(), len(data))


TELLING = {
    "jpeg": saved("JPEG"),
    "progressive jpeg": saved("JPEG", progressive=True),
    "jpeg with a thumbnail": saved("JPEG", exif=exif_with_thumbnail()),
    "jpeg with a comment": saved("JPEG", comment=b"\xff\xd9 is the end"),
    "png": saved("PNG"),
    "png of 16 bits": saved("PNG", "I;16"),
    "gif": saved("GIF", "P"),
    "animated gif": saved("GIF", "P", save_all=True, append_images=[picture("P").rotate(90)], comment=b"a; b; c;"),
    "webp": saved("WEBP"),
    "lossless webp": saved("WEBP", lossless=True),
    "bmp": saved("BMP"),
    "jpeg 2000": saved("JPEG2000"),
    "jpeg 2000 codestream": saved("JPEG2000", no_jp2=True),
    "qoi": saved("QOI"),
    "icon": saved("ICO", sizes=[(16, 16), (32, 32)]),
    "ppm": saved("PPM"),
    "pgm": saved("PPM", "L"),
    "pbm": saved("PPM", "1"),
}
"""Whole pictures of the kinds whose end is told for certain."""

HINTING = {
    "avif": saved("AVIF"),
    "tiff": saved("TIFF"),
    "tiff with its directory first": saved("TIFF", compression="tiff_lzw"),
    "big tiff": saved("TIFF", big_tiff=True),
    # Pillow fills up its end with zeros.
    "tiff of several pages": saved("TIFF", save_all=True, append_images=[picture("L")]).rstrip(b"\0"),
}
"""Whole pictures of the kinds of which only a missing part is told for certain."""


@pytest.mark.parametrize("name", TELLING)
def test_a_whole_picture_says_so(name: str) -> None:
    assert judged(TELLING[name]) is Wholeness.WHOLE


@pytest.mark.parametrize("name", HINTING)
def test_of_a_picture_of_other_kinds_nothing_is_known_to_be_missing(name: str) -> None:
    assert judged(HINTING[name]) is Wholeness.UNKNOWN


@pytest.mark.parametrize("name", [*TELLING, *HINTING])
def test_a_picture_cut_anywhere_is_cut_short(name: str) -> None:
    data = (TELLING | HINTING)[name]
    cuts = {*range(13, min(len(data), 400)), *range(13, len(data), 37), *range(max(13, len(data) - 60), len(data) - 1)}
    assert {cut for cut in cuts if judged(data[:cut]) is not Wholeness.CUT_SHORT} == set()


@pytest.mark.parametrize("name", [*TELLING, *HINTING])
def test_space_that_was_reserved_and_is_filled_by_and_by_is_cut_short(name: str) -> None:
    data = (TELLING | HINTING)[name]
    announces_its_size_only = name in ("webp", "lossless webp", "bmp", "icon", "ppm", "pgm", "pbm", "avif")
    for written in (0, len(data) // 3, len(data) * 2 // 3):
        reserved = data[:written] + bytes(len(data) - written)
        if written == 0 or (not announces_its_size_only and "tiff" not in name):
            assert judged(reserved) is Wholeness.CUT_SHORT, written


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "gif", "webp", "bmp", "ppm"])
def test_of_a_picture_with_something_behind_it_nothing_is_known(name: str) -> None:
    assert judged(TELLING[name] + b"\0\0film of a second") is Wholeness.UNKNOWN


@pytest.mark.parametrize("data", [b"plain text", b"\xff\x0a codestream", b"8BPS" + bytes(50), b"\x00\x00\x02\x00" * 9])
def test_of_other_kinds_nothing_is_known(data: bytes) -> None:
    assert judged(data) is Wholeness.UNKNOWN


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\x89PN", b"GIF", bytes(1_000_000)])
def test_nothing_or_next_to_nothing_is_cut_short(data: bytes) -> None:
    assert judged(data) is Wholeness.CUT_SHORT


def test_a_film_is_known_by_its_boxes() -> None:
    head = struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\0\0") + struct.pack(">I4s", 8, b"moov")
    boxes = head + struct.pack(">I4s92s", 100, b"mdat", bytes(92))
    assert judged(boxes) is Wholeness.UNKNOWN
    assert judged(boxes[:-1]) is Wholeness.CUT_SHORT
    assert judged(boxes[:24]) is Wholeness.CUT_SHORT
    assert judged(boxes[:16] + boxes[24:]) is Wholeness.CUT_SHORT  # without the table of contents, which comes last
    long = head + struct.pack(">I4sQ84s", 1, b"mdat", 100, bytes(84))
    assert judged(long) is Wholeness.UNKNOWN
    assert judged(long[:-1]) is Wholeness.CUT_SHORT


def test_a_matroska_says_how_long_it_is(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mkv", panning(3)).read_bytes()
    assert judged(film) is Wholeness.WHOLE
    for length in (6, 40, len(film) // 2, len(film) - 1):
        assert judged(film[:length]) is Wholeness.CUT_SHORT
    assert judged(write_film(tmp_path / "a.mp4", panning(3)).read_bytes()) is Wholeness.UNKNOWN


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_picture_made_to_take_long_is_given_up_soon(tmp_path: Path) -> None:
    endless = {
        "png": b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"") * 500_000,
        "gif": b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"!\xff" + b"\1a" * 500_000,
        "tiff": b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + struct.pack("<HHII", 273, 4, 1, 8) * 65535,
    }
    for name, data in endless.items():
        began = time.process_time()
        assert judged(data) is not Wholeness.WHOLE, name
        assert time.process_time() - began < 1


def test_a_huge_picture_without_an_end_is_not_read_from_end_to_end(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.write(TELLING["jpeg"][:-2])
        file.truncate(2_000_000_000)  # a hole: no disk
    with (tmp_path / "huge.jpg").open("rb") as file:
        began = time.process_time()
        assert judge(file.fileno(), os.fstat(file.fileno()).st_size) is Wholeness.UNKNOWN
        assert time.process_time() - began < 1


def test_a_tiffs_directories_may_go_in_circles() -> None:
    circle = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    assert judged(circle) is Wholeness.UNKNOWN


def test_any_bytes_behind_a_magic_are_judged() -> None:
    numbers = random.Random(1)
    magics = [data[:16] for data in (TELLING | HINTING).values()]
    for _ in range(3_000):
        judged(numbers.choice(magics)[: numbers.randrange(1, 17)] + numbers.randbytes(numbers.randrange(300)))

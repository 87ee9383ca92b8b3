"""Files of several pages, made by hand or by the libraries that write such files."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from dreamd.pictures.paging.pages import Pages, open_pages
from dreamd.pictures.picture import Picture
from tests import badfiles
from tests.badfiles import deep_page, shorts, tiff_of, tiff_page


@dataclass(frozen=True)
class Limits:
    """What the pages of a test's file may cost."""

    max_pixels: int = 1_000_000
    max_bytes: int = 64_000_000
    max_pages: int = 20
    max_pages_pixels: int = 2_000_000


LIMITS = Limits()

UNDEFINED, PREVIEW, FOR_TWO_EYES = 0, 0x010001, 0x020002
"""Kinds of pictures in an MPO."""


def ramp(width: int, height: int) -> np.ndarray:
    """Every pixel of another level of 16 bit, `[H, W, 3]`."""
    levels = np.linspace(0, 65_535, width * height).round().astype("<u2").reshape(height, width)
    return np.stack([levels, levels[::-1], levels[:, ::-1]], axis=2)


def mixed_tiff() -> bytes:
    """Pages of 8 bit, of 16 bit that lies on its side, and of floats: of 60×40, 33×47 and 21×19 pixels."""
    floats, _ = tiff_page(Image.new("RGB", (21, 19)))
    values = (ramp(21, 19) / 65_535).astype("<f4").tobytes()
    return tiff_of(
        tiff_page(badfiles.noise(60, 40), t270=badfiles.ascii_text("the first")),
        _turned(deep_page(47, 33, np.rot90(ramp(33, 47)).tobytes())),
        ({**floats, 258: shorts(32, 32, 32), 279: badfiles.longs(len(values)), 339: shorts(3, 3, 3)}, values),
    )


def _turned(page: tuple[badfiles.Tags, bytes]) -> tuple[badfiles.Tags, bytes]:
    tags, pixels = page
    return {**tags, 274: shorts(6)}, pixels


def plain_tiff(count: int, width: int = 8, height: int = 6) -> bytes:
    """So many pages of random pixels."""
    return tiff_of(*(tiff_page(badfiles.noise(width, height)) for _ in range(count)))


def endless_tiff(count: int) -> bytes:
    """So many directories of one pixel each, all of the same one."""
    tags, _ = tiff_page(Image.new("RGB", (1, 1)))
    small = {tag: tags[tag] for tag in (256, 257, 259, 262)}
    size = len(badfiles.directory(small, 8))
    places = (8 + size * number for number in range(count))
    return b"II*\0" + struct.pack("<I", 8) + b"".join(badfiles.directory(small, at, at + size) for at in places)


def circular_tiff() -> bytes:
    """Two pages, of which the second leads back to the first."""
    whole = bytearray(plain_tiff(2))
    (first,) = struct.unpack_from("<I", whole, 4)
    second = _following(whole, first)
    struct.pack_into("<I", whole, _end_of(whole, second), first)
    return bytes(whole)


def torn_tiff() -> bytes:
    """Two pages, of which the first leads behind the end of the file."""
    whole = bytearray(plain_tiff(2))
    (first,) = struct.unpack_from("<I", whole, 4)
    struct.pack_into("<I", whole, _end_of(whole, first), len(whole) + 1000)
    return bytes(whole)


def _end_of(whole: bytes, at: int) -> int:
    return at + 2 + 12 * int.from_bytes(whole[at : at + 2], "little")


def _following(whole: bytes, at: int) -> int:
    end = _end_of(whole, at)
    return int.from_bytes(whole[end : end + 4], "little")


def mpo(*others: tuple[int, bytes]) -> bytes:
    """A red JPEG of 40×30 pixels with others behind it, each of a kind."""
    first = badfiles.saved(Image.new("RGB", (40, 30), "red"), "JPEG")
    entries = [(0x030000, b""), *others]
    head = b"MPF\0II*\0" + struct.pack("<IHHHII", 8, 1, 0xB002, 7, 16 * len(entries), 26) + bytes(4)
    segment_bytes = 4 + len(head) + 16 * len(entries)
    listed, at = struct.pack("<IIIHH", 0x030000, len(first) + segment_bytes, 0, 0, 0), len(first) + segment_bytes
    for kind, data in others:
        listed += struct.pack("<IIIHH", kind, len(data), at - _LIST_BEGINS, 0, 0)
        at += len(data)
    segment = b"\xff\xe2" + struct.pack(">H", segment_bytes - 2) + head + listed
    return first[:2] + segment + first[2:] + b"".join(data for _, data in others)


_LIST_BEGINS = 2 + 4 + 4
"""Where the list of an MPO's pictures begins in the file, from which places are counted."""


def blue(width: int = 50, height: int = 20, **options: object) -> bytes:
    """A blue JPEG."""
    return badfiles.saved(Image.new("RGB", (width, height), "blue"), "JPEG", **options)


def heic(*sizes: tuple[int, int], described: int = 0) -> bytes:
    """A HEIC of pictures of these sizes, each brighter than the one before; the first few have EXIF."""
    import pillow_heif

    file = pillow_heif.HeifFile()
    for number, size in enumerate(sizes):
        file.add_from_pillow(Image.new("RGB", size, (60 * number + 40,) * 3))
        if number < described:
            words = badfiles.exif({0x010E: badfiles.ascii_text(f"page {number}")})
            file[number].info["exif"] = b"Exif\0\0" + words
    encoded = io.BytesIO()
    file.save(encoded, quality=90)
    return encoded.getvalue()


def avif(count: int, width: int = 48, height: int = 32) -> bytes:
    """A collection of so many pictures, each brighter than the one before."""
    pixels = np.repeat(np.arange(count, dtype=np.uint8) * 60 + 40, width * height * 3)
    image = pyvips.Image.new_from_memory(pixels.tobytes(), width, height * count, 3, "uchar")
    image = image.copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "page-height", height)
    encoded: bytes = image.heifsave_buffer(compression="av1", Q=90, effort=0)
    return encoded


def pages_of(folder: Path, data: bytes, limits: Limits = LIMITS, name: str = "scan.tif") -> list[Picture] | None:
    """All pages of a file; None where it has one."""
    pages = opened(folder, data, limits, name)
    if pages is None:
        return None
    with pages:
        return [pages.read(number) for number in range(len(pages.sizes))]


def opened(folder: Path, data: bytes, limits: Limits = LIMITS, name: str = "scan.tif") -> Pages | None:
    path = folder / name
    path.write_bytes(data)
    return open_pages(path, limits)

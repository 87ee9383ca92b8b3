"""PNG: no chunk beside the pixels' own refuses a picture, and each says what it says."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dreamd.errors import PictureError
from tests import badfiles
from tests.badfiles import chunk, png_with, saved
from tests.unit.pictures.kit import Opened, no_more_memory_than

BROKEN = {
    "pHYs with a wrong sum": chunk(b"pHYs", struct.pack(">IIB", 3000, 3000, 1), sum_is_right=False),
    "tEXt with a wrong sum": chunk(b"tEXt", b"Comment\0hello", sum_is_right=False),
    "gAMA with a wrong sum": chunk(b"gAMA", struct.pack(">I", 100_000), sum_is_right=False),
    "iCCP with a wrong sum": chunk(b"iCCP", b"x\0\0" + zlib.compress(b"profile"), sum_is_right=False),
    "tRNS with a wrong sum": chunk(b"tRNS", bytes(6), sum_is_right=False),
    "eXIf with a wrong sum": chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0", sum_is_right=False),
    "unknown with a wrong sum": chunk(b"abCd", b"?", sum_is_right=False),
    "zTXt of 5 MB": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000))),
    "iTXt of 5 MB": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(5_000_000))),
    "zTXt that is no zlib": chunk(b"zTXt", b"Comment\0\0nonsense"),
    "zTXt of another method": chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"text")),
    "iTXt that is no UTF-8": chunk(b"iTXt", b"Comment\0\0\0\0\0\xff\xfe"),
    "iTXt without its fields": chunk(b"iTXt", b"Comment"),
    "iCCP of 50 MB": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000))),
    "iCCP that is no zlib": chunk(b"iCCP", b"x\0\0nonsense"),
    "iCCP without anything": chunk(b"iCCP", b""),
    "pHYs that is cut": chunk(b"pHYs", b"\0"),
    "gAMA that is cut": chunk(b"gAMA", b"\0"),
    "cHRM that is cut": chunk(b"cHRM", b"\0"),
    "cICP that is cut": chunk(b"cICP", b"\0"),
    "sRGB that is empty": chunk(b"sRGB", b""),
    "tRNS that is cut": chunk(b"tRNS", b"\0"),
    "eXIf of noise": chunk(b"eXIf", b"noise"),
    "acTL that lies": chunk(b"acTL", struct.pack(">II", 2**31, 0)),
    "fcTL that is cut": chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"\0"),
    "5000 texts": chunk(b"tEXt", b"Comment\0hello") * 5000,
}


@pytest.mark.parametrize("extra", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_chunk_beside_the_pixels_refuses_nothing(opened: Opened, extra: bytes) -> None:
    result = opened(png_with(extra))
    assert np.array_equal(result.pixels, np.asarray(badfiles.noise(8, 8)))
    assert result.alpha is None


def test_a_broken_chunk_behind_the_pixels_refuses_nothing(opened: Opened) -> None:
    whole = saved(badfiles.noise(8, 8), "PNG")
    for extra in BROKEN.values():
        assert opened(whole[:-12] + extra + whole[-12:]).pixels.shape == (8, 8, 3)


def test_an_icon_with_a_broken_chunk_inside_is_read(opened: Opened) -> None:
    inside = png_with(BROKEN["pHYs with a wrong sum"], saved(badfiles.noise(16, 16), "PNG"))
    result = opened(badfiles.icon(inside))
    assert result.format == "ICO"
    assert np.array_equal(result.pixels, np.asarray(badfiles.noise(16, 16)))


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_wrong_sum_of_a_chunk_that_holds_the_pixels_refuses_the_picture(opened: Opened, name: bytes) -> None:
    image = badfiles.palette() if name == b"PLTE" else badfiles.noise(8, 8)
    whole = bytearray(saved(image, "PNG"))
    whole[whole.index(name) + 4] ^= 1
    with pytest.raises(PictureError):
        opened(bytes(whole))


def test_a_text_bomb_takes_no_memory(opened: Opened) -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + badfiles.zeros(1_000_000_000))
    with no_more_memory_than(150_000_000):
        assert opened(png_with(bomb)).description.texts == ()


def test_texts_that_fill_the_file_take_little_memory(opened: Opened) -> None:
    whole = png_with(chunk(b"tEXt", b"Comment\0" + bytes(1_000_000)) * 100)
    with no_more_memory_than(150_000_000):
        assert len(opened(whole).description.texts) <= 4


def test_a_few_broken_chunks_are_told_of_and_the_rest_is_silence(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    for broken in (BROKEN["tEXt with a wrong sum"], BROKEN["zTXt that is no zlib"]):
        caplog.clear()
        opened(png_with(broken * 4000))
        assert 0 < len(caplog.records) <= 5


def test_texts_are_kept_with_their_very_chunks(opened: Opened) -> None:
    chunks = (
        (b"tEXt", b"parameters\0a house, seed 42"),
        (b"zTXt", b"prompt\0\0" + zlib.compress(b"{}")),
        (b"iTXt", "Title\0\0\0de\0Titel\0Träume".encode()),
    )
    texts = opened(png_with(b"".join(chunk(*parts) for parts in chunks))).description.texts
    assert [(text.keyword, text.text) for text in texts] == [
        ("parameters", "a house, seed 42"),
        ("prompt", "{}"),
        ("Title", "Träume"),
    ]
    assert tuple(text.chunk for text in texts) == chunks


def test_texts_about_the_old_file_are_not_kept(opened: Opened) -> None:
    extra = chunk(b"tEXt", b"Thumb::URI\0file:///x") + chunk(b"tEXt", b"exif:Orientation\x006")
    assert opened(png_with(extra)).description.texts == ()


def test_raw_profiles_are_read_as_what_they_are(opened: Opened) -> None:
    exif = badfiles.exif({0x010F: badfiles.ascii_text("Acme"), 0x0112: badfiles.shorts(6)})
    text = f"\nexif\n{len(exif) + 6:8}\n{(b'Exif' + bytes(2) + exif).hex()}\n".encode()
    whole = saved(badfiles.noise(8, 4), "PNG")
    result = opened(png_with(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)), whole))
    assert result.pixels.shape == (8, 4, 3)
    assert b"Acme" in result.description.exif


def test_a_png_without_its_end_is_read(opened: Opened) -> None:
    assert opened(saved(badfiles.noise(8, 8), "PNG")[:-12]).pixels.shape == (8, 8, 3)


# ---- the clear colour


def packed(values: np.ndarray, depth: int) -> bytes:
    """Rows of samples of so many bits, each row filled up to whole bytes."""
    if depth == 16:
        return values.astype(">u2").tobytes()
    bits = np.unpackbits(values.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
    return np.packbits(bits.reshape(len(values), -1), axis=1).tobytes()


def png_of(values: np.ndarray, depth: int, colour: int, *extra: bytes) -> bytes:
    height, width = values.shape[:2]
    samples = values.reshape(height, -1)
    return png_with(b"".join(extra), badfiles.png(width, height, depth, colour, packed(samples, depth)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_clear_grey_is_clear_at_every_depth(opened: Opened, depth: int) -> None:
    most = (1 << depth) - 1
    values = np.full((6, 10), most)
    values[:3, :5] = most // 2
    whole = png_of(values, depth, 0, chunk(b"tRNS", struct.pack(">H", most // 2)))
    alpha = opened(whole).alpha
    assert alpha is not None
    assert np.array_equal(alpha, np.where(values == most // 2, 0, 255))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_clear_colour_is_clear_at_every_depth(opened: Opened, depth: int) -> None:
    values = np.zeros((4, 6, 3), int)
    values[:] = (10, 200, 99)
    values[:2, :3] = (10, 200, 100)  # at 16 bits the same high bytes
    whole = png_of(values, depth, 2, chunk(b"tRNS", struct.pack(">3H", 10, 200, 100)))
    alpha = opened(whole).alpha
    assert alpha is not None
    assert np.array_equal(alpha == 0, (values == (10, 200, 100)).all(axis=2))


def test_bits_above_the_depth_of_a_clear_grey_are_ignored(opened: Opened) -> None:
    values = np.array([[0, 1, 2, 3]])
    alpha = opened(png_of(values, 2, 0, chunk(b"tRNS", struct.pack(">H", 0xFF02)))).alpha
    assert alpha is not None
    assert alpha.tolist() == [[255, 255, 0, 255]]


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_of_any_depth_has_clear_entries(opened: Opened, depth: int) -> None:
    values = np.array([[0, 1, 0, 1]])
    palette = chunk(b"PLTE", bytes((255, 0, 0, 0, 0, 255))) + chunk(b"tRNS", b"\x00\x80")
    result = opened(png_of(values, depth, 3, palette))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[0, 128, 0, 128]]
    assert result.pixels[0, :2].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_a_clear_colour_that_no_pixel_has_leaves_the_picture_opaque(opened: Opened) -> None:
    whole = saved(Image.new("RGB", (3, 2), (1, 2, 3)), "PNG")
    assert opened(png_with(chunk(b"tRNS", struct.pack(">3H", 9, 9, 9)), whole)).alpha is None


def test_an_interlaced_colour_of_16_bits_is_clear_where_all_its_bits_are(opened: Opened) -> None:
    # Adam7's last pass of a picture of 1 x 2 pixels holds its second row; the first pass holds the first pixel.
    rows = b"".join(b"\0" + struct.pack(">3H", 10, 200, blue) for blue in (100, 99))
    header = struct.pack(">IIBBBBB", 1, 2, 16, 2, 0, 0, 1)
    whole = badfiles.PNG_MAGIC + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">3H", 10, 200, 100))
    alpha = opened(whole + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")).alpha
    assert alpha is not None
    assert alpha.tolist() == [[0], [255]]

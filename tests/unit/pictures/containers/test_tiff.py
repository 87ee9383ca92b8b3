"""TIFF: the picture and not a preview of it, and a camera's raw file by its name."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.containers.directory import Entry, Form, Order, block_bytes
from tests import badfiles
from tests.badfiles import longs, noise, saved, shorts, tiff_of, tiff_page
from tests.unit.pictures.kit import Opened, read_deep

SMALL, LARGE = noise(8, 6), noise(32, 24)


@pytest.mark.parametrize("name", ["camera.dng", "camera.tif", "camera.jpg"])
def test_a_raw_file_is_refused_by_any_name_with_the_plugin_to_use(opened: Opened, name: str) -> None:
    with pytest.raises(PictureError, match=r"camera's raw file.*camera_raw\.py"):
        opened(badfiles.camera_raw(), name)


@pytest.mark.parametrize(
    "inside",
    [{"t262": shorts(34_892)}, {"t262": shorts(32_803)}, {"t259": shorts(34_713)}, {"t259": shorts(32_767)}],
    ids=["linear raw", "colour filter", "Nikon's compression", "Sony's compression"],
)
def test_a_sensors_values_behind_a_preview_make_a_raw_file(
    opened: Opened, inside: dict[str, tuple[int, bytes]]
) -> None:
    for whole in (
        tiff_of(tiff_page(SMALL, t254=longs(1)), inside=tiff_page(LARGE, **inside)),
        tiff_of(tiff_page(SMALL, t254=longs(1)), tiff_page(LARGE, **inside)),
    ):
        with pytest.raises(PictureError, match="raw"):
            opened(whole)


def test_canons_mark_makes_a_raw_file(opened: Opened) -> None:
    tags, pixels = tiff_page(SMALL)
    whole = bytearray(tiff_of((tags, b"CR\x02\0" + pixels)))
    with pytest.raises(PictureError, match="raw"):
        opened(bytes(whole))


def test_the_picture_behind_a_preview_is_taken(opened: Opened) -> None:
    for whole in (
        tiff_of(tiff_page(SMALL, t254=longs(1)), tiff_page(LARGE)),
        tiff_of(tiff_page(SMALL, t255=shorts(2)), tiff_page(LARGE)),
        tiff_of(tiff_page(SMALL, t254=longs(1)), inside=tiff_page(LARGE)),
        tiff_of(tiff_page(SMALL), inside=tiff_page(LARGE)),
        tiff_of(tiff_page(SMALL, t254=longs(1)), tiff_page(noise(16, 12), t254=longs(1)), tiff_page(LARGE)),
    ):
        assert np.array_equal(opened(whole).pixels, np.asarray(LARGE))


def test_the_first_of_several_pictures_is_taken_whatever_their_sizes(opened: Opened) -> None:
    for whole in (
        tiff_of(tiff_page(SMALL), tiff_page(LARGE)),
        tiff_of(tiff_page(SMALL), tiff_page(LARGE, t254=longs(4))),
        tiff_of(tiff_page(SMALL), inside=tiff_page(LARGE, t254=longs(1))),
    ):
        assert np.array_equal(opened(whole).pixels, np.asarray(SMALL))


def test_a_preview_alone_is_the_picture(opened: Opened) -> None:
    assert np.array_equal(opened(tiff_of(tiff_page(SMALL, t254=longs(1)))).pixels, np.asarray(SMALL))


def test_the_picture_behind_a_preview_is_held_to_the_limits(opened: Opened) -> None:
    for whole in (
        tiff_of(tiff_page(SMALL, t254=longs(1)), tiff_page(LARGE)),
        tiff_of(tiff_page(SMALL, t254=longs(1)), inside=tiff_page(LARGE)),
    ):
        with pytest.raises(PictureError, match="32 x 24 pixels, more than"):
            opened(whole, max_pixels=100)


def test_directories_in_a_circle_end(opened: Opened) -> None:
    tags, pixels = tiff_page(SMALL)
    whole = bytearray(tiff_of((tags, pixels)))
    first = struct.unpack_from("<I", whole, 4)[0]
    struct.pack_into("<I", whole, first + 2 + 12 * len(tags), first)
    assert opened(bytes(whole)).pixels.shape == (6, 8, 3)


def test_the_description_of_both_directories_is_kept(opened: Opened) -> None:
    preview = tiff_page(SMALL, t254=longs(1), t271=badfiles.ascii_text("Acme"))
    picture = tiff_page(LARGE, t315=badfiles.ascii_text("Jürgen"))
    exif = opened(tiff_of(preview, picture)).description.exif
    assert b"Acme" in exif
    assert "Jürgen".encode() in exif


def test_a_turned_tiff_with_a_resolution_stands_upright_once(opened: Opened) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    result = opened(saved(noise(16, 8), "TIFF", exif=exif, dpi=(100, 200)))
    assert result.pixels.shape == (16, 8, 3)
    assert result.dpi == pytest.approx((200, 100))


def test_chromaticities_are_applied(opened: Opened) -> None:
    wide = badfiles.fractions(0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    red = Image.new("RGB", (4, 4), (200, 0, 0))
    result = opened(tiff_of(tiff_page(red, t318=badfiles.fractions(0.3127, 0.3290), t319=wide)))
    assert result.pixels[0, 0, 0] > 220


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("samples", "bits"), [(1, 8), (1, 16), (3, 8), (3, 16)])
def test_a_bigtiff_of_either_byte_order_is_read_in_its_depth(
    tmp_path: Path, order: Order, samples: int, bits: int
) -> None:
    kind = np.dtype(f"{order}u{bits // 8}")
    levels = np.linspace(0, 2**bits - 1, 30 * 20 * samples).astype(kind).reshape(20, 30, samples)
    (tmp_path / "big").write_bytes(_bigtiff(levels, order))
    picture = read_deep(tmp_path / "big")
    assert (picture.depth, picture.is_grey) == (bits, samples == 1)
    assert b"a big one" in picture.description.exif
    pixels = picture.pixels if bits == 8 else np.rint(picture.pixels * 65_535)
    assert np.array_equal(pixels, np.broadcast_to(levels, (20, 30, 3)))


def _bigtiff(levels: np.ndarray, order: Order) -> bytes:
    """A BigTIFF of one page, whose levels lie behind its header."""
    height, width, samples = levels.shape

    def numbers(kind: int, *values: int) -> Entry:
        return Entry(kind, struct.pack(f"{order}{len(values)}{ {3: 'H', 16: 'Q'}[kind] }", *values))

    tags = {256: (width,), 257: (height,), 258: (8 * levels.itemsize,) * samples, 259: (1,), 262: (1 + samples // 3,)}
    tags |= {277: (samples,), 278: (height,)}
    main = {tag: numbers(3, *values) for tag, values in tags.items()}
    main |= {273: numbers(16, 16), 279: numbers(16, levels.nbytes), 270: Entry(2, b"a big one\0")}
    start = 16 + levels.nbytes
    form = Form(order, is_big=True)
    return form.header(start) + levels.tobytes() + block_bytes(main, {}, form, start)

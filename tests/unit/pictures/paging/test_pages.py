"""Each page of a file is read as a picture of its own, within limits; what belongs to another picture is none."""

from __future__ import annotations

import hashlib
import io
import struct
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.paging.joining import join_pages
from tests import badfiles
from tests.badfiles import longs, tiff_of, tiff_page
from tests.unit.pictures.kit import no_more_memory_than
from tests.unit.pictures.paging import kit
from tests.unit.pictures.paging.kit import LIMITS, opened, pages_of


def test_pages_of_a_tiff_come_in_order_each_in_its_size_depth_and_orientation(tmp_path: Path) -> None:
    data = kit.mixed_tiff()
    pages = pages_of(tmp_path, data)
    assert pages is not None
    assert [page.pixels.shape for page in pages] == [(40, 60, 3), (47, 33, 3), (19, 21, 3)]
    assert [page.depth for page in pages] == [8, 16, 16]
    assert np.array_equal(np.rint(pages[1].pixels * 65_535), kit.ramp(33, 47))
    assert np.abs(pages[2].pixels * 65_535 - kit.ramp(21, 19)).max() < 0.01
    assert b"the first" in pages[0].description.exif
    assert all(b"the first" not in page.description.exif for page in pages[1:])
    assert {page.sha256 for page in pages} == {hashlib.sha256(data).hexdigest()}
    assert [page.notes for page in pages] == [(), (), ()]


def test_pages_of_a_bigtiff_are_those_of_a_tiff(tmp_path: Path) -> None:
    colours = [Image.new("RGB", (9 + number, 7), (number * 90, 10, 20)) for number in range(3)]
    files = [tmp_path / f"{number}.tif" for number in range(3)]
    for image, file in zip(colours, files, strict=True):
        image.save(file)
    with (tmp_path / "big").open("w+b") as big:
        join_pages(files, big, most=0)
    data = (tmp_path / "big").read_bytes()
    assert data[2:4] == b"+\0"
    pages = pages_of(tmp_path, data)
    assert pages is not None
    for page, image in zip(pages, colours, strict=True):
        assert np.array_equal(page.pixels, np.asarray(image))


def test_smaller_copies_and_masks_are_no_pages(tmp_path: Path) -> None:
    page, other = (tiff_page(badfiles.noise(32, 24)) for _ in range(2))
    copy, mask = (tiff_page(badfiles.noise(8, 6), t254=longs(kind)) for kind in (1, 4))
    pages = opened(tmp_path, tiff_of(copy, page, copy, mask, other))
    assert pages is not None
    with pages:
        assert pages.sizes == [(32, 24), (32, 24)]
    assert opened(tmp_path, tiff_of(copy, page, mask)) is None


@pytest.mark.parametrize("kind", ["tiff", "gif", "png", "icon", "raw", "named raw", "text", "jpeg", "heic", "avif"])
def test_a_file_of_one_picture_and_an_animation_have_no_pages(tmp_path: Path, kind: str) -> None:
    still = Image.new("RGB", (40, 30), "red")
    moving = badfiles.saved(still, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")])
    sizes = {"sizes": [(16, 16), (32, 32)]}
    data = {
        "tiff": lambda: kit.plain_tiff(1),
        "gif": lambda: moving,
        "png": lambda: badfiles.saved(still, "PNG", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")]),
        "icon": lambda: badfiles.saved(Image.new("RGBA", (32, 32), "red"), "ICO", **sizes),
        "raw": badfiles.camera_raw,
        "named raw": lambda: kit.plain_tiff(2),
        "text": lambda: b"hello",
        "jpeg": kit.blue,
        "heic": lambda: kit.heic((64, 48)),
        "avif": lambda: kit.avif(1),
    }
    assert opened(tmp_path, data[kind](), name="a.nef" if kind == "named raw" else "a.tif") is None


def test_both_pictures_of_an_mpo_are_pages(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(
        encoded, "MPO", save_all=True, append_images=[Image.new("RGB", (50, 20), "blue")]
    )
    for data in (encoded.getvalue(), kit.mpo((kit.FOR_TWO_EYES, kit.blue()))):
        pages = pages_of(tmp_path, data, name="a.mpo")
        assert pages is not None
        first, second = pages
        assert (first.pixels.shape, second.pixels.shape) == ((30, 40, 3), (20, 50, 3))
        assert (first.notes, second.notes) == ((), ())
        assert first.pixels[15, 20, 0] > 250 > 5 > first.pixels[15, 20, 2]
        assert second.pixels[10, 25, 2] > 250 > 5 > second.pixels[10, 25, 0]


def test_previews_and_gain_maps_behind_a_jpeg_are_no_pages(tmp_path: Path) -> None:
    marked = badfiles.jpeg_with((0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)), whole=kit.blue())
    told = kit.blue(
        xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" h:Version="1.0"/></rdf:RDF></x:xmpmeta>'
    )
    others = [(kit.PREVIEW, kit.blue()), (kit.UNDEFINED, marked), (kit.UNDEFINED, told), (kit.UNDEFINED, b"no JPEG")]
    assert opened(tmp_path, kit.mpo(*others)) is None
    pages = opened(tmp_path, kit.mpo(*others, (kit.UNDEFINED, kit.blue(12, 8))))
    assert pages is not None
    with pages:
        assert pages.sizes == [(40, 30), (12, 8)]


def test_a_view_that_an_mpo_lists_and_does_not_hold_is_told(tmp_path: Path) -> None:
    whole = kit.mpo((kit.FOR_TWO_EYES, kit.blue()))
    with pytest.raises(PictureError, match="picture 2 of those that it lists is not there"):
        opened(tmp_path, whole[: whole.rindex(b"\xff\xd8\xff")])


def test_pictures_of_a_heic_and_of_an_avif_collection_are_pages(tmp_path: Path) -> None:
    for data, sizes in ((kit.heic((64, 48), (80, 40)), [(64, 48), (80, 40)]), (kit.avif(3), [(48, 32)] * 3)):
        pages = pages_of(tmp_path, data)
        assert pages is not None
        assert [page.pixels.shape[1::-1] for page in pages] == sizes
        for number, page in enumerate(pages):
            assert abs(int(page.pixels[10, 10, 0]) - (60 * number + 40)) < 4
            assert page.notes == ()


def test_each_picture_of_a_heic_has_the_description_that_is_its_own(tmp_path: Path) -> None:
    pages = pages_of(tmp_path, kit.heic((64, 48), (80, 40), (64, 40), described=2))
    assert pages is not None
    assert [b"page 0" in page.description.exif for page in pages] == [True, False, False]
    assert [b"page 1" in page.description.exif for page in pages] == [False, True, False]


def test_pictures_that_make_one_for_bright_screens_are_no_pages(tmp_path: Path) -> None:
    bright = kit.avif(2)
    brands = bright.index(b"mif1")
    assert opened(tmp_path, bright[:brands] + b"tmap" + bright[brands + 4 :]) is None


def test_too_many_pages_are_refused_in_little_time_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(kit.endless_tiff(300_000))
    start = time.process_time()
    with no_more_memory_than(64 << 20), pytest.raises(PictureError, match=r"limits\.max_pages allows \(20\)"):
        kit.open_pages(path, LIMITS)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (kit.circular_tiff(), "runs in a circle"),
        (kit.torn_tiff(), "the directory of page 2 is not there"),
        (kit.plain_tiff(21), r"limits\.max_pages allows \(20\)"),
        (kit.plain_tiff(3, 900, 900), r"limits\.max_pages_pixels allows \(2000000\)"),
        (kit.mpo((kit.FOR_TWO_EYES, kit.blue(2000, 600))), r"2000 x 600 pixels, more than limits\.max_pixels"),
    ],
)
def test_pages_that_are_broken_or_too_large_are_refused_with_the_reason(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(PictureError, match=rf"scan\.tif: .*{reason}"):
        opened(tmp_path, data)


def test_a_directory_of_senseless_length_is_told(tmp_path: Path) -> None:
    whole = bytearray(kit.plain_tiff(2) + bytes(200_000))
    (first,) = struct.unpack_from("<I", whole, 4)
    struct.pack_into("<H", whole, first, 9999)
    with pytest.raises(PictureError, match="9999 entries"):
        opened(tmp_path, bytes(whole))


def test_a_page_that_is_broken_is_named(tmp_path: Path) -> None:
    good, (tags, pixels) = tiff_page(badfiles.noise(32, 24)), tiff_page(badfiles.noise(32, 24))
    pages = opened(tmp_path, tiff_of(good, ({**tags, 279: longs(len(pixels) // 2)}, pixels[: len(pixels) // 2])))
    assert pages is not None
    with pages:
        pages.read(0)
        with pytest.raises(PictureError, match=r"scan\.tif, page 2 of 2: not a picture that can be read"):
            pages.read(1)


@pytest.mark.parametrize("data", [kit.heic((64, 48), (80, 40)), kit.avif(2)], ids=["heic", "avif"])
def test_a_collection_that_is_cut_off_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PictureError, match="not a picture that can be read"):
        pages_of(tmp_path, data[:-20])


def test_a_page_is_held_to_the_limit_when_it_is_decoded_too(tmp_path: Path) -> None:
    pages = opened(tmp_path, kit.plain_tiff(2), replace(LIMITS, max_pixels=48))
    assert pages is not None
    pages.close()
    with pytest.raises(PictureError, match=r"limits\.max_pixels"):
        opened(tmp_path, kit.plain_tiff(2), replace(LIMITS, max_pixels=47))

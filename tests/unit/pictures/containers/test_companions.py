"""Other pictures in a file are left out, and it is said."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from dreamd.pictures.containers.boxes import read_boxes
from tests import badfiles
from tests.badfiles import jpeg_with, longs, tiff_of, tiff_page
from tests.unit.pictures.kit import Opened
from tests.unit.pictures.paging import kit


def mpf(*kinds: int) -> bytes:
    entries = b"".join(struct.pack("<IIIHH", kind, 1000, 0, 0, 0) for kind in kinds)
    table = struct.pack("<HHHII", 1, 0xB002, 7, len(entries), 8 + 2 + 12 + 4) + bytes(4)
    return b"MPF\0II*\0" + struct.pack("<I", 8) + table + entries


@pytest.mark.parametrize("kind", [kit.FOR_TWO_EYES, kit.UNDEFINED])
def test_other_pictures_of_an_mpo_are_told_and_a_preview_is_not(opened: Opened, kind: int) -> None:
    assert opened(kit.mpo((kind, kit.blue()))).notes == ("it holds 2 pictures: the first was dreamed",)
    assert opened(kit.mpo((kit.PREVIEW, kit.blue()))).notes == ()


@pytest.mark.parametrize("data", [b"MPF\0", b"MPF\0II*\0\xff\xff\xff\xff", mpf(0x020002)[:30]])
def test_a_broken_list_of_pictures_costs_no_picture(opened: Opened, data: bytes) -> None:
    assert opened(jpeg_with((0xE2, data))).notes == ()


def test_a_gain_map_by_the_standard_is_told(opened: Opened) -> None:
    (note,) = opened(jpeg_with((0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)))).notes
    assert "gain map" in note


def test_pages_of_a_tiff_are_told_and_a_smaller_copy_is_none(opened: Opened) -> None:
    pages = [tiff_page(badfiles.noise(32, 24)) for _ in range(3)]
    assert opened(tiff_of(*pages)).notes == ("it holds 3 pages: the first was dreamed",)
    assert opened(kit.plain_tiff(100, 2, 2)).notes == ("it holds 100 pages: the first was dreamed",)
    assert opened(kit.plain_tiff(1001, 2, 2)).notes == ("it holds more than 1000 pages: the first was dreamed",)
    copy = tiff_page(badfiles.noise(8, 6), t254=longs(1))
    assert opened(tiff_of(copy, pages[0])).notes == ()


def test_pictures_of_a_heic_are_told(opened: Opened) -> None:
    import pillow_heif

    encoded = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red"))
    heif.add_from_pillow(Image.new("RGB", (64, 64), "blue"))
    heif.save(encoded, quality=80)
    assert opened(encoded.getvalue()).notes == ("it holds 2 pictures: the first was dreamed",)


def test_pictures_of_an_avif_are_told_and_an_alpha_channel_is_none(opened: Opened) -> None:
    assert opened(kit.avif(2)).notes == ("it holds 2 pictures: the first was dreamed",)
    clear = Image.new("RGBA", (32, 24), (255, 0, 0, 90))
    assert opened(badfiles.saved(clear, "AVIF")).notes == ()


def test_an_avif_with_a_gain_map_by_the_standard_is_told() -> None:
    plain = badfiles.saved(badfiles.noise(32, 24), "AVIF")
    assert read_boxes(io.BytesIO(plain), "plain")[1].notes == ()
    (note,) = read_boxes(io.BytesIO(plain.replace(b"MA1B", b"tmap", 1)), "bright")[1].notes
    assert "gain map" in note

"""JPEG: no segment beside the pixels' own refuses a picture, and each says what it says."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests import badfiles
from tests.badfiles import jpeg_with, saved
from tests.unit.pictures.kit import Opened

BROKEN = {
    "EXIF of noise": (0xE1, b"Exif\0\0noise"),
    "XMP of noise": (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x"),
    "a profile out of order": (0xE2, b"ICC_PROFILE\0\x09\x02noise"),
    "pictures that are not there": (0xE2, b"MPF\0II*\0" + bytes(4) + b"\xff" * 40),
    "image resources of noise": (0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff"),
    "a mark of JFIF that is cut": (0xE0, b"JFIF\0"),
    "a mark of Adobe that is cut": (0xEE, b"Adobe\0"),
    "an unknown application": (0xEB, b"\xff\xd8\xff\xda" * 9),
    "a comment of noise": (0xFE, b"\xff\xd9\xff\xda"),
    "an empty comment": (0xFE, b""),
}


@pytest.mark.parametrize("segment", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_segment_beside_the_pixels_refuses_nothing(opened: Opened, segment: tuple[int, bytes]) -> None:
    assert np.array_equal(opened(jpeg_with(segment)).pixels, opened(jpeg_with()).pixels)


def test_many_segments_and_fill_bytes_refuse_nothing(opened: Opened) -> None:
    whole = jpeg_with(*[(0xFE, b"hello")] * 5000)
    assert np.array_equal(opened(whole).pixels, opened(jpeg_with()).pixels)
    whole = jpeg_with((0xFE, b"hello"))
    assert np.array_equal(opened(whole[:2] + b"\xff" * 9 + whole[2:]).pixels, opened(jpeg_with()).pixels)


def test_the_mark_of_adobe_tells_the_channels(opened: Opened) -> None:
    whole = saved(Image.new("RGB", (16, 16), "red"), "JPEG", keep_rgb=True, quality=95)
    assert opened(jpeg_with((0xFE, b"hello"), whole=whole)).pixels[0, 0].tolist() == [255, 0, 0]


def test_exif_of_several_segments_is_one(opened: Opened) -> None:
    block = badfiles.exif(
        {0x0112: badfiles.shorts(6), 0x010F: badfiles.ascii_text("Acme")},
        {0x927C: (7, bytes(150_000)), 0x9003: badfiles.ascii_text("2024:05:01 10:00:00")},
    )
    parts = [(0xE1, b"Exif\0\0" + block[at : at + 65_000]) for at in range(0, len(block), 65_000)]
    result = opened(jpeg_with(*parts, whole=saved(badfiles.noise(32, 16), "JPEG")))
    assert result.pixels.shape == (32, 16, 3)
    assert b"Acme" in result.description.exif
    assert b"2024:05:01" in result.description.exif
    assert len(result.description.exif) < 1000


def test_a_profile_of_several_segments_is_one(opened: Opened) -> None:
    profile = badfiles.swapped_profile()
    half = len(profile) // 2
    parts = [(0xE2, b"ICC_PROFILE\0\2\2" + profile[half:]), (0xE2, b"ICC_PROFILE\0\1\2" + profile[:half])]
    red = saved(Image.new("RGB", (16, 16), (255, 0, 0)), "JPEG", quality=95)
    assert opened(jpeg_with(*parts, whole=red)).pixels[0, 0, 2] > 250


def test_comments_and_iptc_are_kept(opened: Opened) -> None:
    iptc = b"\x1c\x02\x78\x00\x05hello"
    resources = (
        b"8BIM\x04\x0c\0\0" + struct.pack(">I", 3) + b"old\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 10) + iptc
    )
    whole = jpeg_with((0xFE, "Träume".encode()), (0xFE, b"caf\xe9"), (0xED, b"Photoshop 3.0\0" + resources))
    description = opened(whole).description
    assert [text.text for text in description.texts] == ["Träume", "café"]
    assert description.iptc == iptc


def test_the_resolution_comes_from_jfif_or_else_from_exif(opened: Opened) -> None:
    plain = saved(badfiles.noise(16, 8), "JPEG")
    told = {0x011A: badfiles.fractions(72), 0x011B: badfiles.fractions(36), 0x0128: badfiles.shorts(2)}
    exif = (0xE1, b"Exif\0\0" + badfiles.exif(told))
    assert opened(jpeg_with(exif, whole=plain)).dpi == pytest.approx((72, 36))
    assert opened(jpeg_with(exif, whole=saved(badfiles.noise(16, 8), "JPEG", dpi=(300, 150)))).dpi == (300, 150)

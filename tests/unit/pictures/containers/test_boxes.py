"""AVIF: broken EXIF refuses no picture, and whole EXIF is kept byte for byte."""

from __future__ import annotations

import pytest
from PIL import Image

from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened

BLOCK = badfiles.exif({0x010F: badfiles.ascii_text("Acme " * 100)})
WHOLE = saved(badfiles.noise(16, 12), "AVIF", exif=b"Exif\0\0" + BLOCK)


@pytest.mark.parametrize("exif", badfiles.hostile_exifs().values(), ids=list(badfiles.hostile_exifs()))
def test_hostile_exif_refuses_nothing(opened: Opened, exif: bytes) -> None:
    block = exif.removeprefix(b"Exif\0\0").ljust(len(BLOCK), b"\0")
    assert BLOCK in WHOLE
    result = opened(WHOLE.replace(BLOCK, block))
    assert result.pixels.shape == (12, 16, 3)
    assert result.description.exif == b""


def test_a_place_of_exif_behind_the_end_refuses_nothing(opened: Opened) -> None:
    at = WHOLE.index(b"Exif\0\0")
    assert opened(WHOLE[:at] + WHOLE[at:].replace(BLOCK[:8], bytes(8))).pixels.shape == (12, 16, 3)


def test_the_box_of_orientation_turns_the_picture(opened: Opened) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Acme"
    result = opened(saved(badfiles.noise(16, 12), "AVIF", exif=exif))
    assert result.pixels.shape == (16, 12, 3)
    assert b"Acme" in result.description.exif

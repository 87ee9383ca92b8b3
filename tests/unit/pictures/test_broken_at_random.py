"""Good files of every format, broken at random: a picture or a PictureError, never anything else."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from dreamd.pictures import kinds
from dreamd.pictures.picture import Picture
from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened, exif_with, outcome


def qoi(image: Image.Image) -> bytes:
    pixels = b"".join(b"\xfe" + bytes(pixel) for pixel in np.asarray(image).reshape(-1, 3))
    return b"qoif" + struct.pack(">IIBB", *image.size, 3, 0) + pixels + bytes(7) + b"\x01"


@pytest.fixture(scope="module")
def good_files() -> dict[str, bytes]:
    image = badfiles.noise(24, 16)
    exif = exif_with(ExifTags.Base.Orientation, 6)
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.FNumber: 2.8}
    told: dict[str, object] = {"exif": exif.tobytes(), "icc_profile": badfiles.srgb_profile()}
    files = {kind: saved(image, kind) for kind in ("BMP", "DIB", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI")}
    files |= {kind: saved(image, kind, **told) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")}
    files["GIF"] = saved(badfiles.palette(), "GIF", transparency=1)
    files["QOI"] = qoi(image)
    files["MPO"] = saved(image, "MPO", save_all=True, append_images=[image])
    files["palette PNG"] = saved(badfiles.palette(), "PNG", transparency=b"\x80\x00\xff")
    files["deep PNG"] = saved(Image.new("I;16", (9, 7), 300), "PNG", transparency=300)
    files["float TIFF"] = saved(Image.new("F", (9, 7), 0.3), "TIFF")
    files["packed TIFF"] = saved(image, "TIFF", compression="tiff_lzw")
    files["CMYK JPEG"] = saved(image.convert("CMYK"), "JPEG", icc_profile=badfiles.ink_profile())
    files["plain PPM"] = b"P3 2 1 255\n255 0 0  0 0 255\n"
    files["animated WebP"] = saved(image, "WEBP", save_all=True, append_images=[badfiles.noise(24, 16).rotate(180)])
    return files


def test_every_good_file_is_read(opened: Opened, good_files: dict[str, bytes]) -> None:
    assert {opened(data).format for data in good_files.values()} >= set(kinds.READABLE) - {"DIB"}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), changes=st.integers(0, 6), cut=st.booleans(), early=st.booleans())
def test_a_file_broken_at_random_is_a_picture_or_a_picture_error(
    tmp_path: Path, good_files: dict[str, bytes], seed: int, changes: int, cut: bool, early: bool
) -> None:
    chance = random.Random(seed)
    data = bytearray(good_files[chance.choice(sorted(good_files))])
    for _ in range(changes):
        data[chance.randrange(min(len(data), 200) if early else len(data))] = chance.choice(
            (0, 255, chance.randrange(256))
        )
    path = tmp_path / "broken"
    path.write_bytes(data[: chance.randrange(len(data)) if cut else None])
    result = outcome(path, max_pixels=1_000_000)
    assert result.pixels.size <= 3_000_000 if isinstance(result, Picture) else str(result).isprintable()

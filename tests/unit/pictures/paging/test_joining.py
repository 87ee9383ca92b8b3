"""TIFFs of one page become one of all their pages, each with all that it says."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.paging.joining import join_pages
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from tests import badfiles
from tests.unit.pictures.kit import read_deep
from tests.unit.pictures.paging import kit

PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="page %d"/></rdf:RDF></x:xmpmeta>'
)


def written(folder: Path) -> list[Path]:
    """A page of 8 bit with a profile, one of 16 bit in grey, one of 16 bit with alpha; each with a description."""
    coloured = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    grey = np.repeat(kit.ramp(50, 30)[..., :1], 3, axis=2) / np.float32(65_535)
    large, alpha = kit.ramp(700, 300) / np.float32(65_535), np.full((300, 700), 777, np.uint16)
    pictures = [
        Picture(pixels=coloured, alpha=None, format="TIFF", profile=badfiles.srgb_profile(), dpi=(300, 300)),
        Picture(pixels=grey, alpha=None, format="TIFF", depth=16, is_grey=True),
        Picture(pixels=large, alpha=alpha, format="TIFF", depth=16),
    ]
    paths = []
    for number, picture in enumerate(pictures):
        words = badfiles.ascii_text(f"page {number}")
        told = badfiles.exif({0x010E: words}, {0x9003: badfiles.ascii_text("2026:11:26")})
        described = replace(picture, description=Description(exif=told, xmp=PACKET % number))
        paths.append(folder / f"{number}.tif")
        write_picture(described, paths[-1], format="TIFF", quality=90)
    return paths


@pytest.mark.parametrize(("most", "magic"), [(2**32, b"II*\0"), (0, b"II+\0")], ids=["TIFF", "BigTIFF"])
def test_pages_keep_pixels_profile_and_description(tmp_path: Path, most: int, magic: bytes) -> None:
    paths = written(tmp_path)
    with (tmp_path / "joined.tif").open("w+b") as file:
        join_pages(paths, file, most=most)
    data = (tmp_path / "joined.tif").read_bytes()
    assert data[:4] == magic
    pages, alone = kit.pages_of(tmp_path, data), [kit.opened(tmp_path, path.read_bytes()) for path in paths]
    assert pages is not None
    assert alone == [None] * 3
    for number, (page, path) in enumerate(zip(pages, paths, strict=True)):
        single = read_deep(path)
        assert np.array_equal(page.pixels, single.pixels)
        assert (page.depth, page.is_grey, page.profile, page.dpi) == (
            single.depth, single.is_grey, single.profile, single.dpi,
        )  # fmt: skip
        assert (page.alpha is None) == (single.alpha is None)
        assert np.array_equal(page.alpha, single.alpha) if page.alpha is not None else number < 2
        assert page.description == single.description
        assert b"page %d" % number in page.description.exif
        assert b"2026:11:26" in page.description.exif
        assert b"page %d" % number in page.description.xmp


def test_other_programs_find_the_pages_numbered(tmp_path: Path) -> None:
    with (tmp_path / "joined.tif").open("w+b") as file:
        join_pages(written(tmp_path)[:2], file)
    with Image.open(io.BytesIO((tmp_path / "joined.tif").read_bytes())) as image:
        assert image.n_frames == 2  # type: ignore[attr-defined]
        for number in range(2):
            image.seek(number)
            image.load()
            assert image.tag_v2[254] == 2  # type: ignore[attr-defined]
            assert image.tag_v2[297] == (number, 2)  # type: ignore[attr-defined]

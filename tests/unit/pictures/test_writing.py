"""Writing, and what comes back from the files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from dreamd.errors import FolderError, PictureError, SpaceError
from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.formats import WRITABLE, output_format
from dreamd.pictures.reading import read_picture
from dreamd.pictures.writing import words_of_slow, write_picture
from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import exif_with, picture, read, smooth


@pytest.mark.parametrize("word", WRITABLE)
def test_every_writable_format_comes_back(tmp_path: Path, word: str) -> None:
    kind, extension = output_format(word, "PNG")
    path = tmp_path / f"out{extension}"
    write_picture(picture(smooth()), path, format=kind, quality=95)
    result = read(path)
    assert result.format == kind
    assert result.alpha is None
    assert np.abs(result.pixels.astype(int) - smooth()).mean() < 6
    lossy = {"jpeg", "webp", "avif", "heic", "gif"}
    assert word in lossy or np.array_equal(result.pixels, smooth())


@pytest.mark.parametrize("word", WRITABLE)
def test_alpha_is_kept_or_laid_over_white(tmp_path: Path, word: str) -> None:
    kind, extension = output_format(word, "PNG")
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 32:] = 255
    path = tmp_path / f"out{extension}"
    write_picture(picture(np.full((48, 64, 3), (10, 60, 200), np.uint8), alpha=alpha), path, format=kind, quality=95)
    result = read(path)
    assert np.abs(result.pixels[:, 40:].astype(int) - (10, 60, 200)).max() < 10
    if word in ("jpeg", "bmp", "ppm", "pcx"):
        assert result.alpha is None
        assert result.pixels[:, :24].min() > 245
    else:
        assert result.alpha is not None
        most = 8 if word == "heic" else 0  # x265 packs alpha with loss
        assert np.abs(result.alpha.astype(int) - alpha).max() <= most


def test_half_transparent_is_mixed_with_white_where_there_is_no_alpha(tmp_path: Path) -> None:
    half = picture(np.zeros((8, 8, 3), np.uint8), alpha=np.full((8, 8), 128, np.uint8))
    write_picture(half, tmp_path / "out.ppm", format="PPM", quality=95)
    assert np.abs(read(tmp_path / "out.ppm").pixels.astype(int) - 127).max() <= 1


def test_colours_under_transparency_survive_a_lossless_format(tmp_path: Path) -> None:
    original = picture(smooth(), alpha=np.zeros((48, 64), np.uint8))
    write_picture(original, tmp_path / "out.png", format="PNG", quality=95)
    assert np.array_equal(read(tmp_path / "out.png").pixels, smooth())


def test_exif_and_dpi_are_written_again(tmp_path: Path) -> None:
    exif = exif_with(ExifTags.Base.Artist, "Me").tobytes()
    for word in ("jpeg", "png", "webp", "avif", "tiff"):
        kind, extension = output_format(word, "PNG")
        path = tmp_path / f"out{extension}"
        write_picture(
            picture(smooth(), description=Description(exif=exif.removeprefix(b"Exif\0\0")), dpi=(300.0, 150.0)),
            path,
            format=kind,
            quality=90,
        )
        result = read(path)
        assert b"Me" in result.description.exif, word
        if word in ("jpeg", "png", "tiff"):
            assert result.dpi == pytest.approx((300, 150), abs=0.1), word


def test_a_tiff_whose_exif_libtiff_refuses_is_written_without_its_folders(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Duo Pro R"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 1.25
    source = tmp_path / "source.jpg"
    Image.new("RGB", (16, 8), (200, 40, 90)).save(source, exif=exif)
    picture = read_picture(source, max_pixels=1000, max_bytes=10_000)
    write_picture(picture, tmp_path / "result.tif", format="TIFF", quality=90)
    with Image.open(tmp_path / "result.tif") as result:
        assert result.getexif()[ExifTags.Base.Model] == "Duo Pro R"
        assert result.size == (16, 8)


def test_jpeg_and_avif_keep_the_whole_colour(tmp_path: Path) -> None:
    columns = np.zeros((64, 64, 3), np.uint8)
    columns[:, ::2] = (255, 0, 0)
    columns[:, 1::2] = (0, 0, 255)
    for kind in ("JPEG", "AVIF"):
        write_picture(picture(columns), tmp_path / "out", format=kind, quality=95)
        assert np.abs(read(tmp_path / "out").pixels.astype(int) - columns).mean() < 12, kind


def test_quality_counts_in_lossy_formats(tmp_path: Path) -> None:
    noisy = picture(np.array(badfiles.noise(96, 96)))
    for kind in ("JPEG", "WEBP", "AVIF"):
        sizes = []
        for quality in (30, 90):
            write_picture(noisy, tmp_path / "out", format=kind, quality=quality)
            sizes.append((tmp_path / "out").stat().st_size)
        assert sizes[0] < sizes[1] * 0.7, kind


def test_jpeg_is_optimised_where_libjpeg_can(tmp_path: Path) -> None:
    write_picture(picture(smooth(400, 300)), tmp_path / "out.jpg", format="JPEG", quality=92)
    plain = saved(Image.fromarray(smooth(400, 300)), "JPEG", quality=92, subsampling="4:4:4")
    assert (tmp_path / "out.jpg").stat().st_size < len(plain)


@pytest.mark.parametrize("quality", [92, 94, 95, 100])
def test_the_finest_detail_can_be_written_as_jpeg(tmp_path: Path, quality: int) -> None:
    noisy = np.array(badfiles.noise(700, 500))
    write_picture(picture(noisy), tmp_path / "out.jpg", format="JPEG", quality=quality)
    assert np.abs(read(tmp_path / "out.jpg").pixels.astype(int) - noisy).mean() < 12


def test_the_same_picture_makes_the_same_bytes(tmp_path: Path) -> None:
    for word in WRITABLE:
        kind, _ = output_format(word, "PNG")
        for name in ("a", "b"):
            write_picture(picture(smooth()), tmp_path / name, format=kind, quality=90)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes(), word


def test_a_picture_too_large_for_the_format_is_refused_with_a_way_out(tmp_path: Path) -> None:
    long = picture(np.zeros((1, 70_000, 3), np.uint8))
    for kind in ("JPEG", "WEBP", "AVIF", "GIF", "TGA", "PCX", "SGI"):
        with pytest.raises(PictureError, match=r"out: 70000 x 1 pixels.*set output\.format to png"):
            write_picture(long, tmp_path / "out", format=kind, quality=90)
    for kind in ("PNG", "TIFF", "BMP", "PPM", "JPEG2000"):
        write_picture(long, tmp_path / "out", format=kind, quality=90)
        assert read(tmp_path / "out").pixels.shape == (1, 70_000, 3), kind


def test_a_format_holds_the_longest_side_that_is_promised(tmp_path: Path) -> None:
    for kind, side in (("JPEG", 65_500), ("WEBP", 16_383), ("AVIF", 32_768), ("GIF", 65_535), ("TGA", 65_535)):
        write_picture(picture(np.zeros((1, side, 3), np.uint8)), tmp_path / "out", format=kind, quality=50)
        assert read(tmp_path / "out").pixels.shape == (1, side, 3), kind
        with pytest.raises(PictureError, match=f"holds {side} a side"):
            write_picture(picture(np.zeros((1, side + 1, 3), np.uint8)), tmp_path / "out", format=kind, quality=50)


def test_a_full_disk_is_a_space_error() -> None:
    with pytest.raises(SpaceError, match="disk is full"):
        write_picture(picture(smooth()), Path("/dev/full"), format="PNG", quality=90)


def test_a_full_quota_is_a_space_error_and_any_other_fault_is_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, kind in ((122, SpaceError), (5, FolderError)):

        def fail(_: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(kind) as caught:
            write_picture(picture(smooth()), tmp_path / "out.png", format="PNG", quality=90)
        assert type(caught.value) is kind


def test_the_file_is_synced_after_its_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    write_picture(picture(smooth()), tmp_path / "out.png", format="PNG", quality=90)
    assert synced == [(tmp_path / "out.png").stat().st_size]


def test_a_link_in_the_place_of_the_result_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "out.png").symlink_to("precious")
    with pytest.raises(FolderError, match="symbolic links"):
        write_picture(picture(smooth()), tmp_path / "out.png", format="PNG", quality=90)
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_a_format_that_takes_long_is_said_of_large_pictures_alone() -> None:
    large, small = picture(np.zeros((2000, 2500, 3), np.uint8)), picture(smooth())
    assert words_of_slow("AVIF", large) == "writing avif: 5 megapixels take about 7 times as long as in jpeg"
    assert words_of_slow("JPEG2000", large) is not None
    assert words_of_slow("JPEG", large) is None
    assert words_of_slow("AVIF", small) is None

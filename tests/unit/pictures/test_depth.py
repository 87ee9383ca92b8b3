"""Depth, space, alpha and grey of a picture from its file to a file of every format."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.formats import output_format
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from tests import badfiles
from tests.badfiles import chunk, png_with
from tests.unit.pictures.colours.difference import ciede2000, lab_of
from tests.unit.pictures.colours.test_conversion import P3
from tests.unit.pictures.kit import no_more_memory_than, read, read_deep

_PATCHES = np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 128, 0], [20, 200, 60], [250, 250, 5], [128] * 3])


def ramp(bands: int = 3, width: int = 300, height: int = 200) -> np.ndarray:
    """Every level of 16 bit that 60,000 pixels can have, in every channel."""
    return np.linspace(0, 65_535, width * height * bands).reshape(height, width, bands).astype(np.uint16)


def deep(levels: np.ndarray, suffix: str, profile: bytes = b"", **options: object) -> bytes:
    """A file of 16 bit, by libvips."""
    height, width, bands = levels.shape
    image = pyvips.Image.new_from_memory(levels.tobytes(), width, height, bands, "ushort")
    image = image.copy(interpretation="rgb16" if bands >= 3 else "grey16")
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image.write_to_buffer(suffix, **options)


def read_bytes(folder: Path, data: bytes, name: str = "picture", **limits: int) -> Picture:
    (folder / name).write_bytes(data)
    return read_deep(folder / name, **limits)


def written(folder: Path, picture: Picture, word: str, **options: object) -> Path:
    kind, extension = output_format(word, "PNG")
    path = folder / f"out{extension}"
    write_picture(picture, path, format=kind, quality=100, **options)
    return path


def levels_of(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path)).numpy()


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


@pytest.mark.parametrize(
    "suffix", [".png", ".tif", ".tif[tile,compression=lzw]", ".tif[compression=deflate,predictor=horizontal]"]
)
@pytest.mark.parametrize("bands", [2, 3, 4])
def test_16_bit_go_in_and_come_out_to_the_bit(tmp_path: Path, suffix: str, bands: int) -> None:
    levels = ramp(bands)
    picture = read_bytes(tmp_path, deep(levels, suffix))
    assert picture.depth == 16
    for word in ("png", "tiff"):
        assert np.array_equal(levels_of(written(tmp_path, picture, word)), levels), word


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_16_bit_stays_grey(tmp_path: Path, suffix: str) -> None:
    levels = ramp(1)
    picture = read_bytes(tmp_path, deep(levels, suffix))
    for word in ("png", "tiff"):
        assert np.array_equal(levels_of(written(tmp_path, picture, word)), levels[..., 0]), word


def test_floats_of_a_tiff_have_their_levels_in_16_bit(tmp_path: Path) -> None:
    values = (ramp() / 65_535).astype(np.float32)
    image = pyvips.Image.new_from_memory(values.tobytes(), 300, 200, 3, "float").copy(interpretation="srgb")
    picture = read_bytes(tmp_path, image.tiffsave_buffer())
    assert np.array_equal(levels_of(written(tmp_path, picture, "tiff")), ramp())


def test_a_grey_picture_in_8_bit_stays_grey_until_a_dream_colours_it(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for word in ("png", "tiff", "jpeg"):
        picture = read_bytes(tmp_path, badfiles.saved(grey, "PNG"))
        assert mode_of(written(tmp_path, picture, word)) == "L", word
        picture.pixels[3, 3] = (200, 10, 10)
        assert mode_of(written(tmp_path, picture, word)) == "RGB", word


@pytest.mark.parametrize(("word", "bits"), [("avif", 10), ("avif", 12), ("heic", 10)])
def test_10_and_12_bit_come_out_with_their_levels(tmp_path: Path, word: str, bits: int) -> None:
    rows = np.repeat(np.linspace(0, 65_535, 1024).astype(np.uint16)[None, :, None], 64, axis=0).repeat(3, axis=2)
    source = read_bytes(tmp_path, deep(rows, ".avif", bitdepth=bits, Q=100, subsample_mode="off"))
    assert source.depth == bits
    again = read_deep(written(tmp_path, source, word))
    assert again.depth == bits
    assert len(np.unique(again.pixels)) > 900
    assert np.abs(again.pixels - source.pixels).mean() < 1e-3
    assert again.pixels.max() == 1  # white is white, though 1023 is handed over as 65472


def test_a_10_bit_heic_becomes_16_bit_of_a_png(tmp_path: Path) -> None:
    source = read_bytes(tmp_path, deep(ramp(), ".png"))
    heic = read_deep(written(tmp_path, source, "heic"))
    levels = levels_of(written(tmp_path, heic, "png"))
    assert levels.dtype == np.uint16
    assert len(np.unique(levels)) > 256
    assert np.abs(levels.astype(int) - ramp()).mean() < 400


@pytest.mark.parametrize("word", ["png", "tiff"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_patch_of_p3_comes_back(tmp_path: Path, word: str, depth: int) -> None:
    patches = np.repeat(_PATCHES[None], 8, axis=0)
    if depth == 8:
        data = badfiles.saved(Image.fromarray(patches), "PNG", icc_profile=P3)
    else:
        data = deep(patches.astype(np.uint16) * 257, ".png", P3)
    picture = read_bytes(tmp_path, data)
    assert picture.pixels.min() < -0.2  # P3's green is far outside of sRGB, and is not clipped
    path = written(tmp_path, picture, word)
    result = levels_of(path)
    assert result.dtype == (np.uint8 if depth == 8 else np.uint16)
    with Image.open(path) as image:
        profile = image.info["icc_profile"]
    eight = result if depth == 8 else np.rint(result / 257).astype(np.uint8)
    assert ciede2000(lab_of(eight, profile), lab_of(patches, P3)).max() < 1


@pytest.mark.parametrize("word", ["jpeg", "webp", "avif", "heic"])
def test_lossy_formats_carry_the_profile(tmp_path: Path, word: str) -> None:
    patches = np.repeat(np.repeat(_PATCHES[None], 32, axis=0), 32, axis=1)
    picture = read_bytes(tmp_path, badfiles.saved(Image.fromarray(patches), "PNG", icc_profile=P3))
    again = read_deep(written(tmp_path, picture, word))
    assert again.profile == P3
    assert np.abs(again.pixels - picture.pixels).mean() < 0.02


def test_a_format_without_a_place_for_a_profile_gets_srgb_and_it_is_said(tmp_path: Path) -> None:
    red = badfiles.saved(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", icc_profile=P3)
    notes = write_picture(read_bytes(tmp_path, red), tmp_path / "out.ppm", format="PPM", quality=90)
    assert "has no place for a profile" in notes[0]
    assert np.abs(read(tmp_path / "out.ppm").pixels - np.int64([255, 0, 0])).max() <= 3


def test_adobe_rgb_that_exif_tells_comes_out_with_a_profile_that_says_so(tmp_path: Path) -> None:
    told = b"Exif\0\0" + badfiles.exif({}, {0xA001: badfiles.shorts(2)})
    patches = np.repeat(_PATCHES[None], 8, axis=0)
    picture = read_bytes(tmp_path, badfiles.saved(Image.fromarray(patches), "PNG", exif=told))
    path = written(tmp_path, picture, "png")
    assert np.array_equal(levels_of(path), patches)
    assert picture.profile
    with Image.open(path) as image:
        assert image.info["icc_profile"] == picture.profile


def test_inks_come_out_as_srgb_and_it_is_said(tmp_path: Path) -> None:
    cmyk = badfiles.saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", icc_profile=badfiles.ink_profile())
    picture = read_bytes(tmp_path, cmyk)
    assert picture.notes == ("its CMYK colours came out as sRGB, in 8 bit",)
    assert picture.profile == b""


@pytest.mark.parametrize(("transfer", "word"), [(16, "PQ"), (18, "HLG")])
def test_highlights_are_compressed_in_16_bit_too_and_it_is_said(tmp_path: Path, transfer: int, word: str) -> None:
    plain = deep(ramp(), ".png")
    picture = read_bytes(tmp_path, png_with(chunk(b"cICP", bytes([9, transfer, 0, 1])), plain))
    assert word in picture.notes[0]
    grey = picture.pixels.mean(axis=2).ravel()
    assert grey.max() <= 1
    assert (np.diff(grey[:: len(grey) // 50]) > -1e-4).all()  # brighter stays brighter
    assert picture.profile == b""


def test_alpha_of_16_bit_is_equal_to_the_bit_and_8_where_8_is_asked_for(tmp_path: Path) -> None:
    levels = ramp(4)
    picture = read_bytes(tmp_path, deep(levels, ".tif"))
    assert np.array_equal(levels_of(written(tmp_path, picture, "png"))[..., 3], levels[..., 3])
    eight = levels_of(written(tmp_path, picture, "png", depth=8))
    assert eight.dtype == np.uint8
    assert np.array_equal(eight[..., 3], np.rint(levels[..., 3] / 257))


def test_a_clear_colour_of_16_bit_is_alpha(tmp_path: Path) -> None:
    levels = np.full((2, 2, 3), 40_000, np.uint16)
    levels[0, 0] = 40_001
    clear = chunk(b"tRNS", np.array([40_001] * 3, ">u2").tobytes())
    picture = read_bytes(tmp_path, png_with(clear, deep(levels, ".png")))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 65_535], [65_535, 65_535]]


def test_more_bits_are_dithered_to_8_by_the_seed_and_8_bit_never_are(tmp_path: Path) -> None:
    flat = np.full((64, 64, 3), 25_767, np.uint16)  # 100.26 of 255
    picture = read_bytes(tmp_path, deep(flat, ".png"))
    first = levels_of(written(tmp_path, picture, "png", depth=8, seed=1))
    assert set(np.unique(first)) == {100, 101}
    assert np.array_equal(first[..., 0], first[..., 2])  # the same noise in all channels makes no colours
    assert np.array_equal(first, levels_of(written(tmp_path, picture, "png", depth=8, seed=1)))
    assert not np.array_equal(first, levels_of(written(tmp_path, picture, "png", depth=8, seed=2)))
    plain = badfiles.saved(badfiles.noise(32, 32), "PNG", icc_profile=P3)
    result = levels_of(written(tmp_path, read_bytes(tmp_path, plain), "png", depth=8, seed=3))
    assert np.array_equal(result, np.asarray(badfiles.noise(32, 32)))


def test_a_depth_that_a_format_lacks_is_said(tmp_path: Path) -> None:
    picture = read_bytes(tmp_path, deep(ramp(), ".png"))
    notes = write_picture(picture, tmp_path / "out.jpg", format="JPEG", quality=90, depth=16)
    assert notes == ("jpeg holds 8 bit a channel; png and tiff hold 16",)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".avif[bitdepth=10]"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.995])
def test_a_deep_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    levels = np.random.default_rng(0).integers(0, 65_536, (200, 300, 3)).astype(np.uint16)
    whole = deep(levels, suffix)
    with pytest.raises(PictureError, match="cut off"):
        read_bytes(tmp_path, whole[: int(len(whole) * share)])


def test_a_heic_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    source = read_bytes(tmp_path, badfiles.saved(badfiles.noise(256, 256), "PNG"))
    whole = written(tmp_path, source, "heic").read_bytes()
    for share in (0.05, 0.5, 0.95):
        with pytest.raises(PictureError, match="cut off"):
            read_bytes(tmp_path, whole[: int(len(whole) * share)])


def huge_png(side: int) -> bytes:
    return badfiles.png(side, side, 16, 6, b"")


def test_declared_sizes_of_deep_files_are_held_to_the_limit_before_memory_is_taken(tmp_path: Path) -> None:
    heic = written(tmp_path, read_bytes(tmp_path, badfiles.saved(badfiles.noise(200, 100), "PNG")), "heic").read_bytes()
    files = {
        "png": huge_png(60_000),
        "tiff": deep(np.zeros((100, 200, 3), np.uint16), ".tif"),
        "avif": deep(np.zeros((100, 200, 3), np.uint16), ".avif[bitdepth=10]"),
        "heic": heic,
    }
    for name, data in files.items():
        with no_more_memory_than(400_000_000), pytest.raises(PictureError, match=r"more than limits\.max_pixels"):
            read_bytes(tmp_path, data, name, max_pixels=10_000)


def test_a_large_declared_size_with_nothing_behind_it_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with no_more_memory_than(2_000_000_000), pytest.raises((PictureError, MemoryError)):
        read_bytes(tmp_path, huge_png(14_000))


def test_the_main_picture_of_a_heic_is_turned_once(tmp_path: Path) -> None:
    import pillow_heif

    upright = np.zeros((64, 128, 3), np.uint8)
    upright[:, :64] = (250, 10, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    lying = Image.fromarray(np.rot90(upright))
    encoded = io.BytesIO()
    pillow_heif.from_pillow(lying).save(encoded, quality=90, exif=exif.tobytes())
    picture = read_bytes(tmp_path, encoded.getvalue())
    assert picture.format == "HEIF"
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).mean() < 20


def test_without_the_extra_a_heic_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = read_bytes(tmp_path, badfiles.saved(badfiles.noise(64, 64), "PNG"))
    heic = written(tmp_path, source, "heic").read_bytes()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"photo\.heic: a HEIC picture; .*pip install 'dreamd\[heic\]'"):
        read_bytes(tmp_path, heic, "photo.heic")
    with pytest.raises(PictureError, match=r"out\.heic: .*pip install 'dreamd\[heic\]'"):
        written(tmp_path, source, "heic")


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_linear_png_of_16_bit_that_is_cut_off_is_refused(tmp_path: Path, bands: int, share: float) -> None:
    levels = np.random.default_rng(0).integers(0, 65_536, (100, 80, bands)).astype(np.uint16)
    whole = png_with(chunk(b"gAMA", (100_000).to_bytes(4, "big")), deep(levels, ".png"))
    with pytest.raises(PictureError, match="cut off"):
        read_bytes(tmp_path, whole[: int(len(whole) * share)])


def test_libvips_tells_nothing_of_its_threads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    written(tmp_path, read_bytes(tmp_path, deep(ramp(), ".png")), "png")
    assert "threadpool" not in caplog.text

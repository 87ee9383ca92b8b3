from __future__ import annotations

import io
import logging
import os
import random
import resource
import socket
import struct
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from dreamd.errors import PictureError, SpaceError, UnknownNameError
from dreamd.pictures import kinds
from dreamd.pictures.picture import Picture
from dreamd.pictures.reading import read_picture
from dreamd.pictures.writing import WRITABLE, output_format, write_picture
from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    Opened = Callable[..., Picture]

MAX_PIXELS = 200_000_000
MAX_BYTES = 512 * 2**20


def read(path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> Picture:
    return read_picture(path, max_pixels=max_pixels, max_bytes=max_bytes)


def outcome(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture | PictureError:
    try:
        return read(path, max_pixels=max_pixels)
    except PictureError as error:
        return error


@contextmanager
def no_more_memory_than(extra: int) -> Iterator[None]:
    """Whatever asks for more than `extra` bytes on top of what the process has gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Reads bytes as a file called `picture`."""

    def open_bytes(data: bytes, name: str = "picture", **limits: int) -> Picture:
        path = tmp_path / name
        path.write_bytes(data)
        return read(path, **limits)

    return open_bytes


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def smooth(width: int = 64, height: int = 48) -> np.ndarray:
    """Ramps of red across and green down, a blue diagonal: easy on every lossy format."""
    across = np.linspace(0, 255, width)[None, :] + np.zeros((height, 1))
    down = np.linspace(0, 255, height)[:, None] + np.zeros((1, width))
    return np.stack([across, down, (across + down) / 2], axis=2).astype(np.uint8)


def picture(pixels: np.ndarray, **fields: object) -> Picture:
    defaults: dict[str, object] = {"alpha": None, "format": "PNG", "exif": None, "dpi": None}
    return Picture(pixels=pixels, **{**defaults, **fields})


def exif_with(tag: int, value: object) -> Image.Exif:
    exif = Image.Exif()
    exif[tag] = value
    return exif


# ---- what a file may be


def test_every_odd_file_ends_as_foretold(badfiles: ModuleType, tmp_path: Path) -> None:
    for name, foretold in badfiles.write_bad_files(tmp_path).items():
        result = outcome(tmp_path / name)
        if isinstance(result, Picture):
            assert (foretold, result.pixels.dtype, result.pixels.shape[2]) == ("picture", np.uint8, 3), name
        else:
            assert foretold == "failure", (name, str(result))
            assert str(result).startswith(printable(name)), name
            assert str(result).isprintable(), name


def test_the_odd_files_are_made_quickly_and_small(badfiles: ModuleType, tmp_path: Path) -> None:
    start = time.process_time()
    badfiles.write_bad_files(tmp_path)
    assert time.process_time() - start < 2
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000


def test_the_content_decides_and_not_the_extension(opened: Opened, badfiles: ModuleType) -> None:
    assert opened(saved(badfiles.noise(8, 8), "PNG"), "cat.jpg").format == "PNG"


def test_pixels_come_back_as_they_were_and_can_be_written_to(opened: Opened, badfiles: ModuleType) -> None:
    image = badfiles.noise(17, 9)
    result = opened(saved(image, "PNG"))
    assert np.array_equal(result.pixels, np.asarray(image))
    assert result.alpha is None
    assert result.pixels.flags.writeable
    assert result.pixels.flags.c_contiguous


def test_a_file_above_the_byte_limit_is_refused_and_one_at_it_is_read(opened: Opened, badfiles: ModuleType) -> None:
    data = saved(badfiles.noise(8, 8), "PNG")
    assert opened(data, max_bytes=len(data)).pixels.shape == (8, 8, 3)
    with pytest.raises(PictureError, match=r"limits\.max_bytes"):
        opened(data, max_bytes=len(data) - 1)


def test_a_picture_above_the_pixel_limit_is_refused_and_one_at_it_is_read(opened: Opened, badfiles: ModuleType) -> None:
    data = saved(badfiles.noise(10, 7), "PNG")
    assert opened(data, max_pixels=70).pixels.shape == (7, 10, 3)
    with pytest.raises(PictureError, match=r"10 x 7 pixels, more than limits\.max_pixels allows \(69\)"):
        opened(data, max_pixels=69)


def test_pillows_own_limit_neither_warns_nor_bites_below_ours(
    opened: Opened, badfiles: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dreamd.pictures")
    more_than_twice_pillows_default = badfiles.png(20_000, 10_000, 1, 0, b"")
    with pytest.raises(PictureError, match="cut off"):  # the decoder was reached
        opened(more_than_twice_pillows_default)
    assert caplog.text == ""


def test_too_little_memory_is_not_the_pictures_fault(opened: Opened) -> None:
    data = saved(Image.new("RGB", (20_000, 2_000)), "PNG")
    with no_more_memory_than(50_000_000), pytest.raises(MemoryError):
        opened(data)


@pytest.mark.parametrize(
    ("bomb", "size"),
    [
        (lambda make: make.png_bomb(60_000), "60000 x 60000"),
        (lambda make: make.gif_bomb(30_000), "30000 x 30000"),
        (lambda make: make.icon(make.png_bomb(30_000)), "30000 x 30000"),
        (lambda make: make.icon(struct.pack("<IiiHHI", 40, 30_000, 60_000, 1, 32, 0) + bytes(20)), "30000 x 30000"),
        (lambda make: make.tile_bomb(20_000), "20000 x 20000"),
    ],
    ids=["png", "gif frame", "png in ico", "bitmap in ico", "tiff tile"],
)
def test_a_bomb_is_refused_before_its_memory_is_taken(opened: Opened, badfiles: ModuleType, bomb, size: str) -> None:
    data = bomb(badfiles)
    with no_more_memory_than(100_000_000), pytest.raises(PictureError, match=size):
        opened(data)


def test_an_animation_costs_one_frame(opened: Opened, badfiles: ModuleType) -> None:
    one, many = badfiles.endless_gif(1), badfiles.endless_gif(200_000)
    start = time.process_time()
    result = opened(many)
    assert time.process_time() - start < 0.5
    assert np.array_equal(result.pixels, opened(one).pixels)


def test_the_first_frame_of_an_animation_is_taken(opened: Opened) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "AVIF", "TIFF"):
        result = opened(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert result.pixels[0, 0, 0] > 200, kind
        assert result.pixels[0, 0, 2] < 50, kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "PPM", "TGA", "JPEG2000", "SGI"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_file_is_refused(opened: Opened, badfiles: ModuleType, kind: str, part: float) -> None:
    whole = saved(badfiles.noise(64, 48), kind)
    with pytest.raises(PictureError, match="not a picture that can be read"):
        opened(whole[: int(len(whole) * part)])


def test_a_truncated_file_is_called_cut_off(opened: Opened, badfiles: ModuleType) -> None:
    whole = saved(badfiles.noise(1200, 900), "PNG")
    with pytest.raises(PictureError, match=r"^cat\.png: not .* \(it is cut off after 2\.0 MB\); copy it again"):
        opened(whole[:2_000_000], "cat.png")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(28), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "WMF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "FPX"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"8BPS\0\x01" + bytes(30), "Photoshop"),
        (b"PK\x03\x04" + bytes(30), "ZIP"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("Träume\n".encode() * 400, "like text"),
        (b"\xfe\xdc\x01\x02\x03", "nothing known"),
        (b"\x89PNG\r\n\x1a\n\0\0", "begins as PNG"),
    ],
)
def test_a_file_of_another_kind_is_named(opened: Opened, data: bytes, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        opened(data)


def test_no_decoder_that_starts_programs_is_let_in() -> None:
    assert not {"EPS", "PDF", "WMF", "FPX", "MIC"} & set(kinds.READABLE)


def test_every_format_in_the_list_is_known_to_pillow() -> None:
    Image.init()
    assert set(kinds.READABLE) <= set(Image.OPEN)


# ---- what a path may be


def test_a_symbolic_link_is_not_followed(tmp_path: Path, badfiles: ModuleType) -> None:
    (tmp_path / "real.png").write_bytes(saved(badfiles.noise(8, 8), "PNG"))
    (tmp_path / "link.png").symlink_to("real.png")
    with pytest.raises(PictureError, match=r"link\.png: a symbolic link"):
        read(tmp_path / "link.png")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        for name in ("pipe.png", "folder.png", "socket.png", "missing.png"):
            with pytest.raises(PictureError, match=f"^{name}: "):
                read(tmp_path / name)


def test_a_refused_folder_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(PictureError):
            read(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", [b"a\nb", b"a\x1b[31mb", "a\u202eb".encode(), b"a\xffb", "a\u2028b".encode(), b"a\tb"])
def test_a_name_is_data_and_never_printed_raw(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"")
    with pytest.raises(PictureError) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).encode()


def test_a_name_that_shows_is_shown_as_it_is() -> None:
    assert printable("Träume 夢 'a\"b.png") == "Träume 夢 'a\"b.png"


def test_a_disk_that_fails_while_the_picture_is_read_is_not_the_pictures_fault(
    tmp_path: Path, badfiles: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingDisk(io.FileIO):
        def readinto(self, _: object, /) -> int:
            raise OSError(5, "Input/output error")

    (tmp_path / "cat.png").write_bytes(saved(badfiles.noise(8, 8), "PNG"))
    monkeypatch.setattr(os, "fdopen", lambda descriptor, _: io.BufferedReader(FailingDisk(descriptor)))
    with pytest.raises(OSError, match="Input/output"):
        read(tmp_path / "cat.png")


def test_a_failing_disk_is_not_the_pictures_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Input/output") as caught:
        read(tmp_path / "cat.png")
    assert not isinstance(caught.value, PictureError)


# ---- modes


def test_cmyk_and_ycck_are_read_as_colour(opened: Opened, badfiles: ModuleType) -> None:
    cmyk = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(opened(cmyk).pixels.astype(int) - [255, 0, 0]).max() < 6
    # As YCCK the same data is Y 255, Cb 0, Cr 0, which is the ink (76, 255, 29), inverted by Adobe's rule.
    ycck = opened(badfiles.ycck(cmyk)).pixels
    assert not np.allclose(ycck, opened(cmyk).pixels, atol=20)


def test_cmyk_goes_through_its_profile(opened: Opened, badfiles: ModuleType) -> None:
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert opened(saved(image, "TIFF")).pixels[0, 0].tolist() == [0, 255, 255]
    assert opened(saved(image, "TIFF", icc_profile=badfiles.ink_profile())).pixels.max() < 5
    white = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert opened(saved(white, "TIFF", icc_profile=badfiles.ink_profile())).pixels.min() > 250


def test_lab_is_read_as_colour(opened: Opened) -> None:
    # L 54, a 81, b 70 is sRGB's red under D50; Pillow's a and b begin at 128.
    result = opened(saved(Image.new("LAB", (4, 4), (138, 128 + 81, 128 + 70)), "TIFF"))
    assert result.pixels[0, 0, 0] > 240
    assert result.pixels[0, 0, 1:].max() < 40


def test_a_palette_with_one_clear_index_has_alpha(opened: Opened, badfiles: ModuleType) -> None:
    result = opened(saved(badfiles.palette(), "PNG", transparency=1))
    assert result.pixels[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert result.alpha is not None
    assert result.alpha.tolist() == [[255, 0, 255]] * 2


def test_a_palette_with_an_alpha_for_each_entry_has_alpha(opened: Opened, badfiles: ModuleType) -> None:
    result = opened(saved(badfiles.palette(), "PNG", transparency=b"\x80\x00\xff"))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[128, 0, 255]] * 2
    assert result.pixels[0, 0].tolist() == [255, 0, 0]


def test_a_clear_colour_of_rgb_and_of_grey_is_alpha(opened: Opened) -> None:
    image = Image.new("RGB", (2, 1), "red")
    image.putpixel((1, 0), (0, 0, 255))
    for other, colour in ((image, (0, 0, 255)), (image.convert("L"), 29)):
        result = opened(saved(other, "PNG", transparency=colour))
        assert result.alpha is not None
        assert result.alpha.tolist() == [[255, 0]]


def test_grey_with_alpha_keeps_both(opened: Opened) -> None:
    result = opened(saved(Image.new("LA", (3, 2), (100, 50)), "PNG"))
    assert result.alpha is not None
    assert (result.pixels[0, 0].tolist(), result.alpha[0, 0]) == ([100, 100, 100], 50)


def test_premultiplied_grey_is_undone(opened: Opened) -> None:
    whole = bytearray(saved(Image.new("LA", (1, 1), (50, 128)), "TIFF"))
    extra_samples = whole.index(struct.pack("<HHI", 338, 3, 1)) + 8
    assert whole[extra_samples] == 2
    whole[extra_samples] = 1  # associated alpha: what Pillow calls La
    result = opened(bytes(whole))
    assert result.alpha is not None
    assert (result.alpha[0, 0], abs(int(result.pixels[0, 0, 0]) - 100) <= 1) == (128, True)


def test_alpha_that_is_opaque_everywhere_is_none(opened: Opened) -> None:
    assert opened(saved(Image.new("RGBA", (3, 2), (1, 2, 3, 255)), "PNG")).alpha is None


def test_one_bit_is_black_and_white(opened: Opened) -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert opened(saved(image, "PNG")).pixels[0].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize(("mode", "kind"), [("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF"), ("I;16", "PPM")])
def test_grey_of_16_bit_is_scaled_in_either_byte_order(opened: Opened, mode: str, kind: str) -> None:
    image = Image.new(mode, (4, 1))
    for x, value in enumerate((0, 257 * 3, 257 * 128, 65_535)):
        image.putpixel((x, 0), value)
    assert opened(saved(image, kind)).pixels[0, :, 0].tolist() == [0, 3, 128, 255]


def test_a_dark_16_bit_greymap_stays_dark(opened: Opened) -> None:
    assert opened(b"P5 2 1 65535\n" + struct.pack(">2H", 0, 255)).pixels.max() == 1


def test_grey_of_16_bit_with_a_clear_value_has_alpha(opened: Opened) -> None:
    image = Image.new("I;16", (2, 1))
    image.putpixel((1, 0), 40_000)
    result = opened(saved(image, "PNG", transparency=40_000))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[255, 0]]


def tiff_by_hand(width: int, bits: int, photometric: int, strip: bytes) -> bytes:
    tags = ((256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 0), (277, 1), (279, len(strip)))
    start = 8 + 2 + 12 * len(tags) + 4
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4) + strip


def test_grey_of_12_bit_reaches_white(opened: Opened) -> None:
    assert opened(tiff_by_hand(2, 12, 1, b"\xff\xf0\x00")).pixels[0, :, 0].tolist() == [255, 0]


def test_16_bit_grey_whose_zero_is_white_is_turned_round(opened: Opened) -> None:
    result = opened(tiff_by_hand(2, 16, 0, struct.pack("<2H", 0, 65_535)))
    assert result.pixels[0, :, 0].tolist() == [255, 0]


def test_integers_of_32_bit_are_stretched_when_they_fit_no_other_range(opened: Opened) -> None:
    for values, expected in (
        ((0, 255), [0, 255]),
        ((0, 65_535), [0, 255]),
        ((-500, 99_500), [0, 255]),
        ((0, 7), [0, 7]),
    ):
        image = Image.new("I", (2, 1))
        for x, value in enumerate(values):
            image.putpixel((x, 0), value)
        assert opened(saved(image, "TIFF")).pixels[0, :, 0].tolist() == expected, values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.5, 1.0), [0, 128, 255]),
        ((0.0, 0.25, 0.25), [0, 64, 64]),
        ((-2.0, 0.0, 2.0), [0, 128, 255]),
        ((0.0, float("nan"), 1.0), [0, 0, 255]),
        ((float("-inf"), 0.5, float("inf")), [0, 0, 0]),
        ((float("inf"), 0.0, 3.0), [255, 0, 255]),
        ((float("nan"),) * 3, [0, 0, 0]),
        ((-3e38, 0.0, 3e38), [0, 128, 255]),
    ],
)
def test_floats_are_taken_as_they_are_in_0_to_1_and_stretched_else(opened: Opened, values, expected) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    expected = [0, 128, 255] if values[0] == float("-inf") else expected
    assert opened(saved(image, "TIFF")).pixels[0, :, 0].tolist() == expected


def test_every_row_of_a_deep_picture_is_scaled(opened: Opened) -> None:
    ramp = (np.arange(1000, dtype=np.uint16) * 65)[:, None]
    result = opened(saved(Image.fromarray(ramp), "PNG")).pixels[:, 0, 0]
    assert np.array_equal(result, np.rint(ramp[:, 0] / 257).astype(np.uint8))


def test_colour_of_16_bit_is_read(opened: Opened, badfiles: ModuleType) -> None:
    data = badfiles.png(2, 1, 16, 2, struct.pack(">6H", 65_535, 0, 0, 0, 32_896, 0))
    assert opened(data).pixels[0].tolist() == [[255, 0, 0], [0, 128, 0]]


# ---- profiles, orientation, metadata


def test_an_srgb_profile_changes_next_to_nothing(opened: Opened, badfiles: ModuleType) -> None:
    image = badfiles.noise(40, 40)
    result = opened(saved(image, "PNG", icc_profile=badfiles.srgb_profile())).pixels
    assert np.abs(result.astype(int) - np.asarray(image)).max() <= 1


def test_a_profile_is_applied_to_colour(opened: Opened, badfiles: ModuleType) -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    for kind in ("PNG", "TIFF", "WEBP"):
        result = opened(saved(red, kind, icc_profile=badfiles.swapped_profile())).pixels
        assert result[0, 0, 2] > 250, kind
        assert result[0, 0, 0] < 5, kind


def test_a_profile_is_applied_beside_alpha_and_through_a_palette(opened: Opened, badfiles: ModuleType) -> None:
    clear_red = Image.new("RGBA", (4, 4), (255, 0, 0, 77))
    result = opened(saved(clear_red, "PNG", icc_profile=badfiles.swapped_profile()))
    assert result.alpha is not None
    assert (result.pixels[0, 0].tolist(), result.alpha[0, 0]) == ([0, 0, 255], 77)
    result = opened(saved(badfiles.palette(), "PNG", icc_profile=badfiles.swapped_profile()))
    assert result.pixels[0].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]


def test_a_grey_profile_is_applied_to_grey_with_and_without_alpha(opened: Opened, badfiles: ModuleType) -> None:
    for image in (Image.new("L", (4, 4), 128), Image.new("LA", (4, 4), (128, 9)), Image.new("I;16", (4, 4), 128 * 257)):
        result = opened(saved(image, "PNG", icc_profile=badfiles.linear_grey_profile()))
        assert abs(int(result.pixels[0, 0, 0]) - 188) <= 1, image.mode  # sRGB of linear 0.5


def test_a_colour_profile_on_grey_is_applied(opened: Opened, badfiles: ModuleType) -> None:
    for image in (Image.new("L", (4, 4), 128), Image.new("RGB", (4, 4), (128, 128, 128))):
        result = opened(saved(image, "PNG", icc_profile=badfiles.linear_colour_profile()))
        assert np.abs(result.pixels.astype(int) - 188).max() <= 1, image.mode  # sRGB of linear 0.5


def test_a_broken_profile_is_left_out_and_logged(
    opened, badfiles: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    image = badfiles.noise(8, 8)
    for profile in (b"no profile", badfiles.srgb_profile()[:200], badfiles.ink_profile()):
        caplog.clear()
        assert np.array_equal(opened(saved(image, "PNG", icc_profile=profile)).pixels, np.asarray(image))
        assert "ICC profile is broken and left out" in caplog.text


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_turned_picture_stands_upright(opened: Opened, kind: str, orientation: int) -> None:
    upright = smooth(64, 32)
    # How a camera held that way would have stored it: the inverse of what a viewer does (EXIF 2.3, 4.6.4 A).
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: np.swapaxes(upright, 0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(np.swapaxes(upright, 0, 1), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = exif_with(ExifTags.Base.Orientation, orientation)
    options: dict[str, object] = {} if kind in ("PNG", "TIFF") else {"quality": 95}
    result = opened(saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options))
    assert result.pixels.shape == (32, 64, 3)
    assert np.abs(result.pixels.astype(int) - upright).max() < 30


def test_alpha_and_dpi_turn_with_the_picture(opened: Opened) -> None:
    image = Image.new("RGBA", (2, 1), (9, 9, 9, 255))
    image.putpixel((1, 0), (9, 9, 9, 7))
    exif = exif_with(ExifTags.Base.Orientation, 6)
    result = opened(saved(image, "PNG", exif=exif, dpi=(100, 200)))
    assert result.alpha is not None
    assert result.alpha.tolist() == [[255], [7]]
    assert result.dpi == pytest.approx((200, 100), abs=0.1)


def test_exif_keeps_what_speaks_of_the_picture_only(opened: Opened) -> None:
    exif = exif_with(ExifTags.Base.Orientation, 6)
    exif[ExifTags.Base.Make] = "Nikon"
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.FNumber: 2.8,
        ExifTags.Base.ExifImageWidth: 4000,
        ExifTags.Base.ColorSpace: 65_535,
        ExifTags.Base.MakerNote: b"secret offsets",
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        kept = opened(saved(Image.new("RGB", (16, 8)), kind, exif=exif.tobytes())).exif
        assert kept is not None, kind
        back = Image.Exif()
        back.load(kept)
        assert set(back) == {ExifTags.Base.Make, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}, kind
        assert back[ExifTags.Base.Make] == "Nikon"
        assert set(back.get_ifd(ExifTags.IFD.Exif)) == {ExifTags.Base.FNumber}, kind
        assert back.get_ifd(ExifTags.IFD.GPSInfo) == {ExifTags.GPS.GPSLatitudeRef: "N"}, kind


def test_a_thumbnail_is_not_carried_on(opened: Opened) -> None:
    thumbnail = saved(Image.new("RGB", (8, 8)), "JPEG")
    first = struct.pack("<IHHHI4sI", 8, 1, 0x010F, 2, 4, b"Abc\0", 26)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 56, 0x0202, 4, 1, len(thumbnail), 0)
    raw = b"Exif\0\0II*\0" + first + second + thumbnail
    kept = opened(saved(Image.new("RGB", (8, 8)), "JPEG", exif=raw)).exif
    assert kept is not None
    assert b"Abc" in kept
    assert b"\xff\xd8" not in kept


def test_hostile_exif_is_left_out(opened: Opened, badfiles: ModuleType) -> None:
    image = badfiles.noise(8, 8)
    plain = opened(saved(image, "JPEG"))
    for name, exif in badfiles.hostile_exifs().items():
        result = opened(saved(image, "JPEG", exif=exif))
        assert np.array_equal(result.pixels, plain.pixels), name
        assert result.exif is None, name


def test_exif_of_many_segments_is_too_long_to_be_looked_at(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    whole = saved(Image.new("RGB", (8, 8)), "JPEG")
    block = b"Exif\0\0II*\0" + bytes(60_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert opened(whole[:2] + segment * 4 + whole[2:]).exif is None
    assert "too long" in caplog.text


def test_broken_dpi_is_left_out(opened: Opened, badfiles: ModuleType) -> None:
    huge = badfiles.chunk(b"pHYs", struct.pack(">IIB", 2**32 - 1, 2**32 - 1, 1))
    assert opened(badfiles.png_with(huge)).dpi is None
    assert opened(saved(Image.new("RGB", (8, 8)), "TIFF")).dpi is None


def test_pillows_warnings_are_log_lines_and_few(
    opened: Opened, badfiles: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dreamd.pictures")
    entries = b"".join(struct.pack("<HHII", 0x010E + i, 2, 2**31, 2**31) for i in range(40))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 40) + entries + bytes(4)
    opened(saved(badfiles.noise(8, 8), "JPEG", exif=exif))
    lines = [record for record in caplog.records if "Skipping tag" in record.message]
    assert 0 < len(lines) <= 5
    assert "more warnings" in caplog.text


# ---- writing


@pytest.mark.parametrize("word", WRITABLE)
def test_every_writable_format_comes_back(tmp_path: Path, word: str) -> None:
    kind, extension = output_format(word, "PNG")
    path = tmp_path / f"out{extension}"
    write_picture(picture(smooth()), path, format=kind, quality=95)
    result = read(path)
    assert result.format == kind
    assert result.alpha is None
    assert np.abs(result.pixels.astype(int) - smooth()).mean() < 6
    lossy = {"jpeg", "webp", "avif", "gif"}
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
        assert np.array_equal(result.alpha, alpha)


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
        write_picture(picture(smooth(), exif=exif, dpi=(300.0, 150.0)), path, format=kind, quality=90)
        result = read(path)
        assert result.exif is not None, word
        assert b"Me" in result.exif
        if word in ("jpeg", "png", "tiff"):
            assert result.dpi == pytest.approx((300, 150), abs=0.1), word


def test_jpeg_and_avif_keep_the_whole_colour(tmp_path: Path) -> None:
    columns = np.zeros((64, 64, 3), np.uint8)
    columns[:, ::2] = (255, 0, 0)
    columns[:, 1::2] = (0, 0, 255)
    for kind in ("JPEG", "AVIF"):
        write_picture(picture(columns), tmp_path / "out", format=kind, quality=95)
        assert np.abs(read(tmp_path / "out").pixels.astype(int) - columns).mean() < 12, kind


def test_quality_counts_in_lossy_formats(tmp_path: Path, badfiles: ModuleType) -> None:
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
def test_the_finest_detail_can_be_written_as_jpeg(tmp_path: Path, badfiles: ModuleType, quality: int) -> None:
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
    with pytest.raises(SpaceError, match="No space left"):
        write_picture(picture(smooth()), Path("/dev/full"), format="PNG", quality=90)


def test_a_full_quota_is_a_space_error_and_any_other_fault_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, kind in ((122, SpaceError), (5, OSError)):

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
    with pytest.raises(OSError, match="symbolic links"):
        write_picture(picture(smooth()), tmp_path / "out.png", format="PNG", quality=90)
    assert (tmp_path / "precious").read_bytes() == b"mine"


# ---- formats


def test_same_is_the_format_that_was_read() -> None:
    expected = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "TIFF": ".tif", "GIF": ".gif"}
    for kind, extension in expected.items():
        assert output_format("same", kind) == (kind, extension)
    assert output_format("same", "MPO") == ("JPEG", ".jpg")


@pytest.mark.parametrize("kind", ["ICO", "QOI", "HEIF"])
def test_what_cannot_be_written_comes_out_as_png(kind: str) -> None:
    assert output_format("same", kind) == ("PNG", ".png")


def test_a_word_decides_whatever_was_read() -> None:
    assert output_format("webp", "JPEG") == ("WEBP", ".webp")


def test_an_unknown_word_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean jpeg\?"):
        output_format("jpg", "PNG")


def test_every_readable_format_has_a_format_to_come_out_in() -> None:
    Image.init()
    for kind in (*kinds.READABLE, "MPO"):
        assert output_format("same", kind)[0] in Image.SAVE


# ---- broken at random


def qoi(image: Image.Image) -> bytes:
    pixels = b"".join(b"\xfe" + bytes(pixel) for pixel in np.asarray(image).reshape(-1, 3))
    return b"qoif" + struct.pack(">IIBB", *image.size, 3, 0) + pixels + bytes(7) + b"\x01"


@pytest.fixture(scope="module")
def good_files(badfiles: ModuleType) -> dict[str, bytes]:
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


def test_truncated_pictures_stay_refused_whatever_another_library_sets_at_import() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


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

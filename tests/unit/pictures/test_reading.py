"""Reading, against real files: what may be read, what is refused, and in which words."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import socket
import struct
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image, ImageFile

from dreamd.errors import PictureError
from dreamd.pictures.containers import png
from dreamd.pictures.picture import Picture
from dreamd.pictures.reading import read_picture
from dreamd.plugin_host.hookspecs import CheckSize
from dreamd.wording import printable
from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened, no_more_memory_than, outcome, read


def test_every_odd_file_ends_as_foretold(tmp_path: Path) -> None:
    for name, foretold in badfiles.write_bad_files(tmp_path).items():
        result = outcome(tmp_path / name)
        if isinstance(result, Picture):
            assert (foretold, result.pixels.dtype, result.pixels.shape[2]) == ("picture", np.uint8, 3), name
        else:
            assert foretold == "failure", (name, str(result))
            assert str(result).startswith(printable(name)), name
            assert str(result).isprintable(), name


def test_the_odd_files_are_made_quickly_and_small(tmp_path: Path) -> None:
    start = time.process_time()
    badfiles.write_bad_files(tmp_path)
    assert time.process_time() - start < 2
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 2_000_000


def test_the_content_decides_and_not_the_extension(opened: Opened) -> None:
    assert opened(saved(badfiles.noise(8, 8), "PNG"), "cat.jpg").format == "PNG"


def test_pixels_come_back_as_they_were_and_can_be_written_to(opened: Opened) -> None:
    image = badfiles.noise(17, 9)
    result = opened(saved(image, "PNG"))
    assert np.array_equal(result.pixels, np.asarray(image))
    assert result.alpha is None
    assert result.pixels.flags.writeable
    assert result.pixels.flags.c_contiguous


def test_a_file_above_the_byte_limit_is_refused_and_one_at_it_is_read(opened: Opened) -> None:
    data = saved(badfiles.noise(8, 8), "PNG")
    assert opened(data, max_bytes=len(data)).pixels.shape == (8, 8, 3)
    with pytest.raises(PictureError, match=r"limits\.max_bytes"):
        opened(data, max_bytes=len(data) - 1)


def test_a_picture_above_the_pixel_limit_is_refused_and_one_at_it_is_read(opened: Opened) -> None:
    data = saved(badfiles.noise(10, 7), "PNG")
    assert opened(data, max_pixels=70).pixels.shape == (7, 10, 3)
    with pytest.raises(PictureError, match=r"10 x 7 pixels, more than limits\.max_pixels allows \(69\)"):
        opened(data, max_pixels=69)


def test_pillows_own_limit_neither_warns_nor_bites_below_ours(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dreamd.pictures")
    more_than_twice_pillows_default = badfiles.png(20_000, 10_000, 1, 0, b"")
    with pytest.raises(PictureError, match="cut off"):  # the decoder was reached
        opened(more_than_twice_pillows_default)
    assert caplog.text == ""


def test_too_little_memory_is_not_the_pictures_fault(opened: Opened) -> None:
    data = saved(Image.new("RGB", (20_000, 2_000)), "PNG")
    with no_more_memory_than(50_000_000), pytest.raises(MemoryError):
        opened(data)


def test_an_animation_costs_one_frame(opened: Opened) -> None:
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
def test_a_truncated_file_is_refused(opened: Opened, kind: str, part: float) -> None:
    whole = saved(badfiles.noise(64, 48), kind)
    with pytest.raises(PictureError, match="not a picture that can be read"):
        opened(whole[: int(len(whole) * part)])


def test_a_truncated_file_is_called_cut_off(opened: Opened) -> None:
    whole = saved(badfiles.noise(1200, 900), "PNG")
    with pytest.raises(PictureError, match=r"^cat\.png: not .* \(it is cut off after 2\.0 MB\); copy it again"):
        opened(whole[:2_000_000], "cat.png")


def test_truncated_pictures_stay_refused_whatever_another_library_sets_at_import() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_pillows_warnings_are_log_lines_and_few(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dreamd.pictures")
    tags, pixels = badfiles.tiff_page(badfiles.noise(8, 8))
    whole = badfiles.tiff_of((tags | {0x9000 + number: (2, b"five!") for number in range(40)}, pixels))
    for number in range(40):
        whole = whole.replace(
            struct.pack("<HHI", 0x9000 + number, 2, 5), struct.pack("<HHI", 0x9000 + number, 2, 2**31)
        )
    opened(whole)
    lines = [record for record in caplog.records if "Skipping tag" in record.message]
    assert 0 < len(lines) <= 5
    assert "more warnings" in caplog.text


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(saved(badfiles.noise(8, 8), "PNG"))
    (tmp_path / "link.png").symlink_to("real.png")
    with pytest.raises(PictureError, match=r"link\.png: a symbolic link"):
        read(tmp_path / "link.png")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        for name in ("pipe.png", "folder.png", "socket.png"):
            with pytest.raises(PictureError, match=f"^{name}: "):
                read(tmp_path / name)


def test_a_file_that_is_not_there_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    """Its share may be away, and come back."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.png")


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingDisk(io.FileIO):
        def readinto(self, _: object, /) -> int:
            raise OSError(5, "Input/output error")

    (tmp_path / "cat.png").write_bytes(saved(badfiles.noise(8, 8), "PNG"))
    monkeypatch.setattr(os, "fdopen", lambda descriptor, _: io.BufferedReader(FailingDisk(descriptor)))
    with pytest.raises(OSError, match="Input/output"):
        read(tmp_path / "cat.png")


def test_a_disk_that_fails_within_a_description_is_not_the_pictures_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StumblingDisk(io.FileIO):
        has_stumbled = False

        def readinto(self, buffer: bytearray, /) -> int:
            if len(buffer) > 10_000 and not self.has_stumbled:  # the text is read at once
                self.has_stumbled = True
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    text = badfiles.chunk(b"tEXt", b"Comment\0" + b"x" * 60_000)
    (tmp_path / "cat.png").write_bytes(badfiles.png_with(text))
    monkeypatch.setattr(os, "fdopen", lambda descriptor, _: io.BufferedReader(StumblingDisk(descriptor), 500))
    with pytest.raises(OSError, match="Input/output"):
        read(tmp_path / "cat.png")


def test_the_digest_is_of_the_bytes_that_were_decoded_whatever_became_of_the_name(tmp_path: Path) -> None:
    path = tmp_path / "cat.odd"
    path.write_bytes(b"the very bytes")

    def decode(file: BinaryIO, check_size: CheckSize) -> np.ndarray:
        check_size(2, 2)
        path.unlink()
        path.write_bytes(b"another picture")
        return np.zeros((2, 2, 3), np.uint8)

    result = read_picture(path, max_pixels=100, max_bytes=100, decode=decode)
    assert result.sha256 == hashlib.sha256(b"the very bytes").hexdigest()


def test_a_failing_disk_is_not_the_pictures_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match="Input/output") as caught:
        read(tmp_path / "cat.png")
    assert not isinstance(caught.value, PictureError)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_2000_without_its_end_mark_is_the_same_picture(opened: Opened, missing: int) -> None:
    whole = saved(badfiles.noise(64, 48), "JPEG2000")
    assert np.array_equal(opened(whole[:-missing]).pixels, opened(whole).pixels)


@pytest.mark.parametrize("missing", [1, 3])
def test_a_bitmap_without_what_fills_its_last_row_up_is_the_same_picture(opened: Opened, missing: int) -> None:
    whole = saved(badfiles.noise(15, 12), "BMP")
    assert np.array_equal(opened(whole[:-missing]).pixels, opened(whole).pixels)


def test_a_png_of_very_many_small_chunks_is_read_quickly_and_of_endless_ones_refused(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = badfiles.png(300, 300, 8, 2, badfiles.noise(300, 300).tobytes())
    start, length = whole.index(b"IDAT"), int.from_bytes(whole[whole.index(b"IDAT") - 4 : whole.index(b"IDAT")], "big")
    data = whole[start + 4 : start + 4 + length]
    small = b"".join(
        badfiles.chunk(b"IDAT", data[at : at + 16]) + badfiles.chunk(b"odDe", b"") for at in range(0, len(data), 16)
    )
    begun = time.process_time()
    assert opened(whole[: start - 4] + small + whole[-12:]).pixels.shape == (300, 300, 3)
    assert time.process_time() - begun < 3
    monkeypatch.setattr(png, "_MOST_CHUNKS", 1000)
    with pytest.raises(PictureError, match="more than 1000 chunks"):
        opened(whole[: start - 4] + small + whole[-12:])

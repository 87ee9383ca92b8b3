"""The first frame of a film, in the process that makes small pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from dreamd.errors import PictureError, PluginError
from dreamd.page.gallery.first_frame import Reading, first_frame
from tests.films import panning, ten_bits, write_film

READING = Reading(max_pixels=10_000, max_bytes=1, max_film_bytes=1_000_000, folders=())

LOADED = """
import sys
from pathlib import PurePosixPath
from dreamd.page.gallery import thumbnailer
from dreamd.page.gallery.first_frame import Reading, first_frame
reading = Reading(max_pixels=10_000, max_bytes=1, max_film_bytes=1_000_000, folders=())
with open(sys.argv[1], "rb") as file:
    first_frame(file, PurePosixPath("a.mp4"), "av", reading)
sys.exit("torch" in sys.modules)
"""


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "a.mp4", panning(3))


def read(film: Path, plugin: str = "av", reading: Reading = READING) -> np.ndarray:
    with film.open("rb") as file:
        return first_frame(file, PurePosixPath(film.name), plugin, reading).pixels


def test_it_is_the_first_frame(film: Path) -> None:
    frame = read(film)
    assert np.abs(frame.astype(int) - panning(1)[0]).mean() < 6


def test_a_frame_of_more_than_8_bits_is_brought_to_them(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(ten_bits())
    frame = read(tmp_path / "a.mp4", reading=READING.model_copy(update={"max_pixels": 100_000}))
    assert (frame.dtype, frame.shape) == (np.uint8, (96, 640, 3))
    assert frame.min() < 20
    assert frame.max() > 235


def test_what_reads_it_brings_no_torch(film: Path) -> None:
    assert subprocess.run([sys.executable, "-c", LOADED, str(film)], timeout=60, check=False).returncode == 0


def test_a_film_within_no_limits_or_none_at_all_is_refused(film: Path) -> None:
    for change, words in (({"max_pixels": 100}, "max_pixels"), ({"max_film_bytes": 10}, "max_film_bytes")):
        with pytest.raises(PictureError, match=words):
            read(film, reading=READING.model_copy(update=change))
    with pytest.raises(PictureError, match="holds no frame"):
        read(film, "pillow")  # which reads no such films
    film.write_bytes(film.read_bytes()[:500])
    with pytest.raises(PictureError):
        read(film)


def test_a_missing_library_is_told(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PluginError, match="PyAV"):
        read(film)

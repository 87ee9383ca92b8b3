"""The plugins of films: what comes out has the frames, times and sound of what went in."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dreamd.api import FilmPlan, Frame, PictureError, Timing
from dreamd.plugin_host.host import Plugins
from tests.films import panning, sound_of, times_of, turned, with_streams, write_film
from tests.unit.plugins.films_kit import opened, plan_of, written


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins("dreamd.engine", only=())


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean())


# Films

UNEVEN = [0, 512, 1024, 1400, 2048, 2600, 3072]
"""Times of frames in ticks, of a phone whose rate varies."""


def test_a_film_keeps_its_frames_their_uneven_times_and_the_packets_of_its_sound(
    plugins: Plugins, tmp_path: Path
) -> None:
    source = write_film(tmp_path / "a.mp4", panning(7), times=UNEVEN).read_bytes()
    film = opened(plugins, ".mp4", source)
    result = written(plugins, plan_of(film, ".mp4"), list(film.read()), film, cut=3)
    assert times_of(result) == times_of(source) == [Fraction(tick, 12_800) for tick in UNEVEN]
    assert sound_of(result) == sound_of(source)
    again = opened(plugins, ".mp4", result)
    assert (again.frames, again.width, again.height) == (7, 64, 48)


@pytest.mark.parametrize(
    ("codec", "sound", "extension"), [("libvpx-vp9", "libopus", ".webm"), ("libx264", "aac", ".mkv")]
)
def test_webm_and_matroska_keep_times_and_sound(
    plugins: Plugins, tmp_path: Path, codec: str, sound: str, extension: str
) -> None:
    path = write_film(tmp_path / f"a{extension}", panning(5), codec=codec, sound=sound, ticks=Fraction(1, 1000))
    film = opened(plugins, extension, path.read_bytes())
    frames = list(film.read())
    result = written(plugins, plan_of(film, extension), frames, film)
    assert times_of(result) == times_of(path.read_bytes())
    assert sound_of(result) == sound_of(path.read_bytes())
    assert difference(list(opened(plugins, extension, result).read())[2].pixels, frames[2].pixels) < 4


@pytest.mark.parametrize(
    ("extension", "index", "frames"),
    [(".mp4", b"moov", b"mdat"), (".mov", b"moov", b"mdat"), (".webm", b"\x1cS\xbbk", b"\x1fC\xb6u")],
)
def test_a_film_begins_with_its_index_so_that_it_plays_while_it_comes(
    plugins: Plugins, extension: str, index: bytes, frames: bytes
) -> None:
    shown = [Frame(pixels=each, timing=Timing(time=Fraction(n, 25))) for n, each in enumerate(panning(70))]
    plan = FilmPlan(width=64, height=48, alpha=False, extension=extension)
    data = written(plugins, plan, shown, cut=65)
    assert 0 < data.rindex(index) < data.index(frames)
    with av.open(io.BytesIO(data)) as film:
        keys = [number for number, packet in enumerate(film.demux(video=0)) if packet.is_keyframe]
    assert keys == [0, 60, 65]
    assert written(plugins, plan, shown, cut=65) == data


def test_sound_without_a_place_is_left_out_and_said(plugins: Plugins, tmp_path: Path) -> None:
    film = opened(plugins, ".mp4", write_film(tmp_path / "a.mp4", panning(2)).read_bytes())
    plugin = plugins.film(".webm")
    assert plugin is not None
    assert plugin.create is not None
    writer = plugin.create(plan_of(film, ".webm"), film.own)
    part = io.BytesIO()
    frames = list(film.read())
    writer.part(frames, part)
    notes = writer.join([part], [frame.timing for frame in frames], io.BytesIO())
    assert len(notes) == 1
    assert "aac" in notes[0]


def test_a_film_that_a_phone_took_upright_comes_out_upright(plugins: Plugins, tmp_path: Path) -> None:
    lying = write_film(tmp_path / "a.mp4", panning(2), sound=None).read_bytes()
    film, straight = opened(plugins, ".mp4", turned(lying)), opened(plugins, ".mp4", lying)
    assert (film.width, film.height) == (48, 64)
    frame = next(film.read()).pixels
    assert np.array_equal(frame, np.rot90(next(straight.read()).pixels, -1))  # the top of the scene was to the left
    result = opened(plugins, ".mp4", written(plugins, plan_of(film, ".mp4"), list(film.read()), film, cut=1))
    assert (result.width, result.height) == (48, 64)


PATCHES = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (16, 16, 16), (200, 120, 40))


@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_colours_come_back_whatever_matrix_they_were_made_with(
    plugins: Plugins, tmp_path: Path, codec: str, matrix: int
) -> None:
    patches = np.repeat(np.repeat(np.array([PATCHES], np.uint8), 16, 1), 32, 0)
    film = opened(
        plugins, ".mp4", write_film(tmp_path / "a.mp4", [patches] * 2, sound=None, matrix=matrix).read_bytes()
    )
    read = list(film.read())
    middle = [16 * number + 8 for number in range(len(PATCHES))]
    assert np.abs(read[0].pixels[16, middle].astype(int) - PATCHES).max() <= 3
    plan = plan_of(film, ".mp4", codec=codec, quality=95)
    again = next(opened(plugins, ".mp4", written(plugins, plan, read, film, cut=1)).read()).pixels
    assert np.abs(again[16, middle].astype(int) - PATCHES).max() <= 5


def test_a_film_of_odd_sides_keeps_them(plugins: Plugins) -> None:
    frames = [Frame(pixels=pixels, timing=Timing(time=Fraction(n, 25))) for n, pixels in enumerate(panning(3, 33, 21))]
    plan = FilmPlan(width=33, height=21, alpha=False, extension=".mp4")
    film = opened(plugins, ".mp4", written(plugins, plan, frames))
    assert (film.width, film.height, len(list(film.read()))) == (33, 21, 3)


def test_a_film_without_a_rate_still_has_times(plugins: Plugins, tmp_path: Path) -> None:
    data = write_film(tmp_path / "a.mp4", panning(3), times=[0, 0, 0], sound=None).read_bytes()
    times = [frame.timing.time for frame in opened(plugins, ".mp4", data).read()]
    assert times == sorted(set(times))
    assert len(times) == 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_film_is_told_so(plugins: Plugins, tmp_path: Path, share: float) -> None:
    for extension in (".mp4", ".mkv"):
        data = write_film(tmp_path / f"a{extension}", panning(6)).read_bytes()
        with pytest.raises(PictureError, match=r"cut off"):
            list(opened(plugins, extension, data[: int(len(data) * share)]).read())


def test_a_film_of_a_great_many_streams_is_refused_for_them(plugins: Plugins, tmp_path: Path) -> None:
    data = write_film(tmp_path / "a.mp4", panning(2), sound=None).read_bytes()
    assert len(list(opened(plugins, ".mp4", with_streams(data, 20)).read())) == 2
    for count in (500, 20_000):
        with pytest.raises(PictureError, match="too many streams"):
            opened(plugins, ".mp4", with_streams(data, count))


def test_a_list_of_other_files_is_no_film(plugins: Plugins) -> None:
    for data in (b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"):
        with pytest.raises(PictureError, match="no film that can be read"):
            opened(plugins, ".mp4", data)


def test_a_huge_size_is_asked_about_before_anything_is_decoded(plugins: Plugins, tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    def refuse(width: int, height: int) -> None:
        asked.append((width, height))
        raise PictureError("too large")

    plugin = plugins.film(".mp4")
    assert plugin is not None
    with pytest.raises(PictureError, match="too large"):
        plugin.function(io.BytesIO(write_film(tmp_path / "a.mp4", panning(2)).read_bytes()), refuse)
    assert asked == [(64, 48)]


# Animations


def animation(extension: str, frames: Sequence[NDArray[np.uint8]], **options: Any) -> bytes:
    first, *rest = [Image.fromarray(pixels) for pixels in frames]
    data = io.BytesIO()
    names = {".gif": "GIF", ".png": "PNG", ".webp": "WEBP", ".avif": "AVIF"}
    first.save(data, names[extension], save_all=True, append_images=rest, **options)
    return data.getvalue()


@pytest.mark.parametrize("extension", [".gif", ".png", ".webp", ".avif"])
def test_an_animation_keeps_its_frames_times_and_loops(plugins: Plugins, extension: str) -> None:
    frames, delays = panning(4), [40, 120, 80, 300]
    loop = {} if extension == ".avif" else {"loop": 3}
    film = opened(plugins, extension, animation(extension, frames, duration=delays, **loop))
    read = list(film.read())
    result = written(plugins, plan_of(film, extension), read)
    again = opened(plugins, extension, result)
    got = list(again.read())
    assert [frame.timing for frame in got] == [frame.timing for frame in read]
    assert [frame.timing.duration for frame in got] == [Fraction(delay, 1000) for delay in delays]
    assert again.loop == loop.get("loop")
    assert difference(got[3].pixels, read[3].pixels) < 9


def test_a_single_picture_is_no_film(plugins: Plugins) -> None:
    for extension in (".gif", ".png", ".webp"):
        assert opened(plugins, extension, animation(extension, panning(1))) is None


def test_what_is_clear_stays_clear_in_every_frame(plugins: Plugins) -> None:
    frames = []
    for number, pixels in enumerate(panning(4)):
        alpha = np.where(np.arange(64) < 12 * number, 0, 255).astype(np.uint8)[None].repeat(48, 0)
        frames.append(
            Frame(pixels=np.dstack([pixels, alpha]), timing=Timing(time=Fraction(number, 10), duration=Fraction(1, 10)))
        )
    for extension in (".gif", ".apng", ".webp"):
        plan = FilmPlan(width=64, height=48, alpha=True, extension=extension, loop=0)
        film = opened(plugins, extension, written(plugins, plan, frames))
        assert film.alpha
        for given, got in zip(frames, film.read(), strict=True):
            assert np.array_equal(got.pixels[:, :, 3], given.pixels[:, :, 3])


def test_a_gif_has_one_palette_so_that_what_stands_still_does_not_shimmer(plugins: Plugins) -> None:
    still = panning(1, 96, 64)[0]
    frames = []
    for number, moving in enumerate(panning(5, 96, 64, step=17)):
        pixels = np.vstack([still[:32], moving[32:]])
        frames.append(Frame(pixels=pixels, timing=Timing(time=Fraction(number, 10), duration=Fraction(1, 10))))
    plan = FilmPlan(width=96, height=64, alpha=False, extension=".gif", loop=0)
    got = [frame.pixels for frame in opened(plugins, ".gif", written(plugins, plan, frames)).read()]
    assert all(np.array_equal(pixels[:32], got[0][:32]) for pixels in got)


def test_a_gif_whose_later_frame_is_huge_is_refused_before_memory_is_taken(plugins: Plugins) -> None:
    data = bytearray(animation(".gif", panning(2), duration=40))
    second = data.index(b"\x21\xf9\x04", data.index(b"\x21\xf9\x04") + 3) + 8
    assert data[second : second + 1] == b","
    data[second + 5 : second + 9] = struct.pack("<2H", 65_535, 65_535)

    def check_size(width: int, height: int) -> None:
        if width * height > 1_000_000:
            raise PictureError(f"{width} x {height} is too large")

    plugin = plugins.film(".gif")
    assert plugin is not None
    with pytest.raises(PictureError, match="65535 x 65535 is too large"):
        plugin.function(io.BytesIO(bytes(data)), check_size)


# The hook


def test_two_plugins_cannot_read_one_kind_of_film(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "mine.py"
    file.write_text(
        "from dreamd.api import hookimpl\n@hookimpl\ndef dreamd_films(register):\n"
        "    register('mine', print, print, extensions=('.mp4',))\n"
    )
    file.chmod(0o644)
    (problem,) = Plugins("dreamd.engine", folders=[tmp_path]).catalogue.problems
    assert ".mp4 is taken by film 'av' of plugin 'av'" in problem.reason

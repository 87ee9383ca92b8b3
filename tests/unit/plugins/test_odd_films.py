"""Films as cameras and phones make them: what is odd about one comes out as it should, or is said."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from dreamd.api import FilmPlan, Frame, Timing
from dreamd.plugin_host.host import Plugins
from tests.films import TICKS, panning, ten_bits, write_film
from tests.unit.plugins.films_kit import opened, plan_of, written

PQ, HLG, P3, SRGB = 16, 18, 12, 13
"""Numbers of ITU-T H.273."""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins("dreamd.engine", only=())


def result_of(plugins: Plugins, data: bytes, extension: str = ".mp4", **fields: Any) -> bytes:
    """A film whose frames were not changed."""
    film = opened(plugins, extension, data)
    return written(plugins, plan_of(film, extension, **fields), list(film.read()), film, cut=1)


def colours_of(film: bytes) -> tuple[int, int, int]:
    with av.open(io.BytesIO(film)) as container:
        frame = next(container.decode(video=0))
        return int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_was_brought_to_an_ordinary_screen_is_said_to_be_for_one(plugins: Plugins, transfer: int) -> None:
    data = ten_bits(primaries=9, transfer=transfer, matrix=9)
    assert "HDR" in opened(plugins, ".mp4", data).notes[0]
    assert colours_of(result_of(plugins, data)) == (1, 1, 1)


def test_wide_colours_stay_as_wide_as_they_were(plugins: Plugins) -> None:
    assert colours_of(result_of(plugins, ten_bits(primaries=P3, transfer=SRGB, matrix=1))) == (P3, SRGB, 1)


def test_a_film_out_of_a_picture_has_the_red_green_and_blue_of_srgb(plugins: Plugins) -> None:
    frames = [Frame(pixels=pixels, timing=Timing(time=Fraction(n, 25))) for n, pixels in enumerate(panning(3))]
    plan = FilmPlan(width=64, height=48, alpha=False, extension=".mp4")
    assert colours_of(written(plugins, plan, frames))[:2] == (1, 1)


# What is beside the pictures


TOLD = {"title": "Holiday", "location": "+52.5000-013.4000/", "creation_time": "2024-01-02T03:04:05.000000Z"}


def with_more(path: Path) -> bytes:
    """A film with two sounds, a subtitle, and words about itself."""
    with av.open(path, "w") as film:
        film.metadata.update(TOLD)
        pictures: Any = film.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sounds: list[Any] = [film.add_stream("aac", rate=48_000) for _ in range(2)]
        words: Any = film.add_mux_stream("mov_text")
        words.time_base = Fraction(1, 1000)
        for stream, language in zip((*sounds, words), ("deu", "eng", "fra"), strict=True):
            stream.metadata["language"] = language
        sounds[1].metadata["title"] = "Commentary"
        for sound in sounds:
            sound.layout = "mono"
        for pixels in panning(5):
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(pictures.encode(None))
        for sound in sounds:
            for start in range(0, 8 * 1024, 1024):
                samples: Any = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                samples.sample_rate, samples.pts, samples.time_base = 48_000, start, Fraction(1, 48_000)
                film.mux(sound.encode(samples))
            film.mux(sound.encode(None))
        packet: Any = av.Packet(b"\0\5Hello")
        packet.pts = packet.dts = 0
        packet.duration, packet.time_base, packet.stream = 80, words.time_base, words
        film.mux(packet)
    return path.read_bytes()


def streams_of(film: bytes) -> list[tuple[str, str | None, str | None, int]]:
    with av.open(io.BytesIO(film)) as container:
        return [
            (stream.type, stream.language, stream.metadata.get("name"), int(stream.disposition))
            for stream in container.streams
            if stream.type != "video"
        ]


def words_of(film: bytes) -> list[tuple[int | None, bytes]]:
    with av.open(io.BytesIO(film)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(subtitles=0) if packet.size]


def test_each_sound_and_subtitle_keeps_its_language_and_its_name(plugins: Plugins, tmp_path: Path) -> None:
    source = with_more(tmp_path / "a.mp4")
    result = result_of(plugins, source)
    assert streams_of(result) == streams_of(source)
    assert [language for _, language, *_ in streams_of(result)] == ["deu", "eng", "fra"]
    assert words_of(result) == words_of(source)
    assert any(b"Hello" in text for _, text in words_of(result))


def test_a_subtitle_without_a_place_is_left_out_and_said(plugins: Plugins, tmp_path: Path) -> None:
    film = opened(plugins, ".mp4", with_more(tmp_path / "a.mp4"))
    plugin = plugins.film(".mkv")
    assert plugin is not None
    assert plugin.create is not None
    writer = plugin.create(plan_of(film, ".mkv"), film.own)
    part, frames = io.BytesIO(), list(film.read())
    writer.part(frames, part)
    notes = writer.join([part], [frame.timing for frame in frames], io.BytesIO())
    assert notes == ("a subtitle (mov_text) has no place in matroska and is left out",)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("keep", {"title", "location", "creation_time"}),
        ("strip_location", {"title", "creation_time"}),
        ("strip", set()),
    ],
)
def test_what_a_film_says_of_itself_is_carried_as_far_as_it_is_wanted(
    plugins: Plugins, tmp_path: Path, wanted: str, told: set[str]
) -> None:
    result = result_of(plugins, with_more(tmp_path / "a.mp4"), metadata=wanted)
    with av.open(io.BytesIO(result)) as container:
        assert {name: value for name, value in container.metadata.items() if name in TOLD} == {
            name: TOLD[name] for name in told
        }


# Times


def test_the_last_frame_lasts_as_long_as_it_did(plugins: Plugins, tmp_path: Path) -> None:
    ticks = [0, 512, 1024, 1400, 2048, 2600, 3072]
    source = write_film(tmp_path / "a.mp4", panning(7), times=ticks, sound=None).read_bytes()
    with av.open(io.BytesIO(source)) as before, av.open(io.BytesIO(result_of(plugins, source))) as after:
        assert after.streams.video[0].duration == before.streams.video[0].duration
    film = opened(plugins, ".mp4", source)
    lasts = [frame.timing.duration for frame in film.read()]
    assert lasts[:-1] == [(after - before) * TICKS for before, after in pairwise(ticks)]
    assert lasts[-1] > 0


# Interlaced films


def interlaced(count: int) -> bytes:
    """A film of frames whose even rows were taken before their odd ones, of stripes that move to the right."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as film:
        pictures: Any = film.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        pictures.options = {"crf": "4", "x264-params": "tff=1", "g": "4", "bf": "0"}
        for number in range(count):
            first, second = (stripes(2 * number + half) for half in (0, 1))
            woven = np.where(np.arange(64)[:, None, None] % 2 == 0, first, second)
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(woven, format="rgb24")))
        film.mux(pictures.encode(None))
    return file.getvalue()


def stripes(step: int) -> NDArray[np.uint8]:
    bright = (np.arange(96) - 3 * step) % 24 < 12
    return np.broadcast_to(np.where(bright, 200, 50)[None, :, None], (64, 96, 3)).astype(np.uint8)


def combs(frames: Sequence[NDArray[np.uint8]]) -> float:
    """How much each row differs from those above and below it."""
    pixels = np.stack(frames).astype(float)
    return float(np.abs(2 * pixels[:, 1:-1] - pixels[:, :-2] - pixels[:, 2:]).mean())


def test_an_interlaced_film_has_no_combs_and_as_many_frames(plugins: Plugins) -> None:
    data = interlaced(10)
    film = opened(plugins, ".mp4", data)
    assert "interlaced" in film.notes[0]
    frames = list(film.read())
    assert [frame.timing.time for frame in frames] == [Fraction(number, 25) for number in range(10)]
    with av.open(io.BytesIO(data)) as container:
        bare = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert combs([frame.pixels for frame in frames]) < combs(bare) / 4


@pytest.mark.parametrize("number", [1, 4, 6])
def test_an_interlaced_film_goes_on_at_a_frame_with_the_same_pixels(plugins: Plugins, number: int) -> None:
    film = opened(plugins, ".mp4", interlaced(10))
    whole = list(film.read())
    rest = list(film.read(whole[number].timing.time))
    assert len(rest) == 10 - number
    for again, before in zip(rest, whole[number:], strict=True):
        assert np.array_equal(again.pixels, before.pixels)

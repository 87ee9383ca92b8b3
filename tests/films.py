"""Tiny films for tests, made by PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

TICKS = Fraction(1, 12_800)
"""The clock of an MP4's pictures."""


def panning(count: int, width: int = 64, height: int = 48, step: int = 3) -> list[NDArray[np.uint8]]:
    """Frames of a pattern that moves to the left, `step` pixels a frame."""
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    frames = []
    for number in range(count):
        x = across + step * number
        colours = [128 + 100 * np.sin(x / 9) * np.cos(down / 7), 128 + 60 * np.cos(x / 11), down * 4 % 256]
        frames.append(np.stack(colours, 2).clip(0, 255).astype(np.uint8))
    return frames


def write_film(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    times: Sequence[int] | None = None,
    sound: str | None = "aac",
    codec: str = "libx264",
    rate: int = 25,
    ticks: Fraction = TICKS,
    matrix: int | None = None,
) -> Path:
    """Write a film of some frames, with a tone beside them; `times` are in ticks."""
    options = {"video_track_timescale": str(ticks.denominator)} if path.suffix in (".mp4", ".mov") else {}
    with av.open(path, "w", options=options) as film:
        pictures: Any = film.add_stream(codec, rate=rate)
        pictures.height, pictures.width = frames[0].shape[:2]
        pictures.pix_fmt = "yuv420p"
        pictures.codec_context.time_base = ticks
        if codec == "libx264":
            pictures.options = {"crf": "6", "bf": "2"}
        if matrix is not None:
            pictures.codec_context.colorspace = matrix
        tone: Any = None if sound is None else film.add_stream(sound, rate=48_000)
        if tone is not None:
            tone.layout = "mono"
        for number, pixels in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if matrix is not None:
                picture = picture.reformat(format="yuv420p", dst_colorspace=matrix)
            picture.pts = times[number] if times else int(number / (ticks * rate))
            picture.time_base = ticks
            film.mux(pictures.encode(picture))
        film.mux(pictures.encode(None))
        if tone is not None:
            _write_tone(film, tone, len(frames) / rate)
    return path


def _write_tone(film: Any, tone: Any, seconds: float) -> None:
    wave = (np.sin(np.arange(int(seconds * 48_000)) / 20) * 0.3).astype(np.float32)[None]
    size = tone.codec_context.frame_size or 960
    for start in range(0, wave.shape[1], size):
        samples: Any = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave[:, start : start + size]), format="fltp", layout="mono"
        )
        samples.sample_rate, samples.pts, samples.time_base = 48_000, start, Fraction(1, 48_000)
        film.mux(tone.encode(samples))
    film.mux(tone.encode(None))


def ten_bits(primaries: int = 1, transfer: int = 1, matrix: int = 1) -> bytes:
    """A film of three frames in 10 bits whose brightness rises to the right; colours by the numbers of ITU-T H.273."""
    file = BytesIO()
    ramp = np.broadcast_to(np.linspace(64, 940, 640).astype(np.uint16), (96, 640))
    with av.open(file, "w", format="mp4") as film:
        pictures: Any = film.add_stream("libx265", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 640, 96, "yuv420p10le"
        pictures.options = {"crf": "2", "preset": "ultrafast", "x265-params": "log-level=none"}
        context = pictures.codec_context
        context.color_primaries, context.color_trc, context.colorspace = primaries, transfer, matrix
        for _ in range(3):
            frame = av.VideoFrame(640, 96, "yuv420p10le")
            for plane, values in zip(frame.planes, (ramp, *[np.full((48, 320), 512, np.uint16)] * 2), strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : plane.width] = values
                plane.update(rows.tobytes())
            film.mux(pictures.encode(frame))
        film.mux(pictures.encode(None))
    return file.getvalue()


def sound_of(film: bytes) -> list[tuple[int | None, int | None, bytes]]:
    """The packets of a film's sound, with their times and durations."""
    with av.open(BytesIO(film)) as opened:
        return [(packet.pts, packet.duration, bytes(packet)) for packet in opened.demux(audio=0) if packet.size]


def times_of(film: bytes) -> list[Fraction]:
    """The time of each frame of a film, in seconds."""
    with av.open(BytesIO(film)) as opened:
        return [frame.pts * Fraction(frame.time_base) for frame in opened.decode(video=0)]  # type: ignore[arg-type, operator]


def turned(film: bytes) -> bytes:
    """The same MP4 with the mark of a phone that was held upright: a quarter turn in the header of its pictures."""
    place = film.index(b"tkhd") + 4 + 40
    unit, turn = 0x00010000, [0, 0x00010000, 0, -0x00010000, 0, 0, 0, 0, 0x40000000]
    matrix = b"".join(value.to_bytes(4, "big", signed=True) for value in turn)
    assert film[place : place + 4] == unit.to_bytes(4, "big")
    return film[:place] + matrix + film[place + 36 :]


def with_streams(film: bytes, count: int) -> bytes:
    """The same MP4, of one stream, which says that it has so many of that kind."""
    moov, trak = film.index(b"moov") - 4, film.index(b"trak") - 4
    whole, stream = (int.from_bytes(film[place : place + 4], "big") for place in (moov, trak))
    inside = film[moov + 4 : trak] + film[trak : trak + stream] * count + film[trak + stream : moov + whole]
    return film[:moov] + (len(inside) + 4).to_bytes(4, "big") + inside + film[moov + whole :]

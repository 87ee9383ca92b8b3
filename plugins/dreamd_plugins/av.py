"""Films by PyAV, which is FFmpeg: MP4, MOV, WebM and Matroska, frame by frame, in and out, with the sound untouched.

Needs the extra `video`: `pip install 'dreamd[video]'`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dreamd.api import CheckSize, FilmPlan, Frame, PictureError, PluginError, RegisterFilm, Timing, hookimpl
from dreamd.api import Film as AnyFilm

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_READERS = ((4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"wide", "mov"), (4, b"mdat", "mov"), (4, b"free", "mov"),
            (0, b"\x1aE\xdf\xa3", "matroska"))  # fmt: skip
"""FFmpeg's reader of a file by its first bytes, at an offset. It is never asked to guess: some of its readers open
other files, or addresses, that a file names."""

_WRITERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm", ".mkv": "matroska"}
"""FFmpeg's writer by the ending of a name."""

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
"""FFmpeg's encoder by the name of a codec."""

_THREADS = 4
"""The threads of an encoder, on any machine, since the bytes may depend on their number."""

_HD_LINES = 720
"""From so many lines on, a film that does not say how its colours were made is taken for one in HD, BT.709."""

_TICKS = 90_000
"""The parts of a second that times are told in where no source gives others."""

_BT709, _BT601, _BT2020 = 1, 6, 9
_MATRICES = (_BT709, 5, _BT601, _BT2020)
"""Numbers of ITU-T H.273: the matrices that results are made with; 5 is BT.601 of PAL."""

_TRANSFERS = {_BT709: 1, _BT2020: 14}
"""The transfer function of a matrix, numbered as there; 6 for those of BT.601."""

_HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of HDR, numbered as there."""

_BAD_MATRICES = (0, 2, 3)
"""Matrices that say nothing: of RGB, unspecified, reserved."""

_LIMITED, _FULL = 1, 2
"""FFmpeg's numbers of the ranges of colours."""

_FROM_BT2020 = np.array(
    [[1.6605, -0.1246, -0.0182], [-0.5876, 1.1329, -0.1006], [-0.0728, -0.0083, 1.1187]], np.float32
)
"""Linear BT.2020 to linear BT.709, for rows of colours: ITU-R BT.2087."""

_COVER = 0x400
"""The bit of a stream's disposition by which its picture is a cover."""

_MOST_STREAMS = "200"
"""The most streams of a file, fonts and subtitles among them: FFmpeg takes memory for each before a frame is read."""

_EXACT = {"fflags": "+bitexact"}
"""Leaves out of a file what differs each time: random numbers, the date, the version of FFmpeg."""


def _library() -> Any:
    try:
        import av
    except ImportError as error:
        raise PluginError(f"films need PyAV: pip install 'dreamd[video]' ({error})") from error
    return av


class _Film:
    """A film that is open."""

    def __init__(self, file: BinaryIO, check_size: CheckSize) -> None:
        self._av = _library()
        self._file, self._check_size = file, check_size
        head = file.read(12)
        file.seek(0)
        self._format = next((name for offset, magic, name in _READERS if head.startswith(magic, offset)), None)
        if self._format is None:
            raise PictureError("no film that can be read: neither MP4, MOV, WebM nor Matroska")
        _check_whole(file, self._format)
        with _words(), self.opened() as container:
            stream = _pictures_of(container)
            check_size(stream.width, stream.height)
            self.time_base = Fraction(stream.time_base or Fraction(1, _TICKS))
            self.rate = Fraction(stream.average_rate or 0)
            self.aspect = stream.sample_aspect_ratio
            self.frames: int | None = stream.frames or None
            self.seconds = _seconds(stream, container)
            first = next(container.decode(stream), None)
            if first is None:
                raise PictureError("holds no picture that can be decoded")
            self.turns = round(first.rotation / 90) % 4
            check_size(first.width, first.height)
            self._size = (first.width, first.height)
            self.matrix = _matrix_of(first)
            self.transfer = int(first.color_trc)
        self.width, self.height = self._size[:: -1 if self.turns % 2 else 1]
        self.alpha = False
        self.loop: int | None = None
        self.notes: tuple[str, ...] = ()
        if hdr := _HDR.get(self.transfer):
            self.notes = (f"its colours are HDR ({hdr}) and were brought to those of an ordinary screen",)

    def read(self, start: Fraction | None = None) -> Iterator[Frame]:
        """Yield the frames by their times."""
        with _words(), self.opened() as container:
            stream = _pictures_of(container)
            frames = self._decoded(container, stream, start)
            for frame, time, duration in _timed(frames, self.time_base, self.rate):
                if start is None or time >= start:
                    yield Frame(pixels=self._pixels(frame), timing=Timing(time=time, duration=duration))

    def _decoded(self, container: InputContainer, stream: VideoStream, start: Fraction | None) -> Iterator[VideoFrame]:
        """Decode from a key frame before a time on; from the beginning where that is not found."""
        if start is not None and start > 0:
            container.seek(int(start / self.time_base), stream=stream, backward=True)
            frames = container.decode(stream)
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts * self.time_base <= start:
                yield first
                yield from frames
                return
            container.seek(0)
        yield from container.decode(stream)

    def _pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        self._check_size(frame.width, frame.height)
        if (frame.width, frame.height) != self._size:
            raise PictureError(f"its frames change their size, from {self._size} to {(frame.width, frame.height)}")
        is_hdr = self.transfer in _HDR
        is_full = int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")
        rgb = frame.to_ndarray(
            format="rgb48le" if is_hdr else "rgb24",
            src_colorspace=_swscale(self.matrix),
            src_color_range=_FULL if is_full else _LIMITED,
            dst_color_range=_FULL,
            interpolation=_exact_scaling("FULL_CHR_H_INT"),
            threads=1,
        )
        if is_hdr:
            rgb = _tone_mapped(rgb.astype(np.uint16, copy=False), self.transfer)
        return np.ascontiguousarray(np.rot90(rgb, self.turns))

    def opened(self) -> InputContainer:
        """Open the file from its beginning."""
        self._file.seek(0)
        options = {"max_streams": _MOST_STREAMS}
        container: InputContainer = self._av.open(_Unclosed(self._file), format=self._format, options=options)
        return container

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _check_whole(file: BinaryIO, form: str) -> None:
    """Raise PictureError when the file is shorter than it says: FFmpeg would end the film early, and say nothing."""
    end = file.seek(0, 2)
    place = 0
    if form == "matroska":
        for _ in range(2):  # the head, and the segment that holds all else
            place += _vint_bytes(file, place)
            width = _vint_bytes(file, place)
            file.seek(place)
            number = int.from_bytes(file.read(width)) & ((1 << 7 * width) - 1)
            place += width
            if number == (1 << 7 * width) - 1:  # it was written live, and lasts as long as it lasts
                return
            place += number
    else:
        has_table = False
        while place < end:
            file.seek(place)
            head = file.read(16)
            has_table |= head[4:8] == b"moov"
            length = int.from_bytes(head[:4])
            length = int.from_bytes(head[8:16]) if length == 1 else length
            if length == 0:
                break
            place += max(8, length)
        if not has_table:
            raise PictureError(
                "a film whose table of contents (moov) is missing, as one that is cut off; copy it again"
            )
    if place > end:
        raise PictureError(f"a film that is cut off: {end} of {place} bytes are there; copy it again")


def _vint_bytes(file: BinaryIO, place: int) -> int:
    """Return how many bytes a number of Matroska's has, by the zeros that it begins with: RFC 8794, 4."""
    file.seek(place)
    first = file.read(1)
    return 9 - first[0].bit_length() if first and first[0] else 8


class _Unclosed:
    """A file as FFmpeg reads and writes it: closing a container must not close it."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        if file.writable():
            self.write = file.write


@contextmanager
def _words() -> Iterator[None]:
    """Tell FFmpeg's errors as those of the file, in words."""
    try:
        yield
    except MemoryError as error:  # FFmpeg says so of too many streams as well
        raise PictureError("a film with too many streams, or that takes more memory than there is") from error
    except (_library().error.FFmpegError, IndexError, ValueError, EOFError) as error:
        raise PictureError(f"a film that is broken or cut off: {error}; copy it again") from error


def _pictures_of(container: InputContainer) -> VideoStream:
    """Return the stream of pictures: the first that is no cover."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    if not streams:
        raise PictureError("holds no pictures, only sound")
    streams[0].thread_type = "SLICE"  # threads by frame would hold as many frames more
    return streams[0]


def _seconds(stream: VideoStream, container: InputContainer) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


def _matrix_of(frame: VideoFrame) -> int:
    """Return the matrix that a film's colours were made with; where it does not say, by its size."""
    matrix = int(frame.colorspace)
    if matrix in _BAD_MATRICES:
        return _matrix_by_size(frame.width, frame.height)
    return matrix


def _matrix_by_size(width: int, height: int) -> int:
    return _BT709 if min(width, height) >= _HD_LINES else _BT601


def _exact_scaling(chroma: str) -> Any:
    """Return how FFmpeg's scaler computes: the same everywhere, and colours at full width, by the name of that flag."""
    from av.video.reformatter import Interpolation

    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    return exact | Interpolation[chroma]


def _swscale(matrix: int) -> int:
    """Return a matrix as FFmpeg's scaler numbers it."""
    return 5 if matrix in (5, 6) else 9 if matrix in (9, 10) else matrix


def _timed(
    frames: Iterable[VideoFrame], time_base: Fraction, rate: Fraction
) -> Iterator[tuple[VideoFrame, Fraction, Fraction]]:
    """Give every frame a time, later than the one before; where the file gives none, by its rate."""
    step = 1 / rate if rate > 0 else Fraction(1, 25)
    last: Fraction | None = None
    for frame in frames:
        time = None if frame.pts is None else frame.pts * time_base
        if last is not None and (time is None or time <= last):
            time = last + (step if time is None else time_base)
        last = Fraction(0) if time is None else time
        yield frame, last, Fraction(frame.duration or 0) * time_base


def _tone_mapped(rgb: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Bring PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100) to an ordinary screen, by Reinhard's curve on the brightness."""
    table = np.linspace(0, 1, 65536, dtype=np.float32)
    if _HDR[transfer] == "PQ":
        root = table ** (1 / 78.84375)
        linear = (
            (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125) * 10000 / 203
        )
    else:
        linear = (
            np.where(table <= 0.5, table**2 / 3, (np.exp((table - 0.55991073) / 0.17883277) + 0.28466892) / 12) * 4.9
        )
    light = linear.astype(np.float32)[rgb] @ _FROM_BT2020
    brightness = np.maximum(light.max(2, keepdims=True), 1e-6)
    mapped = light * (1 + brightness / 16) / (1 + brightness) * (1 + 1 / 4)
    screen: NDArray[np.uint8] = (np.clip(mapped, 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8)
    return screen


class _Writer:
    """Writes a film. Its parts are MP4s without sound, each of which can be decoded alone."""

    def __init__(self, plan: FilmPlan, source: _Film | None) -> None:
        self._av = _library()
        self._plan, self._source = plan, source
        self._container = _WRITERS[plan.extension]
        self._codec = _codec_of(plan)
        self._time_base = source.time_base if source else Fraction(1, _TICKS)
        odd = plan.width % 2 or plan.height % 2
        self._pixel_format = plan.pixel_format if plan.pixel_format != "auto" else "yuv444p" if odd else "yuv420p"
        matrix = source.matrix if source else _matrix_by_size(plan.width, plan.height)
        self._matrix = matrix if matrix in _MATRICES else _BT709

    def part(self, frames: Iterable[Frame], file: BinaryIO) -> None:
        """Encode some frames."""
        with self._av.open(_Unclosed(file), "w", format="mp4", options=_EXACT) as container:
            stream = self._new_stream(container)
            for number, frame in enumerate(frames):
                picture = self._picture(frame)
                picture.pts = number
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))

    def _new_stream(self, container: OutputContainer) -> VideoStream:
        plan = self._plan
        # The rate only guides the encoder: what a part says of times is not read.
        rate = self._source.rate if self._source and 1 <= self._source.rate <= 1000 else Fraction(30)
        added: Any = container.add_stream(_ENCODERS[self._codec], rate=rate.limit_denominator(1001))
        stream: VideoStream = added
        context: Any = stream.codec_context
        stream.width, stream.height = plan.width, plan.height
        try:
            stream.pix_fmt = self._pixel_format
        except ValueError as error:
            raise PictureError(f"output.pixel_format {self._pixel_format!r}: {error}") from error
        stream.options = _options(self._codec, plan.quality)
        context.time_base = 1 / rate
        context.thread_count = _THREADS
        context.max_b_frames = 0  # each packet is then a frame, in the order of their times
        context.colorspace, context.color_range = self._matrix, _LIMITED
        context.color_primaries = self._matrix
        context.color_trc = _TRANSFERS.get(self._matrix, 6)
        if self._source is not None and self._source.aspect:
            aspect = self._source.aspect
            context.sample_aspect_ratio = 1 / aspect if self._source.turns % 2 else aspect
        return stream

    def _picture(self, frame: Frame) -> VideoFrame:
        plan = self._plan
        if frame.pixels.shape[:2] != (plan.height, plan.width):
            given = f"{frame.pixels.shape[1]} x {frame.pixels.shape[0]}"
            raise PictureError(f"a frame is {given}, and not {plan.width} x {plan.height}")
        rgb = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.pixels[:, :, :3]), format="rgb24")
        picture: VideoFrame = rgb.reformat(
            format=self._pixel_format,
            dst_colorspace=_swscale(self._matrix),
            src_color_range=_FULL,
            dst_color_range=_LIMITED,
            interpolation=_exact_scaling("FULL_CHR_H_INP"),
            threads=1,
        )
        return picture

    def join(self, parts: Sequence[BinaryIO], timings: Sequence[Timing], file: BinaryIO) -> tuple[str, ...]:
        """Put the parts behind each other, and copy the sound."""
        options = dict(_EXACT)
        if self._container in ("mp4", "mov"):
            options |= {"video_track_timescale": str(self._time_base.denominator)}
        av = self._av
        parts[0].seek(0)
        with (
            av.open(_Unclosed(file), "w", format=self._container, options=options) as container,
            av.open(parts[0]) as first,
        ):
            pictures = container.add_stream_from_template(first.streams.video[0], opaque=True)
            pictures.time_base = self._time_base
            packets = self._packets(parts, timings, pictures)
            if self._source is None:
                _mux_in_order(container, packets)
                return ()
            with self._source.opened() as source:
                pairs, notes = _sound_streams(source, container)
                _mux_in_order(container, packets, _sound_packets(source, pairs))
                return notes

    def _packets(
        self, parts: Sequence[BinaryIO], timings: Sequence[Timing], stream: VideoStream
    ) -> Iterator[Packet[Any]]:
        """Yield the packets of all parts with the times of their frames."""
        times = iter(_ticks(timings, self._time_base))
        for part in parts:
            part.seek(0)
            with self._av.open(part) as container:
                for packet in container.demux(video=0):
                    if packet.size:
                        packet.pts, packet.duration = next(times)
                        packet.dts, packet.time_base, packet.stream = packet.pts, self._time_base, stream
                        yield packet


def _codec_of(plan: FilmPlan) -> str:
    if plan.codec == "auto":
        return "vp9" if plan.extension == ".webm" else "h264"
    if plan.extension == ".webm" and plan.codec not in ("vp9", "av1"):
        raise PictureError(f"a WebM holds vp9 or av1, and not {plan.codec}; set output.codec to auto")
    return plan.codec


def _options(codec: str, quality: int) -> dict[str, object]:
    """Return the encoder's options for a quality of 1 to 100, on the scale of each encoder, where less is better."""
    worse = (100 - quality) / 100
    if codec == "h264":
        return {"crf": f"{8 + 40 * worse:.1f}", "preset": "medium", "bf": "0"}
    if codec == "hevc":
        return {"crf": f"{10 + 38 * worse:.1f}", "preset": "medium", "x265-params": "bframes=0:log-level=error"}
    if codec == "av1":
        return {"crf": str(round(12 + 48 * worse)), "preset": "8", "svtav1-params": "pred-struct=1"}
    still = {"auto-alt-ref": "0", "lag-in-frames": "0"}  # a packet for each frame, at once
    return {"crf": str(round(12 + 48 * worse)), "b": "0", "cpu-used": "4", "deadline": "good", **still}


def _ticks(timings: Sequence[Timing], time_base: Fraction) -> Iterator[tuple[int, int]]:
    """Yield each frame's time and duration in ticks; a frame without a duration lasts until the next."""
    pts = [round(timing.time / time_base) for timing in timings]
    for number, timing in enumerate(timings):
        own = round(timing.duration / time_base)
        gap = pts[number + 1] - pts[number] if number + 1 < len(pts) else own or (pts[-1] - pts[-2] if number else 1)
        yield pts[number], gap


def _sound_streams(source: InputContainer, target: OutputContainer) -> tuple[dict[int, Stream], tuple[str, ...]]:
    """Make a stream for each of the source's sounds, and say which found no place."""
    pairs: dict[int, Stream] = {}
    notes = []
    for stream in source.streams.audio:
        codec = stream.codec_context.codec.canonical_name
        if codec in target.supported_codecs or (target.format.name == "mov" and codec.startswith("pcm")):
            pairs[stream.index] = target.add_stream_from_template(stream)
        else:
            notes.append(
                f"its sound ({codec}) has no place in {target.format.name} and is left out; set output.film to mkv"
            )
    return pairs, tuple(notes)


def _sound_packets(source: InputContainer, pairs: dict[int, Stream]) -> Iterator[Packet[Any]]:
    if pairs:
        for packet in source.demux([stream for stream in source.streams.audio if stream.index in pairs]):
            if packet.dts is not None:
                packet.stream = pairs[packet.stream.index]
                yield packet


def _mux_in_order(container: OutputContainer, *packets: Iterator[Packet[Any]]) -> None:
    """Write packets of several streams in the order of their times, so that none of them has to wait in memory."""
    for packet in heapq.merge(*packets, key=_second_of):
        container.mux(packet)


def _second_of(packet: Packet[Any]) -> Fraction:
    """Return the time at which a packet is due, in seconds."""
    assert packet.dts is not None
    return packet.dts * Fraction(packet.time_base)


def open_film(file: BinaryIO, check_size: CheckSize) -> _Film:
    """Open an MP4, MOV, WebM or Matroska file."""
    return _Film(file, check_size)


def create_film(plan: FilmPlan, source: AnyFilm | None) -> _Writer:
    """Write an MP4, MOV, WebM or Matroska file."""
    return _Writer(plan, source if isinstance(source, _Film) else None)


@hookimpl
def dreamd_films(register: RegisterFilm) -> None:
    """Bring films."""
    register("av", open_film, create_film, extensions=tuple(_WRITERS))

"""A film that is written: parts of frames, put behind each other with the source's sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dreamd.api import FilmPlan, Frame, PictureError, Timing
from dreamd_plugins.av.colours import FULL, LIMITED, colours_of_result, exact_scaling, swscale
from dreamd_plugins.av.ffmpeg import BYTE, EXACT, WRITERS, Unclosed, WhatIsWritten, bits_of, library
from dreamd_plugins.av.metadata import carried, has_own_names
from dreamd_plugins.av.reading import Film
from dreamd_plugins.av.streams import copied_packets, copied_streams, describe, mux_in_order, pictures_of
from dreamd_plugins.av.times import TICKS, ticks

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
"""FFmpeg's encoder by the name of a codec."""

_AHEAD = "20"
"""The frames that H.264's encoder holds to look ahead; its own 40 take twice the memory, for nothing that is seen."""

_OTHER_FORMATS = ("gbr", "yuva", "yuvj")
"""How the names of formats begin that no result has: of RGB, with alpha, and of all numbers as colours have them."""

_THREADS = 4
"""The threads of an encoder, on any machine, since the bytes may depend on their number."""

_KEY_FRAMES = 60
"""From one frame that is decoded alone to the next there are so many at most: a player that looks for a place in the
film decodes all of those in between."""

_INDEX_FIRST = {
    "mp4": {"movflags": "+faststart"},
    "mov": {"movflags": "+faststart"},
    "matroska": {"cues_to_front": "1"},
    "webm": {"cues_to_front": "1"},
}
"""What has FFmpeg's writers move the table of a film's frames to its beginning, so that a browser plays and seeks in it
while it comes."""


class Writer:
    """Writes a film. Its parts are MP4s without sound, each of which can be decoded alone."""

    def __init__(self, plan: FilmPlan, source: Film | None) -> None:
        self._av = library()
        self._plan, self._source = plan, source
        self._container = WRITERS[plan.extension]
        self._codec = _codec_of(plan)
        self._time_base = source.time_base if source else Fraction(1, TICKS)
        odd = plan.width % 2 or plan.height % 2
        self._pixel_format = plan.pixel_format if plan.pixel_format != "auto" else "yuv444p" if odd else "yuv420p"
        self.deep = bits_of(self._checked_format()) > BYTE
        self._colours = colours_of_result(source.colours if source else None, plan.width, plan.height)

    def _checked_format(self) -> VideoFormat:
        """Return how pixels are stored. Raises PictureError when the codec does not store them so."""
        formats = self._av.Codec(_ENCODERS[self._codec], "w").video_formats or ()
        known = [each.name for each in formats if not each.name.startswith(_OTHER_FORMATS)]
        if self._pixel_format not in known:
            has = f"{self._codec} has {', '.join(known)}"
            raise PictureError(f"output.pixel_format is {self._pixel_format!r}; {has}")
        form: VideoFormat = self._av.VideoFormat(self._pixel_format)
        return form

    def part(self, frames: Iterable[Frame], file: BinaryIO) -> None:
        """Encode some frames."""
        with self._av.open(Unclosed(file), "w", format="mp4", options=EXACT) as container:
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
        stream.pix_fmt = self._pixel_format
        stream.options = _options(self._codec, plan.quality)
        context.time_base = 1 / rate
        context.thread_count = _THREADS
        context.gop_size = _KEY_FRAMES
        context.max_b_frames = 0  # each packet is then a frame, in the order of their times
        context.colorspace, context.color_range = self._colours.matrix, LIMITED
        context.color_primaries, context.color_trc = self._colours.primaries, self._colours.transfer
        if self._source is not None and self._source.aspect:
            aspect = self._source.aspect
            context.sample_aspect_ratio = 1 / aspect if self._source.turns % 2 else aspect
        return stream

    def _picture(self, frame: Frame) -> VideoFrame:
        plan = self._plan
        if frame.pixels.shape[:2] != (plan.height, plan.width):
            given = f"{frame.pixels.shape[1]} x {frame.pixels.shape[0]}"
            raise PictureError(f"a frame is {given}, and not {plan.width} x {plan.height}")
        pixels = np.ascontiguousarray(frame.pixels[:, :, :3])
        rgb = self._av.VideoFrame.from_ndarray(pixels, format="rgb24" if pixels.dtype == np.uint8 else "rgb48le")
        picture: VideoFrame = rgb.reformat(
            format=self._pixel_format,
            dst_colorspace=swscale(self._colours.matrix),
            src_color_range=FULL,
            dst_color_range=LIMITED,
            interpolation=exact_scaling("FULL_CHR_H_INP"),
            threads=1,
        )
        return picture

    def join(self, parts: Sequence[BinaryIO], timings: Sequence[Timing], file: BinaryIO) -> tuple[str, ...]:
        """Put the parts behind each other, and copy the sound, the subtitles and what the source says of itself."""
        if self._source is None:
            self._write(parts, timings, file, None)
            return ()
        with self._source.opened() as source:
            return self._write(parts, timings, file, source)

    def _write(
        self, parts: Sequence[BinaryIO], timings: Sequence[Timing], file: BinaryIO, source: InputContainer | None
    ) -> tuple[str, ...]:
        av = self._av
        told = carried(source.metadata, self._plan.metadata) if source else {}
        parts[0].seek(0)
        with (
            av.open(
                Unclosed(file),
                "w",
                format=self._container,
                options=self._options(told),
                io_open=lambda *_: WhatIsWritten(file),
            ) as container,
            av.open(parts[0]) as first,
        ):
            container.metadata.update(told)
            pictures = container.add_stream_from_template(first.streams.video[0], opaque=True)
            pictures.time_base = self._time_base
            packets = self._packets(parts, timings, pictures)
            if source is None:
                mux_in_order(container, packets)
                return ()
            describe(pictures_of(source), pictures)
            if self._plan.metadata != "strip":
                container.set_chapters(source.chapters())
            pairs, notes = copied_streams(source, container)
            mux_in_order(container, packets, copied_packets(source, pairs))
            return notes

    def _options(self, told: Mapping[str, str]) -> dict[str, str]:
        """Return the options of the film's writer, for what the film says of itself."""
        options = EXACT | _INDEX_FIRST[self._container]
        if self._container in ("mp4", "mov"):
            options["video_track_timescale"] = str(self._time_base.denominator)
            if has_own_names(told):
                options["movflags"] += "+use_metadata_tags"
        return options

    def _packets(
        self, parts: Sequence[BinaryIO], timings: Sequence[Timing], stream: VideoStream
    ) -> Iterator[Packet[Any]]:
        """Yield the packets of all parts with the times of their frames."""
        times = iter(ticks(timings, self._time_base))
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
        return {"crf": f"{8 + 40 * worse:.1f}", "preset": "medium", "bf": "0", "rc-lookahead": _AHEAD}
    if codec == "hevc":
        return {"crf": f"{10 + 38 * worse:.1f}", "preset": "medium", "x265-params": "bframes=0:log-level=error"}
    if codec == "av1":
        return {"crf": str(round(12 + 48 * worse)), "preset": "8", "svtav1-params": "pred-struct=1"}
    still = {"auto-alt-ref": "0", "lag-in-frames": "0"}  # a packet for each frame, at once
    return {"crf": str(round(12 + 48 * worse)), "b": "0", "cpu-used": "4", "deadline": "good", **still}

"""A film that is open: its frames, upright, in sRGB, with their times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dreamd.api import CheckSize, Frame, PictureError
from dreamd_plugins.av.colours import FULL, LIMITED, colours_of, exact_scaling, swscale, tone_mapped
from dreamd_plugins.av.ffmpeg import BYTE, Unclosed, bits_of, library, words
from dreamd_plugins.av.interlacing import deinterlaced
from dreamd_plugins.av.streams import end_of, pictures_of, seconds_of
from dreamd_plugins.av.times import TICKS, timed
from dreamd_plugins.av.wholeness import check_whole

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_READERS = ((4, b"ftyp", "mov"), (4, b"moov", "mov"), (4, b"wide", "mov"), (4, b"mdat", "mov"), (4, b"free", "mov"),
            (0, b"\x1aE\xdf\xa3", "matroska"))  # fmt: skip
"""FFmpeg's reader of a file by its first bytes, at an offset. It is never asked to guess: some of its readers open
other files, or addresses, that a file names."""

_MOST_STREAMS = "200"
"""The most streams of a file, fonts and subtitles among them: FFmpeg takes memory for each before a frame is read."""


class Film:
    """A film that is open."""

    def __init__(self, file: BinaryIO, check_size: CheckSize) -> None:
        self._av = library()
        self._file, self._check_size = file, check_size
        head = file.read(12)
        file.seek(0)
        self._format = next((name for offset, magic, name in _READERS if head.startswith(magic, offset)), None)
        if self._format is None:
            raise PictureError("no film that can be read: neither MP4, MOV, WebM nor Matroska")
        check_whole(file, self._format)
        with words(), self.opened() as container:
            stream = pictures_of(container)
            check_size(stream.width, stream.height)
            self.time_base = Fraction(stream.time_base or Fraction(1, TICKS))
            self.rate = Fraction(stream.average_rate or 0)
            self.aspect = stream.sample_aspect_ratio
            self.frames: int | None = stream.frames or None
            self.seconds = seconds_of(stream, container)
            first = next(container.decode(stream), None)
            if first is None:
                raise PictureError("holds no picture that can be decoded")
            self.turns = round(first.rotation / 90) % 4
            check_size(first.width, first.height)
            self._size = (first.width, first.height)
            self.colours = colours_of(first)
            self._is_interlaced = first.interlaced_frame
            self._is_deep = bits_of(first.format) > BYTE or self.colours.hdr is not None
        self.width, self.height = self._size[:: -1 if self.turns % 2 else 1]
        self.alpha = False
        self.loop: int | None = None
        self.notes = self._noted()

    def _noted(self) -> tuple[str, ...]:
        notes = []
        if self.colours.hdr:
            notes.append(f"its colours are HDR ({self.colours.hdr}) and were brought to those of an ordinary screen")
        if self._is_interlaced:
            notes.append("its frames are interlaced: each was made whole out of its two halves")
        return tuple(notes)

    def read(self, start: Fraction | None = None) -> Iterator[Frame]:
        """Yield the frames by their times."""
        with words(), self.opened() as container:
            stream = pictures_of(container)
            frames = self._decoded(container, stream, start)
            if self._is_interlaced:
                frames = deinterlaced(frames, stream)
            for frame, timing in timed(frames, self.time_base, self.rate, end_of(stream)):
                if start is None or timing.time >= start:
                    yield Frame(pixels=self._pixels(frame), timing=timing)

    def _decoded(self, container: InputContainer, stream: VideoStream, start: Fraction | None) -> Iterator[VideoFrame]:
        """Decode from a key frame before a time on; from the beginning where that is not found."""
        if start is not None and start > 0:
            ahead = 1 if self._is_interlaced else 0  # the frame before it is looked at too
            container.seek(int(start / self.time_base) - ahead, stream=stream, backward=True)
            frames = container.decode(stream)
            first = next(frames, None)
            if first is not None and first.pts is not None and first.pts * self.time_base <= start:
                yield first
                yield from frames
                return
            container.seek(0)
        yield from container.decode(stream)

    def _pixels(self, frame: VideoFrame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        self._check_size(frame.width, frame.height)
        if (frame.width, frame.height) != self._size:
            raise PictureError(f"its frames change their size, from {self._size} to {(frame.width, frame.height)}")
        is_full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
        rgb: Any = frame.to_ndarray(
            format="rgb48le" if self._is_deep else "rgb24",
            src_colorspace=swscale(self.colours.matrix),
            src_color_range=FULL if is_full else LIMITED,
            dst_color_range=FULL,
            interpolation=exact_scaling("FULL_CHR_H_INT"),
            threads=1,
        )
        if self.colours.hdr is not None:
            rgb = tone_mapped(rgb.astype(np.uint16, copy=False), self.colours)
        upright: NDArray[Any] = np.ascontiguousarray(np.rot90(rgb, self.turns))
        return upright

    def opened(self) -> InputContainer:
        """Open the file from its beginning."""
        self._file.seek(0)
        options = {"max_streams": _MOST_STREAMS}
        container: InputContainer = self._av.open(Unclosed(self._file), format=self._format, options=options)
        return container

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

"""Films as plugins give and take them: frames with their times. Knows no file format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dreamd.pictures.colours.conversion import are_bytes
from dreamd.pictures.picture import Bytes

Levels = NDArray[np.uint8] | NDArray[np.uint16]
"""A frame's pixels, of which the largest number of their kind is white."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When a frame is shown, in seconds, exactly.

    Attributes:
        time: from the beginning of the film's clock.
        duration: until the next frame; 0 when nobody said.
    """

    time: Fraction
    duration: Fraction = Fraction(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One picture of a film.

    Attributes:
        pixels: `[H, W, 3]` uint8, sRGB, upright; `[H, W, 4]` with an alpha channel. Of a film with more than 8 bits
            they may be uint16, with 65535 for white.
        timing: when it is shown.
    """

    pixels: Levels
    timing: Timing


def as_bytes(pixels: Levels) -> Bytes:
    """Return a frame's pixels in 8 bits."""
    if are_bytes(pixels):
        return pixels
    white = np.iinfo(np.uint16).max
    return ((pixels.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)


class Film(Protocol):
    """A film that is open for reading, frame by frame, so that it may be of any length.

    Attributes:
        width: in pixels, of the upright frames.
        height: in pixels.
        alpha: whether its frames have an alpha channel.
        frames: how many frames there are, as far as the file says; None when it does not.
        seconds: how long it lasts, as far as the file says; None when it does not.
        loop: how often it is shown, 0 for ever; None when the file does not say.
        notes: what a person should know about how it is read, in words.
    """

    width: int
    height: int
    alpha: bool
    frames: int | None
    seconds: float | None
    loop: int | None
    notes: tuple[str, ...]

    def read(self, start: Fraction | None = None) -> Iterator[Frame]:
        """Yield the frames in the order of their times, each later than the one before.

        Args:
            start: the time of a frame that was read before: begin with it. None: with the first.

        Raises:
            PictureError: the file is broken or cut off there.
        """
        ...

    def close(self) -> None:
        """Let go of the file. What was read before stays."""
        ...


@dataclass(frozen=True, kw_only=True)
class FilmPlan:
    """The film that is to be written.

    Attributes:
        width: in pixels.
        height: in pixels.
        alpha: whether its frames have an alpha channel.
        extension: the ending of its file's name: `.mp4`.
        loop: how often it is shown, 0 for ever; None for what the format does by itself.
        quality: 1 to 100.
        codec: what the frames are coded with, for formats that have a choice; `auto` chooses.
        pixel_format: how their pixels are stored, by FFmpeg's name, for formats that have a choice; `auto` chooses.
        metadata: whether the result says of itself what its source does, such as its title, when it was taken and
            where; `strip_location` leaves out where.
    """

    width: int
    height: int
    alpha: bool
    extension: str
    loop: int | None = None
    quality: int = 92
    codec: str = "auto"
    pixel_format: str = "auto"
    metadata: Literal["keep", "strip", "strip_location"] = "keep"


class FilmWriter(Protocol):
    """Writes one film, part by part. Parts are kept, so that a film that was broken off goes on after the last one.

    Attributes:
        deep: whether the film holds more than 8 bits: its frames are then uint16, and else uint8.
    """

    deep: bool

    def part(self, frames: Iterable[Frame], file: BinaryIO) -> None:
        """Write some frames that follow each other into a file of their own, the same bytes for the same frames.

        Raises:
            PictureError: the format cannot hold such frames.
        """
        ...

    def join(self, parts: Sequence[BinaryIO], timings: Sequence[Timing], file: BinaryIO) -> tuple[str, ...]:
        """Write the film out of its parts, with the sound of its source.

        Args:
            parts: the parts, in order.
            timings: when each frame of all parts is shown.
            file: the film's file, open for reading and writing.

        Returns:
            What a person should know about the result, in words: that there was no place for the sound.
        """
        ...

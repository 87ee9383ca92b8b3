"""Films as they come: opened by the plugin of their kind, within the limits, frame by frame at the recipe's size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.errors import PictureError
from dreamd.pictures.colours.conversion import are_bytes
from dreamd.pictures.film import Film, Frame, Levels, as_bytes
from dreamd.pictures.reading import open_regular, sha256_of
from dreamd.plugin_host.host import Plugins, Registered
from dreamd.wording import printable
from dreamd.worker.machine.bounds import Bounds

PICTURES = frozenset({".gif", ".png", ".webp", ".avif"})
"""The endings of files that may hold one picture, and that dreamd reads by itself then."""


@dataclass(frozen=True, eq=False)
class Source:
    """A film that is open.

    Attributes:
        film: the film.
        name: its file's name, printable.
        extension: the ending of that name, in small letters.
        reader: the plugin that reads it.
        width: of the frames that are dreamed, in pixels.
        height: the same.
    """

    film: Film
    name: str
    extension: str
    reader: Registered
    width: int
    height: int
    _file: BinaryIO
    _bounds: Bounds

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how it is read."""
        return tuple(self.film.notes)

    def frames(
        self, start: Fraction | None = None, *, first: int = 0, begin: Fraction | None = None, deep: bool = False
    ) -> Iterator[Frame]:
        """Yield the frames from a time on, at the size at which they are dreamed.

        Args:
            start: the time of a frame; None: the first.
            first: the number of that frame, for the limit.
            begin: the time of the film's first frame, for the limit; None: that frame is the first.
            deep: whether frames of more than 8 bits keep them.

        Raises:
            PictureError: there are more than the limits allow, or the file is broken there.
        """
        try:
            for number, frame in enumerate(self.film.read(start), first + 1):
                begin = frame.timing.time if begin is None else begin
                _check_length(number, float(frame.timing.time - begin), self.name, self._bounds)
                pixels = frame.pixels if deep else as_bytes(frame.pixels)
                yield Frame(pixels=_fitted(pixels, self.width, self.height), timing=frame.timing)
        except PictureError as error:
            raise _named(error, self.name) from error

    def sha256(self) -> str:
        """Return the checksum of the film's file."""
        return sha256_of(self._file)

    def close(self) -> None:
        """Let go of the file."""
        self.film.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_source(plugins: Plugins, bounds: Bounds, path: Path, max_side: int | None) -> Source | None:
    """Open a film; None for what no plugin of films takes, and for a file of one picture.

    Args:
        plugins: the engine's.
        bounds: what a film may cost.
        path: the file; a symbolic link is not followed.
        max_side: the longest side of the frames that are dreamed, in pixels; None: their own.

    Raises:
        PictureError: it is no regular file, or broken, too large or too long.
        PluginError: the plugin that reads it breaks its contract, or lacks a library.
    """
    extension, name = path.suffix.lower(), printable(path.name)
    reader = plugins.film(extension)
    if reader is None:
        return None
    file = open_regular(path, name)
    try:
        film = _opened(reader, file, name, extension, bounds)
    except BaseException:
        file.close()
        raise
    if film is None:
        file.close()
        return None
    width, height = _fitting(film.width, film.height, max_side)
    return Source(film, name, extension, reader, width, height, file, bounds)


def check_no_film(plugins: Plugins, path: Path) -> None:
    """Raise PictureError for the name of a film, where a film is to be made out of a picture."""
    extension = path.suffix.lower()
    if extension not in PICTURES and plugins.film(extension) is not None:
        words = "is a film, and film.frames makes one out of a picture: give a picture, or a recipe without film.frames"
        raise PictureError(f"{printable(path.name)} {words}")


class _TooLargeError(PictureError):
    """A frame has more pixels than may be."""


def _opened(reader: Registered, file: BinaryIO, name: str, extension: str, bounds: Bounds) -> Film | None:
    def check_size(width: int, height: int) -> None:
        if width * height > bounds.max_pixels:
            most = f"more than limits.max_pixels allows ({bounds.max_pixels})"
            raise _TooLargeError(f"{name}: {width} x {height} pixels, {most}")

    def check_bytes() -> None:
        if length > bounds.max_film_bytes:
            raise PictureError(f"{name}: {length / 1e6:.0f} MB, more than limits.max_film_bytes allows")

    length = file.seek(0, 2)
    file.seek(0)
    if extension not in PICTURES:
        check_bytes()
    try:
        film: Film | None = reader.function(file, check_size)
    except PictureError as error:
        if extension in PICTURES and not isinstance(error, _TooLargeError):
            return None  # who reads pictures says it better, or saves what there is
        raise _named(error, name) from error
    if film is not None:
        check_bytes()
        _check_length(film.frames, film.seconds, name, bounds)
    return film


def _check_length(frames: int | None, seconds: float | None, name: str, bounds: Bounds) -> None:
    """Raise PictureError when a film has more frames, or lasts longer, than the limits allow."""
    if frames is not None and frames > bounds.max_frames:
        raise PictureError(f"{name}: {frames} frames, more than limits.max_frames allows ({bounds.max_frames})")
    if seconds is not None and not 0 <= seconds <= bounds.max_film_seconds:
        raise PictureError(
            f"{name}: lasts {seconds:g} s, more than limits.max_film_seconds allows ({bounds.max_film_seconds:g})"
        )


def _named(error: PictureError, name: str) -> PictureError:
    return error if str(error).startswith(name) else PictureError(f"{name}: {error}")


def _fitting(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Return the size of a frame no side of which is longer than `max_side`; even, as most players want it."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _fitted(pixels: Levels, width: int, height: int) -> Levels:
    if pixels.shape[:2] == (height, width):
        return pixels
    if not are_bytes(pixels):
        return _deep_fitted(pixels, width, height)
    image = Image.fromarray(pixels)
    if pixels.shape[2] == 3:
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    # Premultiplied while it shrinks, or the colours hidden under transparent pixels would bleed into their edges.
    return np.asarray(image.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS).convert("RGBA"))


def _deep_fitted(pixels: Levels, width: int, height: int) -> NDArray[np.uint16]:
    """Shrink each channel in floats: Pillow has no colours of 16 bits. What is clear is not looked at."""
    channels = (Image.fromarray(pixels[:, :, number].astype(np.float32)) for number in range(pixels.shape[2]))
    shrunk = [np.asarray(channel.resize((width, height), Image.Resampling.LANCZOS)) for channel in channels]
    return np.stack(shrunk, 2).clip(0, np.iinfo(np.uint16).max).round().astype(np.uint16)

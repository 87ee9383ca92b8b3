"""FFmpeg as PyAV has it: the library, its files, its errors and its names of formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from dreamd.api import PictureError, PluginError

if TYPE_CHECKING:
    from av.video.format import VideoFormat

WRITERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm", ".mkv": "matroska"}
"""FFmpeg's writer by the ending of a name."""

EXACT = {"fflags": "+bitexact"}
"""Leaves out of a file what differs each time: random numbers, the date, the version of FFmpeg."""


BYTE = 8
"""The bits of a byte: a format with more of them for a colour is deep."""


def library() -> Any:
    """Return PyAV. Raises PluginError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise PluginError(f"films need PyAV: pip install 'dreamd[video]' ({error})") from error
    return av


def bits_of(form: VideoFormat) -> int:
    """Return how many bits a colour has in a format of pixels."""
    return max(component.bits for component in form.components)


class Unclosed:
    """A file as FFmpeg reads and writes it: closing a container must not close it."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        if file.writable():
            self.write = file.write


class WhatIsWritten:
    """Reads a file that FFmpeg writes at the same time, at a place of its own: so it moves what it has written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._place = file, 0

    def read(self, count: int) -> bytes:
        """Read on."""
        written_to = self._file.tell()
        self._file.seek(self._place)
        data = self._file.read(count)
        self._file.seek(written_to)
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere."""
        written_to = self._file.tell()
        self._place = self._file.seek(self._place + offset if whence == 1 else offset, 0 if whence == 1 else whence)
        self._file.seek(written_to)
        return self._place

    def tell(self) -> int:
        """Return where it reads."""
        return self._place

    def close(self) -> None:
        """Leave the file open."""


@contextmanager
def words() -> Iterator[None]:
    """Tell FFmpeg's errors as those of the file, in words."""
    try:
        yield
    except MemoryError as error:  # FFmpeg says so of too many streams as well
        raise PictureError("a film with too many streams, or that takes more memory than there is") from error
    except (library().error.FFmpegError, IndexError, ValueError, EOFError) as error:
        raise PictureError(f"a film that is broken or cut off: {error}; copy it again") from error

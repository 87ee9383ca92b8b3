"""The bytes of an open file, a few at a time: no more of them are read than telling whether it is whole is worth."""

from __future__ import annotations

import os
import struct

_WINDOW_BYTES = 1 << 18
"""The most bytes that are read from the file at a time."""

_MOST_BYTES = 1 << 26
"""The most bytes of one file that are read; whether a larger one is whole stays unknown."""

_MOST_STEPS = 100_000
"""The most parts of one file that are stepped over."""


class BeyondTheEndError(Exception):
    """Bytes were asked for that are not there."""


class TooMuchError(Exception):
    """Telling whether the file is whole takes more than it is worth."""


class FileBytes:
    """The bytes of an open file."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._window = b""
        self._start = 0
        self._reach = 16
        self._steps = 0
        self._bytes = 0
        self.size = size

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from an offset on.

        Raises:
            BeyondTheEndError: there are fewer.
            TooMuchError: too much of the file was read already.
        """
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise TooMuchError
        if offset + count > self.size:
            raise BeyondTheEndError
        if not self._start <= offset <= offset + count <= self._start + len(self._window):
            self._move_window(offset, count)
        found = self._window[offset - self._start : offset - self._start + count]
        if len(found) < count:  # it became shorter meanwhile
            raise BeyondTheEndError
        return found

    def number(self, offset: int, form: str) -> int:
        """Return the number at an offset, which has a form of `struct`'s."""
        value: int = struct.unpack(form, self.read(offset, struct.calcsize(form)))[0]
        return value

    def ends_with(self, mark: bytes) -> bool:
        """Return whether the last bytes are these."""
        return self.size >= len(mark) and self.read(self.size - len(mark), len(mark)) == mark

    def holds(self, mark: bytes, offset: int) -> bool:
        """Return whether these bytes are anywhere from an offset on."""
        while offset < self.size:
            count = min(_WINDOW_BYTES, self.size - offset)
            if mark in self.read(offset, count):
                return True
            offset += max(1, count - len(mark) + 1)
        return False

    def _move_window(self, offset: int, count: int) -> None:
        # Most files are told by a few bytes of their two ends; only those that are stepped through are read in earnest.
        self._reach = min(4 * self._reach, _WINDOW_BYTES)
        count = min(max(count, self._reach), self.size - offset)
        self._bytes += count
        if self._bytes > _MOST_BYTES:
            raise TooMuchError
        self._window, self._start = os.pread(self._descriptor, count, offset), offset

"""A file made of pieces of another one, so that a decoder sees only the parts that it needs."""

from __future__ import annotations

import bisect
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of a file.

    Attributes:
        start: its first byte.
        length: its bytes.
    """

    start: int
    length: int


Piece = bytes | Range
"""A piece is bytes of its own or a stretch of the underlying file."""


def length_of(piece: Piece) -> int:
    """Return the bytes of a piece."""
    return piece.length if isinstance(piece, Range) else len(piece)


def spliced(file: BinaryIO, pieces: Sequence[Piece]) -> BinaryIO:
    """Return the pieces as one file to read; nothing of `file` is copied."""
    return io.BufferedReader(_Spliced(file, pieces))


class _Spliced(io.RawIOBase):
    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file = file
        self._pieces = _merged(pieces)
        self._starts = [0, *itertools.accumulate(map(length_of, self._pieces))]
        self._size = self._starts.pop()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._position >= self._size:
            return 0
        view = memoryview(buffer).cast("B")
        number = bisect.bisect_right(self._starts, self._position) - 1
        piece, inside = self._pieces[number], self._position - self._starts[number]
        data = self._read(piece, inside, min(length_of(piece) - inside, len(view)))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, piece: Piece, inside: int, length: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[inside : inside + length]
        self._file.seek(piece.start + inside)
        return self._file.read(length)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces with stretches that follow each other as one, and without empty ones."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else b""
        if not length_of(piece):
            continue
        if isinstance(piece, Range) and isinstance(last, Range) and last.start + last.length == piece.start:
            merged[-1] = Range(last.start, last.length + piece.length)
        else:
            merged.append(piece)
    return merged

"""A file made of pieces of another one, so that a decoder sees only the parts that it needs."""

from __future__ import annotations

import io
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


def spliced(file: BinaryIO, pieces: Sequence[Piece]) -> BinaryIO:
    """Return the pieces as one file to read; nothing of `file` is copied."""
    return io.BufferedReader(_Spliced(file, pieces))


class _Spliced(io.RawIOBase):
    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file = file
        self._pieces: list[tuple[int, int, Piece]] = []
        self._size = 0
        self._position = 0
        for piece in pieces:
            length = piece.length if isinstance(piece, Range) else len(piece)
            if length > 0:
                self._pieces.append((self._size, length, piece))
                self._size += length

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
        view = memoryview(buffer).cast("B")
        for start, length, piece in self._pieces:
            inside = self._position - start
            if 0 <= inside < length:
                data = self._read(piece, inside, min(length - inside, len(view)))
                view[: len(data)] = data
                self._position += len(data)
                return len(data)
        return 0

    def _read(self, piece: Piece, inside: int, length: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[inside : inside + length]
        self._file.seek(piece.start + inside)
        return self._file.read(length)

"""Directories of TIFF, which EXIF uses too: tags with raw values, read and written without a look at their meaning.

Source: TIFF 6.0, section 2. Values keep the bytes that they have, so that a text in any encoding stays as it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

Order = Literal["<", ">"]
"""The byte order of a block, as `struct` writes it."""

SIZE_OF_KIND = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
"""A number of a kind of value leads to its bytes; 129 is the UTF-8 of EXIF 3."""

ASCII, SHORT, LONG, UNDEFINED, POINTER = 2, 3, 4, 7, 13

_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I"}

_HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag's value.

    Attributes:
        kind: a key of `SIZE_OF_KIND`.
        data: the value's bytes, in the byte order of its block.
    """

    kind: int
    data: bytes

    def numbers(self, order: Order) -> tuple[int, ...]:
        """Return the whole numbers of the value; none for values of other kinds."""
        sign = _NUMBERS.get(self.kind)
        if sign is None:
            return ()
        return struct.unpack(f"{order}{len(self.data) // SIZE_OF_KIND[self.kind]}{sign}", self.data)

    def ratios(self, order: Order) -> tuple[float, ...]:
        """Return the fractions of the value; none for values of other kinds. Raises ZeroDivisionError."""
        if self.kind != 5:
            return ()
        parts = struct.unpack(f"{order}{len(self.data) // 4}I", self.data)
        return tuple(above / below for above, below in zip(parts[::2], parts[1::2], strict=True))


Directory = Mapping[int, Entry]
"""A directory's values by their tags."""


def byte_order(header: bytes) -> Order:
    """Return the byte order that a TIFF structure begins with. Raises ValueError for bytes that begin none."""
    if header[:4] in (b"II*\0", b"II+\0"):
        return "<"
    if header[:4] in (b"MM\0*", b"MM\0+"):
        return ">"
    raise ValueError("it does not begin as TIFF does")


def read_directory(
    file: BinaryIO, order: Order, offset: int, *, wanted: Callable[[int], bool], longest: int, room: int
) -> tuple[dict[int, Entry], int]:
    """Read a directory.

    Args:
        file: the whole structure; offsets count from its start.
        order: its byte order.
        offset: where the directory is.
        wanted: whether a tag is to be read.
        longest: a longer value, in bytes, is left out.
        room: the bytes that all values together may take; what comes later is left out.

    Returns:
        The values by their tags, and the offset of the next directory, 0 for none.

    Raises:
        ValueError: the directory is not there as a whole.
    """
    file.seek(offset)
    head = file.read(2)
    count = int.from_bytes(head, "little" if order == "<" else "big")
    table = file.read(12 * count)
    if len(head) < 2 or len(table) < 12 * count:
        raise ValueError("a directory is cut off")
    following = file.read(4)
    found: dict[int, Entry] = {}
    for start in range(0, len(table), 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", table, start)
        length = SIZE_OF_KIND.get(kind, 0) * values
        if not length or tag in found or length > min(longest, room) or not wanted(tag):
            continue
        data = table[start + 8 : start + 12][:length]
        if length > 4:
            file.seek(struct.unpack_from(f"{order}I", table, start + 8)[0])
            data = file.read(length)
        if len(data) == length:
            found[tag] = Entry(kind, data)
            room -= length
    return found, struct.unpack(f"{order}I", following)[0] if len(following) == 4 else 0


def directory_bytes(entries: Directory, order: Order, start: int) -> bytes:
    """Return a directory and its values as they stand at the offset `start`, with no directory after it."""
    table, values = struct.pack(f"{order}H", len(entries)), b""
    values_start = start + 2 + 12 * len(entries) + 4
    for tag, entry in sorted(entries.items()):
        table += struct.pack(f"{order}HHI", tag, entry.kind, len(entry.data) // SIZE_OF_KIND[entry.kind])
        if len(entry.data) <= 4:
            table += entry.data.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", values_start + len(values))
            values += entry.data + b"\0" * (len(entry.data) % 2)
    return table + bytes(4) + values


def block_bytes(main: Directory, inner: Mapping[int, Directory], order: Order, start: int = 0) -> bytes:
    """Return a main directory and those that its pointers lead to, as they stand at the offset `start`.

    Args:
        main: the main directory, without pointers.
        inner: a pointer's tag leads to the directory that it points to; empty ones are left out.
        order: the byte order.
        start: 0 for a structure of its own, which gets a header; else the offset in a structure that is there.
    """
    header = b""
    if not start:
        header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", _HEADER_BYTES)
    start += len(header)
    pointers = {tag: Entry(LONG, bytes(4)) for tag, directory in inner.items() if directory}
    at = start + len(directory_bytes({**main, **pointers}, order, start))
    bodies = b""
    for tag in pointers:
        pointers[tag] = Entry(LONG, struct.pack(f"{order}I", at + len(bodies)))
        bodies += directory_bytes(inner[tag], order, at + len(bodies))
    return header + directory_bytes({**main, **pointers}, order, start) + bodies

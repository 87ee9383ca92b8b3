"""Directories of TIFF, which EXIF uses too: tags with raw values, read and written without a look at their meaning.

Sources: TIFF 6.0, section 2; libtiff's design of BigTIFF, 2007. Values keep the bytes that they have, so that a text
in any encoding stays as it is.
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

ASCII, SHORT, LONG, UNDEFINED, POINTER, LONG8 = 2, 3, 4, 7, 13, 16

_SIZE_IN_BIG = {**SIZE_OF_KIND, LONG8: 8, 17: 8, 18: 8}
"""BigTIFF has three kinds more: whole numbers of 64 bit, with a sign, and places."""

_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", LONG8: "Q", 18: "Q"}

_HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Form:
    """How numbers stand in a TIFF.

    Attributes:
        order: their byte order.
        is_big: whether it is a BigTIFF, whose places have 64 bit.
    """

    order: Order
    is_big: bool = False

    @property
    def place(self) -> str:
        """The sign of `struct` for a place in the file, and for how many values there are."""
        return "Q" if self.is_big else "I"

    @property
    def place_bytes(self) -> int:
        """The bytes of a place; a value that takes no more stands in its place."""
        return 8 if self.is_big else 4

    @property
    def count(self) -> str:
        """The sign of `struct` for how many entries a directory has."""
        return "Q" if self.is_big else "H"

    def table_bytes(self, entries: int) -> int:
        """Return the bytes of a directory of so many entries, up to where it tells the next one."""
        return 8 + 20 * entries if self.is_big else 2 + 12 * entries

    def number(self, sign: str, data: bytes) -> int:
        """Return the number that a sign of `struct` reads. Raises struct.error."""
        value: int = struct.unpack(f"{self.order}{sign}", data)[0]
        return value

    def header(self, first: int) -> bytes:
        """Return what a TIFF begins with, by which its first directory is at `first`."""
        mark = b"II" if self.order == "<" else b"MM"
        rest = ("HHHQ", 43, 8, 0, first) if self.is_big else ("HI", 42, first)
        return mark + struct.pack(f"{self.order}{rest[0]}", *rest[1:])


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag's value.

    Attributes:
        kind: a key of `SIZE_OF_KIND`, or one of the three that BigTIFF adds.
        data: the value's bytes, in the byte order of its block.
    """

    kind: int
    data: bytes

    def numbers(self, order: Order) -> tuple[int, ...]:
        """Return the whole numbers of the value; none for values of other kinds."""
        sign = _NUMBERS.get(self.kind)
        if sign is None:
            return ()
        return struct.unpack(f"{order}{len(self.data) // _SIZE_IN_BIG[self.kind]}{sign}", self.data)

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


def form_of(file: BinaryIO) -> tuple[Form, int]:
    """Return how numbers stand in a TIFF, and where its first directory is. Raises ValueError when it is no TIFF."""
    file.seek(0)
    header = file.read(16)
    form = Form(byte_order(header), is_big=header[2:4] in (b"+\0", b"\0+"))
    place = header[8:16] if form.is_big else header[4:8]
    if len(place) < form.place_bytes:
        raise ValueError("a header is cut off")
    return form, form.number(form.place, place)


def read_directory(
    file: BinaryIO, form: Form, offset: int, *, wanted: Callable[[int], bool], longest: int, room: int
) -> tuple[dict[int, Entry], int]:
    """Read a directory.

    Args:
        file: the whole structure; offsets count from its start.
        form: how numbers stand in it.
        offset: where the directory is.
        wanted: whether a tag is to be read.
        longest: a longer value, in bytes, is left out.
        room: the bytes that all values together may take; what comes later is left out.

    Returns:
        The values by their tags, and the offset of the next directory, 0 for none.

    Raises:
        ValueError: the directory is not there as a whole.
    """
    table = _table(file, form, offset)
    following = file.read(form.place_bytes)
    found: dict[int, Entry] = {}
    step, sizes = form.table_bytes(1) - form.table_bytes(0), _SIZE_IN_BIG if form.is_big else SIZE_OF_KIND
    for start in range(0, len(table), step):
        tag, kind, values = struct.unpack_from(f"{form.order}HH{form.place}", table, start)
        length = sizes.get(kind, 0) * values
        if not length or tag in found or length > min(longest, room) or not wanted(tag):
            continue
        data = table[start + step - form.place_bytes : start + step][:length]
        if length > form.place_bytes:
            file.seek(min(form.number(form.place, data), _FARTHEST))
            data = file.read(length)
        if len(data) == length:
            found[tag] = Entry(kind, data)
            room -= length
    return found, form.number(form.place, following) if len(following) == form.place_bytes else 0


_FARTHEST = 2**62
"""No file is longer, in bytes, and none can be read from a place behind 2**63."""

_MOST_ENTRIES = 65_535
"""A directory has no more entries, of which each has another tag."""


def _table(file: BinaryIO, form: Form, offset: int) -> bytes:
    """Return the entries of a directory. Raises ValueError when it is not there as a whole."""
    file.seek(min(offset, _FARTHEST))
    head = file.read(form.table_bytes(0))
    count = form.number(form.count, head) if len(head) == form.table_bytes(0) else _MOST_ENTRIES
    if count > _MOST_ENTRIES:
        raise ValueError("a directory is broken")
    length = form.table_bytes(count) - form.table_bytes(0)
    table = file.read(length)
    if len(head) < form.table_bytes(0) or len(table) < length:
        raise ValueError("a directory is cut off")
    return table


def directory_bytes(entries: Directory, form: Form, start: int) -> bytes:
    """Return a directory and its values as they stand at the offset `start`, with no directory after it."""
    table, values = struct.pack(f"{form.order}{form.count}", len(entries)), b""
    values_start = start + form.table_bytes(len(entries)) + form.place_bytes
    for tag, entry in sorted(entries.items()):
        number = len(entry.data) // _SIZE_IN_BIG[entry.kind]
        table += struct.pack(f"{form.order}HH{form.place}", tag, entry.kind, number)
        if len(entry.data) <= form.place_bytes:
            table += entry.data.ljust(form.place_bytes, b"\0")
        else:
            table += struct.pack(f"{form.order}{form.place}", values_start + len(values))
            values += entry.data + b"\0" * (len(entry.data) % 2)
    return table + bytes(form.place_bytes) + values


def block_bytes(main: Directory, inner: Mapping[int, Directory], form: Form, start: int = 0) -> bytes:
    """Return a main directory and those that its pointers lead to, as they stand at the offset `start`.

    Args:
        main: the main directory, without pointers.
        inner: a pointer's tag leads to the directory that it points to; empty ones are left out.
        form: how numbers stand in it.
        start: 0 for a structure of its own, which gets a header; else the offset in a structure that is there.
    """
    header = b"" if start else form.header(_HEADER_BYTES)
    start += len(header)
    kind = LONG8 if form.is_big else LONG
    pointers = {tag: Entry(kind, bytes(form.place_bytes)) for tag, directory in inner.items() if directory}
    at = start + len(directory_bytes({**main, **pointers}, form, start))
    bodies = b""
    for tag in pointers:
        pointers[tag] = Entry(kind, struct.pack(f"{form.order}{form.place}", at + len(bodies)))
        bodies += directory_bytes(inner[tag], form, at + len(bodies))
    return header + directory_bytes({**main, **pointers}, form, start) + bodies

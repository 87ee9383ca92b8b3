"""The directories of a TIFF or BigTIFF, as far as they tell where its bytes are (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from typing import ClassVar

from dreamd.inbox.wholeness.file_bytes import FileBytes


class TiffReader:
    """Reads the directories of a TIFF file."""

    _FORMS: ClassVar = {
        3: "H", 4: "I", 5: "Q", 8: "H", 9: "I", 10: "Q", 11: "I", 12: "Q", 13: "I", 16: "Q", 17: "Q", 18: "Q",
    }  # fmt: skip
    """The forms of `struct`'s that are as wide as the types of values are. All other types are one byte wide."""

    _TAGS = frozenset((273, 279, 324, 325, 330))
    """Where strips are and how long, the same for tiles, and directories below this one."""

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        self._order = "<" if file.read(0, 2) == b"II" else ">"
        self._is_big = file.number(2, self._order + "H") == 43
        self._place = self._order + ("Q" if self._is_big else "I")
        self._width = 8 if self._is_big else 4

    def first_directory(self) -> int:
        """Return the place of the first directory."""
        return self._file.number(self._width, self._place)

    def directory(self, place: int) -> tuple[dict[int, tuple[int, ...]], int]:
        """Return a directory's fields that tell of places, by their tags, and the place of the next directory."""
        form = self._order + ("Q" if self._is_big else "H")
        count = self._file.number(place, form)
        start, length = place + struct.calcsize(form), 4 + 2 * self._width
        fields = {}
        for entry in range(start, start + count * length, length):
            tag, data = self._entry(entry)
            if tag in self._TAGS:
                fields[tag] = data
        return fields, self._file.number(start + count * length, self._place)

    def _entry(self, entry: int) -> tuple[int, tuple[int, ...]]:
        """Return a field's tag, and its values if it tells of places; all of them must be there in any case."""
        tag, kind = (self._file.number(entry + place, self._order + "H") for place in (0, 2))
        count = self._file.number(entry + 4, self._place)
        form = self._FORMS.get(kind, "B")
        place, size = entry + 4 + self._width, count * struct.calcsize(form)
        if size > self._width:
            place = self._file.number(place, self._place)
        self._file.read(max(0, place + size - 1), 1)
        if tag not in self._TAGS:
            return tag, ()
        return tag, struct.unpack(f"{self._order}{count}{form}", self._file.read(place, size))

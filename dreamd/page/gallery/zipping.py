"""Many results as one ZIP, which is written while it is sent: never more than a piece of a picture is in memory.

Pictures are stored and not deflated, since they are compressed already.
"""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from unicodedata import normalize

from dreamd.files.names import free_names, split_name
from dreamd.job import Job
from dreamd.page.outbox import opened_result

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK_BYTES = 1 << 18
"""The bytes of the pieces in which a picture is read."""

_UNPORTABLE = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]')
"""What a name may hold here, and not everywhere that a ZIP is unpacked."""

_EARLIEST = 1980
"""The first year that a ZIP can tell."""


class _Pipe(io.RawIOBase):
    """What a ZIP is written into, and read from in the next moment. It cannot be sought, as the ZIP finds out."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Take a piece."""
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def zipped(jobs: Sequence[Job], outbox: Path) -> Iterator[bytes]:
    """Yield the bytes of a ZIP with the results of done jobs; what has gone meanwhile is left out.

    Reads files: take each piece in a thread.
    """
    pipe = _Pipe()
    taken: set[str] = set()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for job in jobs:
            path = PurePosixPath(job.result or "")
            file = opened_result(job, outbox, path.name, with_trash=True)
            if file is None:
                continue
            with closing(file):
                entry = zipfile.ZipInfo(_name_for(path, taken), _moment(job))
                # A picture may be larger than 2 GiB, and how large it is stands behind it in the ZIP.
                with archive.open(entry, "w", force_zip64=True) as target:
                    while chunk := file.read(_CHUNK_BYTES):
                        target.write(chunk)
                        yield pipe.taken()
            yield pipe.taken()
    yield pipe.taken()


def _name_for(path: PurePosixPath, taken: set[str]) -> str:
    """Return a name that unpacks everywhere, and that no other has, be it in capital letters or composed otherwise."""
    *folders, name = (_UNPORTABLE.sub("_", part).rstrip(" .") or "_" for part in path.parts)
    place = PurePosixPath(*folders)

    def same(tried: str) -> str:
        return normalize("NFC", str(place / tried)).casefold()

    found = next(free_names(*split_name(name), lambda tried: same(tried) in taken))
    taken.add(same(found))
    return str(place / found)


def _moment(job: Job) -> tuple[int, int, int, int, int, int]:
    """Return when a dream came out, as a ZIP tells it."""
    moment = time.localtime(job.finished_at or 0.0)
    if moment.tm_year < _EARLIEST:
        return _EARLIEST, 1, 1, 0, 0, 0
    return moment.tm_year, moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec

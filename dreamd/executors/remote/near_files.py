"""Files beside the daemon that go to a seat elsewhere: pictures, and what their recipes name. Knows no messages."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dreamd.executors.remote.cluster import PIECE_BYTES, NearFile
from dreamd.executors.remote.translation import texts_of
from dreamd.files.nofollow import Entry, opened_folder
from dreamd.messages import Order

_WEIGHTS = "weights"
"""The key in a recipe of a path that may lie anywhere: the recipe was checked for it when it was read."""


@contextmanager
def opened_source(order: Order) -> Iterator[BinaryIO]:
    """Open the picture of an order, without following a symlink below its root. Raises OSError."""
    root = order.root or order.source.parent
    parts = order.source.relative_to(root).parts[:-1]
    with opened_folder(root, parts) as folder, Entry(folder, order.source.name).open() as file:
        yield file


def pieces_of(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Read a file in pieces, each with its offset in bytes. An empty file is one empty piece."""
    offset = 0
    piece = file.read(PIECE_BYTES)
    yield offset, piece
    while len(piece) == PIECE_BYTES:
        offset += len(piece)
        piece = file.read(PIECE_BYTES)
        if piece:
            yield offset, piece


class NamedFiles:
    """The files that recipes name, with their digests, which are reckoned once as long as a file does not change."""

    def __init__(self) -> None:
        """Know none yet."""
        self._digests: dict[tuple[str, int, int, int], str] = {}

    def of(self, recipe: str, readable: Sequence[Path]) -> tuple[NearFile, ...]:
        """Return the files that a recipe in JSON names.

        Args:
            recipe: the recipe.
            readable: the folders that its pictures and vectors may lie in; one elsewhere is left out, and the worker
                says that it cannot be read.

        Raises:
            OSError: a file cannot be read.
        """
        texts = [(key, text) for key, text in texts_of(json.loads(recipe)) if text.startswith("/")]
        paths = dict.fromkeys(
            text for key, text in texts if Path(text).is_file() and (key == _WEIGHTS or _lies_in(Path(text), readable))
        )
        return tuple(NearFile(path=path, digest=self._digest_of(path), suffix=Path(path).suffix) for path in paths)

    def _digest_of(self, path: str) -> str:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            key = (path, status.st_ino, status.st_mtime_ns, status.st_size)
            if key not in self._digests:
                self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[key]


def _lies_in(path: Path, folders: Sequence[Path]) -> bool:
    """Return whether a file that is no link lies below one of some folders."""
    place = Path(os.path.realpath(path.parent))
    return not path.is_symlink() and any(place.is_relative_to(os.path.realpath(folder)) for folder in folders)

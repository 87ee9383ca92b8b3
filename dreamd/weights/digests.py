"""Digests of weights: what a file's SHA-256 is, what it should be, and the record of it beside the file.

The record is `FILE.sha256`, in the form that `sha256sum -c` reads.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dreamd.errors import SpaceError, WeightsError
from dreamd.files.durable import replace
from dreamd.files.nofollow import Entry, opened_folder
from dreamd.files.problems import os_error_explained
from dreamd.weights.sources import Download, Packaged, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WHOLE_DIGITS = 64
"""A whole SHA-256 has so many hex digits; a pin may be its first eight."""


@contextmanager
def on_disk(doing: str, path: Path) -> Iterator[None]:
    """Say in words what the disk refused. Nothing else that raises an OSError may run inside.

    Args:
        doing: what is done, as it follows "cannot": "read".
        path: the file that it is done to.

    Raises:
        SpaceError: the disk is full.
        WeightsError: the disk refused for another reason.
    """
    try:
        yield
    except OSError as error:
        explained = os_error_explained(error, doing, path)
        if isinstance(explained, SpaceError):
            raise SpaceError(f"{explained}. Or set DREAMD_WEIGHTS to a folder on a larger disk") from error
        raise WeightsError(str(explained)) from error


def beside(path: Path, suffix: str) -> Path:
    """Return the path of the file beside `path` whose name has `suffix` at its end."""
    return path.with_name(path.name + suffix)


def sha256_of(path: Path) -> str:
    """Hash a file of weights.

    Returns:
        Its SHA-256, 64 hex digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    with on_disk("read", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(digest: str, expected: str) -> bool:
    """Tell whether a whole digest is the one that is expected, which may be its beginning or empty."""
    return digest.startswith(expected.lower())


def described(expected: str) -> str:
    """Return an expected digest in words."""
    return expected if len(expected) == _WHOLE_DIGITS else f"one that begins with {expected}"


def expected_digest(source: Source, path: Path) -> str:
    """Return the digest that the file must have; "" when nobody knows.

    That is the record where it is of the pinned file, for it is whole, and else the pin.

    Raises:
        WeightsError: the record is unreadable.
    """
    if isinstance(source, Packaged) or len(source.sha256) == _WHOLE_DIGITS:
        return source.sha256
    recorded = recorded_digest(path)
    return recorded if matches(recorded, source.sha256) else source.sha256


def recorded_digest(path: Path) -> str:
    """Return the digest in the file's record; "" when there is no record.

    Raises:
        WeightsError: the record is unreadable.
    """
    record = beside(path, ".sha256")
    if not record.exists():
        return ""
    with on_disk("read", record):
        text = record.read_text(encoding="utf-8", errors="replace")
    if not re.fullmatch(rf"[0-9a-f]{{{_WHOLE_DIGITS}}}  {re.escape(path.name)}\n", text):
        raise WeightsError(f"{record} is not a SHA-256 and the name {path.name}; remove it, then fetch the file again")
    return text[:_WHOLE_DIGITS]


def write_record(path: Path, digest: str) -> None:
    """Record a file's digest beside it, whole and on disk. Raises OSError."""
    with opened_folder(path.parent) as folder:
        replace(Entry(folder, beside(path, ".sha256").name), _record_line(path, digest))


def keep_record(source: Download, path: Path, digest: str) -> None:
    """Record the digest of a right file that a person put there, or whose record is of another version.

    Raises:
        WeightsError: the record cannot be written, and nothing else vouches for the file.
    """
    record = beside(path, ".sha256")
    try:
        if not record.exists() or record.read_bytes() != _record_line(path, digest):
            write_record(path, digest)
    except OSError as error:
        # A cache that only others may write is a fine place for pinned files; an unpinned one has only its record.
        if not source.sha256:
            raise WeightsError(str(os_error_explained(error, "record the SHA-256 in", record))) from error


def _record_line(path: Path, digest: str) -> bytes:
    return f"{digest}  {path.name}\n".encode()

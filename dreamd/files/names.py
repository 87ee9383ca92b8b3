"""Names of files: what one may hold, how one is numbered or cut to length."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dreamd.errors import DreamdError, UsageError
from dreamd.files.problems import shown
from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


_NAME_BYTES = 255

_LONGEST_SUFFIX_BYTES = 16  # what follows a later dot is no file type but part of the name


def relative_parts(path: PurePosixPath) -> list[str]:
    if path.is_absolute() or not path.parts:
        raise DreamdError(f"{shown(path)!r} is not a path below a folder")
    return [one_name(part) for part in path.parts]


def folder_parts(folder: PurePosixPath) -> list[str]:
    return relative_parts(folder) if folder.parts else []


def one_name(name: str) -> str:
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        encoded = b""
    if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded:
        raise DreamdError(f"{shown(name)!r} cannot be the name of a file or folder")
    return name


def split_name(name: str) -> tuple[str, str]:
    """The stem and the suffix, with its dot: `("cat", ".jpg")`."""
    path = PurePosixPath(name)
    if len(os.fsencode(path.suffix)) > _LONGEST_SUFFIX_BYTES:
        return name, ""
    return path.stem, path.suffix


def numbered(stem: str, suffix: str, reserve: int = 0) -> Iterator[str]:
    """`cat.jpg`, `cat-2.jpg`, … each short enough to be a file name with `reserve` bytes more."""
    for number in itertools.count(1):
        tail = suffix if number == 1 else f"-{number}{suffix}"
        yield shortened(stem, _NAME_BYTES - reserve - len(os.fsencode(tail))) + tail


def shortened(text: str, limit: int) -> str:
    while len(os.fsencode(text)) > limit:
        text = text[:-1]
    return text


NAME_BYTES = 255

_DEEPEST = 32


def parts_of(path: str) -> tuple[str, ...]:
    """The names of a relative path, () for "." and "". Raises UsageError for a path that leads anywhere else."""
    if path in ("", "."):
        return ()
    parts = tuple(path.split("/"))
    if len(parts) > _DEEPEST:
        raise UsageError("there are too many folders in one another")
    for part in parts:
        check_name(part)
    return parts


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be the name of one visible file or folder."""
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError as error:
        raise UsageError(f"{printable(name)!r} holds half a character") from error
    if not encoded or encoded.startswith(b".") or b"/" in encoded or b"\0" in encoded:
        raise UsageError(f"{printable(name)!r} cannot be the name of a file or folder here")
    if len(encoded) > NAME_BYTES:
        raise UsageError(f"the name {printable(name[:40])!r}… is longer than {NAME_BYTES} bytes")

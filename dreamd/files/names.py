"""Names of files: what one may hold, how one is numbered, and how one is cut to length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from dreamd.errors import DreamdError, UsageError
from dreamd.wording import printable

NAME_BYTES = 255
"""A file name holds at most so many bytes on every filesystem that is in use."""

DREAM_SUFFIXES = (".dream.yaml", ".dream.yml")
"""A dream file's name ends in one of these, in small or capital letters, however it is numbered."""

_LONGEST_SUFFIX_BYTES = 16
"""What follows a dot and is longer is no file type but a part of the name."""

_DEEPEST = 32
"""A path from outside holds at most so many folders."""

_ONE_BY_ONE = 16
"""The count of numbers that are tried in turn before the steps between them grow."""


def one_name(name: str) -> str:
    """Return the name. Raises DreamdError when it cannot be the name of one file or folder."""
    encoded = _encoded(name)
    if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded:
        raise DreamdError(f"{printable(name)!r} cannot be the name of a file or folder")
    return name


def relative_parts(path: PurePosixPath) -> list[str]:
    """Return the names in a path below a folder. Raises DreamdError for a path that leads anywhere else."""
    if path.is_absolute() or not path.parts:
        raise DreamdError(f"{printable(str(path))!r} is not a path below a folder")
    return [one_name(part) for part in path.parts]


def folder_parts(folder: PurePosixPath) -> list[str]:
    """Return the names in the path of a folder below another, or of that other itself, which has none."""
    return relative_parts(folder) if folder.parts else []


def check_name(name: str) -> None:
    """Check a name that somebody sent. Raises UsageError when it cannot be that of one visible file or folder."""
    encoded = _encoded(name)
    if not encoded or encoded.startswith(b".") or b"/" in encoded or b"\0" in encoded:
        raise UsageError(f"{printable(name)!r} cannot be the name of a file or folder here")
    if len(encoded) > NAME_BYTES:
        raise UsageError(f"the name {printable(name[:40])!r}… is longer than {NAME_BYTES} bytes")


def parts_of(path: str) -> tuple[str, ...]:
    """Return the names in a path that somebody sent, () for "." and "". Raises UsageError when it leads elsewhere."""
    if path in ("", "."):
        return ()
    parts = tuple(path.split("/"))
    if len(parts) > _DEEPEST:
        raise UsageError("there are too many folders in one another")
    for part in parts:
        check_name(part)
    return parts


def split_name(name: str) -> tuple[str, str]:
    """Return the stem and the suffix, with its dot: `("cat", ".jpg")`; `("cat", ".dream.yaml")` for a dream file."""
    for suffix in DREAM_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    path = PurePosixPath(name)
    if len(os.fsencode(path.suffix)) > _LONGEST_SUFFIX_BYTES:
        return name, ""
    return path.stem, path.suffix


def free_names(stem: str, suffix: str, is_taken: Callable[[str], bool], reserve: int = 0) -> Iterator[str]:
    """Yield names that are free: `cat.jpg`, else `cat-2.jpg`, and so on.

    The first ones are tried in turn. Behind them the steps double until a name is free, and the gap is halved until the
    first free one behind a taken one is found, so that a folder of 50,000 namesakes costs some thirty looks.

    Args:
        stem: the name without its suffix; it is cut at a character when it is too long.
        suffix: with its dot.
        is_taken: tells whether a name is in use.
        reserve: so many bytes more have room in each name.
    """
    number = 0
    while True:
        number = _free_number(number, lambda tried: is_taken(_numbered(stem, suffix, tried, reserve)))
        yield _numbered(stem, suffix, number, reserve)


def _free_number(last: int, is_taken: Callable[[int], bool]) -> int:
    """Return a number behind `last` that is free and follows one that is taken, or `last` itself."""
    taken, step = last, 1
    while is_taken(taken + step):
        taken += step
        if taken >= _ONE_BY_ONE:
            step *= 2
    free = taken + step
    while free - taken > 1:
        middle = (taken + free) // 2
        if is_taken(middle):
            taken = middle
        else:
            free = middle
    return free


def _numbered(stem: str, suffix: str, number: int, reserve: int) -> str:
    tail = suffix if number == 1 else f"-{number}{suffix}"
    return shortened(stem, NAME_BYTES - reserve - len(os.fsencode(tail))) + tail


def shortened(text: str, limit: int) -> str:
    """Return the beginning of a text that takes at most `limit` bytes, cut at a character."""
    while len(os.fsencode(text)) > limit:
        text = text[:-1]
    return text


def _encoded(name: str) -> bytes:
    """Return the name's bytes on a disk, none for half a character, which has none."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return b""

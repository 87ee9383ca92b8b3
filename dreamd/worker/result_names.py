"""The names of a picture and of its result, as somebody gives them on the command line. Loads nothing heavy."""

from __future__ import annotations

import re
from pathlib import Path

from dreamd.errors import UsageError
from dreamd.inbox.dream_files import is_dream_file

NOISE = re.compile(r"noise(?::(.*))?")
"""A source that is no file: noise, with its size or the recipe's."""

_FORMATS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".avif": "avif",
    ".heic": "heic",
    ".heif": "heic",
    ".tif": "tiff",
    ".tiff": "tiff",
}
"""The format of a result by the suffix of its name."""


FILMS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".gif", ".apng")
"""The endings of results that are always films or animations."""


def format_of(target: Path) -> str:
    """Return the format of a picture by its name. Raises UsageError when it cannot be written there."""
    check_target(target, tuple(_FORMATS))
    return _FORMATS[target.suffix.lower()]


def is_picture_format(target: Path) -> bool:
    """Return whether the name is that of a picture, or of an animation that looks like one."""
    return target.suffix.lower() in _FORMATS


def check_target(target: Path, endings: tuple[str, ...] = (*_FORMATS, *FILMS)) -> None:
    """Raise UsageError when a result cannot be written under a name."""
    if target.suffix.lower() not in endings:
        raise UsageError(f"{target}: the name must end in one of {' '.join(endings)}")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: the folder {target.parent} does not exist")


def check_source(source: Path, target: Path) -> None:
    """Raise UsageError when there is no such picture, or the result would overwrite it."""
    if not source.exists():
        raise UsageError(f"{source}: there is no such file")
    if is_dream_file(source.name):
        raise UsageError(f"{source} asks for a dream from nothing: dreamd dream noise {target} --recipe {source}")
    if target.exists() and source.samefile(target):
        raise UsageError(f"{target} is the picture itself; dreamd does not overwrite originals")

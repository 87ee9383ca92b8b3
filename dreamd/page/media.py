"""How a browser shows a file: its type, and whether it moves. Goes by the names that files have, never by content."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath

UNKNOWN = "application/octet-stream"
"""The type of a file that is downloaded, and not shown."""

_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".apng": "image/apng",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".jp2": "image/jp2",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
}
"""The type of a file by the ending of its name."""


class Media(StrEnum):
    """How something is shown."""

    PICTURE = "picture"
    ANIMATION = "animation"
    """It moves by itself where a picture stands."""

    FILM = "film"
    """It is played."""


def media_type(name: str) -> str:
    """Return the type of a file by its name."""
    return _TYPES.get(PurePosixPath(name).suffix.lower(), UNKNOWN)


def media_of(name: str, *, moves: bool) -> Media:
    """Return how a file is shown.

    Args:
        name: the file's name. One of an ending that is not known here is taken for a film if it moves.
        moves: whether it has more than one frame.
    """
    if not moves:
        return Media.PICTURE
    return Media.ANIMATION if media_type(name).startswith("image/") else Media.FILM

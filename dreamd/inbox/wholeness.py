"""Whether a picture's bytes are all there, as far as its beginning and its end can tell. Decodes nothing."""

from __future__ import annotations

import os

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def is_whole(descriptor: int, size: int) -> bool:
    """Return whether an open file of `size` bytes is a whole JPEG, PNG, GIF, WebP or BMP.

    False for every other kind, and for a picture with something behind it.
    """
    head = os.pread(descriptor, 12, 0)
    tail = os.pread(descriptor, 12, max(0, size - 12))
    if head.startswith(b"\xff\xd8\xff"):
        return tail.endswith(b"\xff\xd9")
    if head.startswith(_PNG_SIGNATURE):
        return tail == _PNG_END
    if head.startswith((b"GIF87a", b"GIF89a")):
        return tail.endswith(b";")
    if head.startswith(b"RIFF") and head[8:] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 == size
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") == size
    return False

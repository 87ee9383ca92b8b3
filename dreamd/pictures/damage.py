"""What broken picture data raise, and what is left out because of it."""

from __future__ import annotations

import logging
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import ImageCms

from dreamd.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


log = logging.getLogger(__name__)

BAD_DATA = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, struct.error, zlib.error, ImageCms.PyCMSError),
)
"""What Pillow raises on a broken file. Not among them: MemoryError, which says nothing about the file."""


def told(text: str) -> str:
    return printable(text[:200])  # Pillow quotes the file's own bytes at times


# ---- metadata


@contextmanager
def left_out_when_broken(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except BAD_DATA as error:
        log.warning("%s: its %s is broken and left out (%s)", name, what, told(str(error) or type(error).__name__))

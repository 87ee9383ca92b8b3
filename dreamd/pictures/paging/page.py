"""A page: one of several pictures in a file, as its decoder sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Page:
    """One of several pictures in a file.

    Attributes:
        stream: the file as a decoder of this page sees it; what it reads of the file itself is not copied.
        size: width and height in pixels, as the file says before anything is decoded.
        number: which of the pictures in `stream` it is, from 0; None where that has no other.
    """

    stream: BinaryIO
    size: tuple[int, int]
    number: int | None = None


Found = Iterator[Page | None]
"""What is found in a file, in its order, one after the other; None stands for a picture that is no page."""

"""Straight: has convolutions computed cell by cell, as torch does, for whoever wants to know what a cell sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class _Straight:
    """Holds whether convolutions are to be computed straight just now."""

    on = False


def is_straight() -> bool:
    """Return whether convolutions are to be computed straight just now."""
    return _Straight.on


@contextmanager
def straight() -> Iterator[None]:
    """Compute every cell from what it sees and nothing else, inside, and pass on what is not a number.

    Winograd's way spreads a not-a-number over whole tiles, and a clamp of oneDNN's swallows it. Both mislead whoever
    wants to know what a cell sees.
    """
    before, _Straight.on = _Straight.on, True
    try:
        yield
    finally:
        _Straight.on = before

"""Ids that the page gives out for what it keeps in files: a letter, a dash, and digits that nobody guesses."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class IdKind:
    """A kind of ids. No job's id has a dash.

    Attributes:
        letter: what they begin with.
        size: the bytes behind it, two digits each.
    """

    letter: str
    size: int

    def new(self) -> str:
        """Return a new id."""
        return self.of(secrets.token_hex(self.size))

    def of(self, digest: str) -> str:
        """Return the id that belongs to a digest in hexadecimal digits, which is at least as long."""
        return f"{self.letter}-{digest[: 2 * self.size]}"

    def has(self, text: str) -> bool:
        """Tell whether a text may be such an id, and so is a harmless name of a file."""
        digits = text.removeprefix(f"{self.letter}-")
        return digits != text and len(digits) == 2 * self.size and set(digits) <= set("0123456789abcdef")

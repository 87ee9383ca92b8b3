"""Programs, each with a token of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dreamd.page.access.callers import Caller
from dreamd.page.access.sessions import is_same_text


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        caller: who it is, and what it may do.
        token: what it shows.
    """

    caller: Caller
    token: str


def program_with(token: str, programs: Iterable[Program]) -> Caller | None:
    """Return the program that a token is of; None for nobody's. All are compared, however early one is found."""
    found = [program.caller for program in programs if is_same_text(token, program.token)]
    return found[0] if found else None

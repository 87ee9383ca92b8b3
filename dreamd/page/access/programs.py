"""Programs, each with a token of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dreamd.errors import DreamdError
from dreamd.page.access.callers import Caller
from dreamd.page.access.sessions import is_same_text
from dreamd.wording import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        caller: who it is, and what it may do.
        token: what it shows.
    """

    caller: Caller
    token: str


class Programs:
    """The programs that the config names now: they are read anew when it has been reloaded."""

    def __init__(self, read: Callable[[], Sequence[Program]]) -> None:
        """Read them; `read` raises ConfigError where the config or a token's file is wrong."""
        self._read = read
        self._known = tuple(read())
        self._is_stale = False

    def __bool__(self) -> bool:
        return bool(self._known)

    def forget(self) -> None:
        """Read them anew before they count again. May be called by a signal's handler."""
        self._is_stale = True

    async def current(self) -> Sequence[Program]:
        """Return them as they are now; as they were, where the config is wrong."""
        if self._is_stale:
            self._is_stale = False
            try:
                self._known = tuple(await asyncio.to_thread(self._read))
            except DreamdError as error:
                log.error("the tokens of programs stay as they were: %s", printable(str(error)))
        return self._known


def program_with(token: str, programs: Iterable[Program]) -> Caller | None:
    """Return the program that a token is of; None for nobody's. All are compared, however early one is found."""
    found = [program.caller for program in programs if is_same_text(token, program.token)]
    return found[0] if found else None

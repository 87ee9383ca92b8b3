"""Waiting for jobs: one look at the files for all who wait, and none while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from dreamd.page.api.models import ApiJob
from dreamd.page.handlers.answers import FullError
from dreamd.tree.layout import StateFolder

T = TypeVar("T")

FOLLOWERS = 64
"""The most requests that wait for a job, follow one or follow all at a time."""

FOLLOWERS_OF_A_CLIENT = FOLLOWERS // 2
"""The most of them that come from one client."""

_LOOK_SECONDS = 0.2
"""The pause between two looks at the files."""

_REFRESH_SECONDS = 5.0
"""The time in seconds after which who waits looks in any case: a picture may be taken out of the inbox unseen."""

_LONGEST_SECONDS = 3600.0
"""The time in seconds after which a stream of events ends; whoever still wants it asks again."""


class Following:
    """Tells who waits when the journal or the state of the daemon has changed."""

    def __init__(self, state_folder: Path) -> None:
        state = StateFolder(state_folder)
        self._files = (state.journal, state.journal.with_name(f"{state.journal.name}-wal"), state.status)
        self._followers: Counter[str] = Counter()
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._number = 0

    async def until_over(self, client: str, look: Callable[[], ApiJob], seconds: float) -> ApiJob:
        """Return a job when it is over, or as it is after so many seconds. Raises FullError."""
        if seconds == 0:
            return await asyncio.to_thread(look)
        with self._place(client):
            end = time.monotonic() + seconds
            while True:
                number = self._number
                job = await asyncio.to_thread(look)
                left = end - time.monotonic()
                if job.state.is_over or left <= 0:
                    return job
                await self._wait(number, min(left, _REFRESH_SECONDS))

    async def changes(self, client: str, look: Callable[[], ApiJob]) -> AsyncGenerator[ApiJob | None, None]:
        """Yield a job now and whenever it has changed, until it is over; None now and then in between.

        Take its first item before anything is answered: it raises FullError, or what a look raises.
        """
        with self._place(client):
            end = time.monotonic() + _LONGEST_SECONDS
            seen = None
            while time.monotonic() < end:
                number = self._number
                job = await asyncio.to_thread(look)
                yield job if job != seen else None
                seen = job
                if job.state.is_over:
                    return
                await self._wait(number, _REFRESH_SECONDS)

    async def all_changes(self, client: str, look: Callable[[], list[T]]) -> AsyncGenerator[T | None, None]:
        """Yield what each look finds, whenever the files have changed; None now and then in between.

        Take its first item before anything is answered: it raises FullError, or what a look raises.
        """
        with self._place(client):
            end = time.monotonic() + _LONGEST_SECONDS
            while time.monotonic() < end:
                number = self._number
                found = await asyncio.to_thread(look)
                for each in found:
                    yield each
                if not found:
                    yield None
                    await self._wait(number, _REFRESH_SECONDS)

    @contextmanager
    def _place(self, client: str) -> Iterator[None]:
        if self._followers.total() >= FOLLOWERS or self._followers[client] >= FOLLOWERS_OF_A_CLIENT:
            raise FullError("too many wait for jobs already; ask again later, or without waiting")
        self._followers[client] += 1
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._followers -= Counter([client])

    async def _wait(self, number: int, seconds: float) -> None:
        """Wait until there is later news than that of a number, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: self._number != number)

    async def _watch(self) -> None:
        known = None
        while self._followers:
            stamps = await asyncio.to_thread(lambda: [*map(_stamp, self._files)])
            if stamps != known:
                known = stamps
                async with self._news:
                    self._number += 1
                    self._news.notify_all()
            await asyncio.sleep(_LOOK_SECONDS)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_size

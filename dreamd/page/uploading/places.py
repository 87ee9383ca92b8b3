"""Places for uploads: so many at a time, each with a deadline, and the slowest gives way when others wait.

Knows bytes and clocks. Knows no file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import ClientDisconnect

from dreamd.errors import UsageError

AT_ONCE = 32
"""The most uploads that come at a time."""

_WAITING = 64
"""The most uploads that wait for a place."""

_WAIT_SECONDS = 60.0
"""The time in seconds after which an upload without a place is refused."""

_KEEP_SECONDS = 5.0
"""The time in seconds for which an upload has its place, however slow it is; then it may have to give way."""

_CHUNK_SECONDS = 20.0
"""The time in seconds after which an upload is ended of which nothing comes."""

_GRACE_SECONDS = 30.0
"""The time in seconds before which no upload counts as slow."""

_SLOWEST_BYTES_A_SECOND = 8 * 1024
"""The slowest upload on the whole, in bytes a second; a slower one is ended."""

_DEADLINE_BYTES_A_SECOND = 128 * 1024
"""An upload must have come to its end, after the time of grace, as if it came at this rate."""


class SlowError(UsageError):
    """An upload does not come, or comes too slowly."""


class Place:
    """One upload's place: counts what comes, and ends what is too slow.

    Attributes:
        size: how many bytes have come.
        begun: when the upload got its place, by the monotonic clock.
        is_leaving: whether it must give way.
    """

    def __init__(self, length: int) -> None:
        """Begin, for an upload of so many bytes at most."""
        self.size = 0
        self.begun = time.monotonic()
        self.is_leaving = False
        self._deadline = self.begun + _GRACE_SECONDS + length / _DEADLINE_BYTES_A_SECOND
        self._reading: asyncio.Timeout | None = None

    @property
    def rate(self) -> float:
        """How many bytes a second have come."""
        return self.size / max(time.monotonic() - self.begun, 1e-3)

    def leave(self) -> None:
        """Have the upload end now."""
        self.is_leaving = True
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def chunks(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield what comes. Raises SlowError when it is too slow, UsageError when the sender goes away."""
        while (chunk := await self._next(stream)) is not None:
            self.size += len(chunk)
            if time.monotonic() - self.begun > _GRACE_SECONDS + self.size / _SLOWEST_BYTES_A_SECOND:
                raise SlowError("it comes too slowly")
            yield chunk

    async def _next(self, stream: AsyncIterator[bytes]) -> bytes | None:
        left = self._deadline - time.monotonic()
        if self.is_leaving or left <= 0:
            raise SlowError(self._problem())
        try:
            async with asyncio.timeout(min(left, _CHUNK_SECONDS)) as self._reading:
                return await anext(stream, None)
        except TimeoutError:
            raise SlowError(self._problem()) from None
        except ClientDisconnect:
            raise UsageError("the sender went away") from None
        finally:
            self._reading = None

    def _problem(self) -> str:
        if self.is_leaving:
            return "others wait, and this was the slowest; try again later"
        if time.monotonic() >= self._deadline:
            return "it has not come to its end in time"
        return "nothing more came; is the connection broken?"


class Places:
    """Gives uploads their places, in the order in which they ask."""

    def __init__(self) -> None:
        self._taken: set[Place] = set()
        self._waiting = 0
        self._change = asyncio.Condition()

    @asynccontextmanager
    async def take(self, length: int) -> AsyncIterator[Place]:
        """Wait for a place and keep it inside.

        Args:
            length: the upload has so many bytes at most.

        Raises:
            SlowError: too many uploads wait, or none gave way in time.
        """
        place = await self._enter(length)
        try:
            yield place
        finally:
            async with self._change:
                self._taken.remove(place)
                self._change.notify()

    async def _enter(self, length: int) -> Place:
        if self._waiting >= _WAITING:
            raise SlowError("too many uploads at once; try again later")
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS), self._change:
                while len(self._taken) >= AT_ONCE:
                    await self._await_change(self._make_room())
                place = Place(length)
                self._taken.add(place)
                return place
        except TimeoutError:
            raise SlowError("too many uploads at once; try again later") from None
        finally:
            self._waiting -= 1

    async def _await_change(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()

    def _make_room(self) -> float:
        """Have the slowest upload leave, unless enough are leaving; return after how many seconds to look again."""
        staying = [place for place in self._taken if not place.is_leaving]
        if len(self._taken) - len(staying) >= self._waiting:
            return _KEEP_SECONDS
        now = time.monotonic()
        old = [place for place in staying if now - place.begun >= _KEEP_SECONDS]
        if not old:
            return min(place.begun for place in staying) + _KEEP_SECONDS - now
        min(old, key=lambda place: place.rate).leave()
        return _KEEP_SECONDS

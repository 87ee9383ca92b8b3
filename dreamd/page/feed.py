"""Tells every open page what changes: one look at the files for all of them, and none while nobody looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from dreamd.errors import DreamdError
from dreamd.json_text import to_json
from dreamd.page.state import StateView
from dreamd.tree.layout import StateFolder
from dreamd.tree.looking import mark_looked_at

log = logging.getLogger(__name__)

LISTENERS = 100
"""The most pages that may listen; where more want to, who listens most gives a place to who listens less."""

_LOOK_SECONDS = 0.4
"""The pause between two looks at the files."""

_MARK_SECONDS = 2.0
"""The pause between two marks that somebody looks."""

_REFRESH_SECONDS = 5.0
"""The pause between two events when no file has changed: memory and GPUs have, and proxies end silent connections."""


class Listener:
    """One page's place.

    Attributes:
        client: who listens.
        is_leaving: whether the place was given to somebody else.
    """

    def __init__(self, client: str) -> None:
        """Give a place to a client."""
        self.client = client
        self.is_leaving = False


class Feed:
    """Server-sent events with the state of everything."""

    def __init__(self, view: StateView, state_folder: Path) -> None:
        self._view = view
        self._file = StateFolder(state_folder).status
        self._previews = StateFolder(state_folder).previews
        self._mark_due = 0.0
        self._listeners: dict[Listener, None] = {}
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._number = 0
        self._message = b""

    def enter(self, client: str) -> Listener | None:
        """Give a client a place, which it has until `leave`; None when there is none for it.

        The place is taken before anything is waited for, so that the limit holds however many come at once.
        """
        if len(self._listeners) >= LISTENERS:
            places = Counter(listener.client for listener in self._listeners)
            most, count = places.most_common(1)[0]
            if count <= places[client] + 1:  # else both would go on taking the place from each other
                return None
            oldest = next(listener for listener in self._listeners if listener.client == most)
            oldest.is_leaving = True  # it finds that out at the next event, in seconds
            self.leave(oldest)
        listener = Listener(client)
        self._listeners[listener] = None
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        return listener

    def leave(self, listener: Listener) -> None:
        """Take a place back."""
        self._listeners.pop(listener, None)

    async def listen(self, listener: Listener) -> AsyncIterator[bytes]:
        """Yield events as bytes of `text/event-stream`, until the listener has to leave."""
        seen = 0
        yield b"retry: 2000\n\n"
        while not listener.is_leaving:
            async with self._news:
                while self._number == seen or not self._message:
                    await self._news.wait()
                seen, message = self._number, self._message
            yield message

    async def _watch(self) -> None:
        known: object = None
        while self._listeners:
            await self.mark()
            signature = (await asyncio.to_thread(self._signature), int(time.monotonic() / _REFRESH_SECONDS))
            if signature != known or not self._message:
                known = signature
                await self._tell(await asyncio.to_thread(_event, self._view.state))
            await asyncio.sleep(_LOOK_SECONDS)
        self._message = b""

    async def mark(self) -> None:
        """Have workers show the dreams that go on: somebody looks."""
        if time.monotonic() < self._mark_due:
            return
        self._mark_due = time.monotonic() + _MARK_SECONDS
        try:
            await asyncio.to_thread(mark_looked_at, self._previews)
        except OSError as error:  # the disk may be full: everything else is shown all the same
            log.warning("dreams are not shown while they go on: %s", error)

    def _signature(self) -> tuple[object, ...]:
        """Return what changes whenever there is something new to tell."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return ()
        return found.st_mtime_ns, found.st_ino, self._view.marked, tuple(sorted(self._view.preview_stamps().items()))

    async def _tell(self, message: bytes) -> None:
        async with self._news:
            self._number += 1
            self._message = message
            self._news.notify_all()


def _event(look: Callable[[], dict[str, Any]]) -> bytes:
    """Make an event of what a look finds, or of why it finds nothing."""
    try:
        values = look()
    except DreamdError as error:
        values = {"state": "unknown", "not_ready": [str(error)]}
    return f"event: status\ndata: {to_json(values)}\n\n".encode()

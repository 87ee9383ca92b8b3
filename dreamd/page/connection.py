"""A connection that may not keep the page busy by being slow."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

CONNECTIONS = 512
"""The most connections that are open at a time."""

HEAD_SECONDS = 10.0
"""The time in seconds in which a connection must send what it wants; then it is closed."""

STUCK_SECONDS = 30.0
"""The time in seconds after which a connection is closed that takes nothing of its answer."""


class Connection(H11Protocol):
    """uvicorn's connection with limits.

    uvicorn has a limit for a connection that rests between two requests only: not for one that never finishes the head
    of its first, nor for one that never reads its answer.
    """

    waiting: ClassVar[OrderedDict[Connection, None]] = OrderedDict()
    """The connections that have not asked for anything yet, the longest first."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection; where there are too many, end the one that has been silent for the longest."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > CONNECTIONS:
            next(iter(self.waiting)).give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is over."""
        self._stop_waiting()
        self._set_stuck_timer(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take data that has come. Once there is a whole head, the handlers have limits of their own."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request on this connection."""
        self._wait_for_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for one that takes nothing of its answer."""
        super().pause_writing()
        self._set_stuck_timer(self.loop.call_later(STUCK_SECONDS, self.give_up))

    def resume_writing(self) -> None:
        """Stop waiting: it takes its answer again."""
        super().resume_writing()
        self._set_stuck_timer(None)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for another protocol must not fill the log with advice on what to install."""

    def give_up(self) -> None:
        """Close the connection without a word."""
        self._stop_waiting()
        self.transport.abort()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self.waiting[self] = None
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _set_stuck_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
        self._stuck_timer = timer

"""The process that serves the page: `python -m dreamd.page.server CONFIG PARENT_PID`.

The daemon starts it and keeps it running (`page.py`); it reads the daemon's files, acts through the folders and the
journal as the command line does, and never imports torch. What it is asked by anybody must not use it up: connections
that send nothing give way to others, and one that takes nothing is closed.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dreamd.errors import DreamdError
from dreamd.page.access import token_of
from dreamd.page.handlers import make_app
from dreamd.page.uploads import sweep
from dreamd.processes import die_with_parent
from dreamd.settings.config import Config, load_config
from dreamd.wording import printable

log = logging.getLogger(__name__)

_CONNECTIONS = 512
_HEAD_SECONDS = 10.0
"""For a connection to send what it wants; then it is closed."""

_STUCK_SECONDS = 30.0
"""For a connection to take what it is sent."""

_TICK_SECONDS = 1.0
_THREADS = 16
_FILES = 4096


class Connection(H11Protocol):
    """A connection that may not keep the page busy by being slow.

    uvicorn has a limit for a connection that rests between two requests only: not for one that never finishes the head
    of its first, nor for one that never reads its answer.
    """

    waiting: ClassVar[OrderedDict[Connection, None]] = OrderedDict()
    """Those that have not asked for anything yet, the longest first."""

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
        """A new one: where there are too many, the one that has been silent for the longest goes."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > _CONNECTIONS:
            next(iter(self.waiting)).give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_waiting()
        self._set_stuck_timer(None)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Data has come. Once there is a whole head, the handlers have limits of their own."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """It may ask for something else now, in a while."""
        self._wait_for_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """It takes nothing."""
        super().pause_writing()
        self._set_stuck_timer(self.loop.call_later(_STUCK_SECONDS, self.give_up))

    def resume_writing(self) -> None:
        """It takes something."""
        super().resume_writing()
        self._set_stuck_timer(None)

    def give_up(self) -> None:
        """Close it without a word."""
        self._stop_waiting()
        self.transport.abort()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self.waiting[self] = None
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _set_stuck_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
        self._stuck_timer = timer


class Server(uvicorn.Server):
    """uvicorn's server, which wakes up once a second and not ten times."""

    async def main_loop(self) -> None:
        """Wait for the end."""
        while not await self.on_tick(0):
            await asyncio.sleep(_TICK_SECONDS)


def serve(config: Config, bound: socket.socket, token: str | None) -> None:
    """Serve the page on a bound socket until a signal."""
    settings = uvicorn.Config(
        make_app(config, token),
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = Server(settings)
    asyncio.run(_served(server, bound))


async def _served(server: Server, bound: socket.socket) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "page"))
    await server.serve(sockets=[bound])


def bind(config: Config) -> socket.socket:
    """The listening socket of `status.listen`. Raises DreamdError when it cannot be had."""
    host, port = config.status.address
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_CONNECTIONS)  # now, so that nobody is refused between this and the first turn of the loop
    except OSError as error:
        problem = error.strerror or str(error)
        raise DreamdError(f"{config.file}: status.listen: {config.status.listen}: {problem}; choose another") from error
    return bound


def _allow_files() -> None:
    """As many open files as connections need, where the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _prepare(config: Config) -> None:
    """Remove what an earlier process left."""
    config.state.mkdir(parents=True, exist_ok=True)
    sweep(config.inbox)


def _explained(act: Callable[[], None]) -> None:
    try:
        act()
    except (DreamdError, OSError) as error:
        log.error("%s", printable(str(error)))
        sys.exit(2)


def main() -> None:
    """The entry point."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="page: %(message)s")
    Path("/proc/self/oom_score_adj").write_text("500")  # a full memory shall cost the page, never the daemon
    die_with_parent(int(sys.argv[2]))
    _allow_files()
    _explained(lambda: _run(Path(sys.argv[1])))


def _run(config_file: Path) -> None:
    config = load_config(config_file)
    token = token_of(config)
    with bind(config) as bound:
        _prepare(config)
        host, port = bound.getsockname()[:2]
        log.info("http://%s:%d/", f"[{host}]" if ":" in host else host, port)
        serve(config, bound, token)


if __name__ == "__main__":
    main()

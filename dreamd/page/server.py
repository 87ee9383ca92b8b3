"""The process that serves the page: `python -m dreamd.page.server CONFIG PARENT_PID`.

The daemon starts it and keeps it running. It reads the daemon's files, acts through the folders and the journal as the
command line does, and never imports torch. Whatever it is asked, by anybody, must not use it up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import uvicorn

from dreamd.errors import DreamdError
from dreamd.files.problems import refusal
from dreamd.logs import inherited_level
from dreamd.page.access.programs import Programs
from dreamd.page.access.token_file import programs_of, token_of
from dreamd.page.app import make_app
from dreamd.page.connection import CONNECTIONS, Connection
from dreamd.page.posting.folder_tidying import RecipeFolders
from dreamd.page.posting.receipts import Receipts
from dreamd.page.uploading.uploads import sweep
from dreamd.processes import SERVING, die_with_parent
from dreamd.settings.config import Config, load_config
from dreamd.wording import printable

log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
"""The time between two looks whether the server is to end, in seconds."""

_THREADS = 16
"""The number of threads in which files are read."""

_FILES = 4096
"""The number of files that the process may have open, where the system allows it."""

_WRONG_USAGE = 2
"""The exit code when the config is at fault, and a start without a change of it would fail again."""


class Server(uvicorn.Server):
    """uvicorn's server, which wakes up once a second and not ten times."""

    async def main_loop(self) -> None:
        """Wait until the server is to end."""
        while not await self.on_tick(0):
            await asyncio.sleep(_TICK_SECONDS)


def serve(
    config: Config, bound: socket.socket, token: str | None, programs: Programs, reloads: threading.Event
) -> None:
    """Serve the page on a bound socket until a signal."""
    settings = uvicorn.Config(
        make_app(config, token, programs, reloads),
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
    asyncio.run(_serve(server, bound))


async def _serve(server: Server, bound: socket.socket) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "page"))
    await server.serve(sockets=[bound])


def bind(config: Config) -> socket.socket:
    """Listen at `status.listen`. Raises DreamdError when that cannot be had."""
    host, port = config.status.address
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(CONNECTIONS)  # now, so that nobody is refused between this and the first turn of the loop
    except OSError as error:
        problem = refusal(error)
        raise DreamdError(f"{config.file}: status.listen: {config.status.listen}: {problem}; choose another") from error
    return bound


def _allow_files() -> None:
    """Allow as many open files as connections need, where the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def prepare(config: Config) -> None:
    """Make the state folder, and remove what an earlier process left."""
    config.state.mkdir(parents=True, exist_ok=True)
    Receipts(config.state, config.inbox).tidy()
    folders = RecipeFolders(config)
    folders.settle_left()
    folders.tidy()
    sweep(config.inbox)


def _run_or_explain(act: Callable[[], None]) -> None:
    """Do something; tell what a person can mend in a line, in the log and to the daemon, and exit."""
    try:
        act()
    except (DreamdError, OSError) as error:
        problem = printable(str(error))
        log.error("%s", problem)
        _tell_daemon(problem)
        sys.exit(_WRONG_USAGE)


def _tell_daemon(line: str) -> None:
    """Write the line that the daemon reads from this process's standard output: SERVING, or why the page is not served.

    It is the only one: what anything else prints from now on goes to the log.
    """
    with suppress(OSError):  # the daemon is gone, and this process ends with it
        os.write(1, line.encode() + b"\n")
        os.dup2(2, 1)


def main() -> None:
    """Serve the page of the config that the command line names, for the daemon that it names."""
    logging.basicConfig(level=inherited_level(), stream=sys.stderr, format="page: %(message)s")
    Path("/proc/self/oom_score_adj").write_text("500")  # a full memory shall cost the page, never the daemon
    die_with_parent(int(sys.argv[2]))
    _allow_files()
    _run_or_explain(lambda: _run(Path(sys.argv[1])))


def _run(config_file: Path) -> None:
    reloads = threading.Event()
    config = load_config(config_file)
    token, programs = token_of(config), Programs(lambda: programs_of(load_config(config_file)))

    def reload(*_: object) -> None:
        reloads.set()
        programs.forget()

    signal.signal(signal.SIGHUP, reload)
    with bind(config) as bound:
        prepare(config)
        host, port = bound.getsockname()[:2]
        log.info("http://%s:%d/", f"[{host}]" if ":" in host else host, port)
        _tell_daemon(SERVING)
        serve(config, bound, token, programs, reloads)


if __name__ == "__main__":
    main()

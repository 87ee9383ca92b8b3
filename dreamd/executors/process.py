"""A worker's process, as the daemon sees it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from dreamd.errors import FailureCause
from dreamd.files.problems import refusal
from dreamd.hardware.cores import processor_list
from dreamd.messages import Said, Settings, Unable, from_worker

log = logging.getLogger(__name__)

_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
"""A process ends itself by these signals; others come from elsewhere."""

_KILL_GRACE_SECONDS = 10.0
"""The time that a worker which is asked to end has for it, in seconds, before it is killed."""

LINE_BYTES = 16 << 20
"""The length of the longest message, in bytes; a process that sends more has gone wrong."""

_PIPE_BYTES = 1 << 20
"""The size of the pipe to a process, in bytes: it holds any order whole, so that the loop never waits for a reader."""


@dataclass(frozen=True)
class End:
    """How a worker ended.

    Attributes:
        reason: the same for a person.
        failure: what it says of the jobs in its hand; None: nothing.
    """

    reason: str
    failure: FailureCause | None = "worker"


def start(module: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a module as a process that is told things by lines and says things by lines, and dies with this one.

    Args:
        module: the module, which is given the number of this process.
        environment: its environment variables.

    Raises:
        OSError: the system has no room for another process.
    """
    popen = subprocess.Popen(
        [sys.executable, "-m", module, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C in a terminal is for the daemon, which then drains
    )
    assert popen.stdin is not None
    with contextlib.suppress(PermissionError):  # a user has so many pages for pipes; common orders need few
        fcntl.fcntl(popen.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return popen


def end_in_words(code: int) -> str:
    """Say how a process ended, by its exit code, in words that follow its name."""
    if code >= 0:
        return f"ended with code {code}"
    names = {member.value: member.name for member in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"


class Process:
    """A running worker process. A thread reads what it says until it ends; another waits for that end."""

    def __init__(
        self,
        settings: Settings,
        on_message: Callable[[Said], None],
        on_end: Callable[[End], None],
        environment: Mapping[str, str],
        processors: Collection[int] = (),
    ) -> None:
        """Start it. Nothing is heard of it until `begin`.

        Args:
            settings: the first line that it gets.
            on_message: called with each of its messages, in a thread of its own.
            on_end: called in the same thread and last of all, with how it ended.
            environment: its environment variables.
            processors: those that it runs on; empty: all that this process may use.

        Raises:
            OSError: the system has no room for another process.
        """
        self._on_message = on_message
        self._on_end = on_end
        self._blame: End | None = None
        self._writing = threading.Lock()
        with _running_on(processors):
            self._popen = start("dreamd.worker.main", environment)
        self.pid = self._popen.pid
        self._reaper = threading.Thread(target=self._reap, name=f"worker-{self.pid}-end", daemon=True)
        self._reader = threading.Thread(target=self._read, name=f"worker-{self.pid}", daemon=True)
        self._settings = settings

    def begin(self) -> None:
        """Have it read its settings, and pass on what it says."""
        self._reaper.start()
        self._reader.start()
        self.send(self._settings.line())

    def send(self, line: bytes) -> bool:
        """Send a line; return False when the worker is gone, whose reader then passes on its end."""
        assert self._popen.stdin is not None
        with self._writing, contextlib.suppress(BrokenPipeError):
            if not self._popen.stdin.closed:
                self._popen.stdin.write(line)
                self._popen.stdin.flush()
                return True
        return False

    def kill(self, blame: End | None = None) -> None:
        """Kill the process; `blame` is then told as its end."""
        self._blame = self._blame or blame
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Ask the process to end, and kill it when it has not after a while. Never waits."""
        self._signal(signal.SIGTERM)
        threading.Thread(target=self.wait, args=[_KILL_GRACE_SECONDS], daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait until its reader has passed on its end; kill it when that takes longer than so many seconds."""
        self._reader.join(seconds)
        if self._reader.is_alive():
            self.kill()
            self._reader.join()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the worker and what it forked; nobody when it has ended, for its number may be another's by now."""
        if self._popen.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _reap(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        # A process that it forked holds its pipe open, and would hide its end from the reader.
        self._signal(signal.SIGKILL)

    def _read(self) -> None:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in iter(partial(output.readline, LINE_BYTES), b""):
                if not self._pass_on(line):
                    break
        self._reaper.join()
        code = self._popen.wait()
        with self._writing, contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._on_end(self._blame or _end_by(code))

    def _pass_on(self, line: bytes) -> bool:
        """Pass on the message of a line and return True; a worker that sends anything else is killed."""
        try:
            message = from_worker(line)
        except ValidationError:
            self.kill(End(f"it sent something that is no message: {line[:80]!r}"))
            return False
        if isinstance(message, Unable):
            self._blame = self._blame or End(message.reason)
        else:
            self._on_message(message)
        return True


@contextlib.contextmanager
def _running_on(processors: Collection[int]) -> Iterator[None]:
    """Have this thread run on some processors meanwhile, and what it starts for good; all of it where there are none.

    What a process inherits holds from its first thread on, before a library starts others.
    """
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, processors or before)
    except OSError as error:  # somebody has taken them from the daemon since it made its plan
        log.warning("a worker runs on any processor, not on %s: %s", processor_list(processors), refusal(error))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _end_by(code: int) -> End:
    """Tell how a worker ended, by its exit code."""
    return End(f"the worker {end_in_words(code)}", "crash" if -code in _CRASHES else "worker")

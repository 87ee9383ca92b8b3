"""Executors run batches of jobs. `LocalExecutor` keeps one worker process a device on this machine.

An executor tells the daemon what happens through one callable, from any thread; everything else is called by the
daemon's loop. It knows processes and messages; queues, folders and the journal are the daemon's.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from dreamd.config import Config
from dreamd.messages import Advanced, Batch, Done, Fetching, NotDone, Ready, Settings, Unable, from_worker

log = logging.getLogger(__name__)

_KILL_GRACE_SECONDS = 10.0
_RESTART_SECONDS = (1.0, 5.0, 30.0, 60.0)
"""How long to wait before a worker that died over no job is started again: longer each time."""

_START_SECONDS = 300.0
"""How long a worker may take to be ready; torch from a slow disk takes a minute."""

_LINE_BYTES = 16 << 20
"""No message is longer; a worker that sends more has gone wrong."""

_PIPE_BYTES = 1 << 20
"""Holds any order whole, so that the daemon's loop need not wait for a worker that does not read yet."""


@dataclass(frozen=True)
class WorkerDied:
    """A worker's process ended.

    Attributes:
        jobs: that it had not answered for.
        reason: how it ended, for a person.
        was_ready: whether it had ever been ready; if not, its jobs are not to blame.
    """

    jobs: tuple[str, ...]
    reason: str
    was_ready: bool


ExecutorEvent = Ready | Advanced | Fetching | Done | NotDone | WorkerDied
"""What an executor tells the daemon."""


class WorkerState(StrEnum):
    """What a worker is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class WorkerView:
    """A worker as `dreamd status` shows it.

    Attributes:
        busy_share: the part of the last minute that its device was dreaming, 0 to 1; 0 when it has nothing to do.
    """

    device: str
    device_name: str
    precision: str
    state: WorkerState
    jobs: tuple[str, ...]
    pid: int | None
    error: str | None
    busy_share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ExecutorContext:
    """What an executor is made with.

    Attributes:
        config: the daemon's.
        notify: takes every event, from any thread.
    """

    config: Config
    notify: Callable[[ExecutorEvent], None]


class Executor(Protocol):
    """What runs batches."""

    def start(self) -> None:
        """Start workers."""

    def wake(self) -> None:
        """Called when there is work: load what was unloaded."""

    def free(self, *, alone: bool = False) -> int:
        """How many batches can be taken now: a job's attempt counts from then on, so nobody may be loading still.

        Args:
            alone: by workers that have nothing else in hand, for a job that may take its worker down.
        """

    def submit(self, batch: Batch) -> None:
        """Take a batch; every one of its jobs is answered by a Done or NotDone, or named in a WorkerDied."""

    def workers(self) -> Sequence[WorkerView]:
        """The workers, for `dreamd status`."""

    def handle(self, event: ExecutorEvent) -> None:
        """Called in the daemon's loop with each event that this executor has sent."""

    def tick(self, now: float) -> None:
        """Do what is due at a time of `time.monotonic`: time-outs, restarts, unloading."""

    def next_deadline(self) -> float | None:
        """When `tick` has something to do next."""

    def restart(self) -> None:
        """Have workers load the plugins anew, each when its batch is finished."""

    def stop(self) -> None:
        """End every worker now."""


class LocalExecutor:
    """One worker process a device."""

    def __init__(self, context: ExecutorContext) -> None:
        config = context.config
        self._config = config
        self._workers = [_LocalWorker(device, config, context.notify) for device in worker_devices(config)]

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def wake(self) -> None:
        for worker in self._workers:
            if worker.is_unloaded:
                worker.start()

    def free(self, *, alone: bool = False) -> int:
        return sum(worker.is_free and not (alone and worker.in_hand) for worker in self._workers)

    def submit(self, batch: Batch) -> None:
        # The worker that was free may have died since: then the one that is submitted to is started for it.
        min(self._workers, key=lambda worker: (not worker.is_free, worker.in_hand)).submit(batch)

    def workers(self) -> Sequence[WorkerView]:
        return [worker.view() for worker in self._workers]

    def handle(self, event: ExecutorEvent) -> None:
        if isinstance(event, Done | NotDone):
            for worker in self._workers:
                worker.answered(event.job)

    def tick(self, now: float) -> None:
        for worker in self._workers:
            worker.tick(now)

    def next_deadline(self) -> float | None:
        return min((due for worker in self._workers if (due := worker.deadline) is not None), default=None)

    def restart(self) -> None:
        for worker in self._workers:
            worker.restart_when_idle()

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()


def worker_devices(config: Config) -> list[str]:
    """A device for each worker. `auto` is one a GPU, found without torch; the worker makes sure of it."""
    if config.workers.devices != "auto":
        return list(config.workers.devices)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        count = len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    else:
        gpus = Path("/proc/driver/nvidia/gpus")
        count = len(list(gpus.iterdir())) if gpus.is_dir() else 0
    return [f"auto:{index}" for index in range(max(1, count))]


class _Process:
    """A running worker process. A thread reads what it says until it ends; another waits for that end."""

    def __init__(
        self, settings: Settings, notify: Callable[[ExecutorEvent], None], ended: Callable[[str], None]
    ) -> None:
        """Start it. Raises OSError when the system has no room for another process."""
        self._notify = notify
        self._ended = ended
        self._blame: str | None = None
        self._writing = threading.Lock()
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "dreamd.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the daemon, which then drains
        )
        self.pid = self._popen.pid
        assert self._popen.stdin is not None
        with contextlib.suppress(PermissionError):  # a user has so many pages for pipes; common orders need few
            fcntl.fcntl(self._popen.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._reaper = threading.Thread(target=self._reap, name=f"worker-{self.pid}-end", daemon=True)
        self._reader = threading.Thread(target=self._read, name=f"worker-{self.pid}", daemon=True)
        self._reaper.start()
        self._reader.start()
        self.send(settings.line())

    def send(self, line: bytes) -> None:
        """Send a line; a worker that is gone does not take it, and its end is told by its reader."""
        assert self._popen.stdin is not None
        with self._writing, contextlib.suppress(BrokenPipeError):
            if not self._popen.stdin.closed:
                self._popen.stdin.write(line)
                self._popen.stdin.flush()

    def kill(self, blame: str | None = None) -> None:
        """Kill the process; `blame` is then told as the reason of its end."""
        self._blame = self._blame or blame
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """End the process and wait until its reader has told so."""
        self._signal(signal.SIGTERM)
        self._reader.join(_KILL_GRACE_SECONDS)
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
            for line in iter(partial(output.readline, _LINE_BYTES), b""):
                if not self._has_told(line):
                    break
        self._reaper.join()
        code = self._popen.wait()
        with self._writing, contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._ended(self._blame or _how_it_ended(code))

    def _has_told(self, line: bytes) -> bool:
        """Pass on a worker's line; a worker that sends anything else is killed."""
        try:
            message = from_worker(line)
        except ValidationError:
            self.kill(f"it sent something that is no message: {line[:80]!r}")
            return False
        if isinstance(message, Unable):
            self._blame = self._blame or message.reason
        else:
            self._notify(message)
        return True


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"the worker ended with code {code}"
    names = {member.value: member.name for member in signal.Signals}
    return f"the worker was killed by {names.get(-code, f'signal {-code}')}"


class Load:
    """How busy a worker's device is, by the seconds of dreaming that the worker counts up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notes: deque[tuple[float, float]] = deque([(clock(), 0.0)])

    def note(self, busy_seconds: float) -> None:
        """The worker has dreamed for so long since its start."""
        self._notes.append((self._clock(), busy_seconds))
        self._forget()

    def share(self) -> float:
        """The part of the last minute that it was dreaming, 0 to 1."""
        self._forget()
        begin, before = self._notes[0]
        elapsed = max(self._clock() - begin, 1e-3)
        return round(min(1.0, (self._notes[-1][1] - before) / elapsed), 2)

    def _forget(self) -> None:
        while len(self._notes) > 1 and self._notes[1][0] < self._clock() - _LOAD_SECONDS:
            self._notes.popleft()


_LOAD_SECONDS = 60.0


class _LocalWorker:
    """One device's worker: its process, what it works on, and when it has to be looked after.

    The loop calls its methods, the process's reader `_told` and `_ended`; whoever changes anything holds the lock.
    """

    def __init__(self, device: str, config: Config, notify: Callable[[ExecutorEvent], None]) -> None:
        self._device = device
        self._config = config
        self._notify = notify
        self._lock = threading.RLock()
        self._process: _Process | None = None
        self._ready: Ready | None = None
        self._pending: list[str] = []
        self._unanswered: set[str] = set()  # of those pending: an answer may wait in the loop's queue
        self._refill = 0  # so few pending, and it may be given more: it then never waits for the loop
        self._load = Load()
        self._failures = 0
        self._error: str | None = None
        self._stopping = False
        self._wants_restart = False
        self.deadline: float | None = None

    @property
    def in_hand(self) -> int:
        """How many jobs it has not answered for."""
        with self._lock:
            return len(self._pending)

    @property
    def is_unloaded(self) -> bool:
        """Whether it has no process, and is not to get one by itself after a while."""
        with self._lock:
            return self._process is None and self.deadline is None

    @property
    def is_free(self) -> bool:
        """Whether it may be given a batch."""
        with self._lock:
            if self._ready is None or (self._pending and self._wants_restart):
                return False
            return len(self._pending) <= self._refill

    @property
    def state(self) -> WorkerState:
        with self._lock:
            if self._process is None:
                return WorkerState.STOPPED
            if self._ready is None:
                return WorkerState.STARTING
            return WorkerState.BUSY if self._pending else WorkerState.IDLE

    def start(self) -> None:
        config = self._config
        settings = Settings(
            device=self._device,
            plugin_folders=config.plugins.engine,
            disable=config.plugins.disable,
            max_pixels=config.limits.max_pixels,
            max_bytes=config.limits.max_bytes,
            memory=None if config.workers.memory == "auto" else config.workers.memory,
            batch=None if config.workers.batch == "auto" else config.workers.batch,
            previews=None if config.status.listen is None else config.state / "preview",
        )
        with self._lock:
            self._stopping = self._wants_restart = False
            self._ready = None
            self.deadline = time.monotonic() + _START_SECONDS
            try:
                self._process = _Process(settings, self._told, self._ended)
            except OSError as error:
                self._ended(f"the worker cannot be started: {error.strerror}")

    def submit(self, batch: Batch) -> None:
        with self._lock:
            was_idle = not self._pending
            self._pending += batch.jobs
            self._unanswered.update(batch.jobs)
            self._refill = len(batch.orders) // 2
            if self._process is None:
                self.start()
            elif self._ready is not None and was_idle:
                self.deadline = self._time_out()  # one that is starting gets it when it is ready
            process = self._process
        if process is not None:
            process.send(batch.line())

    def answered(self, job: str) -> None:
        with self._lock:
            if job not in self._pending:
                return
            self._pending.remove(job)
            self._failures = 0
            self.deadline = self._time_out() if self._pending else self._idle_deadline()
        self._restart_if_wanted()

    def tick(self, now: float) -> None:
        with self._lock:
            if self.deadline is None or now < self.deadline:
                return
            self.deadline = None
            if self._process is None:
                self.start()
                return
            if self._ready is None:
                self._process.kill(f"the worker was not ready after {_START_SECONDS:g} s")
                return
            if self._pending:
                limit = self._config.limits.timeout_seconds
                self._process.kill(f"it took longer than limits.timeout_seconds ({limit:g} s)")
                return
        log.info("%s: idle for %g s; unloaded", self._device, self._config.workers.idle_unload_seconds)
        self.stop()

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            process = self._process
        if process is not None:
            process.end()  # without the lock, which `_ended` takes

    def restart_when_idle(self) -> None:
        self._wants_restart = True
        self._restart_if_wanted()

    def _restart_if_wanted(self) -> None:
        with self._lock:
            if not self._wants_restart or self._pending or self._process is None:
                return
        self.stop()
        self.start()

    def view(self) -> WorkerView:
        with self._lock:
            return WorkerView(
                device=self._ready.device if self._ready else self._device,
                device_name=self._ready.device_name if self._ready else "",
                precision=self._ready.precision if self._ready else "",
                state=self.state,
                jobs=tuple(self._pending),
                pid=self._process.pid if self._process else None,
                error=self._error,
                busy_share=self._load.share() if self._pending else 0.0,
            )

    def _time_out(self) -> float:
        return time.monotonic() + self._config.limits.timeout_seconds

    def _idle_deadline(self) -> float:
        return time.monotonic() + self._config.workers.idle_unload_seconds

    def _told(self, event: ExecutorEvent) -> None:
        """Called by the process's reader with each message."""
        with self._lock:
            if isinstance(event, Ready):
                self._ready = event
                self._error = None
                self.deadline = self._time_out() if self._pending else self._idle_deadline()
            elif isinstance(event, Done | NotDone):
                self._unanswered.discard(event.job)
            elif isinstance(event, Fetching) and self._pending:
                self.deadline = self._time_out()  # a slow line is not the picture's fault
            if isinstance(event, Advanced | Done):
                self._load.note(event.busy_seconds)
        self._notify(event)

    def _ended(self, reason: str) -> None:
        """Called by the process's reader, last of all."""
        with self._lock:
            jobs, self._pending = tuple(job for job in self._pending if job in self._unanswered), []
            self._unanswered.clear()
            self._load = Load()
            was_ready, self._process, self._ready = self._ready is not None, None, None
            self.deadline = None
            if not self._stopping:
                self._error = reason
                self.deadline = time.monotonic() + self._wait_after(over_job=was_ready and bool(jobs))
        if jobs or not self._stopping:
            self._notify(WorkerDied(jobs, reason, was_ready))

    def _wait_after(self, *, over_job: bool) -> float:
        """Seconds before the next start: none after a death that a picture caused, to let the others go on."""
        if over_job:
            return 0.0
        self._failures += 1
        return _RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS)) - 1]

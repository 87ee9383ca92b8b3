"""Executors run batches of jobs. `LocalExecutor` keeps one worker process a device on this machine.

An executor tells the daemon what happens through one callable, from any thread; everything else is called by the
daemon's loop. It knows processes and messages; queues, folders and the journal are the daemon's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from dreamd.config import Config
from dreamd.messages import Advanced, Done, Dream, Fetching, NotDone, Order, Ready, Settings, from_worker

log = logging.getLogger(__name__)

_KILL_GRACE_SECONDS = 10.0
_RESTART_SECONDS = (1.0, 5.0, 30.0, 60.0)
"""How long to wait before a worker that died before it was ready is started again: longer each time."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Jobs to dream together: equal recipes, given as JSON."""

    recipe: str
    orders: tuple[Order, ...]

    @property
    def jobs(self) -> tuple[str, ...]:
        """The ids of its jobs."""
        return tuple(order.job for order in self.orders)


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
    """A worker as `dreamd status` shows it."""

    device: str
    device_name: str
    precision: str
    state: WorkerState
    jobs: tuple[str, ...]
    pid: int | None
    error: str | None


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

    def free(self) -> int:
        """How many more batches can be taken now."""

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

    def free(self) -> int:
        return sum(worker.is_free for worker in self._workers)

    def submit(self, batch: Batch) -> None:
        free = [worker for worker in self._workers if worker.is_free]
        min(free, key=lambda worker: worker.state is not WorkerState.IDLE).submit(batch)

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
    """A running worker process. A thread of it reads what it says until it ends."""

    def __init__(
        self, settings: Settings, notify: Callable[[ExecutorEvent], None], ended: Callable[[str], None]
    ) -> None:
        self._notify = notify
        self._ended = ended
        self._garbage: str | None = None
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "dreamd.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the daemon, which then drains
        )
        self.pid = self._popen.pid
        self.send(settings.line())
        self._reader = threading.Thread(target=self._read, name=f"worker-{self.pid}", daemon=True)
        self._reader.start()

    def send(self, line: bytes) -> None:
        """Send a line; a worker that is gone does not take it, and its end is told by its reader."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(line)
            self._popen.stdin.flush()

    def kill(self) -> None:
        self._popen.kill()

    def end(self) -> None:
        """End the process and wait until its reader has told so."""
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()
        self._popen.terminate()
        try:
            self._popen.wait(_KILL_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        self._reader.join()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as lines:
            for line in lines:
                try:
                    self._notify(from_worker(line))
                except ValidationError:
                    self._garbage = f"it sent something that is no message: {line[:80]!r}"
                    self._popen.kill()
                    break
        code = self._popen.wait()
        self._ended(self._garbage or _how_it_ended(code))


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with code {code}"


class _LocalWorker:
    """One device's worker: its process, what it works on, and when it has to be looked after."""

    def __init__(self, device: str, config: Config, notify: Callable[[ExecutorEvent], None]) -> None:
        self._device = device
        self._config = config
        self._notify = notify
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._ready: Ready | None = None
        self._pending: list[str] = []
        self._failures = 0
        self._error: str | None = None
        self._stopping = False
        self._wants_restart = False
        self.deadline: float | None = None

    @property
    def is_free(self) -> bool:
        with self._lock:
            return not self._pending and (self._process is not None or self.deadline is None)

    @property
    def state(self) -> WorkerState:
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
        )
        self._stopping = self._wants_restart = False
        self._ready = None
        self.deadline = None
        self._process = _Process(settings, self._told, self._ended)

    def submit(self, batch: Batch) -> None:
        if self._process is None:
            self.start()
        assert self._process is not None
        with self._lock:
            self._pending = list(batch.jobs)
            # A worker that is not ready yet gets its time-out when it is.
            self.deadline = None if self._ready is None else self._time_out()
        self._process.send(Dream(recipe=batch.recipe, orders=batch.orders).line())

    def answered(self, job: str) -> None:
        with self._lock:
            if job not in self._pending:
                return
            self._pending.remove(job)
            self.deadline = self._time_out() if self._pending else self._idle_deadline()
        self._restart_if_wanted()

    def tick(self, now: float) -> None:
        with self._lock:
            if self.deadline is None or now < self.deadline:
                return
            self.deadline = None
            process, busy = self._process, bool(self._pending)
        if process is None:
            self.start()
        elif busy:
            self._error = f"it took longer than limits.timeout_seconds ({self._config.limits.timeout_seconds:g} s)"
            process.kill()
        else:
            log.info("%s: idle for %g s; unloaded", self._device, self._config.workers.idle_unload_seconds)
            self.stop()

    def stop(self) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.end()

    def restart_when_idle(self) -> None:
        self._wants_restart = True
        self._restart_if_wanted()

    def _restart_if_wanted(self) -> None:
        if self._wants_restart and not self._pending and self._process is not None:
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
            )

    def _time_out(self) -> float:
        return time.monotonic() + self._config.limits.timeout_seconds

    def _idle_deadline(self) -> float:
        return time.monotonic() + self._config.workers.idle_unload_seconds

    def _told(self, event: ExecutorEvent) -> None:
        if isinstance(event, Ready):
            with self._lock:
                self._ready = event
                self._failures = 0
                self._error = None
                self.deadline = self._time_out() if self._pending else self._idle_deadline()
        self._notify(event)

    def _ended(self, reason: str) -> None:
        """Called by the process's reader, last of all."""
        with self._lock:
            jobs, self._pending = tuple(self._pending), []
            was_ready, self._process, self._ready = self._ready is not None, None, None
            self.deadline = None
            if not self._stopping:
                reason = self._error or reason
                wait = 0.0 if was_ready else _RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS) - 1)]
                self._failures = 0 if was_ready else self._failures + 1
                self._error = reason
                self.deadline = time.monotonic() + wait
        if jobs or not self._stopping:
            self._notify(WorkerDied(jobs, reason, was_ready))

"""Workers on this machine, one a device."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from dreamd.executors.executor import ExecutorContext, ExecutorEvent, WorkerDied, WorkerState, WorkerView
from dreamd.executors.process import Process
from dreamd.messages import Advanced, Batch, Done, Fetching, NotDone, Ready, Settings
from dreamd.settings.config import Config

log = logging.getLogger(__name__)

_RESTART_SECONDS = (1.0, 5.0, 30.0, 60.0)
"""How long to wait before a worker that died over no job is started again: longer each time."""

_START_SECONDS = 300.0
"""How long a worker may take to be ready; torch from a slow disk takes a minute."""


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
        self._process: Process | None = None
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
                self._process = Process(settings, self._told, self._ended)
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

"""One device's worker on this machine: its process, what it works on, and when it has to be looked after."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from dreamd.executors.devices import WorkerDevice
from dreamd.executors.executor import ExecutorEvent, WorkerDied, WorkerState, WorkerView
from dreamd.executors.in_hand import InHand
from dreamd.executors.load import Load
from dreamd.executors.process import End, Process
from dreamd.files.problems import refusal
from dreamd.messages import Advanced, Batch, Cancel, Done, Importing, NotDone, Ready, Settings, Yielded
from dreamd.settings.config import Config
from dreamd.tree.layout import StateFolder

log = logging.getLogger(__name__)

_RESTART_SECONDS = (1.0, 5.0, 30.0, 60.0)
"""The waits before a worker that died over no job is started again, in seconds: longer each time."""

_RESTART_PAUSE_SECONDS = 1.0
"""The time in which a worker that was to be restarted while it started may be given a batch, in seconds.

Else reloads that come faster than a worker starts would keep every picture waiting.
"""

_START_SECONDS = 300.0
"""The time that a worker may take to be ready, in seconds; torch from a slow disk takes a minute."""


_CANCEL_SECONDS = 2.0
"""The time in which a worker stops a dream that was cancelled, in seconds, before it is killed."""

_SPARE_SECONDS = 1800.0
"""The wait before a worker is started again whose GPU could not be used, while others work, in seconds: each time costs
the processor seconds."""


class LocalWorker:
    """A worker and its process, which comes and goes.

    The loop calls the public methods, and the process's reader the two that begin with `_take`; whoever changes
    anything holds the lock.

    Attributes:
        deadline: when `tick` has something to do next, as a time of `time.monotonic`; None: nothing.
    """

    def __init__(
        self,
        device: WorkerDevice,
        config: Config,
        notify: Callable[[ExecutorEvent], None],
        distrusted: dict[str, str],
    ) -> None:
        """Set up; `distrusted` has the plugins that ended a worker by being loaded, for all workers to do without."""
        self._device = device
        self._config = config
        self._notify = notify
        self._distrusted = distrusted
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._ready: Ready | None = None
        self._importing: Importing | None = None
        self._in_hand = InHand()
        self._load = Load()
        self._failures = 0
        self._error: str | None = None
        self._is_stopping = False
        self._wants_restart = False
        self._cancelled: set[str] = set()
        self._cancelled_due = 0.0
        self.deadline: float | None = None

    @property
    def in_hand(self) -> int:
        """How many jobs it has not answered for."""
        with self._lock:
            return len(self._in_hand)

    @property
    def is_unloaded(self) -> bool:
        """Whether it has no process, and is not to get one by itself after a while."""
        with self._lock:
            return self._process is None and self.deadline is None

    @property
    def is_free(self) -> bool:
        """Whether it may be given a batch."""
        with self._lock:
            if self._ready is None or (self._in_hand and self._wants_restart):
                return False
            return self._in_hand.is_low

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do next, as a time of `time.monotonic`."""
        with self._lock:
            dues = (self.deadline, self._cancelled_due if self._cancelled else None)
        return min((due for due in dues if due is not None), default=None)

    def view(self) -> WorkerView:
        """Show it as it is now."""
        with self._lock:
            return WorkerView(
                device=self._ready.device if self._ready else self._device.name,
                device_name=self._ready.device_name if self._ready else "",
                precision=self._ready.precision if self._ready else "",
                state=self._state(),
                jobs=self._in_hand.jobs,
                pid=self._process.pid if self._process else None,
                error=self._error or (self._ready.warning if self._ready else None) or None,
                busy_share=self._load.share() if self._in_hand else 0.0,
            )

    def start(self) -> None:
        """Start its process."""
        with self._lock:
            self._is_stopping = self._wants_restart = False
            self._ready = self._importing = None
            self.deadline = time.monotonic() + _START_SECONDS
            try:
                self._process = Process(
                    _settings(self._device, self._config, self._distrusted),
                    self._take_message,
                    self._take_end,
                    self._device.environment(),
                )
            except OSError as error:
                self._take_end(End(f"the worker cannot be started: {refusal(error)}"))

    def submit(self, batch: Batch) -> None:
        """Give it a batch; one that has no process gets one."""
        with self._lock:
            was_idle = not self._in_hand
            self._in_hand.give(batch.jobs)
            if self._process is None:
                self.start()
            elif self._ready is not None and was_idle:
                self.deadline = self._time_out()  # one that is starting gets it when it is ready
            process = self._process
        if process is not None:
            process.send(batch.line())

    def cancel(self, jobs: Sequence[str]) -> None:
        """Have it stop working on those of some jobs that it has in hand.

        One that does not stop in time is killed: it may hang, or be in the middle of a step that takes minutes. What
        else it has in hand is for another process then, with no attempt counted.
        """
        with self._lock:
            mine = self._in_hand.unanswered_of(jobs)
            process = self._process
            if not mine or process is None:
                return
            if self._ready is not None:
                self._cancelled |= mine
                self._cancelled_due = time.monotonic() + _CANCEL_SECONDS
        process.send(Cancel(cancel=tuple(mine)).line())

    def take_answer(self, job: str) -> None:
        """Take note that the loop has the answer for a job, if it is one of this worker's."""
        with self._lock:
            if not self._in_hand.take(job):
                return
            self._failures = 0
            self.deadline = self._time_out() if self._in_hand else self._idle_deadline()
        self._restart_if_idle()

    def tick(self, now: float) -> None:
        """Do what is due: kill a worker that takes too long, start one again, unload one that is idle."""
        with self._lock:
            if self._cancelled and self._process is not None and now >= self._cancelled_due:
                self._cancelled.clear()
                self._process.kill(End("it was ended, for it did not stop a dream that was cancelled", None))
                return
            if self.deadline is None or now < self.deadline:
                return
            self.deadline = None
            if self._process is None:
                self.start()
                return
            if self._ready is None:
                self._process.kill(End(f"the worker was not ready after {_START_SECONDS:g} s"))
                return
            if self._in_hand:
                limit = self._config.limits.timeout_seconds
                self._process.kill(End(f"it took longer than limits.timeout_seconds ({limit:g} s)", "time"))
                return
        if self._wants_restart:
            self._restart_if_idle()
            return
        log.info("%s: idle for %g s; unloaded", self._device.name, self._config.workers.idle_unload_seconds)
        self.stop()

    def restart(self) -> None:
        """Start its process anew, once it is ready and has nothing in hand; one that is unloaded stays so."""
        with self._lock:
            self._wants_restart = self._process is not None
        self._restart_if_idle()

    def stop(self) -> None:
        """End its process now."""
        with self._lock:
            self._is_stopping = True
            process = self._process
        if process is not None:
            process.end()  # without the lock, which `_take_end` takes

    def _state(self) -> WorkerState:
        if self._process is None:
            return WorkerState.STOPPED
        if self._ready is None:
            return WorkerState.STARTING
        return WorkerState.BUSY if self._in_hand else WorkerState.IDLE

    def _restart_if_idle(self) -> None:
        with self._lock:
            if not self._wants_restart or self._in_hand or self._ready is None:
                return
        self.stop()
        self.start()

    def _time_out(self) -> float:
        return time.monotonic() + self._config.limits.timeout_seconds

    def _idle_deadline(self) -> float:
        return time.monotonic() + self._config.workers.idle_unload_seconds

    def _take_message(self, event: ExecutorEvent | Importing) -> None:
        """Take a message of the process, in its reader's thread."""
        if isinstance(event, Importing):
            with self._lock:
                self._importing = event if event.plugin is not None else None
            return
        with self._lock:
            if isinstance(event, Ready):
                self._ready = event
                self._error = None
                self.deadline = self._time_out() if self._in_hand else self._idle_deadline()
                if self._wants_restart and not self._in_hand:
                    self.deadline = time.monotonic() + _RESTART_PAUSE_SECONDS
            elif isinstance(event, Done | NotDone | Yielded):
                self._in_hand.note_answer(event.job)
                self._cancelled.discard(event.job)
            if isinstance(event, Advanced | Done | Yielded):
                self._load.note(event.busy_seconds)
        self._notify(event)

    def _take_end(self, end: End) -> None:
        """Take the end of the process, in its reader's thread and last of all."""
        reason = end.reason
        with self._lock:
            lost = self._in_hand.take_all()
            self._cancelled.clear()
            self._load = Load()
            was_ready, self._process, self._ready = self._ready is not None, None, None
            plugin = None
            self.deadline = None
            is_missed = bool(lost) or not (self._is_stopping or (self._device.is_spare and not was_ready))
            if not self._is_stopping:
                plugin = self._distrust_plugin(reason)
                self._error = reason if end.failure is not None else None
                is_over_job = was_ready and (bool(lost) or end.failure is None)
                wait = self._next_wait(is_explained=is_over_job or plugin is not None)
                self.deadline = time.monotonic() + (wait if is_missed or plugin else _SPARE_SECONDS)
        if is_missed or plugin:
            self._notify(WorkerDied(lost, reason, was_ready, plugin, end.failure))
        elif not self._is_stopping:
            log.warning("%s: %s", self._device.name, reason)

    def _distrust_plugin(self, reason: str) -> str | None:
        """Have workers do without the plugin that this one ended over, if it did; return the plugin's name."""
        importing, self._importing = self._importing, None
        if importing is None or importing.plugin is None:
            return None
        why = f"loading it ended its worker ({reason}); it is tried again when its files change, or on a reload"
        self._distrusted[importing.plugin] = why
        return importing.plugin

    def _next_wait(self, *, is_explained: bool) -> float:
        """Seconds before the next start: none after a death over a picture or plugin, which does not come again."""
        if is_explained:
            return 0.0
        self._failures += 1
        return _RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS)) - 1]


def _settings(device: WorkerDevice, config: Config, distrusted: dict[str, str]) -> Settings:
    """Take from the config what a worker needs to know."""
    return Settings(
        device=device.name,
        plugin_folders=config.plugins.engine,
        disable=config.plugins.disable,
        distrusted=dict(distrusted),
        max_pixels=config.limits.max_pixels,
        max_bytes=config.limits.max_bytes,
        max_film_bytes=config.limits.max_film_bytes,
        max_frames=config.limits.max_frames,
        max_film_seconds=config.limits.max_film_seconds,
        memory=None if config.workers.memory == "auto" else config.workers.memory,
        batch=None if config.workers.batch == "auto" else config.workers.batch,
        previews=None if config.status.listen is None else StateFolder(config.state).previews,
        sees_one_gpu=device.card is not None,
        is_spare=device.is_spare,
        sharers=device.sharers,
        threads=None if config.workers.threads == "auto" else config.workers.threads,
        deterministic=config.workers.deterministic,
        picture_folders=(config.recipes, config.inbox),
    )

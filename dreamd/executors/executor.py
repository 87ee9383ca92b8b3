"""Executors run batches of jobs. `LocalExecutor` keeps one worker process a device on this machine.

An executor tells the daemon what happens through one callable, from any thread; the daemon's loop alone calls its
methods. It knows processes and messages; queues, folders and the journal are the daemon's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from dreamd.errors import FailureCause
from dreamd.messages import Advanced, Batch, Done, NotDone, Ready, Writing, Yielded
from dreamd.settings.config import Config


@dataclass(frozen=True)
class WorkerDied:
    """A worker's process ended.

    Attributes:
        jobs: the jobs that it had not answered for.
        reason: how it ended, for a person.
        was_ready: whether it had ever been ready; if not, its jobs are not to blame.
        plugin: the plugin that ended it by being loaded, and that workers are started without from now on.
        failure: what its end says of the jobs; None: nothing, because it was ended by the daemon's own order.
    """

    jobs: tuple[str, ...]
    reason: str
    was_ready: bool
    plugin: str | None = None
    failure: FailureCause | None = "worker"


ExecutorEvent = Ready | Advanced | Writing | Done | NotDone | Yielded | WorkerDied
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
        config: the daemon's config.
        notify: takes every event, from any thread.
    """

    config: Config
    notify: Callable[[ExecutorEvent], None]


class Executor(Protocol):
    """What runs batches."""

    def start(self) -> None:
        """Start workers."""

    def wake(self) -> None:
        """Load what was unloaded: there is work."""

    def free(self, *, alone: bool = False) -> int:
        """Return how many batches can be taken now. A job's attempt counts from then on, so only workers that are ready
        count.

        Args:
            alone: by workers that have nothing else in hand, for a job that may take its worker down.
        """

    def submit(self, batch: Batch) -> None:
        """Take a batch; every one of its jobs is answered by a Done, NotDone or Yielded, or named in a
        WorkerDied."""

    def workers(self) -> Sequence[WorkerView]:
        """Show the workers, for `dreamd status`."""

    def handle(self, event: ExecutorEvent) -> None:
        """Take note that the daemon's loop has an event that this executor has sent."""

    def tick(self, now: float) -> None:
        """Do what is due at a time of `time.monotonic`: time-outs, restarts, unloading."""

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do next, as a time of `time.monotonic`."""

    def restart(self) -> None:
        """Have workers load the plugins anew, each when its batch is finished."""

    def stop(self) -> None:
        """End every worker now."""


@runtime_checkable
class StoppingExecutor(Executor, Protocol):
    """An executor that can stop a dream. One that cannot dreams on, and what comes of it is thrown away."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """Stop working on jobs, soon; nobody waits for their answers any more, which may come all the same."""

"""A guard around a plugin's executor: what raises there is told with the plugin's name, and ends nobody else's work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from dreamd.executors.executor import Executor, ExecutorEvent, StoppingExecutor, WorkerView
from dreamd.messages import Batch
from dreamd.plugin_host.calling.blame import describe_error

log = logging.getLogger(__name__)

T = TypeVar("T")


class GuardedExecutor:
    """An executor that never raises. Once its plugin has raised, it takes no more work until it is restarted.

    Attributes:
        problem: what the plugin raised, with its name; None: nothing.
    """

    def __init__(self, executor: Executor, label: str) -> None:
        """Guard an executor; `label` says what it is and whose: "executor 'ray' of plugin 'ray'"."""
        self._executor = executor
        self._label = label
        self.problem: str | None = None

    def start(self) -> None:
        self._try("start", lambda: self._executor.start(), None)

    def wake(self) -> None:
        self._try("wake", lambda: self._executor.wake(), None)

    def free(self, *, alone: bool = False) -> int:
        return self._try("free", lambda: _number(self._executor.free(alone=alone)), 0)

    def submit(self, batch: Batch) -> None:
        self._try("submit", lambda: self._executor.submit(batch), None)

    def cancel(self, jobs: Sequence[str]) -> None:
        executor = self._executor
        if isinstance(executor, StoppingExecutor):
            self._try("cancel", lambda: executor.cancel(jobs), None)

    def workers(self) -> Sequence[WorkerView]:
        return self._try("workers", lambda: _views(self._executor.workers()), ())

    def handle(self, event: ExecutorEvent) -> None:
        # Always: an executor that misses an answer would think for ever that it is busy.
        problem, self.problem = self.problem, None
        self._try("handle", lambda: self._executor.handle(event), None)
        self.problem = problem or self.problem

    def tick(self, now: float) -> None:
        self._try("tick", lambda: self._executor.tick(now), None)

    def next_deadline(self) -> float | None:
        return self._try("next_deadline", lambda: _time(self._executor.next_deadline()), None)

    def restart(self) -> None:
        self.problem = None
        self._try("restart", lambda: self._executor.restart(), None)

    def stop(self) -> None:
        self.problem = None  # whatever has gone wrong, its workers have to be ended
        self._try("stop", lambda: self._executor.stop(), None)

    def _try(self, method: str, call: Callable[[], T], otherwise: T) -> T:
        """Call the plugin, unless it has raised before; return `otherwise` in place of what it does not give."""
        if self.problem is not None:
            return otherwise
        try:
            return call()
        except (Exception, SystemExit) as error:  # it is a plugin's: it may raise anything
            self.problem = f"{self._label}: {method}: {describe_error(error)}"
            log.error("%s; its pictures are held until the plugins are reloaded", self.problem)
            log.debug("%s", self._label, exc_info=error)
            return otherwise


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"it returned {value!r}, which is no whole number")
    return value


def _time(value: object) -> float | None:
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"it returned {value!r}, which is no time of time.monotonic, and not None")
    return value


def _views(value: object) -> list[WorkerView]:
    if not isinstance(value, Sequence) or not all(isinstance(view, WorkerView) for view in value):
        raise TypeError(f"it returned {value!r}, which is no list of WorkerView")
    return list(value)

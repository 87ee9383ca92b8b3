"""A guard around a plugin's executor: what raises there is told with the plugin's name, and ends nobody else's work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from dreamd.errors import DreamdError, PluginError
from dreamd.executors.executor import Bundle, Demand, Executor, Fleet
from dreamd.messages import Batch
from dreamd.plugin_host.calling.blame import describe_error

log = logging.getLogger(__name__)

T = TypeVar("T")


class GuardedExecutor:
    """An executor that never raises. Once its plugin has raised, nothing is asked of it until `problem` is cleared.

    Attributes:
        problem: what the plugin raised, with its name; None: nothing.
    """

    def __init__(self, executor: Executor, label: str) -> None:
        """Guard an executor; `label` says what it is and whose: "executor 'ray' of plugin 'ray'"."""
        self._executor = executor
        self._label = label
        self.problem: str | None = None

    def open(self, fleet: Fleet) -> None:
        self._try("open", lambda: self._executor.open(fleet), None)

    def want(self, demand: Demand) -> None:
        self._try("want", lambda: self._executor.want(demand), None)

    def order(self, seat: str, batch: Batch) -> bool:
        return self._try("order", lambda: _truth(self._executor.order(seat, batch)), False)

    def cancel(self, seat: str, jobs: Sequence[str]) -> None:
        self._try("cancel", lambda: self._executor.cancel(seat, jobs), None)

    def drop(self, seat: str, why: str, *, now: bool) -> None:
        self._try("drop", lambda: self._executor.drop(seat, why, now=now), None)

    def renew(self, bundle: Bundle) -> None:
        self._try("renew", lambda: self._executor.renew(bundle), None)

    def close(self, seconds: float) -> None:
        self._try("close", lambda: self._executor.close(seconds), None)

    def examine(self) -> str | None:
        """Return what the executor says when it is asked whether seats can be had; None: it has nothing to say.

        Raises:
            DreamdError: they cannot, with what to do.
        """
        examine = getattr(self._executor, "examine", None)
        if examine is None:
            return None
        try:
            return str(examine())
        except DreamdError:
            raise
        except (Exception, SystemExit) as error:  # it is a plugin's: it may raise anything
            raise PluginError(f"{self._label}: examine: {describe_error(error)}") from error

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


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"it returned {value!r}, which is neither True nor False")
    return value

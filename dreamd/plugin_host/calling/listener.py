"""Listeners: plugins that are told of jobs, each in a thread of its own, so that one that hangs delays nobody."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from dreamd.job import Job
from dreamd.plugin_host.calling.blame import describe_error

log = logging.getLogger(__name__)

_MOST_WAITING = 1_000
"""The number of jobs that wait for a slow listener at most; it is not told of those that come beyond them."""

_LONG_SECONDS = 60.0
"""The seconds after which a call is logged as a long one: the plugin hangs, or its network does."""


class Listener:
    """One plugin's `dreamd_job_changed`."""

    def __init__(self, plugin: str, function: Callable[..., object], *, takes_job: bool) -> None:
        self._plugin = plugin
        self._function = function
        self._takes_job = takes_job
        self._waiting: queue.Queue[Job | None] = queue.Queue(_MOST_WAITING)
        self._called_at: float | None = None
        self._has_warned = False
        self._thread: threading.Thread | None = None

    def tell(self, job: Job) -> None:
        """Have the plugin told of a job, soon. Never waits."""
        if self._thread is None:  # here and not at once: most commands load plugins and never have a job
            self._thread = threading.Thread(target=self._listen, name=f"plugin-{self._plugin}", daemon=True)
            self._thread.start()
        self._say_when_long()
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            log.warning("plugin %s is not told of %s: %d jobs wait for it", self._plugin, job.id, _MOST_WAITING)

    def close(self, seconds: float) -> None:
        """Let it hear what it has not heard yet, and wait for that so many seconds at most."""
        if self._thread is None:
            return
        end = time.monotonic() + seconds
        with suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(max(0.0, end - time.monotonic()))
        if seconds:
            self._say_when_long(0.0)

    def _say_when_long(self, patience: float = _LONG_SECONDS) -> None:
        since = self._called_at
        if since is not None and not self._has_warned and time.monotonic() - since > patience:
            self._has_warned = True
            log.warning("plugin %s: dreamd_job_changed has not returned yet; everything else goes on", self._plugin)

    def _listen(self) -> None:
        while (job := self._waiting.get()) is not None:
            self._called_at = time.monotonic()
            try:
                self._function(*([job] if self._takes_job else []))
            except (Exception, SystemExit) as error:
                log.error("plugin %s: dreamd_job_changed failed: %s", self._plugin, describe_error(error))
                log.debug("plugin %s", self._plugin, exc_info=error)
            self._called_at, self._has_warned = None, False

"""An executor whose seats are on other machines, reached by a bridge: a process that has the library of a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from dreamd.executors.devices import WorkerDevice, threads_of
from dreamd.executors.executor import Bundle, Demand, Fleet, Seat
from dreamd.executors.local import worker_settings
from dreamd.executors.plan import Share
from dreamd.executors.process import LINE_BYTES, end_in_words, start
from dreamd.executors.remote.words import (
    Begin,
    Drop,
    Give,
    Heard,
    Renew,
    SeatGone,
    SeatOpened,
    SeatSaid,
    Stop,
    Told,
    Trouble,
    Want,
    read_heard,
)
from dreamd.messages import Batch

log = logging.getLogger(__name__)

_AGAIN_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)
"""The waits before a bridge is started again that has ended, in seconds: longer each time that it did not stay."""

_STAYED_SECONDS = 60.0
"""A bridge that lives for so many seconds has stayed."""


class BridgedExecutor:
    """Has its seats wherever a bridge opens them. It starts the bridge, and again when it has ended."""

    def __init__(self, module: str, cluster: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        """Set up.

        Args:
            module: the module that is the bridge: it calls `dreamd.api.run_bridge`.
            cluster: what the bridge's cluster is made with, as JSON has it.
            environment: the bridge's environment variables; None: the daemon's own.
        """
        self._module = module
        self._begin = Begin(cluster=dict(cluster))
        self._environment = os.environ if environment is None else environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._open: set[str] = set()
        self._renewal: Renew | None = None
        self._want: Want | None = None
        self._is_closing = threading.Event()

    # What the daemon's loop calls

    def open(self, fleet: Fleet) -> None:
        """Begin."""
        self._fleet = fleet
        # The kernel kills the bridge when the thread that started it ends (prctl(2)): so that one lasts.
        self._thread = threading.Thread(target=self._run, name="bridge", daemon=True)
        self._thread.start()

    def renew(self, bundle: Bundle) -> None:
        """Take what seats are opened with from now on."""
        config = bundle.config
        device = WorkerDevice(name="auto:0", share=Share(threads=threads_of(config)))
        settings = worker_settings(device, bundle, None, "")
        self._renewal = Renew(settings=settings, readable=(config.recipes, config.inbox))
        self._tell(self._renewal)

    def want(self, demand: Demand) -> None:
        """Have seats opened."""
        self._want = Want(jobs=demand.jobs, barred=tuple(sorted(demand.barred)))
        self._tell(self._want)

    def order(self, seat: str, batch: Batch) -> bool:
        """Give a batch to a seat."""
        return seat in self._open and self._tell(Give(seat=seat, batch=batch))

    def cancel(self, seat: str, jobs: Sequence[str]) -> None:
        """Have a seat stop working on jobs."""
        self._tell(Stop(seat=seat, jobs=tuple(jobs)))

    def drop(self, seat: str, why: str, *, now: bool) -> None:
        """Close a seat."""
        log.debug("%s: %s", seat, why)
        self._tell(Drop(seat=seat, now=now))

    def close(self, seconds: float) -> None:
        """End the bridge, and with it every seat."""
        end = time.monotonic() + seconds
        self._is_closing.set()
        with self._lock:
            process = self._process
            if process is not None and process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        self._thread.join(max(0.0, end - time.monotonic()))
        if process is not None and self._thread.is_alive():
            process.kill()
            self._thread.join()

    # The thread of the bridge

    def _run(self) -> None:
        tries = 0
        while not self._is_closing.is_set():
            began = time.monotonic()
            why = self._live()
            for seat in sorted(self._open):
                self._fleet.gone(seat, why, "cluster")
            self._open.clear()
            if self._is_closing.is_set():
                return
            self._fleet.trouble(f"{why}; it is started again")
            tries = 0 if time.monotonic() - began > _STAYED_SECONDS else tries
            self._is_closing.wait(_AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)])
            tries += 1

    def _live(self) -> str:
        """Start a bridge and hear it out; return how it ended, for a person."""
        try:
            process = self._start()
        except OSError as error:
            return f"the bridge to the cluster cannot be started: {error.strerror or error}"
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout as output:
            for line in iter(partial(output.readline, LINE_BYTES), b""):
                try:
                    self._take(read_heard(line))
                except ValidationError:
                    log.error("the bridge sent something that is no message: %r", line[:80])
                    process.kill()
                    break
        code = process.wait()
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process = None
            process.stdin.close()
        return f"the bridge to the cluster {end_in_words(code)}"

    def _start(self) -> subprocess.Popen[bytes]:
        process = start(self._module, self._environment)
        assert process.stdin is not None
        with self._lock:
            self._process = process
            for told in (self._begin, self._renewal, self._want):
                if told is not None:
                    _write(process, told)
            if self._is_closing.is_set():
                process.stdin.close()
        return process

    def _take(self, heard: Heard) -> None:
        match heard:
            case SeatOpened(seat=seat, device=device, node=node):
                self._open.add(seat)
                self._fleet.seat(Seat(id=seat, device=device, node=node))
            case SeatSaid(seat=seat, said=said):
                self._fleet.said(seat, said)
            case SeatGone(seat=seat):
                self._open.discard(seat)
                self._fleet.gone(seat, heard.why, heard.fault, heard.failure)
            case Trouble(text=text):
                self._fleet.trouble(text)

    def _tell(self, told: Told) -> bool:
        """Tell the bridge something; return False when there is none now."""
        with self._lock:
            return self._process is not None and _write(self._process, told)


def _write(process: subprocess.Popen[bytes], told: Told | Begin) -> bool:
    assert process.stdin is not None
    if process.stdin.closed:
        return False
    try:
        process.stdin.write(told.line())
        process.stdin.flush()
    except BrokenPipeError:  # its reader tells that it has ended
        return False
    return True

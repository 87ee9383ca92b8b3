"""Seats on this machine: one worker process a device, or several that share it by plan."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from dreamd.executors.devices import WorkerDevice, sharing_troubles, worker_devices
from dreamd.executors.executor import Bundle, Demand, ExecutorContext, Fleet, Seat
from dreamd.executors.process import End, Process
from dreamd.files.problems import refusal
from dreamd.hardware.memory import free_memory
from dreamd.messages import Batch, Cancel, Settings
from dreamd.tree.layout import StateFolder

log = logging.getLogger(__name__)


class LocalExecutor:
    """The workers of this machine, each in a process of its own.

    A process's reader tells of its end in a thread of its own. It holds the lock for that, and so does whoever starts a
    process: a seat's end is then always told before it is opened again.
    """

    def __init__(self, context: ExecutorContext) -> None:
        self._devices = _named(worker_devices(context.config))
        self._troubles = sharing_troubles(context.config)
        for trouble in self._troubles:
            log.warning("%s", trouble)
        self._processes: dict[str, Process] = {}
        self._lock = threading.Lock()

    def open(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def renew(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def want(self, demand: Demand) -> None:
        # However few jobs there are: each may be the first of many, and a worker takes seconds to be ready.
        for seat, device in self._devices.items():
            if seat not in demand.barred:
                self._start(seat, device)

    def order(self, seat: str, batch: Batch) -> bool:
        process = self._processes.get(seat)
        return process is not None and process.send(batch.line())

    def cancel(self, seat: str, jobs: Sequence[str]) -> None:
        if (process := self._processes.get(seat)) is not None:
            process.send(Cancel(cancel=tuple(jobs)).line())

    def drop(self, seat: str, why: str, *, now: bool) -> None:
        if (process := self._processes.get(seat)) is None:
            return
        log.debug("%s: %s", seat, why)
        if now:
            process.kill()
        else:
            process.end()

    def close(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        processes = list(self._processes.values())
        for process in processes:
            process.end()
        for process in processes:
            process.wait(max(0.0, end - time.monotonic()))

    def _start(self, seat: str, device: WorkerDevice) -> None:
        with self._lock:
            if seat in self._processes:
                return
            settings = worker_settings(device, self._bundle, self._memory_of(device), "; ".join(self._troubles))
            told = Seat(id=seat, device=device.name, is_spare=device.is_spare)
            try:
                process = Process(
                    settings,
                    partial(self._fleet.said, seat),
                    partial(self._take_end, seat),
                    device.environment(),
                    device.share.processors,
                )
            except OSError as error:
                self._fleet.seat(told)
                self._fleet.gone(seat, f"the worker cannot be started: {refusal(error)}")
                return
            self._processes[seat] = process
            self._fleet.seat(replace(told, pid=process.pid))
            process.begin()

    def _memory_of(self, device: WorkerDevice) -> int | None:
        """Return the bytes that a worker may hold; None: it looks by itself what is free.

        Those that share the processor have equal parts of what is free and of what the others hold already, whenever
        each is started.
        """
        if device.name != "cpu" or device.sharers == 1:
            return None
        others = [process.pid for seat, process in self._processes.items() if self._devices[seat].name == "cpu"]
        return free_memory(held_by=others) // device.sharers

    def _take_end(self, seat: str, end: End) -> None:
        with self._lock:
            del self._processes[seat]
            self._fleet.gone(seat, end.reason, failure=end.failure)


def _named(devices: Iterable[WorkerDevice]) -> dict[str, WorkerDevice]:
    """Give each worker's device the name of its seat; the second one of a device is `cpu#2`."""
    seen = Counter[str]()
    named = {}
    for device in devices:
        seen[device.name] += 1
        named[device.name if seen[device.name] == 1 else f"{device.name}#{seen[device.name]}"] = device
    return named


def worker_settings(device: WorkerDevice, bundle: Bundle, memory: int | None, trouble: str) -> Settings:
    """Take from the config what a worker needs to know.

    Args:
        device: its device.
        bundle: what workers are started with.
        memory: the bytes that it may hold, where the config does not say; None: it looks by itself.
        trouble: what is wrong with how workers share the processor; empty when nothing is.
    """
    config = bundle.config
    return Settings(
        device=device.name,
        plugin_folders=config.plugins.engine,
        disable=config.plugins.disable,
        distrusted=dict(bundle.distrusted),
        max_pixels=config.limits.max_pixels,
        max_bytes=config.limits.max_bytes,
        max_pages=config.limits.max_pages,
        max_pages_pixels=config.limits.max_pages_pixels,
        max_film_bytes=config.limits.max_film_bytes,
        max_frames=config.limits.max_frames,
        max_film_seconds=config.limits.max_film_seconds,
        memory=memory if config.workers.memory == "auto" else config.workers.memory,
        batch=None if config.workers.batch == "auto" else config.workers.batch,
        previews=None if config.status.listen is None else StateFolder(config.state).previews,
        sees_one_gpu=device.card is not None,
        is_spare=device.is_spare,
        sharers=device.sharers,
        threads=device.share.threads,
        warning=trouble,
        deterministic=config.workers.deterministic,
        picture_folders=(config.recipes, config.inbox),
    )

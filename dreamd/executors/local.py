"""Workers on this machine, one a device."""

from __future__ import annotations

from collections.abc import Sequence

from dreamd.executors.devices import worker_devices
from dreamd.executors.executor import ExecutorContext, ExecutorEvent, WorkerView
from dreamd.executors.local_worker import LocalWorker
from dreamd.messages import Batch, Done, NotDone, Yielded


class LocalExecutor:
    """One worker process a device."""

    def __init__(self, context: ExecutorContext) -> None:
        config = context.config
        self._config = config
        self._distrusted: dict[str, str] = {}
        self._workers = [
            LocalWorker(device, config, context.notify, self._distrusted) for device in worker_devices(config)
        ]

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

    def cancel(self, jobs: Sequence[str]) -> None:
        for worker in self._workers:
            worker.cancel(jobs)

    def workers(self) -> Sequence[WorkerView]:
        return [worker.view() for worker in self._workers]

    def handle(self, event: ExecutorEvent) -> None:
        if isinstance(event, Done | NotDone | Yielded):
            for worker in self._workers:
                worker.take_answer(event.job)

    def tick(self, now: float) -> None:
        for worker in self._workers:
            worker.tick(now)

    def next_deadline(self) -> float | None:
        return min((due for worker in self._workers if (due := worker.next_deadline()) is not None), default=None)

    def restart(self) -> None:
        self._distrusted.clear()
        for worker in self._workers:
            worker.restart()

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()

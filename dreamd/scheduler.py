"""Which job comes next. Knows jobs and times, no files and no processes.

First come, first served within a folder; folders take turns, so that one of 50,000 pictures does not starve one of 3.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from dreamd.job import Job


class Scheduler:
    """The queue."""

    def __init__(self) -> None:
        self._folders: OrderedDict[PurePosixPath, deque[Job]] = OrderedDict()
        self._later: list[tuple[float, str, Job]] = []
        self._paused: frozenset[PurePosixPath] = frozenset()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._folders.values()) + len(self._later)

    def __iter__(self) -> Iterator[Job]:
        for queue in self._folders.values():
            yield from queue
        for _, _, job in self._later:
            yield job

    def by_folder(self) -> Counter[PurePosixPath]:
        """How many jobs wait, by folder."""
        counts = Counter({folder: len(queue) for folder, queue in self._folders.items()})
        counts.update(job.folder for _, _, job in self._later)
        return counts

    def add(self, job: Job) -> None:
        """Queue a job behind those of its folder."""
        self._folders.setdefault(job.folder, deque()).append(job)

    def add_later(self, job: Job, when: float) -> None:
        """Queue a job again at a time of `time.monotonic`: a retry that backs off."""
        heapq.heappush(self._later, (when, job.id, job))

    def pause(self, folders: Iterable[str]) -> None:
        """The folders, with all below them, from which no job starts; "." is every folder."""
        self._paused = frozenset(PurePosixPath(folder) for folder in folders)

    def is_paused(self, folder: PurePosixPath) -> bool:
        """Whether a folder, or one above it, is paused."""
        return not self._paused.isdisjoint({folder, *folder.parents})

    @property
    def has_work(self) -> bool:
        """Whether a job may start, now or later, without anything being resumed."""
        return bool(self._later) or any(not self.is_paused(folder) for folder in self._folders)

    def wake(self, now: float) -> None:
        """Queue the jobs whose retry is due. Called whether or not one can start: `next_deadline` looks ahead only."""
        while self._later and self._later[0][0] <= now:
            self.add(heapq.heappop(self._later)[2])

    def next(self) -> Job | None:
        """Take the next job, or None when there is none that may start."""
        for folder, queue in self._folders.items():
            if not self.is_paused(folder):
                job = queue.popleft()
                self._folders.move_to_end(folder)
                if not queue:
                    del self._folders[folder]
                return job
        return None

    def take(self, jobs: Iterable[Job]) -> None:
        """Take jobs out of the queue, wherever they stand."""
        ids = {job.id for job in jobs}
        for folder, queue in list(self._folders.items()):
            kept = deque(job for job in queue if job.id not in ids)
            if kept:
                self._folders[folder] = kept
            else:
                del self._folders[folder]
        self._later = [entry for entry in self._later if entry[1] not in ids]
        heapq.heapify(self._later)

    def next_deadline(self) -> float | None:
        """When a job that waits for its retry may start."""
        return self._later[0][0] if self._later else None

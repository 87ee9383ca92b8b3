"""Which jobs come next. Knows jobs and times, no files and no processes.

First come, first served within a folder; folders take turns, so that one of 50,000 pictures does not starve one of 3.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from dreamd.job import Job

T = TypeVar("T")


class InTurn(Generic[T]):
    """Things that wait in folders: first come, first served within a folder, and folders take turns."""

    def __init__(self) -> None:
        self._folders: OrderedDict[PurePosixPath, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        for queue in self._folders.values():
            yield from queue

    @property
    def folders(self) -> Collection[PurePosixPath]:
        """The folders in which something waits, the next one first."""
        return self._folders.keys()

    def by_folder(self) -> Counter[PurePosixPath]:
        """Count what waits, by folder."""
        return Counter({folder: len(queue) for folder, queue in self._folders.items()})

    def add(self, folder: PurePosixPath, item: T) -> None:
        """Queue something behind what waits in its folder."""
        self._folders.setdefault(folder, deque()).append(item)
        self._length += 1

    def of(self, folder: PurePosixPath) -> Iterable[T]:
        """Return what waits in a folder, the next one first. Raises KeyError when nothing waits there."""
        return self._folders[folder]

    def add_behind(self, folder: PurePosixPath, item: T, count: int) -> None:
        """Queue something behind so many that wait in its folder, and before the others."""
        self._folders.setdefault(folder, deque()).insert(count, item)
        self._length += 1

    def first(self, folder: PurePosixPath) -> T:
        """Return what is next in a folder, left where it is. Raises KeyError when nothing waits there."""
        return self._folders[folder][0]

    def take(self, folder: PurePosixPath) -> T:
        """Take what is next in a folder, which then waits for its next turn. Raises KeyError when nothing does."""
        queue = self._folders[folder]
        item = queue.popleft()
        self._length -= 1
        self._folders.move_to_end(folder)
        if not queue:
            del self._folders[folder]
        return item

    def take_some(self, folder: PurePosixPath, most: int) -> list[T]:
        """Take what is next in a folder, as `take` does, and at most so many."""
        queue = self._folders[folder]
        items = [queue.popleft() for _ in range(min(most, len(queue)))]
        self._length -= len(items)
        self._folders.move_to_end(folder)
        if not queue:
            del self._folders[folder]
        return items

    def keep_of(self, folder: PurePosixPath, kept: Collection[T]) -> None:
        """Drop everything else of a folder, and what waits there twice; it then waits for its next turn."""
        queue = self._folders.pop(folder)
        left = deque(dict.fromkeys(item for item in queue if item in kept))
        self._length += len(left) - len(queue)
        if left:
            self._folders[folder] = left

    def keep(self, is_kept: Callable[[T], bool]) -> None:
        """Drop everything else, wherever it stands."""
        for folder, queue in list(self._folders.items()):
            kept = deque(filter(is_kept, queue))
            self._length += len(kept) - len(queue)
            if kept:
                self._folders[folder] = kept
            else:
                del self._folders[folder]


class Scheduler:
    """The jobs that wait to be started: folders in turn, retries when they are due, nothing from a paused folder."""

    def __init__(self) -> None:
        self._waiting: InTurn[Job] = InTurn()
        self._later: list[tuple[float, str, Job]] = []
        self._paused: frozenset[PurePosixPath] = frozenset()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._later)

    def __iter__(self) -> Iterator[Job]:
        yield from self._waiting
        for _, _, job in self._later:
            yield job

    def by_folder(self) -> Counter[PurePosixPath]:
        """Count the jobs that wait, by folder."""
        counts = self._waiting.by_folder()
        counts.update(job.folder for _, _, job in self._later)
        return counts

    def add(self, job: Job) -> None:
        """Queue a job behind those of its folder."""
        self._waiting.add(job.folder, job)

    def add_behind(self, job: Job, count: int) -> None:
        """Queue a job behind so many of its folder: a film whose turn is over, which the others must not starve."""
        self._waiting.add_behind(job.folder, job, count)

    def add_later(self, job: Job, when: float) -> None:
        """Queue a job again at a time of `time.monotonic`: a retry that backs off."""
        heapq.heappush(self._later, (when, job.id, job))

    def put_off(self, when: float) -> None:
        """Queue the next job again at a time of `time.monotonic`, so that those behind it go first."""
        for job in self.next():
            self.add_later(job, when)

    def pause(self, folders: Iterable[str]) -> None:
        """Start no job from these folders and those below them; "." is every folder."""
        self._paused = frozenset(PurePosixPath(folder) for folder in folders)

    def is_paused(self, folder: PurePosixPath) -> bool:
        """Whether a folder, or one above it, is paused."""
        return bool(self._paused) and not self._paused.isdisjoint({folder, *folder.parents})

    @property
    def has_work(self) -> bool:
        """Whether a job may start, now or later, without anything being resumed."""
        return bool(self._later) or self.peek() is not None

    def wake(self, now: float) -> None:
        """Queue the jobs whose retry is due. Called whether or not one can start: `next_deadline` looks ahead only."""
        while self._later and self._later[0][0] <= now:
            self.add(heapq.heappop(self._later)[2])

    def peek(self) -> Job | None:
        """Return the next job, left where it is, or None when there is none that may start."""
        folder = self._next_folder()
        return None if folder is None else self._waiting.first(folder)

    def upcoming(self, most: int) -> list[Job]:
        """Return the next jobs in the order in which they may start, left where they are; none of a paused folder."""
        folders = islice((folder for folder in self._waiting.folders if not self.is_paused(folder)), most)
        rows = [deque(islice(self._waiting.of(folder), most)) for folder in folders]
        jobs: list[Job] = []
        while rows and len(jobs) < most:
            row = rows.pop(0)
            jobs.append(row.popleft())
            if row:
                rows.append(row)
        return jobs

    def next(self, most: int = 1) -> list[Job]:
        """Take the next job, and with it those that may be dreamed together with it; none when none may start.

        A job that was tried before is taken alone, and so are all when `most` is 1: should it take the worker down
        once more, then it is known which it was, and nobody else's attempt is lost.

        Args:
            most: how many to take at most. They come from the folder whose turn it is, and from the next ones when it
                has no more and theirs have the same recipe.
        """
        jobs: list[Job] = []
        while len(jobs) < most and (folder := self._next_folder(last=jobs[-1].folder if jobs else None)) is not None:
            job = self._waiting.first(folder)
            if jobs and (job.recipe != jobs[0].recipe or job.attempts):
                break
            jobs.append(self._waiting.take(folder))
            if job.attempts:
                break
        return jobs

    def take(self, jobs: Iterable[Job]) -> None:
        """Take jobs out of the queue, wherever they stand."""
        ids = {job.id for job in jobs}
        self._waiting.keep(lambda job: job.id not in ids)
        self._later = [entry for entry in self._later if entry[1] not in ids]
        heapq.heapify(self._later)

    def next_deadline(self) -> float | None:
        """Return when a job that waits for its retry may start."""
        return self._later[0][0] if self._later else None

    def _next_folder(self, last: PurePosixPath | None = None) -> PurePosixPath | None:
        """Return the folder whose turn it is: that of the last job, when more of it are wanted and it has more."""
        if last is not None and last in self._waiting.folders:
            return last
        return next((folder for folder in self._waiting.folders if not self.is_paused(folder)), None)

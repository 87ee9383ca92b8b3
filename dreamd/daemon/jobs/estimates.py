"""When each job will be done, as far as that can be told: by what pictures of its recipe took, and how large it is.

A guess that has nothing to go by is none. Knows jobs, seconds and sizes; knows no worker.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from dreamd.daemon.jobs.pace import Paces
from dreamd.inbox.declared import declared_size
from dreamd.job import Job

_SIZES_KNOWN = 4096
"""The number of pictures whose sizes are remembered."""

_SIZES_AT_A_TIME = 16
"""The most pictures whose sizes are read for one report: the rest is read for the next ones."""

_RECIPES_READ = 256
"""The number of recipes that are not read anew for each of their jobs in each report."""

_CLEAR_SHARE = 0.1
"""The share of a dream from which on the rest is reckoned from what it has taken, 0 to 1."""

Size = tuple[int, int]
"""Width and height in pixels."""


class Estimates:
    """Reckons when jobs will be done."""

    def __init__(self, paces: Paces, file_of: Callable[[Job], Path]) -> None:
        """Reckon by paces; `file_of` tells where a claimed picture waits."""
        self._paces = paces
        self._file_of = file_of
        self._sizes: OrderedDict[str, Size | None] = OrderedDict()
        self._may_read = _SIZES_AT_A_TIME

    def begin_report(self) -> None:
        """Read the sizes of some more pictures from now on, where they are asked for."""
        self._may_read = _SIZES_AT_A_TIME

    def whole(self, job: Job) -> float | None:
        """Return how many seconds a job takes; None when nothing is known of its recipe."""
        pace = self._paces.of(job.recipe)
        if pace is None:
            return None
        size = self._size(job)
        if size is None:
            return pace.seconds
        width, height = _shrunk(size, job.recipe)
        return pace.a_pixel * width * height

    def rest(self, job: Job, share: float, elapsed: float) -> float | None:
        """Return how many seconds a running job takes still; None when that cannot be told.

        Args:
            job: the job.
            share: how much of its dream is done, 0 to 1.
            elapsed: how many seconds ago it was begun.
        """
        if share >= _CLEAR_SHARE:
            return elapsed * (1 - share) / share
        whole = self.whole(job)
        return None if whole is None else max(0.0, whole - elapsed)

    def waits(self, jobs: Iterable[Job], before: float | None, workers: int) -> list[float | None]:
        """Return in how many seconds each of the jobs that wait will be done, in their order.

        From the first of which nothing is known on, nothing is known of any.

        Args:
            jobs: the jobs, the next one first.
            before: the seconds of work that is begun, of all workers together; None when that is not known.
            workers: how many work.
        """
        found: list[float | None] = []
        work = before
        for job in jobs:
            whole = None if work is None else self.whole(job)
            work = None if work is None or whole is None else work + whole
            found.append(None if work is None else work / max(1, workers))
        return found

    def _size(self, job: Job) -> Size | None:
        if job.id not in self._sizes:
            if self._may_read <= 0:
                return None
            self._may_read -= 1
            self._sizes[job.id] = declared_size(self._file_of(job))
            if len(self._sizes) > _SIZES_KNOWN:
                self._sizes.popitem(last=False)
        return self._sizes[job.id]


def _shrunk(size: Size, recipe: str) -> Size:
    """Return the size in which a recipe dreams a picture."""
    most = _max_side(recipe)
    if most is None or max(size) <= most:
        return size
    scale = most / max(size)
    return round(size[0] * scale), round(size[1] * scale)


@lru_cache(maxsize=_RECIPES_READ)
def _max_side(recipe: str) -> int | None:
    """Return the longest side that a recipe dreams, in pixels; None where it has no limit."""
    try:
        most = json.loads(recipe)["image"]["max_side"]
    except (ValueError, KeyError, TypeError):
        return None
    return most if isinstance(most, int) else None

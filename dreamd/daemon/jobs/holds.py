"""Held jobs: why each waits, and when dreamd looks whether the cause is gone. Knows no folder and no journal."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from dreamd.errors import DreamdError, HoldCause, RecipeError, SpaceError
from dreamd.job import Job
from dreamd.wording import printable

log = logging.getLogger(__name__)

_HOLD_SECONDS = (15.0, 60.0, 300.0)
"""The times that held jobs wait before dreamd looks whether their cause is gone, in seconds: longer each time."""

_TOLD_SECONDS = 3 * _HOLD_SECONDS[-1]
"""The time after which a reason that held nothing is news again, in seconds: each look at a cause ends its holds."""

_MOST_TOLD = 1_000
"""The most reasons that are remembered as told."""

_AT_A_TIME = 256
"""The number of jobs that go on at a time: each has its recipe looked up and is written down again."""

_ENDED_BY_A_CHANGE: tuple[HoldCause, ...] = ("recipe", "plugin")
"""These holds end when their file changes. The other causes go away without a word, so dreamd looks again."""


_SCOUTED: tuple[HoldCause, ...] = ("weights", "space")
"""These causes hold many jobs at once: one of each recipe is sent ahead, and the others follow when it gets through."""


@dataclass(frozen=True)
class HeldFor:
    """What jobs that are held together have in common: their folder, and the cause and reason of their hold."""

    folder: PurePosixPath
    cause: HoldCause
    reason: str


class Holds:
    """The jobs that are held. Those whose cause may be gone are released first, and then taken some at a time."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._counts: Counter[HeldFor] = Counter()
        self._released: deque[Job] = deque()
        self._rounds: dict[HoldCause, int] = {}
        self._dues: dict[HoldCause, float] = {}
        self._told: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def why(self, job_id: str) -> HeldFor | None:
        """Return what a job is held for; None when it is not held."""
        job = self._jobs.get(job_id)
        return None if job is None else _held_for(job)

    @property
    def counts(self) -> Counter[HeldFor]:
        """How many jobs are held for what; not to be changed."""
        return self._counts

    def add(self, jobs: Sequence[Job]) -> None:
        """Hold jobs, whose `hold` and `reason` are the same and say why. A new reason is logged with the first job."""
        first = jobs[0]
        assert first.hold is not None
        if self._is_news(first.reason or ""):
            log.warning("%s is held: %s", printable(str(first.path)), first.reason, extra=first.about)
        if first.hold not in _ENDED_BY_A_CHANGE and first.hold not in self._dues:
            self._dues[first.hold] = time.monotonic() + self._next_wait(first.hold)
        self._jobs.update((job.id, job) for job in jobs)
        self._counts.update(map(_held_for, jobs))

    def _is_news(self, reason: str) -> bool:
        """Return whether a reason has held nothing for a while; take note that it holds something now."""
        now = time.monotonic()
        told_at = self._told.pop(reason, -_TOLD_SECONDS)
        self._told[reason] = now
        if len(self._told) > _MOST_TOLD:
            del self._told[next(iter(self._told))]
        return now - told_at >= _TOLD_SECONDS and all(held.reason != reason for held in self._counts)

    def release(self, is_wanted: Callable[[Job], bool]) -> None:
        """Let jobs go on, in the order of their holds: `take_released` gives them, some at a time."""
        self._released.extend(job for job in self._jobs.values() if is_wanted(job))

    def release_all(self) -> None:
        """Let every job go on."""
        self.release(lambda _job: True)

    def release_due(self, now: float) -> None:
        """Let the jobs go on whose cause may be gone at a time of `time.monotonic`; of many alike, the first one."""
        causes = {cause for cause, due in self._dues.items() if due <= now}
        if causes:
            for cause in causes:
                del self._dues[cause]
            self.release(lambda job: job.hold in causes and job.hold not in _SCOUTED)
            self._send_scouts(causes)

    def _send_scouts(self, causes: set[HoldCause]) -> None:
        scouts: dict[tuple[HoldCause | None, str], Job] = {}
        for job in self._jobs.values():
            if job.hold in causes and job.hold in _SCOUTED:
                scout = scouts.setdefault((job.hold, job.recipe), job)
                if scout is not job and job.hold not in self._dues:
                    # A scout may fall to a fault of its own: then another one is sent.
                    self._dues[job.hold] = time.monotonic() + self._next_wait(job.hold)
        self._released.extend(scouts.values())

    def release_behind(self, scout: Job, cause: HoldCause) -> None:
        """Let the jobs go on that wait for what a job has found: for weights, those of its recipe."""
        if any(held.cause == cause for held in self._counts):
            self.release(lambda job: job.hold == cause and (cause != "weights" or job.recipe == scout.recipe))

    def take_released(self) -> list[Job]:
        """Take some of the jobs out that were released, the first ones first."""
        taken: list[Job] = []
        while self._released and len(taken) < _AT_A_TIME:
            job = self._released.popleft()
            # It may have been released twice, or have gone on and been held again meanwhile.
            if self._jobs.get(job.id) is job:
                del self._jobs[job.id]
                taken.append(job)
        self._uncount(taken)
        return taken

    def _uncount(self, jobs: Sequence[Job]) -> None:
        self._counts.subtract(map(_held_for, jobs))
        for why in {_held_for(job) for job in jobs}:
            if not self._counts[why]:
                del self._counts[why]

    def take(self, is_wanted: Callable[[Job], bool]) -> list[Job]:
        """Take jobs out, which then are held no more."""
        wanted = [job for job in self._jobs.values() if is_wanted(job)]
        for job in wanted:
            del self._jobs[job.id]
        self._uncount(wanted)
        return wanted

    def forget_waits(self) -> None:
        """Wait no longer than the shortest wait: a picture came out, so that things are well again."""
        self._rounds.clear()
        soon = time.monotonic() + _HOLD_SECONDS[0]
        self._dues = {cause: min(due, soon) for cause, due in self._dues.items()}

    def next_deadline(self) -> float | None:
        """Return when jobs go on or a cause may be gone, as a time of `time.monotonic`."""
        return 0.0 if self._released else min(self._dues.values(), default=None)

    def _next_wait(self, cause: HoldCause) -> float:
        number = self._rounds[cause] = min(self._rounds.get(cause, -1) + 1, len(_HOLD_SECONDS) - 1)
        return _HOLD_SECONDS[number]


def _held_for(job: Job) -> HeldFor:
    assert job.hold is not None
    return HeldFor(job.folder, job.hold, job.reason or "")


def folder_cause(error: DreamdError) -> HoldCause:
    """Say why a disk or folder holds jobs."""
    return "space" if isinstance(error, SpaceError) else "folder"


def recipe_cause(error: RecipeError) -> HoldCause:
    """Say why a recipe holds its jobs: one that a disk or share refuses to be read goes on without being mended."""
    return "folder" if isinstance(error.__cause__, OSError) else "recipe"

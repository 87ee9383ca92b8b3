"""What a worker tells the daemon: how far it is, what it has done, and why something is not done.

Knows messages and errors. Knows no pictures.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

from dreamd.engine.dreamer import Progress
from dreamd.engine.tiles.footprint import is_out_of_memory
from dreamd.errors import DreamdError, FailureCause, PictureError, RecipeError, hold_cause
from dreamd.messages import Advanced, MissingWeights, NotDone, Said, Unable, Writing
from dreamd.weights.sources import MissingWeightsError
from dreamd.worker.films.film_dream import FilmProgress

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.2
"""The seconds between two messages of progress: often enough for a bar, seldom enough to cost nothing."""


class Meter:
    """Counts the seconds that a device dreams."""

    def __init__(self) -> None:
        """Begin at none."""
        self._total = 0.0
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time inside."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._total, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """All of the seconds so far."""
        since = self._since
        return self._total + (0.0 if since is None else time.perf_counter() - since)


class Answers:
    """The way out of a worker, which several threads use.

    Attributes:
        meter: counts what the device has dreamed.
    """

    def __init__(self, output: BinaryIO) -> None:
        """Answer by lines on `output`."""
        self._output = output
        self._sending = threading.Lock()
        self.meter = Meter()

    def send(self, message: Said) -> None:
        """Say something to the daemon. Without one the process ends: there is nobody left to tell."""
        try:
            with self._sending:
                self._output.write(message.line())
                self._output.flush()
        except BrokenPipeError:
            os._exit(1)

    def end_process(self, error: BaseException) -> NoReturn:
        """Say that the worker is broken, and end its process at once, whatever its other threads are at."""
        log.critical("the worker is broken and ends", exc_info=error)
        self.send(Unable(reason=f"the worker is broken: {type(error).__name__}: {error}"))
        os._exit(1)

    def send_not_done(self, job: str, error: Exception) -> None:
        """Say that a job has no result, and why."""
        if isinstance(error, DreamdError):
            self.send(_refusal(job, error))
            return
        log.error("job %s", job, exc_info=error, extra={"job": job})
        reason = f"{type(error).__name__}: {error}"
        failure: FailureCause = "error"
        if is_out_of_memory(error):
            failure = "memory"
            reason = f"it takes more memory than a worker may have (workers.memory): {reason}"
        self.send(NotDone(job=job, hold=None, final=False, reason=reason, failure=failure))

    def send_cancelled(self, job: str) -> None:
        """Say that a job is not worked on any more, since it was cancelled."""
        self.send(NotDone(job=job, hold=None, final=True, reason="it was cancelled", failure="cancelled"))

    def progress_of(self, jobs: Sequence[str]) -> Callable[[Progress], None]:
        """Return a callback that says how far a dream of some jobs is."""
        due = _Throttle(_PROGRESS_SECONDS)

        def report(progress: Progress) -> None:
            for job in jobs if due() else ():
                self.send(_advanced(job, progress, self.meter.seconds))

        return report

    def say_writing(self, job: str, words: str) -> None:
        """Say that a job's result is being written in a format that takes long."""
        log.info("%s", words, extra={"job": job})
        self.send(Writing(job=job, words=words))

    def film_progress_of(self, job: str) -> Callable[[FilmProgress], None]:
        """Return a callback that says how far the dream of a film, or of a file of pages, is."""
        due = _Throttle(_PROGRESS_SECONDS)

        def report(film: FilmProgress) -> None:
            if due():
                step = _advanced(job, film.step, self.meter.seconds)
                about = {film.unit: film.frame, f"{film.unit}s": film.frames, "left_seconds": film.left_seconds}
                self.send(step.model_copy(update={**about, "share": film.share}))

        return report


def _refusal(job: str, error: DreamdError) -> NotDone:
    return NotDone(
        job=job,
        hold=hold_cause(error),
        final=isinstance(error, PictureError),
        failure="picture" if isinstance(error, PictureError) else None,
        reason=error.problem if isinstance(error, RecipeError) else str(error),
        field=error.field if isinstance(error, RecipeError) else (),
        weights=_missing(error) if isinstance(error, MissingWeightsError) else None,
    )


def _missing(error: MissingWeightsError) -> MissingWeights:
    source = error.source
    return MissingWeights(
        backbone=error.backbone, url=source.url, sha256=source.sha256, filename=source.filename, size=source.size
    )


def _advanced(job: str, progress: Progress, busy_seconds: float) -> Advanced:
    return Advanced(
        job=job,
        ascent=progress.ascent,
        ascents=progress.ascents,
        iteration=progress.iteration,
        iterations=progress.iterations,
        share=progress.share,
        busy_seconds=busy_seconds,
    )


class _Throttle:
    """True at most once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

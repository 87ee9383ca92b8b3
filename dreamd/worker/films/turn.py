"""The turn of a film, or of a file of pages, in a worker: it goes on for about ten seconds, and then others come."""

from __future__ import annotations

import time
from functools import partial

from dreamd.messages import Done, Order, Yielded
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.answers import Answers
from dreamd.worker.cancels import Cancels
from dreamd.worker.films.film_dream import FilmProgress, Watching
from dreamd.worker.films.starting import FilmJob, Given, result_extension
from dreamd.worker.previews import Previews
from dreamd.worker.session import Session

_TURN_SECONDS = 10.0
"""How long a film goes on before others have their turn, in seconds; it ends the frame, or page, that it is at."""


class FilmTurn:
    """Gives films their turns."""

    def __init__(self, session: Session, answers: Answers, previews: Previews, cancels: Cancels, together: int) -> None:
        """Set up.

        Args:
            session: what dreams.
            answers: is told how far a film is.
            previews: shows its frames.
            cancels: what is not wanted any more.
            together: how many frames to dream together at most, where they do not depend on each other.
        """
        self._session, self._answers, self._previews = session, answers, previews
        self._cancels, self._together = cancels, together

    def take(self, order: Order, recipe: Recipe, given: Given) -> Done | Yielded:
        """Dream a film, or a file of pages, for a turn.

        Args:
            order: the order; what is kept of the film lies beside its checkpoint.
            recipe: its recipe.
            given: the film or the pages that are dreamed, or the picture that a film is made of.

        Returns:
            What came of it: the film is written, or has more frames to come.

        Raises:
            StoppedError: nobody wants it any more.
        """
        work = FilmJob(
            session=self._session,
            recipe=recipe,
            build=self._session.build,
            folder=(order.checkpoint or order.folder) / "film",
        )
        extension = result_extension(self._session, recipe, given)
        film = work.begun(given, self._together)
        begin = time.monotonic()
        with self._answers.meter.running():
            is_whole = film.go_on(lambda: time.monotonic() - begin >= _TURN_SECONDS, self._watching(order.job))
        if not is_whole:
            return Yielded(job=order.job, busy_seconds=self._answers.meter.seconds)
        begin = time.monotonic()
        target = order.folder / f"result{extension}"
        result = film.write(target)
        sidecar = work.sidecar(
            job=order.job,
            source=order.source,
            given=given,
            film=film,
            result=result,
            seconds=time.monotonic() - begin,
        )
        return Done(job=order.job, file=target.name, sidecar=sidecar, busy_seconds=self._answers.meter.seconds)

    def _watching(self, job: str) -> Watching:
        report = self._answers.film_progress_of(job)

        def check_and_report(progress: FilmProgress) -> None:
            self._cancels.check()
            report(progress)

        return Watching(
            on_progress=check_and_report,
            on_frame=partial(self._previews.show, [job]),
            on_glimpse=self._previews.looker([job]),
        )

"""The dream of a file of several pages, page by page, into one TIFF."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dreamd.engine.dreamer import Progress
from dreamd.files.durable import opened_durably
from dreamd.messages import DreamedPage
from dreamd.pictures.paging.joining import join_pages
from dreamd.pictures.paging.pages import Pages
from dreamd.pictures.picture import shrunk
from dreamd.worker.dream import Dream, described, write_dream
from dreamd.worker.films.film_dream import FilmResult, Pace, Watching
from dreamd.worker.pages.keeping import PageFolder
from dreamd.worker.recipes.builder import Built
from dreamd.worker.session import Session

ENDING = ".tif"
"""The ending of a result with several pages."""

_FORMAT = "TIFF"

_NOT_TIFF = "its pictures came out as the pages of a TIFF, since its own format holds one result alone"
_NO_STEPS = "a film strip is made of single pictures only"


class DreamedPages:
    """The dream of one file of pages.

    Attributes:
        folder: what is kept of it.
    """

    def __init__(self, session: Session, built: Built, pages: Pages, folder: PageFolder) -> None:
        """Dream nothing yet.

        Args:
            session: what dreams.
            built: what pages are dreamed with.
            pages: the pages, open.
            folder: what is kept.
        """
        self._session, self._built, self._pages = session, built, pages
        self.folder = folder
        self._areas = [width * height for width, height in pages.sizes]
        self._pace = Pace(folder, len(self._areas))

    def go_on(self, is_over: Callable[[], bool], watching: Watching) -> bool:
        """Dream page after page; returns whether all are done."""
        self._pace.lap()
        while (number := self.folder.standing.frames) < len(self._areas):
            told = self._finish(number, watching)
            self.folder.add(told, seconds=self._pace.lap())
            if is_over():
                return self.folder.standing.frames >= len(self._areas)
        return True

    def _finish(self, number: int, watching: Watching) -> DreamedPage:
        """Dream and write the page of a number, from 0; returns what is said of it."""
        target = self.folder.page(number)
        dream = described(self._dream(number, watching), _FORMAT, target.name)
        self.folder.drop_checkpoint()
        dream = write_dream(dream, target, _FORMAT)
        height, width = dream.picture.pixels.shape[:2]
        return DreamedPage(
            size=(width, height),
            tiling=dream.tiling,
            loss_before=dream.loss_before,
            loss_after=dream.loss_after,
            notes=dream.picture.notes,
        )

    def _dream(self, number: int, watching: Watching) -> Dream:
        picture = shrunk(self._pages.read(number), self._built.recipe.image.max_side)
        (dream,) = self._session.dream(
            [picture],
            self._built,
            on_progress=partial(self._report, watching),
            checkpoint=self._session.checkpoint(self.folder.checkpoint, f"{picture.sha256} {number}", self._built),
            on_frame=watching.on_frame,
            on_glimpse=watching.on_glimpse,
        )
        return dream

    def _report(self, watching: Watching, step: Progress) -> None:
        number = self.folder.standing.frames
        done = sum(self._areas[:number]) + step.share * self._areas[number]
        share = min(1.0, done / max(1, sum(self._areas)))
        watching.on_progress(self._pace.progress(step, share=share, unit="page"))

    def write(self, target: Path) -> FilmResult:
        """Write the pages into one file, and wait until the disk has it."""
        told = tuple(self.folder.told)
        with opened_durably(target) as file:
            join_pages([self.folder.page(number) for number in range(len(told))], file)
        notes = () if self._pages.is_tiff else (_NOT_TIFF,)
        return FilmResult(
            frames=0,
            seconds=0.0,
            size=told[0].size,
            notes=(*notes, _NO_STEPS) if self._built.recipe.output.steps else notes,
            losses=(told[-1].loss_before, told[-1].loss_after),
            pages=told,
        )

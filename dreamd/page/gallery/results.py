"""Results as the gallery shows them: those that are sought, one with its facts, and its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import PurePosixPath
from typing import Any, TypeVar

from dreamd.errors import UsageError
from dreamd.files.names import parts_of
from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job, JobState
from dreamd.page.gallery.recipe_words import holds_word
from dreamd.page.gallery.thumbnails import thumbnail_name
from dreamd.page.outbox import is_there, sidecar_of
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder, trash_folder
from dreamd.tree.tables.marks import Way
from dreamd.tree.tables.seeking import Order, Place, Seeking, Show, Word
from dreamd.wording import printable

T = TypeVar("T")

RESULTS_AT_ONCE = 120
"""At most so many results are listed at a time."""

_WORDS = 8
"""The most words that one search looks for; what is behind them is left out."""

_SIZES = 50_000
"""The most results whose width and height are remembered, so that their sidecars need not be read again."""

_SIDECAR_FIELDS = (
    "device",
    "precision",
    "size",
    "tiling",
    "seconds",
    "loss_before",
    "loss_after",
    "versions",
    "seed",
    "steps",
)
"""The fields of a sidecar that are shown."""


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What a person looks for in the gallery.

    Attributes:
        folder: results of this folder of the inbox and those below it; None for all.
        search: words, each of which a path or the names in a recipe must hold.
        show: which results.
        order: in what order.
    """

    folder: str | None = None
    search: str = ""
    show: Show = Show.ALL
    order: Order = Order.NEWEST

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Sought:
        """Read it from the fields of a request. Raises UsageError where one cannot be."""
        folder = query.get("folder")
        if folder is not None:
            parts_of(folder)
        try:
            show, order = Show(query.get("show", Show.ALL)), Order(query.get("sort", Order.NEWEST))
        except ValueError as error:
            raise UsageError(f"{error}; show takes {', '.join(Show)}, and sort takes {', '.join(Order)}") from error
        return cls(folder=folder, search=query.get("search", ""), show=show, order=order)

    def seeking(self, recipes: Mapping[int, str]) -> Seeking:
        """Return it as the journal takes it, with the recipes that each word stands for."""
        words = tuple(_word(text, recipes) for text in self.search.split()[:_WORDS])
        return Seeking(folder=self.folder, words=words, show=self.show, order=self.order)

    def place(self, text: str) -> Place:
        """Read a place in the order, as `ShownResult.place` tells it. Raises UsageError where it is none."""
        value, _, job = text.rpartition(",")
        if not job.isascii():
            raise UsageError("this is no job's id")
        if self.order is Order.NAME:
            return Place(value.encode("utf-8", "replace").decode(), job)
        try:
            number = float(value)
        except ValueError as error:
            raise UsageError(f"{printable(value)!r} is no number") from error
        if not isfinite(number):  # no result has such a place
            raise UsageError(f"{number} is no finite number")
        return Place(number, job)


def _word(text: str, recipes: Mapping[int, str]) -> Word:
    small = text.casefold()
    return Word(text, tuple(number for number, recipe in recipes.items() if holds_word(recipe, small)))


@dataclass(frozen=True, kw_only=True)
class ShownResult:
    """A dream that came out, as the gallery shows it.

    Attributes:
        id: the job's id.
        name: the picture's name, which can be looked at.
        folder: the picture's folder in the inbox.
        result: where the dream came out, which can be looked at.
        finished_at: when it came out, in seconds since the epoch.
        seconds: how long it took.
        from_nothing: whether it was made from noise, so that there is no original.
        is_there: whether a file of its name is in the outbox, or it is in the trash.
        has_picture: whether there is anything to show: the file, or a small picture of it that was made before.
        width: in pixels; None where it is not known.
        height: in pixels; None where it is not known.
        is_favourite: whether somebody has made it a favourite.
        put_away: how it was put away; None when it was not.
        place: its place in the order that was asked for.
    """

    id: str
    name: str
    folder: str
    result: str
    finished_at: float | None
    seconds: float | None
    from_nothing: bool
    is_there: bool
    has_picture: bool
    width: int | None
    height: int | None
    is_favourite: bool
    put_away: Way | None
    place: str


class ResultView:
    """Looks at the results of one tree. Reads files: call it from a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._sizes: dict[str, tuple[int, int]] = {}

    def listed(self, sought: Sought, *, before: str | None, limit: int) -> list[ShownResult]:
        """List results in the order that is sought.

        Args:
            sought: which.
            before: the place of the last one that is known; None: from the first on.
            limit: at most so many, and never more than RESULTS_AT_ONCE.
        """
        place = None if before is None else sought.place(before)

        def look(journal: Journal) -> list[ShownResult]:
            seeking = sought.seeking(_recipes(journal, sought))
            return self._shown(journal, journal.results(seeking, before=place, limit=limit), seeking)

        limit = min(limit, RESULTS_AT_ONCE)
        return self._ask(look, [])

    def neighbours(self, job: Job, sought: Sought) -> dict[str, str | None]:
        """Return the ids of the results before and behind one, among those that are sought."""

        def look(journal: Journal) -> dict[str, str | None]:
            seeking = sought.seeking(_recipes(journal, sought))
            place = seeking.place_of(job)
            previous = journal.results(seeking, after=place, limit=1)
            next_ = journal.results(seeking, before=place, limit=1)
            return {"previous": previous[0].id if previous else None, "next": next_[0].id if next_ else None}

        return self._ask(look, {"previous": None, "next": None})

    def job(self, job_id: str) -> Job | None:
        """Find a done job in the journal; None when there is none of this id."""
        job = self._ask(lambda journal: journal.get(job_id), None)
        return job if job is not None and job.state is JobState.DONE and job.result else None

    def shown(self, job: Job, sought: Sought) -> ShownResult:
        """Show a done job."""
        seeking = sought.seeking({})
        return self._ask(lambda journal: self._shown(journal, [job], seeking)[0], self._one(job, seeking))

    def facts(self, job: Job) -> dict[str, Any]:
        """Return what a result's sidecar says of it; each fact is None when the sidecar does not say it.

        With them come `is_known`, whether the sidecar is there, and `keeps_originals`, whether originals are kept.
        """
        record = sidecar_of(job, self._config.outbox)
        facts = {name: None if record is None else record.get(name) for name in _SIDECAR_FIELDS}
        keeps = self._config.originals is not None
        return {**facts, "is_known": record is not None, "keeps_originals": keeps}

    def _shown(self, journal: Journal, jobs: Sequence[Job], seeking: Seeking) -> list[ShownResult]:
        ids = [job.id for job in jobs]
        favourites, put_away = journal.marks.favourites_among(ids), journal.marks.put_away_among(ids)
        return [
            self._one(job, seeking, is_favourite=job.id in favourites, put_away=put_away.get(job.id)) for job in jobs
        ]

    def _one(
        self, job: Job, seeking: Seeking, *, is_favourite: bool = False, put_away: Way | None = None
    ) -> ShownResult:
        result = PurePosixPath(job.result or "")
        there = is_there(self._config.outbox, trash_folder(job.id) / result.name if put_away else result)
        thumbnail = StateFolder(self._config.state).thumbnails / thumbnail_name(job.id, "after", "small")
        width, height = self._size(job)
        return ShownResult(
            id=job.id,
            name=printable(job.name),
            folder=str(job.folder),
            result=printable(job.result or ""),
            finished_at=job.finished_at,
            seconds=job.seconds,
            from_nothing=is_dream_file(job.name),
            is_there=there,
            has_picture=there or thumbnail.exists(),
            width=width,
            height=height,
            is_favourite=is_favourite,
            put_away=put_away,
            place=f"{seeking.place_of(job).value},{job.id}",
        )

    def _size(self, job: Job) -> tuple[int, int] | tuple[None, None]:
        """Return a result's width and height, as its sidecar says."""
        if (known := self._sizes.get(job.id)) is not None:
            return known
        size = (sidecar_of(job, self._config.outbox) or {}).get("size")
        if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            return None, None
        if len(self._sizes) >= _SIZES:
            self._sizes.clear()
        self._sizes[job.id] = (size[0], size[1])
        return size[0], size[1]

    def _ask(self, question: Callable[[Journal], T], nothing: T) -> T:
        """Ask the journal; `nothing` while there is none that can be read."""
        with Journal.looked_at(StateFolder(self._config.state).journal) as journal:
            return nothing if journal is None else question(journal)


def _recipes(journal: Journal, sought: Sought) -> dict[int, str]:
    return journal.recipe_texts() if sought.search.strip() else {}

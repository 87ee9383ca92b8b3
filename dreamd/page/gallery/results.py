"""Results as the gallery shows them: those that are sought, one with its facts, and its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeVar

from dreamd.errors import UsageError
from dreamd.files.names import parts_of
from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job, JobState
from dreamd.page.gallery.placeholder import placeholder
from dreamd.page.gallery.recipe_words import holds_word
from dreamd.page.gallery.thumbnails import thumbnail_name
from dreamd.page.media import Media, media_of
from dreamd.page.originals import opened_original
from dreamd.page.outbox import is_there, result_of, sidecar_of
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

_MEASURES = 50_000
"""The most results whose measures are remembered, so that their sidecars need not be read again."""

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
        keeps_original: whether there is an original and it is kept; somebody may have taken it away since.
        is_there: whether a file of its name is in the outbox, or it is in the trash.
        has_picture: whether there is anything to show: the file, or a small picture of it that was made before.
        width: in pixels; None where it is not known.
        height: in pixels; None where it is not known.
        media: how it is shown.
        frames: how many frames a film or an animation has; None for a picture.
        film_seconds: how long that lasts; None where it is not known.
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
    keeps_original: bool
    is_there: bool
    has_picture: bool
    width: int | None
    height: int | None
    media: Media
    frames: int | None
    film_seconds: float | None
    is_favourite: bool
    put_away: Way | None
    place: str


class _Measures(NamedTuple):
    """How large a result is, as its sidecar says; None for what it does not say."""

    width: int | None = None
    height: int | None = None
    frames: int | None = None
    film_seconds: float | None = None


class ResultView:
    """Looks at the results of one tree. Reads files: call it from a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._measures: dict[str, _Measures] = {}

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
        job = self.any_job(job_id)
        return job if job is not None and job.state is JobState.DONE and job.result else None

    def any_job(self, job_id: str) -> Job | None:
        """Find a job in the journal, whatever became of it; None when there is none of this id."""
        return self._ask(lambda journal: journal.get(job_id), None)

    def shown(self, job: Job, sought: Sought) -> ShownResult:
        """Show a done job."""
        seeking = sought.seeking({})
        return self._ask(lambda journal: self._shown(journal, [job], seeking)[0], self._one(job, seeking))

    def facts(self, job: Job) -> dict[str, Any]:
        """Return what a result's sidecar says of it; each fact is None when the sidecar does not say it.

        With them come `pages`, how many it has, `notes`, what a person should know about it, `is_known`, whether the
        sidecar is there, and `original_media`, how the original is shown.
        """
        record = sidecar_of(job, self._config.outbox)
        facts = {name: None if record is None else record.get(name) for name in _SIDECAR_FIELDS}
        media = _original_media(job, record or {})
        pages, notes = (_listed(record or {}, name) for name in ("pages", "notes"))
        told = {"pages": len(pages) or None, "notes": [printable(note) for note in notes if isinstance(note, str)]}
        return {**facts, **told, "is_known": record is not None, "original_media": media}

    def drawn(self, job: Job, kind: str) -> str | None:
        """Draw what stands in place of a film's small picture; None where there is no film.

        Args:
            job: a done job.
            kind: `after` for its result, `before` for its original.
        """
        measures, record = self._measures_of(job), sidecar_of(job, self._config.outbox) or {}
        if measures.width is None or measures.height is None or measures.frames is None:
            return None
        name = job.result or "" if kind == "after" else job.name
        media = media_of(name, moves=True) if kind == "after" else _original_media(job, record)
        if media is not Media.FILM or not self._has(job, kind):
            return None
        return placeholder(name, (measures.width, measures.height), measures.frames, measures.film_seconds)

    def _has(self, job: Job, kind: str) -> bool:
        """Tell whether the file of a result or of its original is there."""
        if kind == "after":
            return result_of(job, self._config.outbox) is not None
        file = opened_original(job, self._config)
        if file is not None:
            file.close()
        return file is not None

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
        measures = self._measures_of(job)
        return ShownResult(
            id=job.id,
            name=printable(job.name),
            folder=str(job.folder),
            result=printable(job.result or ""),
            finished_at=job.finished_at,
            seconds=job.seconds,
            from_nothing=is_dream_file(job.name),
            keeps_original=self._config.originals is not None and not is_dream_file(job.name),
            is_there=there,
            has_picture=there or thumbnail.exists(),
            width=measures.width,
            height=measures.height,
            media=media_of(result.name, moves=measures.frames is not None),
            frames=measures.frames,
            film_seconds=measures.film_seconds,
            is_favourite=is_favourite,
            put_away=put_away,
            place=f"{seeking.place_of(job).value},{job.id}",
        )

    def _measures_of(self, job: Job) -> _Measures:
        if (known := self._measures.get(job.id)) is not None:
            return known
        measures = _measures(sidecar_of(job, self._config.outbox) or {})
        if measures.width is None:
            return measures
        if len(self._measures) >= _MEASURES:
            self._measures.clear()
        self._measures[job.id] = measures
        return measures

    def _ask(self, question: Callable[[Journal], T], nothing: T) -> T:
        """Ask the journal; `nothing` while there is none that can be read."""
        with Journal.looked_at(StateFolder(self._config.state).journal) as journal:
            return nothing if journal is None else question(journal)


def _original_media(job: Job, record: Mapping[str, Any]) -> Media:
    """Return how the original of a job is shown. A film may have been made out of one picture: its recipe says so."""
    recipe = record.get("recipe")
    film = recipe.get("film") if isinstance(recipe, dict) else None
    is_made = isinstance(film, dict) and film.get("frames") is not None
    return media_of(job.name, moves=record.get("frames") is not None and not is_made)


def _listed(record: Mapping[str, Any], name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []


def _measures(record: Mapping[str, Any]) -> _Measures:
    """Read the measures of a result out of its sidecar."""
    size, frames, seconds = record.get("size"), record.get("frames"), record.get("film_seconds")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        return _Measures()
    if not isinstance(frames, int) or frames < 1:
        return _Measures(size[0], size[1])
    is_told = isinstance(seconds, int | float) and isfinite(seconds) and seconds > 0
    return _Measures(size[0], size[1], frames, seconds if is_told else None)


def _recipes(journal: Journal, sought: Sought) -> dict[int, str]:
    return journal.recipe_texts() if sought.search.strip() else {}

"""What people do with results: make them favourites, delete them, dismiss them, and take that back.

Works through the outbox and the journal, as the commands do. Does steps on files: call it from a thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dreamd.errors import UsageError
from dreamd.job import Job, JobState
from dreamd.settings.config import Config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder
from dreamd.tree.steps.trash import NotInTrashError, Trash
from dreamd.tree.tables.marks import Way

MOST_SELECTED = 500
"""The most results that something is done with at a time."""


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What became of results that were to be deleted.

    Attributes:
        trashed: the jobs whose results are in the trash now.
        dismissed: those whose results somebody had taken out of the outbox before: they are no longer shown.
    """

    trashed: list[str]
    dismissed: list[str]


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of results that were to come back.

    Attributes:
        restored: the jobs whose results are shown again.
        lost: those that the trash has no more.
    """

    restored: list[str]
    lost: list[str]


class ResultDeeds:
    """Does it in one tree."""

    def __init__(self, config: Config, marked: Callable[[], None]) -> None:
        """Take the config, and what tells every open page that results were marked."""
        self._journal_file = StateFolder(config.state).journal
        self._trash = Trash(config.outbox)
        self._marked = marked
        self._turn = threading.Lock()
        """Two pages may delete one result at once."""

    def star(self, ids: Sequence[str]) -> list[str]:
        """Make results favourites; returns the ids of those that there are. Raises UsageError where none is."""
        return self._mark(ids, lambda journal, found: journal.marks.star(found))

    def unstar(self, ids: Sequence[str]) -> list[str]:
        """Make results favourites no more, as `star` makes them."""
        return self._mark(ids, lambda journal, found: journal.marks.unstar(found))

    def dismiss(self, ids: Sequence[str]) -> list[str]:
        """Show results no more, wherever their files are; as `star`."""
        return self._mark(ids, lambda journal, found: journal.marks.put_away(found, Way.DISMISSED))

    def delete(self, ids: Sequence[str]) -> Deleted:
        """Move results into the trash. Raises UsageError where none of the ids is of a result."""
        trashed: list[str] = []
        dismissed: list[str] = []
        with self._turn, self._journal() as journal:
            for job in _results_of(journal, ids):
                way = Way.TRASHED if self._trash.put(job) else Way.DISMISSED
                # One by one, so that a disk that is full in the middle leaves nothing deleted that is still shown.
                journal.marks.put_away([job.id], way)
                (trashed if way is Way.TRASHED else dismissed).append(job.id)
        self._marked()
        return Deleted(trashed=trashed, dismissed=dismissed)

    def restore(self, ids: Sequence[str]) -> Restored:
        """Show results again that were put away, from the trash if they are there.

        Raises:
            UsageError: none of the ids is of a result.
        """
        restored: list[str] = []
        lost: list[str] = []
        with self._turn, self._journal() as journal:
            jobs = _results_of(journal, ids)
            ways = journal.marks.put_away_among([job.id for job in jobs])
            for job in jobs:
                try:
                    self._restore(journal, job, ways.get(job.id))
                    restored.append(job.id)
                except NotInTrashError:
                    journal.marks.lose([job.id])
                    lost.append(job.id)
        self._marked()
        return Restored(restored=restored, lost=lost)

    def _restore(self, journal: Journal, job: Job, way: Way | None) -> None:
        if way is Way.DISMISSED:
            journal.marks.take_back(job.id, None)
        elif way is Way.TRASHED:
            path = str(self._trash.take_back(job))
            journal.marks.take_back(job.id, os.fsencode(path) if path != job.result else None)

    def _mark(self, ids: Sequence[str], mark: Callable[[Journal, list[str]], None]) -> list[str]:
        with self._journal() as journal:
            found = [job.id for job in _results_of(journal, ids)]
            mark(journal, found)
        self._marked()
        return found

    def _journal(self) -> Journal:
        if not self._journal_file.exists():
            raise UsageError("nothing has been dreamed yet")
        return Journal.open(self._journal_file)


def _results_of(journal: Journal, ids: Iterable[str]) -> list[Job]:
    """Return the jobs of these ids that have results. Raises UsageError where there is none."""
    found = (journal.get(id_) for id_ in dict.fromkeys(ids))
    jobs = [job for job in found if job is not None and job.state is JobState.DONE and job.result]
    if not jobs:
        raise UsageError("there is no result of such a job")
    return jobs

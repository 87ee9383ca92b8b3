"""The memory: every job in one SQLite file, so that attempts, history and timings outlive the process.

The folders are the truth, the journal is only the memory: a job that it knows but whose picture is not in the work
folder was never claimed or is finished, and losing the whole file loses no picture. Knows jobs; knows no folder but its
own and nothing of recipes, workers or pictures.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dreamd.job import Job, JobState
from dreamd.tree.database import (
    BrokenError,
    DamagedError,
    OpenFile,
    errors_explained,
    immediate,
    open_for_looking,
    open_for_writing,
    set_aside,
)
from dreamd.tree.journal_rows import COLUMNS, KEEP_RECIPE, SAVE, Value, job_of, row_of
from dreamd.tree.tables.marks import FAVOURITES, Marks
from dreamd.tree.tables.seeking import EVERYTHING, IN_FOLDER, SQL_FUNCTIONS, Place, Seeking, folder_bounds, folder_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FORGET_ROWS = 1000
"""The number of rows that are removed in one transaction, so that nobody waits long for it."""

_OVER = (JobState.DONE.value, JobState.FAILED.value)
_UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value, JobState.HELD.value)


class Ended(NamedTuple):
    """A job that is over, as counted by the metrics; times in seconds since the epoch.

    Attributes:
        number: of its last change: later changes have larger ones, whatever the clock does.
    """

    number: int
    folder: str
    state: JobState
    attempts: int
    claimed_at: float
    started_at: float | None
    seconds: float | None
    finished_at: float


class Journal:
    """The journal's one connection in this process; use it from the thread that opened it.

    Every method raises `SpaceError` when the disk is full, and `DreamdError` when the file cannot be read or written.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        for name, function in SQL_FUNCTIONS.items():
            connection.create_function(name, -1, function, deterministic=True)
        self._path = path
        self._file = OpenFile(path)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open the journal for reading and writing, and make it where there is none.

        Raises:
            DreamdError: it cannot be used; the daemon's next start sets it aside.
        """
        with errors_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return cls(open_for_writing(path, check=False), path)
            except BrokenError as error:
                problem = f"the journal {path} cannot be used ({error}): restart dreamd, which sets it aside"
                raise DamagedError(problem) from error

    @classmethod
    def open_checked(cls, path: Path) -> Journal:
        """Open the journal as the daemon does, who has it alone: read all of it, and look for damage.

        A file that is damaged, or is no journal of this version, is set aside as `<name>.broken-<time>`, with a
        warning in the log, and a new one is made.
        """
        with errors_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return cls(open_for_writing(path, check=True), path)
            except BrokenError as error:
                set_aside(path, str(error))
            return cls(open_for_writing(path, check=True), path)

    @classmethod
    @contextmanager
    def looked_at(cls, path: Path) -> Iterator[Journal | None]:
        """Open a journal to look into it, and close it; None while there is none that can be read."""
        journal = cls.open_readonly(path)
        with nullcontext() if journal is None else journal:
            yield journal

    @classmethod
    def open_readonly(cls, path: Path) -> Journal | None:
        """Open the journal only to look, in well under 10 ms; None when there is none that can be read.

        Makes no file and never blocks the daemon. While no daemon runs it sees the journal as it was when it was
        opened: open it again for a later look.
        """
        connection = open_for_looking(path)
        return None if connection is None else cls(connection, path)

    def check_place(self) -> None:
        """Raise DamagedError when the journal's file was removed, replaced or overwritten."""
        if not self._file.is_sound():
            raise DamagedError(f"the journal {self._path} was removed or overwritten while dreamd had it open")

    def repair(self) -> None:
        """Open the file again as `open_checked` does: it is damaged, or was taken from under an open journal.

        Raises:
            DreamdError: no journal can be made there now.
        """
        with suppress(sqlite3.Error):
            self.close()
        anew = Journal.open_checked(self._path)
        self._connection, self._file = anew._connection, anew._file

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, jobs: Iterable[Job]) -> None:
        """Add or replace jobs, all or none. What has ended need not be cancelled any more."""
        rows = [row_of(job) for job in jobs]
        ended = [(row[0],) for row in rows if row[3] in _OVER]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM cancelled WHERE job = ?", ended)
            connection.executemany(KEEP_RECIPE, {(row[4],) for row in rows})
            connection.executemany(SAVE, rows)

    def get(self, job_id: str) -> Job | None:
        """Return the job of this id."""
        if not job_id.isascii():  # no job has such an id, and half a character could not even be asked for
            return None
        return next(iter(self._jobs("WHERE id = ?", job_id)), None)

    def first_of(self, path: PurePosixPath, *, after: str) -> Job | None:
        """Return the first job that claimed a path with an id after another; None when there is none."""
        # Read by id: what is looked for has come lately, and its folder may hold a million others.
        where = "WHERE id > ? AND +folder = ? AND name = ? ORDER BY id LIMIT 1"
        return next(iter(self._jobs(where, after, os.fsencode(path.parent), os.fsencode(path.name))), None)

    def unfinished(self) -> list[Job]:
        """Return the jobs that are queued, running or held, by the time of their claim."""
        return self._jobs("WHERE state IN (?, ?, ?) ORDER BY id", *_UNFINISHED)

    def unfinished_below(self, folder: str) -> list[Job]:
        """Return the jobs of a folder and those below it that have not ended, by the time of their claim."""
        if folder == ".":
            return self.unfinished()
        where = f"WHERE {IN_FOLDER} AND state IN (?, ?, ?) ORDER BY id"
        return self._jobs(where, *folder_bounds(folder), *_UNFINISHED)

    def failures(self, limit: int) -> list[Job]:
        """Return the newest failed jobs that nobody has dismissed, at most `limit`; all of them when it is negative."""
        where = "WHERE state = ? AND NOT dismissed ORDER BY id DESC LIMIT ?"
        return self._jobs(where, JobState.FAILED, limit)

    def jobs(self, *, state: JobState | None = None, before: str | None = None, limit: int = 100) -> list[Job]:
        """Return the newest jobs first, of one state or of all; at most `limit`, all of them when it is negative.

        Args:
            state: only jobs in this state.
            before: only jobs with an id below this one.
            limit: how many.
        """
        bounds: dict[str, Value] = {"state = ?": state, "id < ?": before}
        given = {condition: value for condition, value in bounds.items() if value is not None}
        where = f"WHERE {' AND '.join(given)} " if given else ""
        return self._jobs(f"{where}ORDER BY id DESC LIMIT ?", *given.values(), limit)

    def results(
        self,
        seeking: Seeking = EVERYTHING,
        *,
        before: Place | None = None,
        after: Place | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Return the dreams that came out and are sought, in the order that is sought.

        Args:
            seeking: which, and in what order.
            before: those that follow one at this place in the order.
            after: those that precede one at this place instead, the nearest of them first.
            limit: at most so many.
        """
        found, order, bounds = seeking.sql(before=before, after=after)
        return self._jobs(f"WHERE id IN ({found} {order} LIMIT ?) {order}", *bounds, limit)

    def recipe_texts(self) -> dict[int, str]:
        """Return the recipes of all jobs, as JSON, by the number that `Seeking` knows each by."""
        return dict(self._rows("SELECT id, text FROM recipes"))

    @property
    def marks(self) -> Marks:
        """What people have marked: favourites, and results that were put away."""
        return Marks(self._rows, self._transaction)

    def latest_number(self) -> int:
        """Return the number of the last change of a job; 0 when there was none."""
        return int(self._rows("SELECT COALESCE(MAX(number), 0) FROM jobs")[0][0])

    def changed_after(self, number: int, limit: int) -> list[tuple[int, Job]]:
        """Return the jobs whose last change is later than `number`, each with its own, the oldest change first."""
        rows = self._rows(f"SELECT number, {COLUMNS} FROM jobs WHERE number > ? ORDER BY number LIMIT ?", number, limit)
        found = ((int(row[0]), job_of(row[1:])) for row in rows)
        return [(at, job) for at, job in found if job is not None]

    def ended_after(self, number: int, *, since: float = 0.0) -> list[Ended]:
        """Return the jobs that ended with a change later than `number`, the oldest change first.

        Args:
            number: of the last change that is known; 0 for all.
            since: seconds since the epoch; what ended before it, by the clock of then, is left out.
        """
        sql = (
            "SELECT number, folder, state, attempts, claimed_at, started_at, seconds, finished_at FROM jobs "
            "WHERE number > ? AND state IN (?, ?) AND finished_at >= ? ORDER BY number"
        )
        rows = self._rows(sql, number, *_OVER, since)
        return [Ended(number, os.fsdecode(at), JobState(state), *rest) for number, at, state, *rest in rows]

    def last_result_at(self) -> float | None:
        """Return when the newest dream came out, in seconds since the epoch; None when none did."""
        newest = (
            "SELECT finished_at FROM jobs INDEXED BY jobs_by_finish WHERE state = ? ORDER BY finished_at DESC LIMIT 1"
        )
        rows = self._rows(newest, JobState.DONE)
        return rows[0][0] if rows else None

    def counts(self) -> dict[JobState, int]:
        """Count the jobs in each state; every state is there."""
        counts = dict(self._rows("SELECT state, COUNT(*) FROM jobs GROUP BY state"))
        return {state: int(counts.get(state.value, 0)) for state in JobState}

    def count_done_before(self, epoch: float) -> int:
        """Return how many jobs `forget_done_before` would forget."""
        sql = f"SELECT COUNT(*) FROM jobs WHERE finished_at < ? AND state = ? AND id NOT IN ({FAVOURITES})"
        return int(self._rows(sql, epoch, JobState.DONE)[0][0])

    def forget_done_before(self, epoch: float) -> int:
        """Remove the jobs that were done before `epoch`, some at a time so that a daemon need not wait; how many.

        Favourites stay, here and in `forget_some_before`.
        """
        forgotten = 0
        while count := self._forget_some(epoch, JobState.DONE):
            forgotten += count
        self._forget_recipes()
        return forgotten

    def forget_some_before(self, epoch: float) -> bool:
        """Remove some of the jobs that were done or failed before `epoch`; return whether there may be more."""
        if any(self._forget_some(epoch, state) for state in _OVER):
            return True
        self._forget_recipes()
        return False

    def forget(self, job_ids: Sequence[str]) -> None:
        """Remove jobs, all or none."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(job_id,) for job_id in job_ids])

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Have the daemon cancel jobs; of those that have ended, nothing is written down."""
        order = "INSERT OR IGNORE INTO cancelled SELECT id FROM jobs WHERE id = ? AND state IN (?, ?, ?)"
        with self._transaction() as connection:
            connection.executemany(order, [(job_id, *_UNFINISHED) for job_id in job_ids])

    def to_cancel(self) -> frozenset[str]:
        """Return the ids of the jobs that are to be cancelled and have not ended."""
        return frozenset(job for (job,) in self._rows("SELECT job FROM cancelled"))

    def dismiss(self, job_ids: Iterable[str]) -> None:
        """Have failed jobs shown no more where what went wrong is listed; one that is tried again is another job."""
        order = "UPDATE jobs SET dismissed = 1 WHERE id = ? AND state = ?"
        with self._transaction() as connection:
            connection.executemany(order, [(job_id, JobState.FAILED) for job_id in job_ids])

    def paused(self) -> frozenset[str]:
        """Return the folders, with all that is below them, from which no job is to start; "." is the whole inbox."""
        return frozenset(os.fsdecode(folder) for (folder,) in self._rows("SELECT folder FROM paused"))

    def pause(self, folder: str) -> None:
        """Start no more jobs from a folder and those below it; "." is the whole inbox."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO paused VALUES (?)", (folder_bytes(folder),))

    def resume(self, folder: str | None) -> None:
        """Take back the pause of this very folder, or every pause when it is None."""
        with self._transaction() as connection:
            if folder is None:
                connection.execute("DELETE FROM paused")
            else:
                connection.execute("DELETE FROM paused WHERE folder = ?", (folder_bytes(folder),))

    def data_version(self) -> int:
        """Return a number that changes when another process has written to the journal; costs a few microseconds."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def _jobs(self, where: str, *values: Value) -> list[Job]:
        rows = self._rows(f"SELECT {COLUMNS} FROM jobs {where}", *values)
        return [job for row in rows if (job := job_of(row)) is not None]

    def _rows(self, sql: str, *values: Value) -> list[Any]:
        with errors_explained(self._path):
            return self._connection.execute(sql, values).fetchall()

    def _forget_some(self, epoch: float, state: str) -> int:
        some = f"SELECT id FROM jobs WHERE finished_at < ? AND state = ? AND id NOT IN ({FAVOURITES}) LIMIT ?"
        sql = f"DELETE FROM jobs WHERE id IN ({some})"
        with self._transaction() as connection:
            return connection.execute(sql, (epoch, state, _FORGET_ROWS)).rowcount

    def _forget_recipes(self) -> None:
        """Remove the recipes and the marks that no job has any more."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM recipes WHERE id NOT IN (SELECT recipe FROM jobs)")
            connection.execute("DELETE FROM put_away WHERE id NOT IN (SELECT id FROM jobs)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with errors_explained(self._path), immediate(self._connection):
            yield self._connection

"""The memory: every job in one SQLite file, so that attempts, history and timings outlive the process.

The folders are the truth, the journal is only the memory: a job that it knows but whose picture is not in the work
folder was never claimed or is finished, and losing the whole file loses no picture. Knows jobs; knows no folder but its
own and nothing of recipes, workers or pictures.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias
from urllib.parse import quote

from dreamd.errors import DreamdError, HoldCause, SpaceError
from dreamd.job import Job, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x64726D64  # "drmd": tells a journal from any other SQLite file
_BUSY_SECONDS = 5.0
_READ_BUSY_SECONDS = 0.1
_FORGET_ROWS = 1000

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Names and paths are bytes: a file name need not be UTF-8, and SQLite's TEXT must be. So is the reason, which
        # may quote one.
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY, folder BLOB NOT NULL, name BLOB NOT NULL, state TEXT NOT NULL, recipe TEXT NOT NULL,
            attempts INTEGER NOT NULL, claimed_at REAL NOT NULL, started_at REAL, finished_at REAL, hold TEXT,
            reason BLOB, result BLOB, seconds REAL)""",
        "CREATE INDEX jobs_by_state ON jobs (state, id)",
        "CREATE INDEX jobs_by_finish ON jobs (finished_at, state, seconds)",
        # Covers the counts of a folder, so that they need not read the recipes.
        "CREATE INDEX jobs_by_folder ON jobs (folder, state)",
        "CREATE TABLE paused (folder BLOB PRIMARY KEY) WITHOUT ROWID",
    ),
)
"""How to bring a journal of version n to version n + 1; `PRAGMA user_version` counts those done."""

_COLUMNS = (
    "id, folder, name, state, recipe, attempts, claimed_at, started_at, finished_at, hold, reason, result, seconds"
)
_INSERT = f"INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE jobs SET id = ?, folder = ?, name = ?, state = ?, recipe = ?, attempts = ?, claimed_at = ?, "
    "started_at = ?, finished_at = ?, hold = ?, reason = ?, result = ?, seconds = ? WHERE id = ?"
)

_Value: TypeAlias = str | bytes | int | float | None
_Row: TypeAlias = tuple[
    str, bytes, bytes, str, str, int, float, float | None, float | None, HoldCause | None,
    bytes | None, bytes | None, float | None,
]  # fmt: skip


class Finished(NamedTuple):
    """One dream that came out: when, in seconds since the epoch, and how many seconds it took."""

    finished_at: float
    seconds: float


class Ended(NamedTuple):
    """A job that is over, as counted by the metrics; times in seconds since the epoch."""

    id: str
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
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Opens the journal for reading and writing, and makes it where there is none.

        A file that is corrupt, or is no journal of this version, is set aside as `<name>.broken-<time>`, with a
        warning in the log, and a new one is made.
        """
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return cls(_open_sound(path), path)
            except _BrokenError as error:
                _set_aside(path, str(error))
            return cls(_open_sound(path), path)

    @classmethod
    def open_readonly(cls, path: Path) -> Journal | None:
        """Opens the journal only to look, in well under 10 ms; None when there is none that can be read.

        Makes no file and never blocks the daemon. While no daemon runs it sees the journal as it was when it was
        opened: open it again for a later look.
        """
        for parameters in _readonly_parameters(path):
            try:
                return cls(_open_to_look(path, parameters), path)
            except (sqlite3.Error, _BrokenError) as error:
                _log.debug("%s cannot be read with %s: %s", path, parameters, error)
        return None

    def close(self) -> None:
        """Gives the file back."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, jobs: Iterable[Job]) -> None:
        """Adds new jobs, all or none. Raises `sqlite3.IntegrityError` when one is there already."""
        with self._transaction() as connection:
            connection.executemany(f"INSERT {_INSERT}", map(_row, jobs))

    def update(self, job: Job) -> None:
        """Writes what became of a job. Raises `KeyError` when it was never added."""
        with self._transaction() as connection:
            if connection.execute(_UPDATE, (*_row(job), job.id)).rowcount == 0:
                raise KeyError(job.id)

    def save(self, jobs: Iterable[Job]) -> None:
        """Adds or replaces jobs, all or none."""
        with self._transaction() as connection:
            connection.executemany(f"INSERT OR REPLACE {_INSERT}", map(_row, jobs))

    def get(self, job_id: str) -> Job | None:
        """The job of this id."""
        return next(iter(self._jobs("WHERE id = ?", job_id)), None)

    def unfinished(self) -> list[Job]:
        """The jobs that are queued, running or held, by the time of their claim."""
        states = (JobState.QUEUED, JobState.RUNNING, JobState.HELD)
        return self._jobs("WHERE state IN (?, ?, ?) ORDER BY id", *states)

    def jobs(self, *, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """The newest jobs first, of one state or of all; at most `limit`, all of them when it is negative."""
        if state is None:
            return self._jobs("ORDER BY id DESC LIMIT ?", limit)
        return self._jobs("WHERE state = ? ORDER BY id DESC LIMIT ?", state, limit)

    def results(
        self, *, before: tuple[float, str] | None = None, folder: str | None = None, limit: int = 100
    ) -> list[Job]:
        """The dreams that came out, the newest first: those older than `before`, the last one's end and id."""
        # By state the index would give every result there is, to be sorted with its recipe.
        index = "INDEXED BY jobs_by_finish " if folder is None else ""
        where = ["state = ?"]
        bounds: list[_Value] = [JobState.DONE.value]
        if folder is not None:
            where.append("folder = ?")
            bounds.append(_folder_bytes(folder))
        if before is not None:
            # The first condition is what the index is searched by, the second what breaks ties.
            where += ["finished_at <= ?", "(finished_at < ? OR id < ?)"]
            bounds += [before[0], before[0], before[1]]
        sql = f"{index}WHERE {' AND '.join(where)} ORDER BY finished_at DESC, id DESC LIMIT ?"
        return self._jobs(sql, *bounds, limit)

    def ended_since(self, epoch: float) -> list[Ended]:
        """The jobs that were done or failed at or after `epoch`, the oldest first."""
        sql = (
            "SELECT id, folder, state, attempts, claimed_at, started_at, seconds, finished_at FROM jobs "
            "WHERE finished_at >= ? ORDER BY finished_at"
        )
        return [Ended(id_, os.fsdecode(at), JobState(state), *rest) for id_, at, state, *rest in self._rows(sql, epoch)]

    def last_result_at(self) -> float | None:
        """When the newest dream came out, in seconds since the epoch; None when none did."""
        newest = (
            "SELECT finished_at FROM jobs INDEXED BY jobs_by_finish WHERE state = ? ORDER BY finished_at DESC LIMIT 1"
        )
        rows = self._rows(newest, JobState.DONE)
        return rows[0][0] if rows else None

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; every state is there."""
        rows = self._rows("SELECT state, COUNT(*) FROM jobs GROUP BY state")
        return dict.fromkeys(JobState, 0) | {JobState(state): number for state, number in rows}

    def counts_by_folder(self) -> dict[str, dict[JobState, int]]:
        """How many jobs of each inbox folder are in each state; every state is there."""
        counts: dict[str, dict[JobState, int]] = {}
        for folder, state, number in self._rows("SELECT folder, state, COUNT(*) FROM jobs GROUP BY folder, state"):
            counts.setdefault(os.fsdecode(folder), dict.fromkeys(JobState, 0))[JobState(state)] = number
        return counts

    def finished_since(self, epoch: float) -> list[Finished]:
        """The dreams that came out at or after `epoch`, oldest first: what rates and the time left are reckoned by."""
        sql = (
            "SELECT finished_at, seconds FROM jobs "
            "WHERE finished_at >= ? AND state = ? AND seconds IS NOT NULL ORDER BY finished_at"
        )
        return [Finished(*row) for row in self._rows(sql, epoch, JobState.DONE)]

    def count_done_before(self, epoch: float) -> int:
        """How many jobs `forget_done_before` would forget."""
        sql = "SELECT COUNT(*) FROM jobs WHERE finished_at < ? AND state = ?"
        return int(self._rows(sql, epoch, JobState.DONE)[0][0])

    def forget_done_before(self, epoch: float) -> int:
        """Removes the jobs that were done before `epoch`, some at a time so that a daemon need not wait; how many."""
        sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at < ? AND state = ? LIMIT ?)"
        forgotten = 0
        while True:
            with self._transaction() as connection:
                count = connection.execute(sql, (epoch, JobState.DONE, _FORGET_ROWS)).rowcount
            forgotten += count
            if count < _FORGET_ROWS:
                return forgotten

    def paused(self) -> frozenset[str]:
        """The folders, with all that is below them, from which no job is to be started; "." is the whole inbox."""
        return frozenset(os.fsdecode(folder) for (folder,) in self._rows("SELECT folder FROM paused"))

    def pause(self, folder: str) -> None:
        """Starts no more jobs from a folder and those below it; "." is the whole inbox."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO paused VALUES (?)", (_folder_bytes(folder),))

    def resume(self, folder: str | None) -> None:
        """Takes back the pause of this very folder, or every pause when it is None."""
        with self._transaction() as connection:
            if folder is None:
                connection.execute("DELETE FROM paused")
            else:
                connection.execute("DELETE FROM paused WHERE folder = ?", (_folder_bytes(folder),))

    def data_version(self) -> int:
        """A number that changes when another process has written to the journal; costs a few microseconds."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def _jobs(self, where: str, *values: _Value) -> list[Job]:
        return [_job(row) for row in self._rows(f"SELECT {_COLUMNS} FROM jobs {where}", *values)]

    def _rows(self, sql: str, *values: _Value) -> list[Any]:
        with _explained(self._path):
            return self._connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _explained(self._path), _immediate(self._connection):
            yield self._connection


class _BrokenError(Exception):
    """The file is no journal that this version can read."""


def _open_sound(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "mode=rwc", _BUSY_SECONDS)
    try:
        _check(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise _BrokenError(damage)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and _is_corruption(error):
            raise _BrokenError(str(error)) from error
        raise
    return connection


def _open_to_look(path: Path, parameters: str) -> sqlite3.Connection:
    connection = _connect(path, parameters, _READ_BUSY_SECONDS)
    try:
        _check(connection)
        if _version(connection) != len(_MIGRATIONS):
            raise _BrokenError("not of this version")
    except BaseException:
        connection.close()
        raise
    return connection


def _readonly_parameters(path: Path) -> list[str]:
    """How to open a journal without leaving a trace, the best way first.

    `mode=ro` makes the `-wal` and `-shm` files where they are missing, perhaps as a user whose files the daemon cannot
    open. They are there as long as a daemon runs; where they are not, nobody writes and the file alone is everything.
    """
    if not path.is_file():
        return []
    with_log = path.with_name(f"{path.name}-wal").exists()
    return ["mode=ro", "immutable=1"] if with_log else ["immutable=1"]


def _connect(path: Path, parameters: str, busy_seconds: float) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?{parameters}"
    return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None)


def _check(connection: sqlite3.Connection) -> None:
    """Raises `_BrokenError` for another program's database and for a later version's journal."""
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
    if tables and connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise _BrokenError("it belongs to another program")
    if _version(connection) > len(_MIGRATIONS):
        raise _BrokenError("a later version of dreamd wrote it")


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) == len(_MIGRATIONS):
        return
    with _immediate(connection):
        # Asked again under the lock: another process may have migrated meanwhile.
        for statements in _MIGRATIONS[_version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that has the write lock from its start, so that it waits at its start or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _set_aside(path: Path, why: str) -> None:
    moment = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.localtime(moment)) + f".{int(moment % 1 * 1_000_000):06}"
    broken = path.with_name(f"{path.name}.broken-{stamp}")
    path.rename(broken)
    for suffix in ("-wal", "-shm"):
        # The log goes with its database: a new database must not find it, and a person may still read the two.
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(f"{broken}{suffix}")
    _log.warning("the journal %s cannot be used (%s): set aside as %s, starting a new one", path, why, broken.name)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise _explanation(error, path) from error
    except OSError as error:
        raise DreamdError(f"the journal {path} cannot be opened: {error.strerror}; check the folder `state`") from error


def _explanation(error: sqlite3.DatabaseError, path: Path) -> DreamdError:
    code = _primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return SpaceError(f"no space left for the journal {path}: free some")
    if code == sqlite3.SQLITE_BUSY:
        return DreamdError(f"the journal {path} is kept locked by another process: see who has it open, then try again")
    if _is_corruption(error):
        return DreamdError(f"the journal {path} is damaged ({error}): restart dreamd, which sets it aside")
    return DreamdError(f"the journal {path} cannot be used: {error}; check the rights of its folder and its disk")


def _is_corruption(error: sqlite3.DatabaseError) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _primary_code(error: sqlite3.DatabaseError) -> int:
    # Errors of Python's own making have no code.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _row(job: Job) -> tuple[_Value, ...]:
    return (
        job.id,
        os.fsencode(job.folder),
        os.fsencode(job.name),
        job.state.value,
        job.recipe,
        job.attempts,
        job.claimed_at,
        job.started_at,
        job.finished_at,
        job.hold,
        None if job.reason is None else job.reason.encode("utf-8", "surrogatepass"),
        None if job.result is None else os.fsencode(job.result),
        job.seconds,
    )


def _job(row: _Row) -> Job:
    id_, folder, name, state, recipe, attempts, claimed, started, finished, hold, reason, result, seconds = row
    return Job(
        id=id_,
        folder=PurePosixPath(os.fsdecode(folder)),
        name=os.fsdecode(name),
        state=JobState(state),
        recipe=recipe,
        attempts=attempts,
        claimed_at=claimed,
        started_at=started,
        finished_at=finished,
        hold=hold,
        reason=None if reason is None else reason.decode("utf-8", "surrogatepass"),
        result=None if result is None else os.fsdecode(result),
        seconds=seconds,
    )


def _folder_bytes(folder: str) -> bytes:
    return os.fsencode(PurePosixPath(folder))

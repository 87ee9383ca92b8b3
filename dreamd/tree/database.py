"""The journal's SQLite file: opened, brought to this version, checked, and set aside when it cannot be used.

Knows the tables and nothing of what the rows mean.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from dreamd.errors import DreamdError, SpaceError
from dreamd.files.problems import os_error_explained

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_APPLICATION_ID = 0x64726D64
"""The letters "drmd": they tell a journal from any other SQLite file."""

_MAGIC = b"SQLite format 3\0"
"""Every SQLite file begins so."""

_BUSY_SECONDS = 5.0
"""The time that a writer waits for another, in seconds."""

_READ_BUSY_SECONDS = 0.1
"""The time that somebody who only looks waits for a writer, in seconds."""

_JOBS = """(
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, folder BLOB NOT NULL, name BLOB NOT NULL,
    state TEXT NOT NULL, recipe INTEGER NOT NULL REFERENCES recipes (id), attempts INTEGER NOT NULL,
    claimed_at REAL NOT NULL, started_at REAL, finished_at REAL, hold TEXT, reason BLOB, result BLOB, seconds REAL)"""
"""The columns of `jobs` since version 2. `number` counts the changes of jobs, whatever the clock does."""

_FIELDS = "folder, name, state, attempts, claimed_at, started_at, finished_at, hold, reason, result, seconds"
"""The columns that version 2 took over as they were."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
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
    (
        # A recipe is a thousand bytes, and a million jobs have a handful of them.
        "CREATE TABLE recipes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "INSERT INTO recipes (text) SELECT DISTINCT recipe FROM jobs",
        f"CREATE TABLE new_jobs {_JOBS}",
        f"INSERT INTO new_jobs (id, recipe, {_FIELDS}) SELECT id, "
        f"(SELECT recipes.id FROM recipes WHERE text = recipe), {_FIELDS} FROM jobs ORDER BY finished_at, id",
        "DROP TABLE jobs",
        "ALTER TABLE new_jobs RENAME TO jobs",
        "CREATE INDEX jobs_by_state ON jobs (state, id)",
        "CREATE INDEX jobs_by_finish ON jobs (finished_at, state, seconds)",
        # Gives a folder's results, the newest first, without sorting them.
        "CREATE INDEX jobs_by_folder ON jobs (folder, state, finished_at, id)",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN failure TEXT",
        "ALTER TABLE jobs ADD COLUMN dismissed INTEGER NOT NULL DEFAULT 0",
        "CREATE TABLE cancelled (job TEXT PRIMARY KEY) WITHOUT ROWID",
    ),
    (
        # By job and not a column of `jobs`: the daemon writes a job's whole row, and people mark it meanwhile.
        "CREATE TABLE favourites (id TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE put_away (id TEXT PRIMARY KEY, way TEXT NOT NULL) WITHOUT ROWID",
    ),
)
"""How to bring a journal of version n to version n + 1; `PRAGMA user_version` counts those done."""


class BrokenError(Exception):
    """The file is no journal that this version can read."""


def open_for_writing(path: Path, *, check: bool) -> sqlite3.Connection:
    """Open a journal for reading and writing, and make it where there is none.

    Args:
        path: the file.
        check: read all of it and look for damage, which takes a second for a million jobs.

    Raises:
        BrokenError: it is damaged, or no journal of this version.
    """
    connection = _connect(path, "mode=rwc", _BUSY_SECONDS)
    try:
        _check_origin(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
        if check and (damage := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise BrokenError(damage)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.DatabaseError) and _is_corruption(error):
            raise BrokenError(str(error)) from error
        raise
    return connection


def open_for_looking(path: Path) -> sqlite3.Connection | None:
    """Open a journal only to read; None when there is none that can be read. Leaves no trace."""
    for parameters in _readonly_parameters(path):
        try:
            return _open_to_look(path, parameters)
        except (sqlite3.Error, BrokenError) as error:
            log.debug("%s cannot be read with %s: %s", path, parameters, error)
    return None


class OpenFile:
    """A journal's file as it was when it was opened: tells whether it still bears the name, and is a database.

    SQLite goes on with a file that was removed or overwritten, and says nothing. Whoever closes a file gives up every
    lock of the process on it, SQLite's too (fcntl(2)): so this one is opened late, and closed after the connection.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = path.stat() if path.exists() else None
        self._file: BinaryIO | None = None

    def is_sound(self) -> bool:
        """Tell whether the file still bears the name and begins as a database does."""
        try:
            if self._opened is None or not os.path.samestat(self._path.stat(), self._opened):
                return False
            if self._file is None:
                self._file = self._path.open("rb")
            return os.pread(self._file.fileno(), len(_MAGIC), 0) == _MAGIC
        except OSError:
            return False

    def close(self) -> None:
        """Close it, after the connection."""
        if self._file is not None:
            self._file.close()


def set_aside(path: Path, why: str) -> None:
    """Rename a file that cannot be used, with its log, so that a new one can be made."""
    moment = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.localtime(moment)) + f".{int(moment % 1 * 1_000_000):06}"
    broken = path.with_name(f"{path.name}.broken-{stamp}")
    path.rename(broken)
    for suffix in ("-wal", "-shm"):
        # The log goes with its database: a new database must not find it, and a person may still read the two.
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(f"{broken}{suffix}")
    log.warning("the journal %s cannot be used (%s): set aside as %s, starting a new one", path, why, broken.name)


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Make one transaction, which has the write lock from its start, so that it waits at its start or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def errors_explained(path: Path) -> Iterator[None]:
    """Raise SQLite's errors inside as errors that a person understands."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _explanation(error, path) from error
    except OSError as error:
        raise os_error_explained(error, "open the journal", path) from error


class DamagedError(DreamdError):
    """The journal's file is damaged; the daemon's next start sets it aside."""


class BusyError(DreamdError):
    """Another process keeps the journal locked."""


def _open_to_look(path: Path, parameters: str) -> sqlite3.Connection:
    connection = _connect(path, parameters, _READ_BUSY_SECONDS)
    try:
        _check_origin(connection)
        if _version(connection) != len(MIGRATIONS):
            raise BrokenError("not of this version")
    except BaseException:
        connection.close()
        raise
    return connection


def _readonly_parameters(path: Path) -> list[str]:
    """Return the ways to open a journal without leaving a trace, the best one first.

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


def _check_origin(connection: sqlite3.Connection) -> None:
    """Raise BrokenError for another program's database and for a later version's journal."""
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
    if tables and connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise BrokenError("it belongs to another program")
    if _version(connection) > len(MIGRATIONS):
        raise BrokenError("a later version of dreamd wrote it")


def _migrate(connection: sqlite3.Connection) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    with immediate(connection):
        # Asked again under the lock: another process may have migrated meanwhile.
        for statements in MIGRATIONS[_version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _explanation(error: sqlite3.DatabaseError, path: Path) -> DreamdError:
    code = _primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return SpaceError(f"no space left for the journal {path}: free some")
    if code == sqlite3.SQLITE_BUSY:
        return BusyError(f"the journal {path} is kept locked by another process: see who has it open, then try again")
    if _is_corruption(error):
        return DamagedError(f"the journal {path} is damaged ({error}): restart dreamd, which sets it aside")
    return DreamdError(f"the journal {path} cannot be used: {error}; check the rights of its folder and its disk")


def _is_corruption(error: sqlite3.DatabaseError) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _primary_code(error: sqlite3.DatabaseError) -> int:
    # Errors of Python's own making have no code.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF

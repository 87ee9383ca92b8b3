"""What people have marked in the journal: favourites, and results that were put away.

Knows its tables; knows no folder.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

FAVOURITES = "SELECT id FROM favourites"
"""The ids of the favourites, which the journal does not forget."""

_AT_ONCE = 1000
"""The number of ids that one statement asks for; SQLite takes no more than so many values, with room to spare."""


class Way(StrEnum):
    """How a result was put away: into the trash, from where it can come back, or out of sight."""

    TRASHED = "trashed"
    DISMISSED = "dismissed"


class _Rows(Protocol):
    def __call__(self, sql: str, *values: str) -> list[Any]: ...


class Marks:
    """The marks in one journal, as `Journal.marks` gives them."""

    def __init__(self, rows: _Rows, transaction: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        """Take what the journal reads and writes with."""
        self._rows = rows
        self._transaction = transaction

    def favourites_among(self, ids: Sequence[str]) -> frozenset[str]:
        """Return which of some jobs are favourites."""
        return frozenset(id_ for (id_,) in self._among(FAVOURITES, ids))

    def put_away_among(self, ids: Sequence[str]) -> dict[str, Way]:
        """Return which of some jobs' results were put away, and how."""
        return {id_: Way(way) for id_, way in self._among("SELECT id, way FROM put_away", ids)}

    def star(self, ids: Iterable[str]) -> None:
        """Make jobs favourites."""
        self._for_each("INSERT OR IGNORE INTO favourites VALUES (?)", ids)

    def unstar(self, ids: Iterable[str]) -> None:
        """Make jobs favourites no more."""
        self._for_each("DELETE FROM favourites WHERE id = ?", ids)

    def put_away(self, ids: Iterable[str], way: Way) -> None:
        """Remember that the results of jobs were put away."""
        self._for_each(f"INSERT OR REPLACE INTO put_away VALUES (?, '{way}')", ids)

    def lose(self, ids: Iterable[str]) -> None:
        """Remember that the trash has these results no more."""
        self._for_each(f"UPDATE put_away SET way = '{Way.DISMISSED}' WHERE id = ?", ids)

    def take_back(self, id_: str, result: bytes | None) -> None:
        """Remember that a job's result can be seen again, under this path in the outbox; None: under the one it had."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM put_away WHERE id = ?", (id_,))
            if result is not None:
                connection.execute("UPDATE jobs SET result = ? WHERE id = ?", (result, id_))

    def _among(self, select: str, ids: Sequence[str]) -> list[Any]:
        """Return what a selection has of these ids, asked for some at a time."""
        some = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
        return [row for each in some for row in self._rows(f"{select} WHERE id IN ({_signs(each)})", *each)]

    def _for_each(self, sql: str, ids: Iterable[str]) -> None:
        with self._transaction() as connection:
            connection.executemany(sql, [(id_,) for id_ in ids])


def _signs(ids: Sequence[str]) -> str:
    return ", ".join("?" * len(ids))

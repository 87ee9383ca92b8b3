"""Which results are sought, and in what order: words of a person's, as SQL over the journal's tables.

Knows the tables and no connection.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple
from unicodedata import normalize

from dreamd.job import JobState
from dreamd.tree.journal_rows import Value
from dreamd.tree.tables.marks import FAVOURITES, Way

if TYPE_CHECKING:
    from collections.abc import Callable

    from dreamd.job import Job

MOST_RECIPES = 2000
"""The most recipes that one word may stand for, the newest ones: SQLite takes so many values in a statement."""

IN_FOLDER = "(folder = ? OR folder > ? AND folder < ?)"
"""Whether a job is of a folder or one below it, by the values of `folder_bounds`."""


class Order(StrEnum):
    """In what order results are listed; results that are equal in it go by their ids."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    LONGEST = "longest"


class Show(StrEnum):
    """Which results are listed: `all` are those that nobody has put away, `trash` those that can be taken back."""

    ALL = "all"
    FAVOURITES = "favourites"
    TRASH = "trash"


class Place(NamedTuple):
    """A result's place in an order: what the order goes by, and the job's id."""

    value: float | str
    id: str


class Word(NamedTuple):
    """A word that is searched for.

    Attributes:
        text: names hold it, in small or capital letters.
        recipes: the numbers of the recipes that hold it, in which a name need not.
    """

    text: str
    recipes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Seeking:
    """What is sought.

    Attributes:
        folder: results of this folder and the folders below it; None or "." for all.
        words: results that hold each of these words.
        show: which of them.
        order: in what order.
    """

    folder: str | None = None
    words: tuple[Word, ...] = ()
    show: Show = Show.ALL
    order: Order = Order.NEWEST

    def place_of(self, job: Job) -> Place:
        """Return the place of a done job in the order."""
        match self.order:
            case Order.NAME:
                return Place(_title(os.fsencode(job.result or "")), job.id)
            case Order.LONGEST:
                return Place(job.seconds or 0.0, job.id)
            case _:
                return Place(job.finished_at or 0.0, job.id)

    def sql(self, *, before: Place | None, after: Place | None) -> tuple[str, str, list[Value]]:
        """Return a query for the ids, its order, and the values of both.

        Args:
            before: only what follows this place.
            after: only what precedes it instead, the nearest first.
        """
        where = ["state = ?"]
        values: list[Value] = [JobState.DONE.value]
        for condition, some in (self._in_folder(), self._shown(), *map(_holding, self.words)):
            if condition:
                where.append(condition)
                values += some
        key, is_falling = _KEYS[self.order]
        goes_down = is_falling != (after is not None)
        if (place := before or after) is not None:
            sign = "<" if goes_down else ">"
            # The first condition is what the index is searched by, the second what breaks ties.
            where += [f"{key} {sign}= ?", f"({key} {sign} ? OR id {sign} ?)"]
            values += [place.value, place.value, place.id]
        way = "DESC" if goes_down else "ASC"
        found = f"SELECT id FROM jobs {self._index()} WHERE {' AND '.join(where)}"
        return found, f"ORDER BY {key} {way}, id {way}", values

    def _index(self) -> str:
        """Name an index, where SQLite would take that of the states: it gives every result there is, to be sorted."""
        if self.show is not Show.ALL or self.order not in (Order.NEWEST, Order.OLDEST):
            return ""
        return "INDEXED BY jobs_by_finish" if self.folder in (None, ".") else "INDEXED BY jobs_by_folder"

    def _in_folder(self) -> tuple[str, list[Value]]:
        if self.folder in (None, "."):
            return "", []
        return IN_FOLDER, [*folder_bounds(self.folder or "")]

    def _shown(self) -> tuple[str, list[Value]]:
        if self.show is Show.TRASH:
            return "id IN (SELECT id FROM put_away WHERE way = ?)", [Way.TRASHED.value]
        shown = "NOT EXISTS (SELECT 1 FROM put_away WHERE put_away.id = jobs.id)"
        return (f"id IN ({FAVOURITES}) AND {shown}" if self.show is Show.FAVOURITES else shown), []


EVERYTHING: Final = Seeking()
"""All results, the newest first."""

_KEYS: Final = {
    Order.NEWEST: ("finished_at", True),
    Order.OLDEST: ("finished_at", False),
    Order.NAME: ("title(result)", False),
    Order.LONGEST: ("COALESCE(seconds, 0.0)", True),
}
"""What each order goes by, and whether the largest comes first."""


def folder_bounds(folder: str) -> tuple[bytes, bytes, bytes]:
    """Return the values of IN_FOLDER for a folder and those below it."""
    below = folder_bytes(folder)
    return below, below + b"/", below + b"0"  # "0" is the character behind "/"


def folder_bytes(folder: str) -> bytes:
    """Return a folder as the journal names it."""
    return os.fsencode(PurePosixPath(folder))


def _holding(word: Word) -> tuple[str, list[Value]]:
    recipes = sorted(word.recipes)[-MOST_RECIPES:]
    numbers = f" OR recipe IN ({', '.join('?' * len(recipes))})" if recipes else ""
    sought = os.fsencode(word.text)
    return f"(holds(result, ?) OR holds(name, ?){numbers})", [sought, sought, *recipes]


def _seen(path: bytes | None) -> str:
    """Return a path as people see it: its letters small, and composed in one way."""
    return normalize("NFC", os.fsdecode(path or b"")).casefold()


def _holds(path: bytes | None, text: bytes) -> bool:
    """Return whether a path holds a text."""
    return _seen(text) in _seen(path)


def _title(path: bytes | None) -> str:
    """Return what the order by name goes by: a result's name without its folder, as text that SQLite can keep."""
    name = _seen(path).rpartition("/")[2]
    return name.encode("utf-8", "backslashreplace").decode()


SQL_FUNCTIONS: Final[dict[str, Callable[..., str | bool]]] = {"holds": _holds, "title": _title}
"""What the query calls: the connection has to know them."""

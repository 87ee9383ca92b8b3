"""Comparisons: which jobs are looked at side by side, each a small file in the state folder.

A job is remembered by the receipt of its picture, which leads to it also when it is claimed later. Reads and writes
files: call it from a thread. Knows no recipe and no HTTP.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dreamd.errors import DreamdError
from dreamd.files.durable import draft_of
from dreamd.json_text import to_json
from dreamd.page.again.sources import Of
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.ids import IdKind
from dreamd.tree.layout import StateFolder

MOST_KEPT = 500
"""The most comparisons that are kept; those that were changed longest ago go first."""

_IDS = IdKind("c", 8)
"""The ids of comparisons; no receipt's is such a one."""


class Compared(BaseModel):
    """One dream of a comparison.

    Attributes:
        label: what it is called beside the others.
        id: its job's id, or that of its picture's receipt; None where its picture could not be posted.
        problem: why not.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    id: str | None
    problem: str | None = None


class Comparison(BaseModel):
    """Dreams of one picture, side by side.

    Attributes:
        id: what to ask for.
        made_at: when it was asked for, in seconds since the epoch.
        source: the id of the job whose original or result was dreamed again; "" where the dreams are of several.
        of: which of the two.
        picture: the name of that picture.
        field: the field that was swept; "" where recipes are compared.
        dreams: what came of it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    made_at: float
    source: str
    of: Of
    picture: str
    field: str = ""
    dreams: tuple[Compared, ...]


class Comparisons:
    """The comparisons of one tree."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = StateFolder(state_folder).comparisons

    def find(self, id_: str) -> Comparison:
        """Return a comparison. Raises NotThereError when there is none."""
        if not is_comparison_id(id_):
            raise NotThereError("there is no such comparison")
        try:
            return Comparison.model_validate_json(self._file(id_).read_bytes())
        except FileNotFoundError:
            raise NotThereError("there is no such comparison (any more)") from None
        except (OSError, ValidationError) as error:
            raise DreamdError(f"the comparison {self._file(id_)} cannot be read; remove it") from error

    def save(self, comparison: Comparison) -> None:
        """Keep a comparison, and forget the oldest where there are too many."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with draft_of(self._file(comparison.id), durable=True) as draft:
            draft.write_text(to_json(comparison.model_dump(mode="json")), encoding="utf-8")
        for file in self._newest()[MOST_KEPT:]:
            file.unlink(missing_ok=True)

    def latest(self, limit: int) -> list[Comparison]:
        """List the comparisons that were changed last; those that cannot be read are left out."""
        found = []
        for file in self._newest()[:limit]:
            with suppress(DreamdError):
                found.append(self.find(file.stem))
        return found

    def _newest(self) -> list[Path]:
        """List the files, those that were changed last first."""
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            stamps = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if _IDS.has(Path(entry.name).stem)]
            return [Path(path) for _, path in sorted(stamps, reverse=True)]
        return []

    def _file(self, id_: str) -> Path:
        return self._folder / f"{id_}.json"


def new_comparison(source: str, of: Of, picture: str, field: str, dreams: tuple[Compared, ...]) -> Comparison:
    """Return a comparison with an id of its own; the arguments are the fields of `Comparison`."""
    return Comparison(
        id=_IDS.new(), made_at=time.time(), source=source, of=of, picture=picture, field=field, dreams=dreams
    )


def is_comparison_id(text: str) -> bool:
    """Tell whether a text may be the id of a comparison, and so is a harmless name of a file."""
    return _IDS.has(text)

"""What the daemon and its publisher say to each other: one line of JSON a lot, and one line back.

JSON and not pickle, as everywhere; both are of the same dreamd, so that lines are plain lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dreamd.errors import DreamdError, FolderError, SpaceError
from dreamd.job import Job
from dreamd.json_text import to_json
from dreamd.tree.layout import Folders
from dreamd.tree.spool import Spool
from dreamd.tree.steps.together import Placed, Wanted

_ERRORS: dict[str, type[DreamdError]] = {"space": SpaceError, "folder": FolderError, "other": DreamdError}
"""The errors by which a result is not published, as a line names them."""


def spool_line(spool: Spool) -> bytes:
    """Write the folders of a spool, which is the first line to a publisher."""
    folders = spool.folders
    paths = [folders.inbox, folders.outbox, folders.failed, folders.done]
    values = [*(None if path is None else str(path) for path in paths), spool.share, spool.most_carried]
    return _line(values)


def read_spool(line: bytes) -> Spool:
    """Read what `spool_line` wrote."""
    inbox, outbox, failed, done, share, most_carried = json.loads(line)
    folders = Folders(
        inbox=Path(inbox), outbox=Path(outbox), failed=Path(failed), done=None if done is None else Path(done)
    )
    return Spool(folders, share=share, most_carried=most_carried)


class Told(NamedTuple):
    """What a line tells of one result that is to be published."""

    job: str
    folder: str
    name: str
    stem: str
    file: str
    draft: str
    sidecar: object


class Outcome(NamedTuple):
    """What a line tells of one result that was to be published, as `Placed` has it."""

    name: str | None
    is_out: bool
    is_left: bool
    problem: DreamdError | None


def lot_line(lot: Iterable[Told]) -> bytes:
    """Write what is to be published together."""
    return _line(list(lot))


def read_lot(line: bytes) -> list[Wanted]:
    """Read what `lot_line` wrote."""
    return [
        Wanted(
            job=Job(id=job, folder=PurePosixPath(folder), name=name),
            stem=stem,
            file=file,
            draft=draft,
            sidecar=to_json(sidecar, indent=1, for_people=True).encode(),
        )
        for job, folder, name, stem, file, draft, sidecar in map(Told._make, json.loads(line))
    ]


def outcome_line(outcomes: Sequence[Placed]) -> bytes:
    """Write what became of a lot."""
    return _line([[_text(one.name), one.is_out, one.is_left, *_problem(one.problem)] for one in outcomes])


def read_outcomes(line: bytes) -> list[Outcome]:
    """Read what `outcome_line` wrote. Raises ValueError when that is no answer."""
    return [
        Outcome(name, is_out, is_left, _ERRORS[kind](text) if kind else None)
        for name, is_out, is_left, kind, text in json.loads(line)
    ]


def _problem(problem: DreamdError | None) -> tuple[str | None, str]:
    if problem is None:
        return None, ""
    kind = next((kind for kind in ("space", "folder") if isinstance(problem, _ERRORS[kind])), "other")
    return kind, str(problem)


def _text(name: PurePosixPath | None) -> str | None:
    return None if name is None else str(name)


def _line(values: object) -> bytes:
    return to_json(values).encode("ascii") + b"\n"

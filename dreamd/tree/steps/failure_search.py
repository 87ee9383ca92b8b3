"""Which of many failed jobs still have their originals in `failed`: each folder is looked through once at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.files.names import folder_parts, one_name
from dreamd.files.nofollow import Entry, names_in, opened_folder_if_there
from dreamd.tree.layout import REASON, reason_name
from dreamd.tree.steps.originals import reason_job

if TYPE_CHECKING:
    from dreamd.job import Job

_MOST_READ = 5000
"""The most reasons of a folder that are read, those with the highest numbers in their names first."""


def failed_among(jobs: Iterable[Job], failed: Path) -> frozenset[str]:
    """Return the ids of those jobs whose originals are below `failed`. Raises OSError when a folder cannot be read."""
    by_folder: dict[PurePosixPath, list[Job]] = {}
    for job in jobs:
        by_folder.setdefault(job.folder, []).append(job)
    return frozenset(job for place, wanted in by_folder.items() for job in _failed_in(place, wanted, failed))


def _failed_in(place: PurePosixPath, wanted: list[Job], failed: Path) -> Iterator[str]:
    with opened_folder_if_there(failed, folder_parts(place)) as folder:
        if folder is None:
            return
        missing = set()
        for job in wanted:  # most originals have kept their names, so that no listing is needed
            original = Entry(folder, one_name(job.name))
            if reason_job(original.beside(reason_name(original.name))) != job.id:
                missing.add(job.id)
            elif original.is_there():
                yield job.id
        if missing:
            yield from _found_by_reasons(folder, missing)


def _found_by_reasons(folder: int, missing: set[str]) -> Iterator[str]:
    reasons = [name for name in names_in(folder) if name.endswith(REASON)]
    reasons.sort(key=lambda name: (len(name), name), reverse=True)  # `cat-10` before `cat-9`: the newest jobs' first
    for name in reasons[:_MOST_READ]:
        job_id = reason_job(Entry(folder, name))
        if job_id is not None and job_id in missing:
            missing.remove(job_id)
            if Entry(folder, name.removesuffix(REASON)).is_there():
                yield job_id
        if not missing:
            return

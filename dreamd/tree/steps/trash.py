"""Results that somebody has deleted: each lies in a folder of its job in the outbox's `.dreamd/trash`, until `prune`.

A deletion is a few renames on one filesystem. The picture goes first and its sidecar last, and they come back the other
way round: so what a kill leaves in the outbox still says whose it is, and the same step done again completes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.errors import UsageError
from dreamd.files.durable import rename_new
from dreamd.files.names import free_names, one_name, relative_parts, split_name
from dreamd.files.nofollow import Entry, names_in, opened_folder, opened_folder_if_there
from dreamd.files.problems import os_errors_explained
from dreamd.files.syncs import sync_folder
from dreamd.tree.layout import HOUSE, SIDECAR, STEPS, TRASH, sidecar_name, steps_name, trash_folder
from dreamd.tree.steps.sidecars import names_job, names_like, tells_of_steps

if TYPE_CHECKING:
    from dreamd.job import Job


class NotInTrashError(UsageError):
    """The trash has no such result any more."""


@dataclass(frozen=True)
class Trashed:
    """A result in the trash.

    Attributes:
        job: the id of its job.
        put_at: when it was put there, in seconds since the epoch.
        bytes: how many bytes its files take.
    """

    job: str
    put_at: float
    bytes: int


class Trash:
    """The trash of one outbox."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox

    def put(self, job: Job) -> bool:
        """Move a done job's result here, with all that lies beside it. Doing it twice is harmless.

        Returns:
            False when neither the outbox nor the trash has the result: somebody else took it.
        """
        *parts, name = relative_parts(PurePosixPath(job.result or ""))
        with (
            os_errors_explained("delete", self._outbox / (job.result or "")),
            opened_folder_if_there(self._outbox, parts) as folder,
        ):
            if folder is None or not names_job(Entry(folder, sidecar_name(name)), job.id):
                return self.has(job)
            with opened_folder(self._outbox, trash_folder(job.id).parts, make=True) as bin_:
                strip = [steps_name(name)] if tells_of_steps(Entry(folder, sidecar_name(name))) else []
                for each in (name, *strip, sidecar_name(name)):
                    _move(Entry(folder, each), Entry(bin_, each))
                    sync_folder(bin_)
                sync_folder(folder)
        return True

    def take_back(self, job: Job) -> PurePosixPath:
        """Give a result its place in the outbox again, or the next free name there; returns its path.

        Raises:
            NotInTrashError: it is neither here nor there.
        """
        *parts, wanted = relative_parts(PurePosixPath(job.result or ""))
        with (
            os_errors_explained("bring back", self._outbox / (job.result or "")),
            opened_folder_if_there(self._outbox, trash_folder(job.id).parts) as bin_,
            opened_folder(self._outbox, parts, make=True) as folder,
        ):
            name = _begun(folder, wanted, job.id)
            if name is None and (bin_ is None or not names_job(Entry(bin_, sidecar_name(wanted)), job.id)):
                raise NotInTrashError(f"{job.result} is not in the trash any more")
            if bin_ is not None:
                name = _brought(bin_, wanted, folder, name)
                self._remove(job.id)
        assert name is not None
        return PurePosixPath(*parts, name)

    def has(self, job: Job) -> bool:
        """Tell whether a job's result lies here."""
        name = PurePosixPath(job.result or "").name
        with opened_folder_if_there(self._outbox, trash_folder(job.id).parts) as bin_:
            return bin_ is not None and names_job(Entry(bin_, sidecar_name(name)), job.id)

    def all(self) -> Iterator[Trashed]:
        """Yield what lies here."""
        with opened_folder_if_there(self._outbox, [HOUSE, TRASH]) as trash:
            for name in [] if trash is None else names_in(trash):
                with opened_folder_if_there(trash or 0, [one_name(name)]) as bin_:
                    if bin_ is not None:
                        files = [Entry(bin_, each).status() for each in names_in(bin_)]
                        total = sum(each.st_size for each in files if each is not None)
                        yield Trashed(name, os.fstat(bin_).st_ctime, total)

    def remove(self, trashed: Trashed) -> None:
        """Delete a result for good."""
        with os_errors_explained("remove", self._outbox / trash_folder(trashed.job)):
            self._remove(trashed.job)

    def _remove(self, job_id: str) -> None:
        with opened_folder(self._outbox, [HOUSE, TRASH]) as trash:
            if Entry(trash, one_name(job_id)).is_there():
                shutil.rmtree(job_id, dir_fd=trash)
                sync_folder(trash)


def _move(source: Entry, target: Entry) -> None:
    """Move a file, if it is there."""
    if source.is_regular():
        rename_new(source, target)


def _begun(folder: int, wanted: str, job_id: str) -> str | None:
    """Return the name that a result has got in the outbox by an earlier try, by the sidecar that came first."""
    stem = split_name(wanted)[0]
    names = (sidecar.removesuffix(SIDECAR) for sidecar in names_like(folder, stem, SIDECAR))
    return next((name for name in names if names_job(Entry(folder, sidecar_name(name)), job_id)), None)


def _brought(bin_: int, wanted: str, folder: int, name: str | None) -> str:
    """Move a result's files out of the trash, under the name that it has got already or a free one."""

    def is_taken(tried: str) -> bool:
        return any(Entry(folder, ending(tried)).is_there() for ending in (str, steps_name, sidecar_name))

    if name is None:
        names = free_names(*split_name(wanted), is_taken, reserve=max(len(SIDECAR), len(STEPS)))
        name = next(tried for tried in names if _is_had(Entry(bin_, wanted), Entry(folder, tried)))
    for ending in (sidecar_name, steps_name, str):
        _move(Entry(bin_, ending(wanted)), Entry(folder, ending(name)))
        sync_folder(folder)
    return name


def _is_had(trashed: Entry, target: Entry) -> bool:
    """Take a name in the outbox by giving it the sidecar; False when somebody was quicker."""
    try:
        rename_new(trashed.beside(sidecar_name(trashed.name)), target.beside(sidecar_name(target.name)))
    except FileExistsError:
        return False
    return True

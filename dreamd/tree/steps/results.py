"""The outbox: drafts of results, free names, and results published whole and never over another file.

A job's draft lies in `.dreamd/<job id>/`. Its sidecar is published first and names the job, so that a result without
its job's sidecar does not exist, and the job never gets a second one.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.files.durable import place_new, sync_file, write_new
from dreamd.files.names import folder_parts, free_names, one_name, relative_parts, split_name
from dreamd.files.nofollow import Entry, make_private, opened_folder, opened_folder_if_there
from dreamd.files.syncs import sync_folder
from dreamd.tree.layout import HOUSE, SIDECAR, sidecar_name
from dreamd.tree.steps.sidecars import SidecarIndex, names_job, names_like

if TYPE_CHECKING:
    from dreamd.job import Job

_DRAFT_SIDECAR = ".sidecar"


class Results:
    """The results in one outbox."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox

    def prepare(self) -> None:
        """Make the folder of the drafts, and let nobody else into it. Drafts inherit what results are to have."""
        with opened_folder(self._outbox, [HOUSE], make=True) as house:
            make_private(house, heritable=True)

    def make_draft_folder(self, job: Job) -> Path:
        """Make a fresh, empty folder for a job's result; an earlier attempt's is removed."""
        self.drop_draft(job)
        # Not synced: a power cut that loses a draft loses nothing.
        with opened_folder(self._outbox, [HOUSE, one_name(job.id)], make=True, durable=False):
            return self._outbox / HOUSE / job.id

    def drop_draft(self, job: Job) -> None:
        """Remove a job's draft, if there is one."""
        with opened_folder_if_there(self._outbox, [HOUSE]) as house:
            if house is not None and Entry(house, one_name(job.id)).is_there():
                shutil.rmtree(job.id, dir_fd=house)

    def free_name(self, job: Job, stem: str, extension: str) -> PurePosixPath:
        """Return a name that neither a result nor a sidecar has, relative to the outbox."""
        suffix = f".{extension.removeprefix('.')}"
        one_name(stem + suffix)
        parts = folder_parts(job.folder)
        with opened_folder_if_there(self._outbox, parts) as folder:
            names = free_names(
                stem, suffix, lambda name: folder is not None and _is_taken(Entry(folder, name)), reserve=len(SIDECAR)
            )
            return PurePosixPath(*parts, next(names))

    def publish(self, job: Job, result: PurePosixPath, file: str, sidecar: bytes) -> PurePosixPath:
        """Give a job's draft its name in the outbox, or the next free one."""
        *parts, wanted = relative_parts(result)
        stem, suffix = split_name(wanted)
        with (
            opened_folder(self._outbox, parts, make=True) as folder,
            opened_folder(self._outbox, [HOUSE, one_name(job.id)]) as drafts,
        ):
            picture, record = Entry(drafts, one_name(file)), Entry(drafts, _DRAFT_SIDECAR)
            if _recover(Entry(folder, wanted), job.id):
                name = wanted  # an earlier try was cut off, or raised, after it had done its work
            else:
                names = free_names(stem, suffix, lambda name: _is_taken(Entry(folder, name)), reserve=len(SIDECAR))
                name = next(name for name in names if _publish_as(Entry(folder, name), picture, record, sidecar))
            picture.unlink()
            record.unlink()
        return PurePosixPath(*parts, name)

    def recover(self, job: Job, stem: str, index: SidecarIndex | None = None) -> PurePosixPath | None:
        """Return the job's result, if it is there, and remove a sidecar of the job's without its picture."""
        if job.result is not None:
            *parts, name = relative_parts(PurePosixPath(job.result))
            with opened_folder_if_there(self._outbox, parts, strict=True) as folder:
                if folder is not None and _recover(Entry(folder, name), job.id):
                    return PurePosixPath(job.result)
        parts = folder_parts(job.folder)
        with opened_folder_if_there(self._outbox, parts, strict=True) as folder:
            for name in () if folder is None else _candidates(folder, tuple(parts), job, stem, index):
                if folder is not None and _recover(Entry(folder, name), job.id):
                    return PurePosixPath(*parts, name)
        return None


def _candidates(folder: int, parts: tuple[str, ...], job: Job, stem: str, index: SidecarIndex | None) -> list[str]:
    if index is not None:
        return index.results(folder, parts, stem, job.id)
    return [name.removesuffix(SIDECAR) for name in names_like(folder, stem, SIDECAR)]


def _recover(result: Entry, job_id: str) -> bool:
    """Tell whether it is the job's result, with its sidecar; a sidecar of the job's without a picture is removed."""
    sidecar = result.beside(sidecar_name(result.name))
    if not names_job(sidecar, job_id):
        return False
    if result.is_there():
        return True
    sidecar.unlink()
    return False


def _is_taken(result: Entry) -> bool:
    return result.is_there() or result.beside(sidecar_name(result.name)).is_there()


def _publish_as(target: Entry, picture: Entry, record: Entry, sidecar: bytes) -> bool:
    """Give sidecar and picture their names; False, and nothing changed, when one of them is taken."""
    # Written anew for each name: it is moved where there are no hard links.
    write_new(record, sidecar)
    sync_file(picture, mode_of=record)
    note = target.beside(sidecar_name(target.name))
    if target.is_there():
        return False
    try:
        place_new(record, note)
    except FileExistsError:
        return False
    # Synced between the two: no power cut may leave the picture without the sidecar that says whose it is.
    sync_folder(target.folder)
    try:
        place_new(picture, target)
    except FileExistsError:
        note.unlink()
        return False
    except OSError:
        note.unlink()
        raise
    sync_folder(target.folder)
    return True

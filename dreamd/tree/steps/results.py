"""The outbox: drafts of results, free names, and results published whole and never over another file.

A job's draft lies in a folder of its own (`drafts`). Its sidecar is published first and names the job, so that a result
without its job's sidecar does not exist, and the job never gets a second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.files.durable import place_new, rename_new, sync_file, write_new
from dreamd.files.names import folder_parts, free_names, one_name, relative_parts, split_name
from dreamd.files.nofollow import Entry, make_private, opened_folder, opened_folder_if_there
from dreamd.files.syncs import sync_folder
from dreamd.tree.layout import HOUSE, SIDECAR, STEPS, sidecar_name, steps_name
from dreamd.tree.steps.drafts import Drafts
from dreamd.tree.steps.sidecars import SidecarIndex, names_job, names_like, tells_of_steps

if TYPE_CHECKING:
    from dreamd.job import Job

DRAFT_SIDECAR = ".sidecar"
"""The name of a sidecar's draft in its job's draft folder."""


class Results:
    """The results in one outbox."""

    def __init__(self, outbox: Path, drafts: Drafts) -> None:
        self._outbox = outbox
        self._drafts = drafts

    def prepare(self) -> None:
        """Make the folder of the drafts, and let nobody else into it. Drafts inherit what results are to have."""
        with opened_folder(self._outbox, [HOUSE], make=True) as house:
            make_private(house, heritable=True)

    def free_name(self, job: Job, stem: str, extension: str, *, has_steps: bool) -> PurePosixPath:
        """Return a name that neither a result nor a sidecar has, nor a film strip of it, relative to the outbox."""
        suffix = f".{extension.removeprefix('.')}"
        one_name(stem + suffix)
        parts = folder_parts(job.folder)
        with opened_folder_if_there(self._outbox, parts) as folder:

            def is_used(name: str) -> bool:
                return folder is not None and is_taken(Entry(folder, name), has_steps=has_steps)

            return PurePosixPath(*parts, next(free_names(stem, suffix, is_used, reserve=_reserve(has_steps))))

    def publish(self, job: Job, result: PurePosixPath, file: str, sidecar: bytes, steps: str | None) -> PurePosixPath:
        """Give a job's draft its name in the outbox, or the next free one."""
        *parts, wanted = relative_parts(result)
        stem, suffix = split_name(wanted)
        with (
            opened_folder(self._outbox, parts, make=True) as folder,
            self._drafts.opened(job.id) as drafts,
        ):
            picture, record = Entry(drafts, one_name(file)), Entry(drafts, DRAFT_SIDECAR)
            strip = None if steps is None else Entry(drafts, one_name(steps))
            draft = _Draft(picture, record, sidecar, strip)
            if _recover(Entry(folder, wanted), job.id):
                name = wanted  # an earlier try was cut off, or raised, after it had done its work
            else:
                has_steps = strip is not None
                names = free_names(
                    stem,
                    suffix,
                    lambda name: is_taken(Entry(folder, name), has_steps=has_steps),
                    reserve=_reserve(has_steps),
                )
                name = next(name for name in names if _publish_as(Entry(folder, name), draft))
            for left in (picture, record, *([] if strip is None else [strip])):
                left.unlink()
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
    """Tell whether it is the job's result, with its sidecar; what of the job's stands without a picture is removed."""
    sidecar = result.beside(sidecar_name(result.name))
    if not names_job(sidecar, job_id):
        return False
    if result.is_there():
        return True
    if tells_of_steps(sidecar):
        result.beside(steps_name(result.name)).unlink()
    sidecar.unlink()
    return False


def _reserve(has_steps: bool) -> int:
    """Return by how many bytes the names beside a result are longer than its own."""
    return max(len(SIDECAR), len(STEPS)) if has_steps else len(SIDECAR)


def is_taken(result: Entry, *, has_steps: bool) -> bool:
    """Tell whether a result's name is in use, or that of its sidecar or film strip."""
    beside = [sidecar_name(result.name), *([steps_name(result.name)] if has_steps else [])]
    return result.is_there() or any(result.beside(name).is_there() for name in beside)


@dataclass(frozen=True)
class _Draft:
    """A result that has no name in the outbox yet.

    Attributes:
        picture: the picture's draft.
        record: the name of the sidecar's draft.
        sidecar: what is in the sidecar.
        strip: the film strip's draft, if it has one.
    """

    picture: Entry
    record: Entry
    sidecar: bytes
    strip: Entry | None


def _publish_as(target: Entry, draft: _Draft) -> bool:
    """Give a draft's files their names; False, and nothing changed, when one of them is taken."""
    # Written anew for each name: it is moved where there are no hard links.
    write_new(draft.record, draft.sidecar)
    for file in (draft.picture, *([] if draft.strip is None else [draft.strip])):
        sync_file(file, mode_of=draft.record)
    note = target.beside(sidecar_name(target.name))
    if target.is_there():
        return False
    try:
        place_new(draft.record, note)
    except FileExistsError:
        return False
    # Synced between the two: no power cut may leave the picture without the sidecar that says whose it is.
    sync_folder(target.folder)
    try:
        _place_with_strip(draft, target)
    except FileExistsError:
        note.unlink()
        return False
    except OSError:
        note.unlink()
        raise
    sync_folder(target.folder)
    return True


def _place_with_strip(draft: _Draft, target: Entry) -> None:
    """Give the film strip its name, then the picture; where that is refused, the strip is a draft again."""
    if draft.strip is None:
        place_new(draft.picture, target)
        return
    beside = target.beside(steps_name(target.name))
    place_new(draft.strip, beside)
    try:
        place_new(draft.picture, target)
    except OSError:
        if draft.strip.is_there():
            beside.unlink()
        else:  # it was moved, where there are no hard links
            rename_new(beside, draft.strip)
        raise

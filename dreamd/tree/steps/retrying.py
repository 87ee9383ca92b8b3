"""Failed originals on their way back into the inbox, to be tried again. Knows folders and jobs; knows no journal.

Each goes by one rename from `failed` to the inbox, whoever works on the inbox: a daemon finds it there like any new
picture. The folder is read once, however many come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from dreamd.files.durable import is_same_file
from dreamd.files.names import folder_parts, free_names, split_name
from dreamd.files.nofollow import Entry, names_in, opened_folder, opened_folder_if_there
from dreamd.files.problems import os_errors_explained
from dreamd.files.syncs import sync_folder
from dreamd.job import Job
from dreamd.tree.layout import REASON, Folders, reason_name
from dreamd.tree.steps.originals import move_original, reason_job


def give_back_failed(folders: Folders, jobs: Iterable[Job]) -> Iterator[tuple[Job, bool]]:
    """Move the originals of failed jobs back into the inbox; yield each job, and whether its original was there.

    A job is yielded when its original is safely in the inbox, and its reason is gone.

    Raises:
        FolderError: a folder cannot be used.
        SpaceError: the inbox is full, where it is on another filesystem than `failed`.
    """
    for folder, group in groupby(sorted(jobs, key=lambda job: (job.folder, job.id)), key=lambda job: job.folder):
        with os_errors_explained("take back what failed in", folders.failed / folder):
            parts = folder_parts(folder)
            with opened_folder_if_there(folders.failed, parts) as failed:
                if failed is None:
                    yield from ((job, False) for job in group)
                    continue
                with opened_folder(folders.inbox, parts, make=True) as inbox:
                    yield from _give_back(failed, inbox, list(group))


def _give_back(failed: int, inbox: int, jobs: list[Job]) -> list[tuple[Job, bool]]:
    originals = _originals_in(failed)
    outcomes = []
    for job in jobs:
        original = originals.get(job.id)
        is_back = original is not None and original.is_regular()
        if original is not None and is_back:
            _move(original, inbox, job)
        if original is not None:
            original.beside(reason_name(original.name)).unlink()
        outcomes.append((job, is_back))
    sync_folder(inbox)
    sync_folder(failed)
    return outcomes


def _originals_in(failed: int) -> dict[str, Entry]:
    """Return the originals in a folder of failed ones, as their reasons name them, by the jobs' ids."""
    reasons = [Entry(failed, name) for name in names_in(failed) if name.endswith(REASON)]
    return {
        job_id: Entry(failed, reason.name.removesuffix(REASON))
        for reason in reasons
        if (job_id := reason_job(reason)) is not None
    }


def _move(original: Entry, inbox: int, job: Job) -> None:
    """Move an original into the inbox, under its own name or the next free one."""

    def is_taken(name: str) -> bool:
        # A kill may have left a copy of the original, where it had to be copied.
        return Entry(inbox, name).is_there() and not is_same_file(original, Entry(inbox, name))

    for name in free_names(*split_name(job.name), is_taken):
        try:
            move_original(original, Entry(inbox, name), job.id, sync=False)
            return
        except FileExistsError:
            continue

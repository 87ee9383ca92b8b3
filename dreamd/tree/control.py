"""Orders of a person: retry, cancel, dismiss, pause and resume, for a daemon that may or may not be running.

All of it is done in the folders and the journal, where a daemon finds it at its next look; one that runs is woken by a
signal. So it works without a daemon too, and nothing is lost when one dies meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

from dreamd.errors import UsageError
from dreamd.job import Job, JobState
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.tree.identity import check_is_known
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.steps.retrying import give_back_failed
from dreamd.wording import suggestion

T = TypeVar("T")

WAKE = signal.SIGUSR1
"""This signal has the daemon look at the journal and at its held jobs now."""

_FORGOTTEN_AT_A_TIME = 1_000
"""The number of jobs that the journal forgets in one commit, so that the daemon need not wait long for its own."""


_CANCEL_SECONDS = 3.0
"""The time in seconds for which a command waits to hear that the daemon has cancelled what it was asked to."""

_LOOK_SECONDS = 0.05
"""The pause between two looks for that."""

_MOST_NAMED = 20
"""The most cancelled pictures that are named one by one."""

_MOST_FOLDERS = 10_000
"""The most folders of an inbox among which the one that was meant is looked for."""


def retry(config: Config, job_ids: Sequence[str], *, all_failed: bool) -> Iterator[str]:
    """Give failed pictures back to the inbox, and have the daemon look at held ones now; yields a line for each.

    Of all that failed, what a person has cancelled or dismissed stays: it is given back by its id alone.

    Raises:
        UsageError: a job does not exist, or is neither failed nor held.
        FolderError: the inbox is not there.
    """
    check_is_known(config.inbox, StateFolder(config.state))
    with Journal.open(StateFolder(config.state).journal) as journal:
        jobs = _failed_by_itself(journal) if all_failed else [_job_to_retry(journal, job_id) for job_id in job_ids]
        yield from (f"{job.path}: looked at again now" for job in jobs if job.state is JobState.HELD)
        failed = [job for job in jobs if job.state is JobState.FAILED]
        for some in _in_lists(give_back_failed(Folders.of(config), failed), _FORGOTTEN_AT_A_TIME):
            # The picture is a new one from now on, and the old job is no failure that anybody has to look at.
            journal.forget([job.id for job, is_back in some if is_back])
            for job, is_back in some:
                if is_back:
                    yield f"{job.path}: back in the inbox"
                elif not all_failed:
                    raise UsageError(f"{job.path}: its picture is no longer in {config.failed}")
    wake(config)


def cancel(config: Config, job_ids: Sequence[str], *, folder: str | None = None) -> Iterator[str]:
    """Have jobs that wait or run end as cancelled; yields a line for each, or for many alike.

    A running daemon does it within moments, and else the next one when it starts: until then that is written down.

    Args:
        config: the config.
        job_ids: the jobs.
        folder: cancel all jobs of this folder of the inbox and those below it in place of single ones.

    Raises:
        UsageError: a job does not exist or has ended, or the folder is none of the inbox.
    """
    check_is_known(config.inbox, StateFolder(config.state))
    config.state.mkdir(parents=True, exist_ok=True)
    with Journal.open(StateFolder(config.state).journal) as journal:
        if folder is None:
            jobs = [_job_to_cancel(journal, job_id) for job_id in job_ids]
        else:
            jobs = journal.unfinished_below(relative_folder(config, folder))
        journal.cancel(job.id for job in jobs)
        wake(config)
        runs = (values := snapshot.read(config.state)) is not None and values["state"] != "stopped"
        if runs:
            _await_ends(journal, jobs)
        yield from _told_of_cancelled(journal, jobs, runs=runs)


def dismiss(config: Config, job_ids: Sequence[str]) -> str:
    """Have failures shown no more where what went wrong is listed; their pictures stay where they are.

    Raises:
        UsageError: a job does not exist, or has not failed.
    """
    with Journal.open(StateFolder(config.state).journal) as journal:
        for job_id in job_ids:
            if (job := _job_of(journal, job_id)).state is not JobState.FAILED:
                raise UsageError(f"job {job_id} is {job.state}, not failed")
        journal.dismiss(job_ids)
    wake(config)
    return f"dismissed: {len(job_ids)}"


def _failed_by_itself(journal: Journal) -> list[Job]:
    """Return the failed jobs, but for those that a person has cancelled or dismissed."""
    return [job for job in journal.failures(limit=-1) if job.failure != "cancelled"]


def _job_of(journal: Journal, job_id: str) -> Job:
    job = journal.get(job_id)
    if job is None:
        raise UsageError(f"there is no job {job_id!r}; `dreamd jobs` lists them")
    return job


def _job_to_cancel(journal: Journal, job_id: str) -> Job:
    """Return the job of an id. Raises UsageError when there is none, or when it has ended."""
    job = _job_of(journal, job_id)
    if job.state in (JobState.DONE, JobState.FAILED):
        raise UsageError(f"job {job_id} is {job.state}: there is nothing left to cancel")
    return job


def _await_ends(journal: Journal, jobs: Sequence[Job]) -> None:
    """Wait a moment for the daemon to end jobs."""
    end = time.monotonic() + _CANCEL_SECONDS
    ids = {job.id for job in jobs}
    while ids & journal.to_cancel() and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)


def _told_of_cancelled(journal: Journal, jobs: Sequence[Job], *, runs: bool) -> Iterator[str]:
    """Say what became of jobs that were cancelled: one by one, or of many how many."""
    to_cancel = journal.to_cancel()
    said: dict[str, list[Job]] = {}
    for job in jobs:
        now = journal.get(job.id)
        if job.id in to_cancel:
            words = "cancelled as soon as dreamd comes to it" if runs else "cancelled when dreamd runs again"
        elif now is not None and now.state is JobState.DONE:
            words = "came out before it could be cancelled"
        else:
            words = "cancelled"
        said.setdefault(words, []).append(job)
    for words, some in said.items():
        if len(jobs) > _MOST_NAMED:
            yield f"{len(some)} pictures: {words}"
        else:
            undo = " (`dreamd retry {}` takes that back)" if words == "cancelled" else ""
            yield from (f"{job.path}: {words}{undo.format(job.id)}" for job in some)
    if not jobs:
        yield "nothing waits or runs there"


def pause(config: Config, folder: str) -> str:
    """Have no more jobs started from a folder and those below it; what runs is finished. Returns what to tell.

    Raises:
        UsageError: it is no folder of the inbox, or not there.
    """
    name = relative_folder(config, folder)
    _check_is_there(config, name)
    config.state.mkdir(parents=True, exist_ok=True)
    with Journal.open(StateFolder(config.state).journal) as journal:
        journal.pause(name)
    wake(config)
    return "paused: everything" if name == "." else f"paused: {name}"


def resume(config: Config, folder: str | None) -> str:
    """Have jobs started again, from a folder or, for None, from all. Returns what is still paused, to tell.

    Raises:
        UsageError: it is no folder of the inbox.
    """
    name = None if folder is None else relative_folder(config, folder)
    config.state.mkdir(parents=True, exist_ok=True)
    with Journal.open(StateFolder(config.state).journal) as journal:
        journal.resume(name)
        left = sorted(journal.paused())
    wake(config)
    return f"still paused: {', '.join(left)}" if left else "nothing is paused"


def _in_lists(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of a size; the last may be shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _job_to_retry(journal: Journal, job_id: str) -> Job:
    """Return the job of an id. Raises UsageError when there is none, or when it is neither failed nor held."""
    job = _job_of(journal, job_id)
    if job.state not in (JobState.FAILED, JobState.HELD):
        raise UsageError(f"job {job_id} is {job.state}, not failed or held")
    return job


def relative_folder(config: Config, folder: str) -> str:
    """Return a folder relative to the inbox; it may be given so, or as a path from where one stands.

    Raises:
        UsageError: it is no folder of the inbox.
    """
    path = PurePosixPath(os.path.abspath(folder))  # noqa: PTH100 (a symlink is not to be followed)
    inbox = PurePosixPath(config.inbox)
    from_here = path.is_relative_to(inbox) and (Path(path).is_dir() or not (config.inbox / folder).is_dir())
    relative = path.relative_to(inbox) if from_here else PurePosixPath(folder)
    if relative.is_absolute() or ".." in relative.parts:
        raise UsageError(f"{folder} is no folder of the inbox {config.inbox}")
    return str(relative)


def _check_is_there(config: Config, folder: str) -> None:
    """Raise UsageError when the inbox lacks a folder; names the nearest of those that it has."""
    if (config.inbox / folder).is_dir() or not config.inbox.is_dir():  # an inbox that is away has its folders still
        return
    folders = [str(path.relative_to(config.inbox)) for path in islice(_folders_below(config.inbox), _MOST_FOLDERS)]
    raise UsageError(f"{folder} is no folder of the inbox {config.inbox}; {suggestion(folder, folders)}")


def _folders_below(inbox: Path) -> Iterator[Path]:
    for place, names, _ in os.walk(inbox):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(place, name) for name in names)


def wake(config: Config) -> None:
    """Tell a running daemon to look; one of another user or machine finds out by itself at its next rescan."""
    values = snapshot.read(config.state)
    if values is None or values["state"] == "stopped":
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # Not the status file's pid, which may be the last run's: the lock's holder wrote its own.
        holder = re.fullmatch(r"pid (\d+) on (.*)\n", Path(values["lock"]).read_text(encoding="utf-8"))
        if holder is not None and holder[2] == socket.gethostname():
            os.kill(int(holder[1]), WAKE)

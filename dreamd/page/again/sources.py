"""What of a job can be dreamed again: its original, kept or among those that failed, and its result."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job, JobState
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.originals import opened_original
from dreamd.page.outbox import opened_result, sidecar_of
from dreamd.settings.config import Config
from dreamd.wording import printable

Of = Literal["original", "result"]
"""What is dreamed again: the `original` anew, or the `result` further."""

_WHY_NO_ORIGINAL = {
    "from_nothing": "It was made from noise, so there is no original.",
    "deleted": "Originals are not kept here (originals: delete in config.yaml).",
    "taken": "The result was taken out of the outbox, and with it what tells which original is its own.",
    "missing": "The original is no longer where originals are kept.",
    "retried": "The picture is no longer among those that failed: it is tried again, or was taken away.",
}
"""Why there is no original to dream again, in a sentence."""

_WHY_NO_RESULT = {
    JobState.DONE: "The result was taken out of the outbox.",
    JobState.FAILED: "It failed, so there is no dream of it.",
}
"""Why there is no result to dream again, in a sentence."""


def has_source(job: Job) -> bool:
    """Tell whether a job is over, so that there may be something of it to dream again."""
    return job.state is JobState.FAILED or (job.state is JobState.DONE and bool(job.result))


def opened_source(job: Job, of: Of, config: Config) -> BinaryIO:
    """Open what is dreamed again of a job that is over. Raises NotThereError, which says why it cannot be had."""
    if of == "result":
        file = _opened_result(job, config)
    else:
        file = None if is_dream_file(job.name) else opened_original(job, config)
    if file is None:
        raise NotThereError(_WHY_NO_RESULT[job.state] if of == "result" else why_no_original(job, config))
    return file


def _opened_result(job: Job, config: Config) -> BinaryIO | None:
    if job.state is JobState.FAILED:  # what it may have begun to publish is none
        return None
    return opened_result(job, config.outbox, PurePosixPath(job.result or "").name, with_trash=True)


def problem_with(job: Job, of: Of, config: Config) -> str | None:
    """Return why a job's original or result cannot be dreamed again; None when it can."""
    try:
        opened_source(job, of, config).close()
    except NotThereError as error:
        return str(error)
    return None


def source_name(job: Job, of: Of) -> str:
    """Return the name under which it is dreamed again, in which all can be seen."""
    return printable(job.name if of == "original" else PurePosixPath(job.result or "").name)


def size_of(file: BinaryIO) -> int:
    """Return how many bytes an open file has."""
    return os.fstat(file.fileno()).st_size


def why_no_original(job: Job, config: Config) -> str:
    """Return why the original of a job that is over, which is not there, cannot be had."""
    return _WHY_NO_ORIGINAL[_no_original(job, config)]


def _no_original(job: Job, config: Config) -> str:
    if is_dream_file(job.name):
        return "from_nothing"
    if job.state is JobState.FAILED:
        return "retried"
    if config.originals is None:
        return "deleted"
    return "taken" if sidecar_of(job, config.outbox) is None else "missing"

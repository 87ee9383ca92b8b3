"""A job's own result in the outbox or its trash, and what its sidecar says.

A person may move a result away, and another picture of that name comes out under the same name. So what bears the name
is a job's result only while the sidecar beside it names the job.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dreamd.files.nofollow import opened_file
from dreamd.job import Job
from dreamd.tree.layout import sidecar_name, trash_folder

_LARGEST_SIDECAR = 1 << 20
"""The most bytes of a sidecar that are read."""


def sidecar_of(job: Job, outbox: Path) -> dict[str, Any] | None:
    """Read the sidecar of a job's result, be it in the trash; None when there is none that names the job."""
    return next((record for _, record in _sidecars(job, outbox)), None)


def result_of(job: Job, outbox: Path) -> PurePosixPath | None:
    """Return where a job's result is, relative to the outbox, be it in the trash; None when it is not there."""
    return next((path for path, _ in _sidecars(job, outbox) if is_there(outbox, path)), None)


def is_there(outbox: Path, path: PurePosixPath) -> bool:
    """Return whether a regular file is at this path of the outbox, whosever it is."""
    try:
        opened_file(outbox, path).close()
    except OSError:
        return False
    return True


def opened_result(job: Job, outbox: Path, name: str, *, with_trash: bool) -> BinaryIO | None:
    """Open a file of a job's result, the picture or its film strip; None when it is not there any more.

    The picture is opened before the sidecar is read. A sidecar is published before its picture, so that another job's
    picture never comes with this job's sidecar.

    Args:
        job: a done job.
        outbox: the folder.
        name: the file's name beside the result, or the result's own.
        with_trash: look in the trash too.
    """
    for place in _places(job) if with_trash else [next(_places(job))]:
        try:
            file = opened_file(outbox, place.with_name(name))
        except OSError:
            continue
        if _record(job, outbox, place) is not None:
            return file
        file.close()
    return None


def _places(job: Job) -> Iterator[PurePosixPath]:
    """Yield where a job's result may be, relative to the outbox."""
    result = PurePosixPath(job.result or "")
    yield result
    if result.name:
        yield trash_folder(job.id) / result.name


def _sidecars(job: Job, outbox: Path) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    for place in _places(job):
        if (record := _record(job, outbox, place)) is not None:
            yield place, record


def _record(job: Job, outbox: Path, place: PurePosixPath) -> dict[str, Any] | None:
    """Read the sidecar beside a place; None when it does not name the job."""
    try:
        with opened_file(outbox, place.with_name(sidecar_name(place.name))) as file:
            record = json.loads(file.read(_LARGEST_SIDECAR))
    except (OSError, ValueError, RecursionError):  # it was taken away, or is somebody else's file
        return None
    return record if isinstance(record, dict) and record.get("job") == job.id else None

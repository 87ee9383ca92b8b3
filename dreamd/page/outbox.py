"""A job's own result in the outbox, and what its sidecar says.

A person may move a result away, and another picture of that name comes out under the same name. So what bears the name
is a job's result only while the sidecar beside it names the job.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dreamd.files.nofollow import opened_file
from dreamd.job import Job
from dreamd.tree.layout import sidecar_name

_LARGEST_SIDECAR = 1 << 20
"""The most bytes of a sidecar that are read."""


def sidecar_of(job: Job, outbox: Path) -> dict[str, Any] | None:
    """Read the sidecar of a job's result; None when there is none that names the job."""
    result = PurePosixPath(job.result or "")
    try:
        with opened_file(outbox, result.with_name(sidecar_name(result.name))) as file:
            record = json.loads(file.read(_LARGEST_SIDECAR))
    except (OSError, ValueError, RecursionError):  # it was taken away, or is somebody else's file
        return None
    return record if isinstance(record, dict) and record.get("job") == job.id else None


def is_there(outbox: Path, path: PurePosixPath) -> bool:
    """Return whether a regular file is at this path of the outbox, whosever it is."""
    try:
        opened_file(outbox, path).close()
    except OSError:
        return False
    return True


def opened_result(job: Job, outbox: Path, path: PurePosixPath) -> BinaryIO | None:
    """Open a file of a job's result, the picture or its film strip; None when it is not there any more.

    The picture is opened before the sidecar is read. A sidecar is published before its picture, so that another job's
    picture never comes with this job's sidecar.
    """
    try:
        file = opened_file(outbox, path)
    except OSError:
        return None
    if sidecar_of(job, outbox) is None:
        file.close()
        return None
    return file

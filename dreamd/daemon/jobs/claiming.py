"""The claim: settled pictures leave the inbox, and are jobs from then on. Knows folders; knows no journal or recipe."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from dreamd.errors import DreamdError
from dreamd.job import Job, new_job_id
from dreamd.tree.spool import Spool

_TOGETHER = 8
"""So many pictures at least are claimed together, since fewer are as quickly claimed one by one."""

Claims = tuple[list[Job], dict[PurePosixPath, DreamdError]]
"""New jobs; and why other pictures, which are still in the inbox, could not be claimed."""


def claim(spool: Spool, paths: Iterable[PurePosixPath]) -> Claims:
    """Claim settled pictures; one that is named twice is claimed once."""
    wanted = list(dict.fromkeys(paths))
    return _claim_together(spool, wanted) if len(wanted) >= _TOGETHER else _claim_each(spool, wanted)


def _claim_each(spool: Spool, paths: Sequence[PurePosixPath]) -> Claims:
    claimed, refused = [], {}
    for path in paths:
        job = Job(id=new_job_id(), folder=path.parent, name=path.name, claimed_at=time.time())
        try:
            if spool.claim(path, job.id):
                claimed.append(job)
        except DreamdError as error:
            refused[path] = error
    return claimed, refused


def _claim_together(spool: Spool, paths: Sequence[PurePosixPath]) -> Claims:
    now = time.time()
    try:
        taken = spool.claim_all(paths)
    except DreamdError as error:
        return [], dict.fromkeys(paths, error)
    jobs = taken.jobs.items()
    return [Job(id=job_id, folder=path.parent, name=path.name, claimed_at=now) for path, job_id in jobs], taken.refused

"""What a plugin that is told of jobs must keep."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from dreamd.job import Job, JobState, new_job_id
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
)


def notify_clauses(item: Registered) -> Iterator[Clause]:
    """Return what a notifier must keep."""

    def takes_every_job() -> None:
        takes_job = bool(inspect.signature(item.function).parameters)
        for state in JobState:
            job = Job(
                id=new_job_id(), folder=PurePosixPath("holiday"), name="cat.jpg", state=state, claimed_at=time.time()
            )
            if state in (JobState.HELD, JobState.FAILED):
                job = replace(job, reason="this is a check of the plugin")
            item.function(*([job] if takes_job else []))

    yield "takes a job in every state", takes_every_job

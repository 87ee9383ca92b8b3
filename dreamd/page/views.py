"""What the page shows, as plain data: the snapshot with what belongs to it, and the journal's jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from dreamd.errors import REMEDIES, DreamdError
from dreamd.job import Job, JobState
from dreamd.page.gpus import Gpus, resident_bytes
from dreamd.page.health import not_ready
from dreamd.page.outbox import sidecar_of
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.spool import Spool
from dreamd.wording import printable

log = logging.getLogger(__name__)

RESULTS_AT_ONCE = 120
"""The most results that are listed at a time."""

FAILURES = 200
"""The most failed jobs that are listed, and the most held ones."""

_FAILURES_LOOKED_AT = 1000
"""The number of the newest failed jobs that are looked at for their pictures."""

_FOLDERS = 200
"""The most folders of the queue that are listed."""

_GPU_SECONDS = 2.0
"""The time for which the driver's word about the GPUs is shown before it is asked again, in seconds."""

_SIDECAR_FIELDS = ("device", "precision", "size", "tiling", "seconds", "loss_before", "loss_after", "versions", "seed")
"""The fields of a sidecar that are shown."""


class Views:
    """Looks at one tree. Reads files: call it from a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._gpus = Gpus()
        self._gpus_seen: list[dict[str, Any]] = []
        self._gpus_due = 0.0
        self._spool = Spool(Folders.of(config))

    def state(self) -> dict[str, Any]:
        """Return the snapshot with what belongs to it. Raises DreamdError where there is one that cannot be read."""
        values = snapshot.read(self._config.state)
        if values is None:
            return {"state": "starting", "not_ready": not_ready(None)}
        folders = sorted(values["folders"].items(), key=lambda item: (-item[1], item[0]))
        return {
            **values,
            "folders": dict(folders[:_FOLDERS]),
            "more_folders": max(0, len(folders) - _FOLDERS),
            "workers": [self._worker(worker) for worker in values["workers"]],
            "gpus": self._gpu_values(),
            "not_ready": not_ready(values),
        }

    def preview_stamps(self) -> dict[str, int]:
        """List the previews there are: a number by job that changes with its picture."""
        previews = StateFolder(self._config.state).previews
        try:
            return {file.stem: file.stat().st_mtime_ns for file in previews.glob("*.jpg")}
        except FileNotFoundError:  # one went away meanwhile; the next look sees the others
            return {}

    def results(self, *, before: tuple[float, str] | None, folder: str | None, limit: int) -> list[dict[str, Any]]:
        """List the newest results that are older than `before`."""
        limit = min(limit, RESULTS_AT_ONCE)
        jobs = self._jobs(lambda journal: journal.results(before=before, folder=folder, limit=limit))
        return [_result(job) for job in jobs]

    def failures(self) -> list[dict[str, Any]]:
        """List the newest failed jobs whose pictures are still there, or may be: their folder's disk can be away."""
        jobs = self._jobs(lambda journal: journal.jobs(state=JobState.FAILED, limit=_FAILURES_LOOKED_AT))
        try:
            there = self._spool.failed_among(jobs)
        except DreamdError as error:
            log.debug("it is not known which failed pictures are still there: %s", error)
            there = frozenset(job.id for job in jobs)
        return [self._failure(job) for job in jobs if job.id in there][:FAILURES]

    def held(self) -> list[dict[str, Any]]:
        """List the held jobs."""
        jobs = self._jobs(lambda journal: journal.jobs(state=JobState.HELD, limit=FAILURES))
        return [self._failure(job) for job in jobs]

    def left(self) -> list[dict[str, Any]]:
        """List what is left in the inbox though somebody may have meant it to be taken, by folder and reason."""
        values = snapshot.read(self._config.state)
        left = [] if values is None else values["left"]
        return [{**each, "reason": self._short(each["reason"])} for each in left]

    def job(self, job_id: str) -> Job | None:
        """Find a job in the journal."""
        return next(iter(self._jobs(lambda journal: [found] if (found := journal.get(job_id)) else [])), None)

    def details(self, job: Job) -> dict[str, Any]:
        """Return a result with what its sidecar says of it."""
        record = sidecar_of(job, self._config.outbox) or {}
        return {**_result(job), **{name: record.get(name) for name in _SIDECAR_FIELDS}}

    def _failure(self, job: Job) -> dict[str, Any]:
        return {
            "id": job.id,
            "name": printable(job.name),
            "folder": str(job.folder),
            "finished_at": job.finished_at or job.claimed_at,
            "attempts": job.attempts,
            "cause": job.hold,
            "remedy": REMEDIES[job.hold] if job.hold else None,
            "reason": self._short(job.reason or ""),
        }

    def _short(self, reason: str) -> str:
        """Leave the inbox's place out of a reason, because it is the same everywhere on the page."""
        return "\n".join(map(printable, reason.replace(f"{self._config.inbox}/", "").split("\n")))

    def _jobs(self, ask: Callable[[Journal], list[Job]]) -> list[Job]:
        """Ask the journal; no jobs while there is none that can be read."""
        journal = Journal.open_readonly(StateFolder(self._config.state).journal)
        if journal is None:
            return []
        with journal:
            return ask(journal)

    def _worker(self, worker: Mapping[str, Any]) -> dict[str, Any]:
        stamps = self.preview_stamps()
        jobs = [{**job, "preview": stamps.get(job["job"])} for job in worker["jobs"]]
        return {**worker, "jobs": jobs, "memory_bytes": resident_bytes(worker["pid"])}

    def _gpu_values(self) -> list[dict[str, Any]]:
        now = time.monotonic()
        if now >= self._gpus_due:
            self._gpus_seen = [vars(gpu) for gpu in self._gpus.look()]
            self._gpus_due = now + _GPU_SECONDS
        return self._gpus_seen


def _result(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": printable(job.name),
        "folder": str(job.folder),
        "result": printable(job.result or ""),
        "finished_at": job.finished_at,
        "seconds": job.seconds,
    }

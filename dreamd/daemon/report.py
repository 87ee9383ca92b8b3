"""The report of the daemon's state: counts, rates, what runs and what is held, as the snapshot in the state folder.

Looks at the other parts and changes none of them.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dreamd import __version__
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.fleet.views import WorkerState
from dreamd.daemon.intake.intake import Intake
from dreamd.daemon.intake.unclaimed import WhyLeft
from dreamd.daemon.jobs.estimates import Estimates
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.page_process import PageProcess
from dreamd.daemon.plugins import LivePlugins
from dreamd.daemon.previews import drop_preview
from dreamd.daemon.systemd import Pulse
from dreamd.daemon.weights.fetches import Fetches
from dreamd.job import Job, JobState
from dreamd.messages import Advanced, Writing
from dreamd.settings.config import Config
from dreamd.tree.attachment import Attachment
from dreamd.tree.layout import StateFolder
from dreamd.tree.snapshot import Hold, Left, RunningJob, Snapshot, WaitingJob, WorkerStatus

log = logging.getLogger(__name__)

_WRITE_SECONDS = 0.25
"""The time between two snapshots, in seconds, or longer where one takes long to make."""

_WRITE_SHARE = 0.03
"""The share of its time that the loop spends on snapshots at most."""

_MOST_RUNNING = 200
"""The most jobs in workers' hands that are listed, as evenly as may be: with a thousand workers it takes long."""

_MOST_LEFT = 100
"""The number of folders and reasons that are listed, of those for which files are left in the inbox."""

_MOST_WAITING = 100
"""The most waiting jobs that are listed."""

_RATE_SECONDS = 600.0
"""The time that the rate is reckoned over, in seconds."""


class Tally:
    """Counts the jobs that end.

    Attributes:
        totals: the jobs that the journal has, by state, and those that ended since.
        ended: the jobs that ended in this run.
        changes: how many changes of jobs there were, of any kind.
    """

    def __init__(self, totals: Mapping[JobState, int]) -> None:
        """Set up with what the journal counts at the start."""
        self.totals = Counter(totals)
        self.ended = Counter[JobState]()
        self.changes = 0
        self.started_at = time.time()
        self._done_at: deque[float] = deque()

    def count(self, job: Job) -> None:
        """Take note of a job that has changed."""
        self.changes += 1
        if job.state in (JobState.DONE, JobState.FAILED):
            self.ended[job.state] += 1
            self.totals[job.state] += 1
        if job.state is JobState.DONE:
            self._done_at.append(time.time())

    def rate(self) -> float:
        """Return the pictures a second, in the last ten minutes of this run."""
        now = time.time()
        while self._done_at and self._done_at[0] < now - _RATE_SECONDS:
            self._done_at.popleft()
        return len(self._done_at) / min(_RATE_SECONDS, max(1.0, now - self.started_at))


class Report:
    """Makes a snapshot of the daemon whenever something has changed, and writes it."""

    def __init__(
        self,
        *,
        config: Config,
        lock_file: str,
        tree: Attachment,
        tally: Tally,
        ledger: Ledger,
        life: Lifecycle,
        intake: Intake,
        plugins: LivePlugins,
        roster: Roster,
        fetches: Fetches,
        estimates: Estimates,
        page: PageProcess,
        readers: Sequence[Callable[[Snapshot], None]],
    ) -> None:
        """Set up.

        Args:
            config: the config.
            lock_file: the file that the daemon has locked while it runs.
            tree: the hold on the inbox.
            tally: the jobs that have ended.
            ledger: the memory; what it could not write is written with each snapshot.
            life: the jobs that have not ended.
            intake: the pictures that are no jobs yet.
            plugins: the plugins.
            roster: the seats at which workers dream.
            fetches: the weights that are missing.
            estimates: when jobs will be done.
            page: what serves the page.
            readers: told of every new snapshot.
        """
        self._config = config
        self._lock_file = lock_file
        self._tree = tree
        self._tally = tally
        self._ledger = ledger
        self._life = life
        self._intake = intake
        self._plugins = plugins
        self._roster = roster
        self._fetches = fetches
        self._estimates = estimates
        self._page = page
        self._readers = readers
        self._progress: dict[str, Advanced | Writing] = {}
        self._news = 0
        self._seen: tuple[object, ...] = ()
        self._is_due = True
        self._written_at = 0.0
        self._pause = _WRITE_SECONDS
        self._can_write = True

    def note(self, event: Advanced | Writing) -> None:
        """Take note of how far a job is."""
        self._progress[event.job] = event
        self._news += 1

    def forget(self, job_id: str) -> None:
        """Forget how far a job was, and remove its preview: its worker has answered, or is gone."""
        self._progress.pop(job_id, None)
        if self._config.status.listen is not None:
            drop_preview(StateFolder(self._config.state).previews, job_id)

    def pulses(self) -> list[Pulse]:
        """Return what the busy workers show of themselves."""
        return [
            Pulse(view.pid, view.jobs, tuple(map(self._progress.get, view.jobs)))
            for view in self._roster.workers()
            if view.state is WorkerState.BUSY
        ]

    def next_deadline(self) -> float | None:
        """Return when a snapshot is to be written, if something has changed since the last."""
        return self._written_at + self._pause if self._is_due else None

    def look(self, state: str) -> None:
        """Look whether something has changed since the last look, for which a snapshot is then due."""
        seen = (state, *self._look())
        if seen != self._seen:
            self._seen, self._is_due = seen, True

    def write_if_due(self, now: float, state: str) -> bool:
        """Write a snapshot if one is due, but not too often; return whether it was written."""
        if not self._is_due or now < self._written_at + self._pause:
            return False
        self.write(state)
        return True

    def write(self, state: str) -> None:
        """Write a snapshot now."""
        begun = time.thread_time()  # of the processor: a busy machine makes nothing show later
        self._ledger.flush()
        if (counts := self._ledger.counts_if_changed()) is not None:
            self._tally.totals = Counter(counts)
        snapshot = self._snapshot(state)
        self._is_due = False
        self._written_at = time.monotonic()
        self._pause = max(_WRITE_SECONDS, (time.thread_time() - begun) / _WRITE_SHARE)
        try:
            snapshot.write(self._config.state)
            self._can_write = True
        except OSError as error:  # a full disk is no reason to stop; the next change tries again
            if self._can_write:
                log.warning("`dreamd status` shows what was before, because its file cannot be written: %s", error)
            self._can_write = False
        for read in self._readers:
            read(snapshot)

    def _look(self) -> tuple[object, ...]:
        """Take what a snapshot is made from; it is cheap enough for every turn of the loop."""
        ledger, watcher = self._ledger, self._intake.watcher
        return (
            *(self._tally.changes, self._news, len(self._intake), self._plugins.problems),
            *(ledger.pauses(), ledger.version, self._page.problem, self._fetches.changes),
            *(self._watching(), watcher.found_by_rescan_only, watcher.overflows, watcher.skipped),
            tuple(self._intake.unclaimed.counts.items()),
            *(self._roster.changes, self._roster.trouble),
        )

    def _watching(self) -> str:
        problem = self._tree.problem
        return self._intake.watcher.backend if problem is None else f"waiting: {problem}"

    def _snapshot(self, state: str) -> Snapshot:
        life, watcher, totals = self._life, self._intake.watcher, self._tally.totals
        queued, running = len(life.queue) + len(self._intake), len(life.running)
        rate = self._tally.rate()
        self._estimates.begin_report()
        workers = self._workers()
        return Snapshot(
            state=state,
            pid=os.getpid(),
            version=__version__,
            started_at=self._tally.started_at,
            inbox=str(self._config.inbox),
            lock=self._lock_file,
            watching=self._watching(),
            found_by_rescan_only=watcher.found_by_rescan_only,
            overflows=watcher.overflows,
            queued=queued,
            running=running,
            held=len(life.held),
            done=totals[JobState.DONE],
            failed=totals[JobState.FAILED],
            folders=self._waiting_by_folder(),
            done_per_hour=round(rate * 3600, 1),
            eta_seconds=round((queued + running) / rate, 1) if rate else None,
            paused=sorted(self._ledger.pauses()),
            workers=workers,
            waiting=self._waiting(workers),
            holds=self._holds(),
            left=self._left(),
            fetches=self._fetches.views(),
            page_problem=self._page.problem,
            fleet_problem=self._roster.trouble,
            plugins_not_loaded={problem.plugin: problem.reason for problem in self._plugins.problems},
        )

    def _waiting_by_folder(self) -> dict[str, int]:
        waiting = self._life.queue.by_folder() + self._intake.by_folder()
        for why, count in self._life.held.counts.items():
            waiting[why.folder] += count
        return {str(folder): count for folder, count in waiting.items()}

    def _holds(self) -> list[Hold]:
        return [
            Hold(
                folder=str(why.folder),
                cause=why.cause,
                reason=why.reason,
                jobs=count,
                backbone=self._fetches.backbone_of(why.reason) if why.cause == "weights" else None,
            )
            for why, count in self._life.held.counts.items()
        ]

    def _left(self) -> list[Left]:
        counts = Counter(
            WhyLeft(PurePosixPath(path).parent, reason) for path, reason in self._intake.watcher.skipped.items()
        )
        counts.update(self._intake.unclaimed.counts)
        return [
            Left(folder=str(why.folder), reason=why.reason, files=count)
            for why, count in counts.most_common(_MOST_LEFT)
        ]

    def _workers(self) -> list[WorkerStatus]:
        views = self._roster.workers()
        most = max(1, _MOST_RUNNING // max(1, len(views)))
        statuses: list[WorkerStatus] = []
        for number, view in enumerate(views):
            jobs = view.jobs[:most] if number < _MOST_RUNNING else ()
            statuses.append(
                WorkerStatus(
                    device=view.device,
                    node=view.node,
                    device_name=view.device_name,
                    precision=view.precision,
                    state=view.state,
                    pid=view.pid,
                    error=view.error,
                    busy_share=view.busy_share,
                    threads=view.threads,
                    processors=view.processors,
                    memory_limit=view.memory_limit,
                    jobs=self._running_jobs(jobs),
                )
            )
        return statuses

    def _running_jobs(self, job_ids: Sequence[str]) -> list[RunningJob]:
        """Show the jobs that a worker has in hand; each waits for those before it."""
        shown: list[RunningJob] = []
        before: float | None = 0.0
        for job_id in job_ids:
            job, progress = self._life.running.get(job_id), self._progress.get(job_id)
            elapsed = 0.0 if job is None or shown else time.time() - (job.started_at or time.time())
            rest = None if job is None else self._rest(job, progress, elapsed)
            before = None if before is None or rest is None else before + rest
            picture, eta = str(job.path) if job else "", None if before is None else round(before, 1)
            shown.append(RunningJob(job=job_id, picture=picture, eta_seconds=eta, **_progress_fields(progress)))
        return shown

    def _rest(self, job: Job, progress: Advanced | Writing | None, elapsed: float) -> float | None:
        """Return how many seconds a job takes still; of a film or of pages, which run in turns, by those so far."""
        if isinstance(progress, Advanced):
            if progress.frame or progress.page:
                return progress.left_seconds
            return self._estimates.rest(job, progress.share, elapsed)
        return self._estimates.rest(job, 0.0 if progress is None else 1.0, elapsed)

    def _waiting(self, workers: Sequence[WorkerStatus]) -> list[WaitingJob]:
        """Show the jobs that start next."""
        jobs = self._life.queue.upcoming(_MOST_WAITING)
        ends = [worker.jobs[-1].eta_seconds for worker in workers if worker.jobs]
        begun = None if None in ends or not workers else sum(end for end in ends if end is not None)
        works = sum(worker.state != WorkerState.STOPPED for worker in workers)
        waits = self._estimates.waits(jobs, begun, works)
        return [
            WaitingJob(job=job.id, picture=str(job.path), eta_seconds=None if wait is None else round(wait, 1))
            for job, wait in zip(jobs, waits, strict=True)
        ]


def _progress_fields(progress: Advanced | Writing | None) -> dict[str, Any]:
    """Return what a running job shows of how far it is."""
    if progress is None:
        return {}
    if isinstance(progress, Writing):
        return {"share": 1.0, "writing": progress.words}
    return {
        "ascent": progress.ascent,
        "ascents": progress.ascents,
        "iteration": progress.iteration,
        "iterations": progress.iterations,
        "share": round(progress.share, 4),
        "frame": progress.frame,
        "frames": progress.frames,
        "page": progress.page,
        "pages": progress.pages,
    }

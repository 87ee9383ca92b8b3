"""`/metrics`: dreamd's numbers for Prometheus.

Everything is read when somebody asks: from the snapshot, the journal, the folders and the devices. Counters count from
the daemon's start on, as is the custom; the journal knows what ended before this process began to count. No series is
made for a picture, and only so many for folders, which anybody who may drop pictures can make.
"""

from __future__ import annotations

import bisect
import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dreamd import __version__
from dreamd.errors import HoldCause
from dreamd.files.nofollow import folders_below
from dreamd.job import JobState
from dreamd.page.monitoring.gpus import Gpus, resident_bytes
from dreamd.page.monitoring.health import not_ready
from dreamd.page.state import told_by_daemon
from dreamd.settings.config import Config
from dreamd.tree.journal import Ended, Journal
from dreamd.tree.layout import REASON, StateFolder
from dreamd.wording import printable

_FOLDERS = 200
"""The most folders that have series of their own."""

_OTHER_FOLDERS = "(others)"
"""The label of all folders beyond those."""

_WAIT_BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""The bounds of the histogram of waits, in seconds."""

_DREAM_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""The bounds of the histogram of dreams, in seconds."""

_OUTCOMES = (JobState.DONE, JobState.FAILED)


class _Histogram:
    """Counts how many values are at most as large as each of some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        total, buckets = 0, []
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family = HistogramMetricFamily(name, documentation)
        family.add_metric([], buckets, self._sum)
        return family


class _Tally:
    """Counts what has ended since the daemon started."""

    def __init__(self) -> None:
        self._latest: int | None = None
        self.outcomes: Counter[tuple[str, JobState]] = Counter()
        self.attempts = 0
        self.waits = _Histogram(_WAIT_BOUNDS)
        self.dreams = _Histogram(_DREAM_BOUNDS)

    def follow(self, journal: Journal, started_at: float) -> None:
        """Count what has ended since the last look, by the numbers of the changes: clocks are set back."""
        newest = journal.latest_number()
        if self._latest is None or newest < self._latest:  # the first look, or a new journal
            ended = journal.ended_after(0, since=started_at)
        else:
            ended = journal.ended_after(self._latest)
        for job in ended:
            self._count(job)
        self._latest = max([newest, *(job.number for job in ended)])

    def _count(self, job: Ended) -> None:
        self.outcomes[job.folder, job.state] += 1
        self.attempts += job.attempts
        if job.started_at is not None:
            self.waits.add(max(0.0, job.started_at - job.claimed_at))
        if job.seconds is not None and job.state is JobState.DONE:
            self.dreams.add(job.seconds)


class Numbers(Collector):
    """All of dreamd's numbers, collected anew for each scrape."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tally = _Tally()
        self._gpus = Gpus()

    def describe(self) -> Iterable[Metric]:
        """Describe nothing beforehand: the registry must not collect to find out."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric. Those of the jobs are missing while the journal cannot be read, and never wrong."""
        values = told_by_daemon(self._config)  # the numbers of another version mean nothing here
        yield GaugeMetricFamily("dreamd_ready", "Whether a picture dropped now is dreamed now.", not not_ready(values))
        yield _info()
        yield from self._room()
        yield _gauge("dreamd_quarantined_pictures", "Pictures in the folder for failed ones.", self._quarantined())
        yield from self._gpu_metrics()
        if values is None:
            return
        yield from _watch(values)
        yield from _queue(values)
        yield from _workers(values["workers"])
        with Journal.looked_at(StateFolder(self._config.state).journal) as journal:
            if journal is not None:
                yield from self._jobs(journal, values["started_at"])

    def _jobs(self, journal: Journal, started_at: float) -> Iterator[Metric]:
        tally = self._tally
        tally.follow(journal, started_at)
        jobs = CounterMetricFamily("dreamd_jobs", "Jobs that ended.", labels=("folder", "outcome"))
        for folder, outcomes in self._by_folder(tally.outcomes).items():
            for outcome in _OUTCOMES:
                jobs.add_metric([folder, outcome], outcomes[outcome])
        yield jobs
        yield CounterMetricFamily("dreamd_attempts", "Attempts of the jobs that ended.", tally.attempts)
        yield tally.waits.family("dreamd_wait_seconds", "From a picture's claim to the start of its last attempt.")
        yield tally.dreams.family("dreamd_dream_seconds", "What a dream took, with decoding and encoding.")
        last = journal.last_result_at() or 0.0
        yield _gauge("dreamd_last_success_timestamp_seconds", "When the newest dream came out; 0: never.", last)

    def _by_folder(self, outcomes: Mapping[tuple[str, JobState], int]) -> dict[str, Counter[JobState]]:
        """Sort outcomes by folder, those at zero included, and put what is beyond the limit together."""
        known = dict.fromkeys([*folders_below(self._config.inbox, _FOLDERS), *sorted({at for at, _ in outcomes})])
        shown = set(list(known)[:_FOLDERS])
        counts: dict[str, Counter[JobState]] = {printable(folder): Counter() for folder in known if folder in shown}
        for (folder, state), number in outcomes.items():
            label = printable(folder) if folder in shown else _OTHER_FOLDERS
            counts.setdefault(label, Counter())[state] += number
        return counts

    def _room(self) -> Iterator[Metric]:
        room = GaugeMetricFamily("dreamd_free_bytes", "Free space where a folder is.", labels=("folder",))
        for name in ("inbox", "outbox", "failed", "state"):
            try:
                found = os.statvfs(getattr(self._config, name))
            except OSError:  # the folder is gone; readiness says so
                continue
            room.add_metric([name], found.f_bavail * found.f_frsize)
        yield room

    def _quarantined(self) -> int:
        return sum(
            not name.endswith(REASON) and not name.startswith(".")
            for _, _, names in os.walk(self._config.failed)
            for name in names
        )

    def _gpu_metrics(self) -> Iterator[Metric]:
        labels = ("gpu", "name")
        used = GaugeMetricFamily("dreamd_gpu_memory_used_bytes", "Memory in use on a GPU, by anybody.", labels=labels)
        total = GaugeMetricFamily("dreamd_gpu_memory_total_bytes", "Memory of a GPU.", labels=labels)
        busy = GaugeMetricFamily("dreamd_gpu_busy_ratio", "Share of time that a GPU computes.", labels=labels)
        for gpu in self._gpus.look():
            for family, value in ((used, gpu.memory_used), (total, gpu.memory_total), (busy, gpu.busy)):
                family.add_metric([str(gpu.index), gpu.name], value)
        yield from (used, total, busy)


def registry(config: Config) -> CollectorRegistry:
    """Make a registry of dreamd's numbers alone."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Numbers(config))
    return made


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value)


def _info() -> GaugeMetricFamily:
    info = GaugeMetricFamily("dreamd_build_info", "Always 1; versions as labels.", labels=("version", "python"))
    info.add_metric([__version__, platform.python_version()], 1)
    return info


def _watch(values: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge("dreamd_start_time_seconds", "When the daemon started.", values["started_at"])
    yield CounterMetricFamily("dreamd_watch_overflows", "How often the system lost events.", values["overflows"])
    yield CounterMetricFamily(
        "dreamd_watch_found_by_rescan_only",
        "Files that the watch missed and a rescan found.",
        values["found_by_rescan_only"],
    )


def _queue(values: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge("dreamd_jobs_queued", "Jobs that wait for a worker.", values["queued"])
    yield _gauge("dreamd_jobs_in_progress", "Jobs that are being dreamed.", values["running"])
    held = GaugeMetricFamily("dreamd_jobs_held", "Jobs that wait for a cause to go away.", labels=("cause",))
    counts = Counter(dict.fromkeys(get_args(HoldCause), 0))
    for hold in values["holds"]:
        counts[hold["cause"]] += hold["jobs"]
    for cause, number in counts.items():
        held.add_metric([cause], number)
    yield held
    waiting = GaugeMetricFamily("dreamd_queue_depth", "Jobs queued or held, by folder.", labels=("folder",))
    depths: Counter[str] = Counter()
    for rank, (folder, number) in enumerate(sorted(values["folders"].items(), key=lambda item: -item[1])):
        depths[printable(folder) if rank < _FOLDERS else _OTHER_FOLDERS] += number
    for label, number in depths.items():
        waiting.add_metric([label], number)
    yield waiting
    yield _gauge("dreamd_paused_folders", "Folders from which no job is started.", len(values["paused"]))


def _workers(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ("worker", "device")  # two workers may have one device
    up = GaugeMetricFamily("dreamd_worker_up", "Whether a worker is loaded and ready.", labels=labels)
    memory = GaugeMetricFamily(
        "dreamd_worker_resident_memory_bytes", "Main memory that a worker's process holds.", labels=labels
    )
    busy = GaugeMetricFamily("dreamd_worker_busy_ratio", "Share of time that a worker dreams.", labels=labels)
    for number, worker in enumerate(workers):
        which = [str(number), worker["device"]]
        up.add_metric(which, worker["state"] in ("idle", "busy"))
        held = resident_bytes(worker["pid"])
        if held is not None:
            memory.add_metric(which, held)
        if worker.get("busy_share") is not None:
            busy.add_metric(which, worker["busy_share"])
    yield from (up, memory, busy)

"""What one coordinator can do: jobs a second, processor and memory a job, by the length of the queue and by seats.

    python -m benchmarks.scale [--files 100000] [--seats 1] [--wait 0] [--seconds 20] [--at-once] [--json]

A real daemon on real files, with seats that dream nothing (`benchmarks/seats.py`): what is left is dreamd.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from benchmarks.plan import BenchmarkError, Plan
from benchmarks.report import Bar, Row, Table, at_least, at_most
from benchmarks.seats import EXECUTOR
from benchmarks.workers import peak_bytes
from dreamd.job import Job
from dreamd.settings.config import load_config
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.spool import Spool

_A_FOLDER = 5_000
"""The number of pictures in a folder of the inbox."""

_LEAST_FOLDERS = 20
"""The number of folders of a small inbox."""

_LOOK_SECONDS = 0.05
"""The pause between two looks at the daemon's snapshot, in seconds."""

_LONGEST_SECONDS = 1_200.0
"""The time after which a daemon is given up, in seconds."""

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_QUICK_SIZES = (1_000, 5_000)
_SEATS = (1, 10, 100, 1_000)
_QUICK_SEATS = (1, 10)

_WAIT_SECONDS = 1.0
"""The time that a seat which only waits takes for a picture, in seconds."""

_WINDOW_SECONDS = 20.0
"""The time over which jobs are counted, in seconds."""

_CLAIMED = 100_000
"""The number of claimed jobs that a start takes up."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run has shown.

    Attributes:
        files: how many pictures waited.
        seats: how many seats there were.
        seen_seconds: from the process's start until all pictures were known.
        seen_cpu_seconds: the processor's part of it.
        jobs_per_second: while they were done.
        cpu_ms: milliseconds of the processor a job, of the daemon and its processes.
        own_ms: how many of these are the benchmark's own, in the seats.
        peak_mb: the largest memory that the daemon's process has held, in megabytes.
        turn_p99_ms: a turn of the loop, of a hundred the longest but one, in milliseconds.
        turn_max_ms: the longest.
        turn_p99_cpu_ms: the processor's time in a turn, of a hundred the longest but one: other processes do not count.
    """

    files: int
    seats: int
    seen_seconds: float
    seen_cpu_seconds: float
    jobs_per_second: float
    cpu_ms: float
    own_ms: float
    peak_mb: float
    turn_p99_ms: float
    turn_max_ms: float
    turn_p99_cpu_ms: float


def run(plan: Plan) -> Iterator[Table]:
    """The tables: by the length of the queue, by seats, and a start with claimed jobs."""
    sizes = _QUICK_SIZES if plan.quick else _SIZES
    seconds = 3.0 if plan.quick else _WINDOW_SECONDS
    runs = []
    for files in sizes:
        plan.say(f"{files:,} pictures, a seat that answers at once")
        tries = 3 if files <= 100_000 and not plan.quick else 1
        runs.append([measure(files, seats=1, wait=0.0, seconds=seconds) for _ in range(tries)])
    yield _throughput(runs)
    yield _cost(runs)
    yield _sight(runs)
    yield _memory(runs)
    waits = []
    for seats in _QUICK_SEATS if plan.quick else _SEATS:
        plan.say(f"{seats:,} seats that wait {_WAIT_SECONDS:g} s a picture")
        files = int((seconds + 10) * min(seats, 1_500) / _WAIT_SECONDS) + 100
        waits.append(measure(files, seats=seats, wait=_WAIT_SECONDS, seconds=seconds))
    yield _seats(waits)
    yield _turns(waits)
    claimed = 2_000 if plan.quick else _CLAIMED
    plan.say(f"a start with {claimed:,} claimed jobs")
    yield _start(claimed)


def _best(runs: Sequence[Figures]) -> Figures:
    return max(runs, key=lambda figures: figures.jobs_per_second)


def _throughput(runs: Sequence[Sequence[Figures]]) -> Table:
    rows = []
    for tries in runs:
        best = _best(tries)
        others = ", ".join(f"{one.jobs_per_second:.0f}" for one in tries)
        bar = at_least(1_000, best.jobs_per_second, "1,000") if best.files == 100_000 else None
        rows.append(Row(what=f"{best.files:,} queued", value=best.jobs_per_second, bar=bar, note=f"tries: {others}"))
    return _table("jobs through, one seat that answers at once, the best of the tries", "jobs/s", rows, better="more")


def _cost(runs: Sequence[Sequence[Figures]]) -> Table:
    rows = [
        Row(
            what=f"{best.files:,} queued",
            value=best.cpu_ms,
            bar=at_most(1.5, best.cpu_ms, "1.5 ms"),
            note=f"and {best.own_ms:.2f} ms of the benchmark's seats",
        )
        for best in map(_best, runs)
    ]
    return _table("the processor's time a job, of the daemon and its processes", "ms", rows)


def _sight(runs: Sequence[Sequence[Figures]]) -> Table:
    rows = []
    for tries in runs:
        least = min(tries, key=lambda one: one.seen_seconds)
        limit = {100_000: 10.0, 1_000_000: 100.0}.get(least.files)
        bar = None if limit is None else at_most(limit, least.seen_seconds, f"{limit:g} s")
        note = f"{least.seen_cpu_seconds:.1f} s of the processor"
        rows.append(Row(what=f"{least.files:,} files", value=least.seen_seconds, bar=bar, note=note))
    return _table("from the process's start until all pictures are seen", "s", rows)


def _memory(runs: Sequence[Sequence[Figures]]) -> Table:
    rows = []
    for tries in runs:
        most = max(tries, key=lambda one: one.peak_mb)
        rows.append(Row(what=f"{most.files:,} files", value=most.peak_mb, bar=at_most(300, most.peak_mb, "300 MB")))
    return _table("the largest memory of the daemon's process", "MB", rows)


def _seats(runs: Sequence[Figures]) -> Table:
    rows = [
        Row(
            what=f"{one.seats:,} seats",
            value=one.jobs_per_second,
            note=f"{one.jobs_per_second * _WAIT_SECONDS / one.seats:.0%} of what they could; {one.cpu_ms:.2f} ms a job",
        )
        for one in runs
    ]
    return _table(f"jobs through, seats that wait {_WAIT_SECONDS:g} s a picture", "jobs/s", rows, better="more")


def _turns(runs: Sequence[Figures]) -> Table:
    rows = [
        Row(
            what=f"{one.seats:,} seats",
            value=one.turn_p99_ms,
            bar=at_most(20.0, one.turn_p99_ms, "20 ms") if one.seats >= 1_000 else None,
            note=f"{one.turn_p99_cpu_ms:.1f} ms of the processor; the longest {one.turn_max_ms:.0f} ms",
        )
        for one in runs
    ]
    return _table("a turn of the loop without what it waits, 99 of 100", "ms", rows)


def _start(claimed: int) -> Table:
    seconds = measure_start(claimed)
    bar: Bar | None = at_most(10.0, seconds, "10 s") if claimed == _CLAIMED else None
    row = Row(what=f"{claimed:,} claimed", value=seconds, bar=bar)
    return _table("from the process's start until all claimed jobs are queued again", "s", [row])


def _table(title: str, unit: str, rows: Sequence[Row], better: Any = "less") -> Table:
    first = rows[0]
    compared = [
        Row(**{**vars(row), "ratio": row.value / first.value if better == "more" else first.value / row.value})
        for row in rows
    ]
    return Table(benchmark="scale", title=title, unit=unit, better=better, against=first.what, rows=compared)


def measure(files: int, *, seats: int, wait: float, seconds: float, at_once: bool = False) -> Figures:
    """Run a daemon on so many pictures.

    Args:
        files: how many wait in the inbox.
        seats: how many seats there are.
        wait: how long each takes for a picture, in seconds.
        seconds: how long jobs are counted, or until all are done.
        at_once: the seats are there from the start; else when all pictures are seen.
    """
    with _tree() as root:
        fill(root / "inbox", root / "picture.png", files)
        if at_once:
            (root / "go").touch()
        with _daemon(root, seats, wait) as daemon:
            begin = time.perf_counter()
            _wait_until(root, daemon, lambda values: _known(values) >= files)
            seen, seen_cpu = time.perf_counter() - begin, _processor_seconds(daemon.pid)
            (root / "go").touch()
            done, elapsed, cpu = _window(root, daemon, files, seconds)
            peak = peak_bytes(daemon.pid) / 2**20
        own = json.loads((root / "figures.json").read_text())
        return Figures(
            files=files,
            seats=seats,
            seen_seconds=seen,
            seen_cpu_seconds=seen_cpu,
            jobs_per_second=done / elapsed,
            cpu_ms=1000 * cpu / done - own["own_ms_a_job"],
            own_ms=own["own_ms_a_job"],
            peak_mb=peak,
            turn_p99_ms=own["turn_p99_ms"],
            turn_max_ms=own["turn_max_ms"],
            turn_p99_cpu_ms=own["turn_p99_cpu_ms"],
        )


def _window(root: Path, daemon: subprocess.Popen[bytes], files: int, seconds: float) -> tuple[int, float, float]:
    """Return how many jobs were done in so many seconds, or until all were; the seconds, and those of the processor."""
    first = _wait_until(root, daemon, lambda values: values["done"] > 0)
    if first["done"] >= files:
        raise BenchmarkError(f"{files} pictures are done before they can be counted; take more")
    begin, used = time.perf_counter(), _processor_seconds(daemon.pid)
    end = begin + seconds
    last = _wait_until(root, daemon, lambda values: values["done"] >= files or time.perf_counter() >= end)
    elapsed, spent = time.perf_counter() - begin, _processor_seconds(daemon.pid) - used
    if last["failed"] or last["held"]:
        raise BenchmarkError(f"{last['failed']} pictures failed and {last['held']} are held")
    return last["done"] - first["done"], elapsed, spent


def measure_start(claimed: int) -> float:
    """Return how many seconds a daemon takes from its start until it has queued so many claimed jobs."""
    with _tree() as root:
        fill(root / "inbox", root / "picture.png", claimed)
        claim_all(root / "config.yaml")
        with _daemon(root, 1, 0.0) as daemon:
            begin = time.perf_counter()
            _wait_until(root, daemon, lambda values: values["state"] == "running" and values["queued"] >= claimed)
            return time.perf_counter() - begin


def claim_all(config_file: Path) -> None:
    """Claim every picture of an inbox as a daemon does that is killed then."""
    config = load_config(config_file)
    spool = Spool(Folders.of(config))
    spool.prepare()
    recipe = config.recipe_book().for_folder(PurePosixPath()).json
    with Journal.open(StateFolder(config.state).journal) as journal:
        for folder in sorted(path for path in config.inbox.iterdir() if path.name != ".dreamd"):
            paths = [PurePosixPath(folder.name, name) for name in sorted(path.name for path in folder.iterdir())]
            for start in range(0, len(paths), 64):
                journal.save(_claimed(spool, paths[start : start + 64], recipe))


def _claimed(spool: Spool, paths: Sequence[PurePosixPath], recipe: str) -> Iterator[Job]:
    now = time.time()
    for path, job_id in spool.claim_all(paths).jobs.items():
        yield Job(id=job_id, folder=path.parent, name=path.name, recipe=recipe, claimed_at=now)


def fill(inbox: Path, picture: Path, files: int) -> None:
    """Put so many real files into folders: a hard link's change time would move whenever another is claimed."""
    data = picture.read_bytes()
    folders = max(_LEAST_FOLDERS, files // _A_FOLDER)
    for number in range(folders):
        (inbox / f"folder-{number:04}").mkdir(parents=True)
    for index in range(files):
        path = f"{inbox}/folder-{index % folders:04}/{index:07}.png"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, data)
        os.close(descriptor)
    os.sync()


@contextmanager
def _tree() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="dreamd-scale-"))
    try:
        (root / "executors").mkdir()
        (root / "executors" / "seats_executor.py").write_text(EXECUTOR)
        Image.new("RGB", (16, 16), (90, 120, 150)).save(root / "picture.png")
        settings = {
            "plugins": {"daemon": ["executors"]},
            "workers": {"executor": "seats"},
            "status": {"listen": None},
        }
        (root / "config.yaml").write_text(json.dumps(settings))
        yield root
    finally:
        shutil.rmtree(root)


@contextmanager
def _daemon(root: Path, seats: int, wait: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon inside; it is stopped at the end, and then has written its figures."""
    options = {
        "picture": str(root / "picture.png"),
        "go": str(root / "go"),
        "figures": str(root / "figures.json"),
        "seats": seats,
        "seconds": wait,
    }
    command = [sys.executable, "-m", "dreamd", "run", "--config", str(root / "config.yaml")]
    with (root / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stderr=log, env={**os.environ, "DREAMD_SCALE": json.dumps(options)})
        try:
            yield daemon
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()


def _wait_until(
    root: Path, daemon: subprocess.Popen[bytes], is_reached: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Wait for a snapshot; return it. Raises BenchmarkError when the daemon ends or is too slow."""
    end = time.monotonic() + _LONGEST_SECONDS
    while daemon.poll() is None and time.monotonic() < end:
        values = snapshot.read(root / "state")
        if values is not None and is_reached(values):
            return values
        time.sleep(_LOOK_SECONDS)
    last = (root / "log").read_text().splitlines()[-1:]
    raise BenchmarkError(f"the daemon ended with {daemon.poll()}, or took too long; its last word was {last}")


def _known(values: dict[str, Any]) -> int:
    return int(values["queued"] + values["running"] + values["done"] + values["failed"] + values["held"])


def _processor_seconds(pid: int) -> float:
    """Return the seconds of the processor that a process and its children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text().split()]
    return own + sum(_processor_seconds(int(child)) for child in children)


def main() -> None:
    """Measure one run and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seats", type=int, default=1)
    parser.add_argument("--wait", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=_WINDOW_SECONDS)
    parser.add_argument("--at-once", action="store_true", help="the seats are there before all pictures are seen")
    parser.add_argument("--claimed", action="store_true", help="measure a start with so many claimed jobs instead")
    arguments = parser.parse_args()
    if arguments.claimed:
        print(json.dumps({"claimed": arguments.files, "start_seconds": round(measure_start(arguments.files), 2)}))
        return
    figures = measure(
        arguments.files,
        seats=arguments.seats,
        wait=arguments.wait,
        seconds=arguments.seconds,
        at_once=arguments.at_once,
    )
    print(json.dumps({name: round(value, 2) for name, value in asdict(figures).items()}))


if __name__ == "__main__":
    main()

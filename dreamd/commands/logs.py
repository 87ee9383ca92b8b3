"""`dreamd logs`: the daemon's log, from wherever it goes, and what is known of one job."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from dreamd.commands.terminal.completing import complete_job
from dreamd.commands.terminal.options import config_option
from dreamd.commands.terminal.printing import print_lines
from dreamd.errors import UsageError
from dreamd.job import Job, JobState
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder

_LOOK_SECONDS = 0.5
"""The pause between two looks of `--follow` into a file, in seconds."""


@click.command()
@click.argument("job_id", metavar="[JOB]", required=False, shell_complete=complete_job)
@config_option
@click.option("--lines", "count", default=50, show_default=True, type=click.IntRange(1), help="At most so many lines.")
@click.option("--follow", is_flag=True, help="Go on showing what is added, until Ctrl-C.")
def logs(job_id: str | None, config_file: Path, count: int, follow: bool) -> None:
    """Show the daemon's log, or what is known of JOB.

    The log is read where it goes: from the file that standard error of the running daemon is, or from systemd's
    journal. Of JOB the journal's times come first, then the lines of the log that tell of it.
    """
    state = snapshot.state_folder_of(config_file)
    job = None if job_id is None else _job(state, job_id)
    if job is not None:
        print_lines(_history(job))
    log_file = _log_file(state)
    if log_file is not None:
        _show_file(log_file, job, count, follow=follow)
    elif shutil.which("journalctl") and Path("/run/systemd/journal").is_dir():
        sys.exit(subprocess.run(_journalctl(job, count, follow=follow)).returncode)
    elif job is None:
        raise UsageError(
            "the log cannot be read: the daemon writes it to its standard error stream, which is no file here, and "
            "systemd's journal does not run. `dreamd run 2>> dreamd.log` writes a file; `dreamd logs JOB` and "
            "`dreamd jobs` tell what became of pictures"
        )


def _job(state: Path, job_id: str) -> Job:
    journal = Journal.open_readonly(StateFolder(state).journal)
    if journal is not None:
        with journal:
            job = journal.get(job_id)
        if job is not None:
            return job
    raise UsageError(f"there is no job {job_id!r}; `dreamd jobs` lists them")


def _history(job: Job) -> Iterator[str]:
    """Yield what the journal knows of a job, in the order in which it happened."""
    yield f"{job.path}  {job.id}"
    yield from _moment(job.claimed_at, "claimed")
    yield from _moment(job.started_at, f"started, attempt {job.attempts}")
    if job.state in (JobState.DONE, JobState.FAILED):
        took = f" after {job.seconds:.1f} s" if job.seconds is not None else ""
        end = f" → {job.result}" if job.state is JobState.DONE else f": {job.reason}"
        yield from _moment(job.finished_at, f"{job.state}{took}{end}")
    else:
        yield f"now {job.state}" + (f": {job.reason}" if job.reason else "")


def _moment(at: float | None, what: str) -> Iterator[str]:
    if at is not None:
        yield f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))}  {what}"


def _log_file(state: Path) -> Path | None:
    """Return the file that standard error of the running daemon is; None when it is none, or may not be looked at."""
    values = snapshot.read(state)
    if values is None or values["state"] == "stopped":
        return None
    try:
        file = (Path("/proc") / str(values["pid"]) / "fd/2").readlink()
    except OSError:  # another user's process, or one that is gone meanwhile
        return None
    return file if file.is_file() else None


def _journalctl(job: Job | None, count: int, *, follow: bool) -> list[str]:
    field = "SYSLOG_IDENTIFIER=dreamd" if job is None else f"DREAMD_JOB={job.id}"
    return ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(count), *(["-f"] if follow else []), field]


def _show_file(file: Path, job: Job | None, count: int, *, follow: bool) -> None:
    words = () if job is None else (str(job.path), job.id)
    with file.open(encoding="utf-8", errors="backslashreplace") as log_lines:
        print_lines(deque(_about(log_lines, words), count))
        try:
            while follow:
                print_lines(_about(log_lines, words))
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:  # the way to end it, and nothing went wrong
            return


def _about(log_lines: TextIO, words: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines that hold one of the words; all of them when there is no word."""
    return (line.rstrip("\n") for line in log_lines if not words or any(word in line for word in words))

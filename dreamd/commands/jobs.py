"""`dreamd jobs`: what the journal remembers, for people and as JSON. It answers at once, so it imports little."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from dreamd.commands.terminal.options import config_option, json_option
from dreamd.commands.terminal.printing import print_json
from dreamd.errors import DreamdError
from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder
from dreamd.tree.snapshot import state_folder_of
from dreamd.tree.tables.marks import Way
from dreamd.wording import printable


@click.command()
@config_option
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only those.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many.")
@json_option
def jobs(config_file: Path, state: str | None, limit: int, as_json: bool) -> None:
    """List jobs, the newest first."""
    show_jobs(config_file, state=state, limit=limit, as_json=as_json)


def show_jobs(config_file: Path, *, state: str | None, limit: int, as_json: bool) -> None:
    """Print the journal's jobs, the newest first."""
    jobs, put_away = _jobs(StateFolder(state_folder_of(config_file)).journal, JobState(state) if state else None, limit)
    if as_json:
        print_json([_job_values(job, put_away.get(job.id)) for job in jobs])
        return
    for job in jobs:
        click.echo(printable(_line(job, put_away.get(job.id))).rstrip())
    if not jobs:
        click.echo(f"no {state} jobs" if state else "no jobs yet", err=True)


def _jobs(file: Path, state: JobState | None, limit: int) -> tuple[list[Job], dict[str, Way]]:
    """Read jobs from the journal, and whose results were put away. Raises DreamdError when it cannot be read."""
    journal = Journal.open_readonly(file)
    if journal is not None:
        with journal:
            jobs = journal.jobs(state=state, limit=limit)
            return jobs, journal.marks.put_away_among([job.id for job in jobs])
    if file.exists():
        raise DreamdError(f"{file}: cannot be read as a journal; see its permissions, or start the daemon anew")
    return [], {}


def _line(job: Job, put_away: Way | None) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.finished_at or job.started_at or job.claimed_at))
    trashed = " (in the trash)" if put_away is Way.TRASHED else ""
    end = f"→ {job.result}{trashed}" if job.state is JobState.DONE else " ".join((job.reason or "").split("\n"))
    end = f"(dismissed) {end}" if job.dismissed else end
    seconds = f"{job.seconds:.1f} s" if job.seconds is not None else ""
    return f"{job.id}  {when}  {job.state:<7} {seconds:>8}  {job.path}  {end}"


def _job_values(job: Job, put_away: Way | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "picture": str(job.path),
        "state": job.state,
        "attempts": job.attempts,
        "claimed_at": job.claimed_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "hold": job.hold,
        "failure": job.failure,
        "dismissed": job.dismissed,
        "reason": job.reason,
        "result": job.result,
        "put_away": put_away,
        "seconds": job.seconds,
        "recipe": json.loads(job.recipe) if job.recipe else None,
    }

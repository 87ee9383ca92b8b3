"""`dreamd status` and `dreamd jobs` for people. Must be quick: imports no more than it prints with."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from dreamd.job import Job, JobState
from dreamd.journal import Journal
from dreamd.status.snapshot import read, state_folder_of

_TODO = {
    "recipe": "mend the recipe; it goes on by itself",
    "weights": "fetch the weights; it goes on by itself",
    "plugin": "mend the plugin, then `systemctl reload dreamd` or SIGHUP",
    "space": "make room on the disk; it goes on by itself",
    "folder": "mend the folder's permissions; it goes on by itself",
}
_FOLLOW_SECONDS = 0.5


def show_status(config_file: Path, *, as_json: bool, follow: bool) -> None:
    """Print the daemon's state, again and again when following."""
    state_folder = state_folder_of(config_file)
    while True:
        values = read(state_folder)
        if as_json:
            click.echo(json.dumps(values if values is not None else {"state": "never started"}))
        else:
            if follow:
                click.clear()
            click.echo(_words(values) if values is not None else f"dreamd has never run with {config_file}")
        if not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def show_jobs(config_file: Path, *, state: str | None, limit: int, as_json: bool) -> None:
    """Print the journal's jobs, the newest first."""
    journal = Journal.open_readonly(state_folder_of(config_file) / "journal.sqlite3")
    jobs = [] if journal is None else journal.jobs(state=JobState(state) if state else None, limit=limit)
    if as_json:
        click.echo(json.dumps([_job_values(job) for job in jobs], indent=1))
        return
    for job in jobs:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.finished_at or job.started_at or job.claimed_at))
        end = f"→ {job.result}" if job.state is JobState.DONE else job.reason or ""
        seconds = f"{job.seconds:.1f} s" if job.seconds is not None else ""
        click.echo(_printable(f"{job.id}  {when}  {job.state:<7} {seconds:>8}  {job.path}  {end}"))


def _job_values(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "picture": str(job.path),
        "state": job.state,
        "attempts": job.attempts,
        "claimed_at": job.claimed_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "hold": job.hold,
        "reason": job.reason,
        "result": job.result,
        "seconds": job.seconds,
        "recipe": json.loads(job.recipe) if job.recipe else None,
    }


def _words(values: dict[str, Any]) -> str:
    lines = [
        f"dreamd {values['version']}: {values['state']}"
        + (f" (pid {values['pid']})" if values["state"] != "stopped" else ""),
        f"inbox    {values['inbox']} ({values['watching']})",
        f"jobs     {values['queued']} queued, {values['running']} running, {values['held']} held, "
        f"{values['done']} done, {values['failed']} failed",
    ]
    if values["eta_seconds"] is not None and values["queued"] + values["running"]:
        to_go = _duration(values["eta_seconds"])
        lines.append(f"rate     {values['done_per_hour']:g} pictures an hour, about {to_go} to go")
    if values["found_by_rescan_only"]:
        lines.append(f"watch    {values['found_by_rescan_only']} files were missed by the watch and found by a rescan")
    lines += [f"paused   {folder}" for folder in values["paused"]]
    for worker in values["workers"]:
        lines += _worker_lines(worker)
    for hold in values["holds"]:
        lines.append(f"held     {hold['jobs']} in {hold['folder']}: {hold['reason']}")
        lines.append(f"         → {_TODO[hold['cause']]}")
    lines += [f"plugin   {name} is not used: {reason}" for name, reason in values["plugins_not_loaded"].items()]
    return _printable("\n".join(lines))


def _worker_lines(worker: dict[str, Any]) -> list[str]:
    name = f"{worker['device']} {worker['device_name']}".strip()
    error = f" (last trouble: {worker['error']})" if worker["error"] else ""
    precision = f", {worker['precision']}" if worker["precision"] else ""
    lines = [f"worker   {name}: {worker['state']}{precision}{error}"]
    for job in worker["jobs"]:
        step = f"octave {job['ascent']}/{job['ascents']}, iteration {job['iteration']}/{job['iterations']}"
        doing = job["fetching"] or step
        lines.append(f"         {job['share']:4.0%} {job['picture']}  {doing}")
    return lines


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)

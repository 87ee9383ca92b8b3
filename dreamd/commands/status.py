"""`dreamd status` and `dreamd jobs` for people. Must be quick: imports no more than it prints with."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dreamd.errors import DreamdError
from dreamd.job import Job, JobState
from dreamd.tree.journal import Journal
from dreamd.tree.snapshot import read, state_folder_of
from dreamd.wording import printable

_REMEDIES = {
    "recipe": "mend the recipe, or the plugin it asks for; it goes on by itself",
    "weights": "fetch the weights; it goes on by itself",
    "plugin": "mend the plugin; it goes on by itself (an installed package: after `systemctl reload dreamd` or SIGHUP)",
    "space": "make room on the disk; it goes on by itself",
    "folder": "mend the folder's permissions; it goes on by itself",
}
_FOLLOW_SECONDS = 0.5


def show_status(config_file: Path, *, as_json: bool, follow: bool) -> None:
    """Print the daemon's state; when following, again whenever it has changed, until Ctrl-C."""
    state_folder = state_folder_of(config_file)
    shown = None
    try:
        while True:
            values = read(state_folder)
            text = json.dumps(values or {"state": "never started"}) if as_json else _words(values, config_file)
            if text != shown:
                if follow and not as_json:
                    click.clear()
                click.echo(text)
                shown = text
            if not follow:
                return
            time.sleep(_FOLLOW_SECONDS)
    except KeyboardInterrupt:  # the way to end it, and nothing went wrong
        return


def show_jobs(config_file: Path, *, state: str | None, limit: int, as_json: bool) -> None:
    """Print the journal's jobs, the newest first."""
    jobs = _jobs(state_folder_of(config_file) / "journal.sqlite3", JobState(state) if state else None, limit)
    if as_json:
        click.echo(json.dumps([_job_values(job) for job in jobs], indent=1))
        return
    for job in jobs:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.finished_at or job.started_at or job.claimed_at))
        end = f"→ {job.result}" if job.state is JobState.DONE else " ".join((job.reason or "").split("\n"))
        seconds = f"{job.seconds:.1f} s" if job.seconds is not None else ""
        click.echo(printable(f"{job.id}  {when}  {job.state:<7} {seconds:>8}  {job.path}  {end}").rstrip())
    if not jobs:
        click.echo(f"no {state} jobs" if state else "no jobs yet", err=True)


def _jobs(file: Path, state: JobState | None, limit: int) -> list[Job]:
    journal = Journal.open_readonly(file)
    if journal is not None:
        with journal:
            return journal.jobs(state=state, limit=limit)
    if file.exists():
        raise DreamdError(f"{file}: cannot be read as a journal; see its permissions, or start the daemon anew")
    return []


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


def _words(values: dict[str, Any] | None, config_file: Path) -> str:
    if values is None:
        return printable(f"dreamd has never run with {config_file}")
    pid = f" (pid {values['pid']})" if values["state"] != "stopped" else ""
    lines = [
        f"dreamd {values['version']}: {values['state']}{pid}",
        f"inbox    {values['inbox']} ({values['watching']})",
        f"jobs     {values['queued']} queued, {values['running']} running, {values['held']} held, "
        f"{values['done']} done, {values['failed']} failed",
        *_rate_lines(values),
    ]
    if values["found_by_rescan_only"]:
        lines.append(f"watch    {values['found_by_rescan_only']} files were missed by the watch and found by a rescan")
    lines += [f"paused   {_folder(folder)}" for folder in values["paused"]]
    for worker in values["workers"]:
        lines += _worker_lines(worker)
    for hold in values["holds"]:
        lines += _hold_lines(hold)
    lines += [f"plugin   {name} is not used: {reason}" for name, reason in values["plugins_not_loaded"].items()]
    return "\n".join(printable(line) for line in lines)


def _rate_lines(values: dict[str, Any]) -> list[str]:
    if values["eta_seconds"] is None or not values["queued"] + values["running"]:
        return []
    return [f"rate     {values['done_per_hour']:.0f} pictures an hour, about {_duration(values['eta_seconds'])} to go"]


def _worker_lines(worker: dict[str, Any]) -> list[str]:
    name = f"{worker['device']} {worker['device_name']}".strip()
    error = f" (last trouble: {worker['error']})" if worker["error"] else ""
    precision = f", {worker['precision']}" if worker["precision"] else ""
    busy = f", {worker['busy_share']:.0%} busy" if worker["busy_share"] else ""
    lines = [f"worker   {name}: {worker['state']}{precision}{busy}{error}"]
    return lines + [f"         {job['share']:4.0%} {job['picture']}  {doing(job)}" for job in worker["jobs"]]


def doing(job: Mapping[str, Any]) -> str:
    """What a running job is at."""
    if job["fetching"]:
        return str(job["fetching"])
    if not job["ascents"]:
        return "waiting"
    return f"octave {job['ascent']}/{job['ascents']}, iteration {job['iteration']}/{job['iterations']}"


def _hold_lines(hold: dict[str, Any]) -> list[str]:
    first, *others = hold["reason"].split("\n")
    remedy = f"→ {_REMEDIES[hold['cause']]}"
    return [
        f"held     {hold['jobs']} in {_folder(hold['folder'])}: {first}",
        *(f"         {line}" for line in (*others, remedy)),
    ]


def _folder(folder: str) -> str:
    return "the inbox" if folder == "." else folder


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"

"""`dreamd status`: the daemon's snapshot, for people and as JSON. It answers at once, so it imports little."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dreamd.commands.terminal.options import config_option, json_option
from dreamd.commands.terminal.printing import doing, duration
from dreamd.json_text import to_json
from dreamd.tree.attention import troubles
from dreamd.tree.layout import StateFolder
from dreamd.tree.snapshot import read, state_folder_of
from dreamd.wording import printable

_FETCH_WORDS = {
    "missing": "not here",
    "fetching": "on their way",
    "failed": "not here, the last try failed",
    "cancelled": "not here, their download was cancelled",
}
"""What becomes of weights that are not here, in words."""

_MOST_FOLDERS = 3
"""The most folders that are named of a trouble."""

_FOLLOW_SECONDS = 0.5
"""The pause between two looks of `--follow`."""


@click.command()
@config_option
@json_option
@click.option("--follow", is_flag=True, help="Go on showing it, until Ctrl-C.")
def status(config_file: Path, as_json: bool, follow: bool) -> None:
    """Show the queue, the workers, and what is held and why."""
    show_status(config_file, as_json=as_json, follow=follow)


def show_status(config_file: Path, *, as_json: bool, follow: bool) -> None:
    """Print the snapshot; when following, print it again whenever it has changed, until Ctrl-C."""
    state_folder = state_folder_of(config_file)
    shown = None
    try:
        while True:
            values = _looked_at(state_folder)
            text = to_json(values or {"state": "never started"}) if as_json else _words(values, config_file)
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


def _looked_at(state_folder: Path) -> dict[str, Any] | None:
    """Read the snapshot, and with it what needs a person."""
    values = read(state_folder)
    if values is None:
        return None
    journal = None
    if values["held"] or values["failed"]:
        from dreamd.tree.journal import Journal  # on demand: without trouble SQLite is not needed

        journal = Journal.open_readonly(StateFolder(state_folder).journal)
    with journal or nullcontext():
        found = [asdict(trouble) for trouble in troubles(values, journal, None)]
    return {**values, "attention": found}


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
    lines += [_fetch_line(fetch) for fetch in values["fetches"]]
    for trouble in values["attention"]:
        lines += _trouble_lines(trouble)
    if values["fleet_problem"]:
        lines.append(f"workers  none can be had: {values['fleet_problem']}")
    if values["page_problem"]:
        lines.append(f"page     not served, and tried again by itself: {values['page_problem']}")
    lines += [f"plugin   {name} is not used: {reason}" for name, reason in values["plugins_not_loaded"].items()]
    return "\n".join(printable(line) for line in lines)


def _rate_lines(values: dict[str, Any]) -> list[str]:
    if values["eta_seconds"] is None or not values["queued"] + values["running"]:
        return []
    return [f"rate     {values['done_per_hour']:.0f} pictures an hour, about {duration(values['eta_seconds'])} to go"]


def _worker_lines(worker: dict[str, Any]) -> list[str]:
    name = f"{worker['device']} {worker['device_name']}".strip()
    if worker.get("node"):
        name = f"{worker['node']} {name}"
    error = f" (last trouble: {worker['error']})" if worker["error"] else ""
    precision = f", {worker['precision']}" if worker["precision"] else ""
    busy = f", {worker['busy_share']:.0%} busy" if worker["busy_share"] else ""
    lines = [f"worker   {name}: {worker['state']}{precision}{_share_words(worker)}{busy}{error}"]
    return lines + [f"         {job['share']:4.0%} {job['picture']}  {doing(job)}" for job in worker["jobs"]]


def _share_words(worker: dict[str, Any]) -> str:
    """Say what a worker has of the machine, as far as that is known: a daemon of before an upgrade does not tell."""
    words = []
    if (threads := worker.get("threads")) is not None:
        words.append(f", {threads} thread{'s' if threads != 1 else ''}")
    if places := worker.get("processors"):
        words.append(f" on processor{'' if places.isdecimal() else 's'} {places}")
    if (memory := worker.get("memory_limit")) is not None:
        words.append(f", up to {memory / 1e9:.1f} GB")
    return "".join(words)


def _fetch_line(fetch: dict[str, Any]) -> str:
    """Say what becomes of missing weights."""
    size = f" of {fetch['total'] / 1e6:.0f}" if fetch["total"] else ""
    parts = [f"{fetch['done'] / 1e6:.0f}{size} MB"]
    if fetch["bytes_per_second"]:
        parts.append(f"{fetch['bytes_per_second'] / 1e6:.1f} MB/s")
    if fetch["eta_seconds"] is not None:
        parts.append(f"about {duration(fetch['eta_seconds'])} to go")
    return f"weights  {fetch['backbone']}: {_FETCH_WORDS[fetch['state']]}, {', '.join(parts)}"


def _trouble_lines(trouble: Mapping[str, Any]) -> list[str]:
    """Say for what cause pictures are not dreamed, how many, and what to do."""
    first, *others = (trouble["reason"] or f"{trouble['title']}; see `dreamd jobs --state failed`").split("\n")
    if trouble["remedy"]:
        others.append(f"→ {trouble['remedy']}")
    more = " or more" if trouble["is_more"] else ""
    return [
        f"{trouble['kind']:<8} {trouble['count']}{more} in {_folders(trouble['folders'])}: {first}",
        *(f"         {line}" for line in others),
    ]


def _folders(folders: Sequence[str]) -> str:
    """Name folders, of many the first ones."""
    named = ", ".join(map(_folder, folders[:_MOST_FOLDERS]))
    return named if len(folders) <= _MOST_FOLDERS else f"{named} and {len(folders) - _MOST_FOLDERS} more folders"


def _folder(folder: str) -> str:
    return "the inbox" if folder == "." else folder

"""How commands print: lines that a terminal can show, JSON, and findings whose sum is the exit code."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from dreamd.json_text import to_json
from dreamd.wording import printable

_FALLBACK_SIZE = (100, 24)
"""The columns and lines that are assumed where there is no terminal."""

_NARROWEST = 40
"""Text is wrapped to no fewer columns than this, however narrow the terminal is."""


def print_json(value: object) -> None:
    """Print a value as JSON in ASCII, which any terminal and any program can read."""
    click.echo(to_json(value, indent=1))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines with whatever a terminal could not show escaped."""
    for text in lines:
        for line in text.split("\n"):
            click.echo(printable(line))


def print_findings(findings: Iterable[tuple[str, bool]], *, exit_code: int) -> None:
    """Print what is well, and on the error stream what is not; then exit.

    Args:
        findings: a line each, and whether it tells of something that is well.
        exit_code: the exit code when something is not.
    """
    all_well = True
    for line, is_well in findings:
        click.echo(printable(line), err=not is_well)
        all_well &= is_well
    sys.exit(0 if all_well else exit_code)


def wrap(start: str, text: str) -> list[str]:
    """Wrap text to the terminal's width, in a column to the right of what it starts with."""
    from textwrap import wrap as wrap_text  # on demand: most commands wrap nothing

    columns = max(len(start) + _NARROWEST, shutil.get_terminal_size(_FALLBACK_SIZE).columns)
    margin = " " * len(start)
    return wrap_text(text, columns, initial_indent=start, subsequent_indent=margin, break_on_hyphens=False) or [start]


def doing(job: Mapping[str, Any]) -> str:
    """Say what a running job is at."""
    if job.get("writing"):
        return str(job["writing"])
    if not job["ascents"]:
        return "waiting"
    for unit in ("frame", "page"):
        if job.get(unit):
            of = f"/{job[f'{unit}s']}" if job[f"{unit}s"] else ""
            left = f", about {duration(job['eta_seconds'])} to go" if job["eta_seconds"] is not None else ""
            return f"{unit} {job[unit]}{of}{left}"
    return f"octave {job['ascent']}/{job['ascents']}, iteration {job['iteration']}/{job['iterations']}"


def duration(seconds: float) -> str:
    """Say how long something takes, in the two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def leave_problems_to_the_command() -> None:
    """Keep plugins that are not used out of the log, for a command that shows them itself; not with `--debug`."""
    if not click.get_current_context().find_root().params["debug"]:
        logging.getLogger("dreamd.plugin_host.host").setLevel(logging.ERROR)

"""`dreamd doctor`: the command. Its looks are in the files beside it, which are loaded when the command is called."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dreamd.commands.terminal.options import config_option, json_option
from dreamd.commands.terminal.printing import leave_problems_to_the_command, print_json, print_lines


@click.command()
@config_option
@json_option
@click.option(
    "--user", help="As root: look also whether this user, who is to run the service, has the rights it needs."
)
def doctor(config_file: Path, as_json: bool, user: str | None) -> None:
    """Look at all that usually goes wrong; say what to do.

    At the device, the config, folders and permissions, plugins, recipes, weights, watch limits and the clock. Exits
    with 1 when there is something to do.
    """
    from dreamd.commands.doctor.examination import examine

    leave_problems_to_the_command()
    findings = examine(config_file, user=user)
    if as_json:
        print_json([{"check": finding.check, "ok": finding.ok, "text": finding.text} for finding in findings])
    else:
        print_lines(f"{'ok ' if finding.ok else 'FIX'}  {finding.check}: {finding.text}" for finding in findings)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)

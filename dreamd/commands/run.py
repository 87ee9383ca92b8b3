"""`dreamd run` and `dreamd drain`: the daemon, until it is stopped or until the inbox is empty."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dreamd.commands.terminal.options import config_at, config_option

share_option = click.option(
    "--share", is_flag=True, help="Share the inbox with other daemons, each with its own state folder."
)


@click.command()
@config_option
@share_option
def run(config_file: Path, share: bool) -> None:
    """Run the daemon in the foreground.

    SIGTERM and SIGINT finish what is running and stop; what takes longer than limits.stop_seconds goes on at the next
    start. A second one stops at once. SIGHUP reloads.
    """
    from dreamd.daemon import run_daemon

    sys.exit(run_daemon(config_at(config_file), share=share))


@click.command()
@config_option
@share_option
def drain(config_file: Path, share: bool) -> None:
    """Dream everything that is in the inbox now, then exit.

    Exits with 0 when all is done, with 1 when something failed or is held.
    """
    from dreamd.commands.terminal.progress import drain_progress
    from dreamd.daemon import run_daemon

    config = config_at(config_file)
    with drain_progress() as show:
        code = run_daemon(config, share=share, until_empty=True, on_snapshot=show)
    sys.exit(code)

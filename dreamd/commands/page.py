"""`dreamd open`: the page, in a browser."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dreamd.commands.terminal.options import config_at, config_option
from dreamd.errors import DreamdError, UsageError
from dreamd.tree import snapshot


@click.command("open")
@config_option
def open_page(config_file: Path) -> None:
    """Open the page in a browser, and print where it is."""
    config = config_at(config_file)
    if config.status.listen is None:
        raise UsageError(f"{config.file}: status.listen: there is no page; give an address such as 127.0.0.1:8420")
    values = snapshot.read(config.state)
    if values is None or values["state"] == "stopped":
        raise UsageError(
            f"no daemon runs with {config.file}: `dreamd run --config {shlex.quote(str(config_file))}` starts one"
        )
    if values["page_problem"]:
        raise DreamdError(f"the page is not served, and tried again by itself: {values['page_problem']}")
    click.echo(config.status.url)
    click.launch(config.status.url)

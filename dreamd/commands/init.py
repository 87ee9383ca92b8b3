"""`dreamd init`: a ready tree."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from dreamd.commands.terminal.options import PATH
from dreamd.commands.terminal.printing import print_lines


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
def init(folder: Path) -> None:
    """Make a ready tree: config, inbox, outbox, plugins.

    The inbox gets two folders with sample recipes. A tree that is there already is left as it is.
    """
    from dreamd.plugin_tools.scaffold import make_tree

    print_lines(map(str, make_tree(folder)))
    config = shlex.quote(str(folder / "config.yaml"))
    print_lines(["", f"Next: dreamd run --config {config}", f"then drop a picture into {folder}/inbox/animals."])

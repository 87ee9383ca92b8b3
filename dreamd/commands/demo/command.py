"""`dreamd demo`: the command. Its work is in `show`, which is loaded when the command is called."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dreamd.commands.terminal.options import FILE, PATH


@click.command()
@click.argument("picture", required=False, type=FILE)
@click.option("--out", "folder", type=PATH, default=Path("demo"), show_default=True, help="Where to put it all.")
def demo(picture: Path | None, folder: Path) -> None:
    """Show the whole main job, offline, on a picture.

    On PICTURE, or on a lake that dreamd paints itself: makes a tree with `dreamd init`, runs the daemon on it, drops
    the picture into two folders with two recipes, and puts before and after side by side.
    """
    from dreamd.commands.demo.show import run_demo

    sys.exit(run_demo(folder, picture))

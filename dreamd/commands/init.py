"""`dreamd init`: a ready tree."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import click

from dreamd.commands.terminal.options import PATH
from dreamd.commands.terminal.printing import print_lines
from dreamd.errors import UsageError
from dreamd.files.problems import refusal

_EMPTY_FOLDERS = ("outbox", "done", "failed", "plugins", "recipes")
"""The folders of a new tree, beside the inbox with its sample recipes."""


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
def init(folder: Path) -> None:
    """Make a ready tree: config, inbox, outbox, plugins.

    The inbox gets a recipe that needs no download, and two folders with sample recipes. A tree that is there
    already is left as it is.
    """
    print_lines(map(str, make_tree(folder)))
    config = shlex.quote(str(folder / "config.yaml"))
    print_lines(["", f"Next: dreamd run --config {config}", f"then drop a picture into {folder}/inbox."])


def make_tree(folder: Path) -> list[Path]:
    """Make the tree; return what was made.

    Raises:
        UsageError: there is a config already, or the folder cannot be made.
    """
    config = folder / "config.yaml"
    try:
        if config.exists():
            raise UsageError(f"{config} is there already; nothing was changed")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; give the folder to make the tree in")
        return list(_make_files(folder))
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be made: {refusal(error)}") from error


def _make_files(folder: Path) -> Iterator[Path]:
    from dreamd.plugin_host.finding.drop_ins import deny_others  # on demand: the command line is light

    with as_file(files("dreamd") / "templates") as templates:
        for template in sorted(templates.rglob("*.yaml")):
            file = folder / template.relative_to(templates)
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_bytes(template.read_bytes())
                yield file
    for name in _EMPTY_FOLDERS:
        is_new = not (folder / name).exists()
        (folder / name).mkdir(exist_ok=True)
        if is_new and name == "plugins":
            deny_others(folder / name)
        yield folder / name

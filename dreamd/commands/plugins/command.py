"""`dreamd plugins list`, `show`, `new`, `check` and `try`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamd.commands.dream import print_result
from dreamd.commands.terminal.completing import complete_plugin, complete_plugin_file
from dreamd.commands.terminal.options import (
    FILE,
    PATH,
    InOrder,
    config_at,
    config_option,
    config_or_none,
    device_option,
    json_option,
    set_option,
)
from dreamd.commands.terminal.printing import leave_problems_to_the_command, print_findings, print_json, print_lines
from dreamd.errors import UnknownNameError
from dreamd.plugin_host.kinds import Kind

if TYPE_CHECKING:
    from dreamd.plugin_host.catalogue import Entry
    from dreamd.settings.config import Config


@click.group(cls=InOrder)
def plugins() -> None:
    """List, write, check and try plugins."""


@plugins.command("list")
@config_option
@json_option
def list_plugins(config_file: Path, as_json: bool) -> None:
    """List what there is to dream with, and what is not used."""
    from dreamd.commands.plugins.known_engine import KnownEngine
    from dreamd.commands.plugins.listing import plugin_lines

    leave_problems_to_the_command()
    catalogue = KnownEngine(config_or_none(config_file)).whole_catalogue()
    if as_json:
        print_json(catalogue.model_dump(mode="json", by_alias=True))
    else:
        print_lines(plugin_lines(catalogue))


@plugins.command()
@click.argument("name", shell_complete=complete_plugin)
@config_option
@json_option
def show(name: str, config_file: Path, as_json: bool) -> None:
    """Show a plugin's parameters, from signature and docstring."""
    from dreamd.commands.plugins.listing import entry_lines

    entries = _entries(name, config_or_none(config_file))
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
    else:
        print_lines(entry_lines(entries))


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    default="loss",
    show_default=True,
    help="What it brings.",
)
@click.option("--in", "folder", type=PATH, help="The folder to write it into (default: the config's).")
@click.option("--package", "is_package", is_flag=True, help="Write a project that can be installed and published.")
@config_option
def new(name: str, kind: str, folder: Path | None, is_package: bool, config_file: Path) -> None:
    """Write a plugin that works, to be changed.

    A file in the config's folder of drop-in plugins, or with --package a project in the current folder.
    """
    from dreamd.plugin_tools.new import new_package, new_plugin

    if is_package:
        print_lines(new_package(name, Kind(kind), folder or Path()))
    else:
        print_lines(new_plugin(name, Kind(kind), folder, None if folder else config_at(config_file)))


@plugins.command()
@click.argument("plugin", metavar="FILE_OR_NAME", shell_complete=complete_plugin_file)
@click.option("--only", "names", multiple=True, metavar="NAME", help="Check only this of the names it brings.")
@click.option("--sample", "samples", multiple=True, type=FILE, help="A picture file, for a decoder.")
@json_option
def check(plugin: str, names: tuple[str, ...], samples: tuple[Path, ...], as_json: bool) -> None:
    """Hold a plugin to the contract; say what it breaks.

    FILE_OR_NAME is a drop-in (a file or a folder) or an installed plugin. Exits with 1 when it breaks something.
    """
    from dreamd.plugin_tools.contract import run_checks

    leave_problems_to_the_command()
    results = run_checks(plugin, names=names, samples=samples)
    if as_json:
        found = list(results)
        print_json([{"subject": check.subject, "check": check.words, "failure": why} for check, why in found])
        sys.exit(1 if any(why is not None for _, why in found) else 0)
    lines = (
        (f"ok    {check.subject} {check.words}", True)
        if why is None
        else (f"FAIL  {check.subject} ({check.words}): {why}", False)
        for check, why in results
    )
    print_findings(lines, exit_code=1)


@plugins.command("try")
@click.argument("plugin", metavar="FILE_OR_NAME", shell_complete=complete_plugin_file)
@click.option("--on", "picture", required=True, type=FILE, help="The picture to dream.")
@click.option("--out", "target", type=PATH, help="The result (default: PICTURE-PLUGIN.png, here).")
@set_option
@device_option
def try_out(plugin: str, picture: Path, target: Path | None, assignments: tuple[str, ...], device: str | None) -> None:
    """Dream a picture with a plugin, at once.

    Made small and over one octave, with the network that comes with dreamd. FILE_OR_NAME is a drop-in file or an
    installed plugin.
    """
    from dreamd.commands.terminal.progress import progress
    from dreamd.plugin_tools.try_out import try_plugin

    leave_problems_to_the_command()
    print_result(*try_plugin(plugin, picture, target, assignments=assignments, device=device, progress=progress))


def _entries(name: str, config: Config | None) -> list[Entry]:
    """Find everything of a name, whatever its kind; where there is nothing, what the plugin of that name brings.

    Raises:
        UnknownNameError: there is nothing of that name.
    """
    from dreamd.commands.plugins.known_engine import KnownEngine

    entries = KnownEngine(config).whole_catalogue().entries
    exact = [entry for entry in entries if entry.name == name]
    found = exact or [entry for entry in entries if entry.plugin == name]
    if not found:
        raise UnknownNameError("plugin", name, sorted({entry.name for entry in entries}))
    return found

"""`dreamd dream`: one picture, without a daemon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamd.commands.terminal.completing import complete_recipe
from dreamd.commands.terminal.options import FOLDER, PATH, device_option, set_option

if TYPE_CHECKING:
    from dreamd.messages import Sidecar
    from dreamd.settings.recipes.merging import Resolved


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=PATH)
@click.option(
    "--recipe",
    "recipe_name",
    shell_complete=complete_recipe,
    help="A recipe file, a sidecar, a picture that carries one, or a preset.",
)
@set_option
@device_option
@click.option("--plugins", "plugin_folders", multiple=True, type=FOLDER, help="A folder of drop-in plugins.")
def dream(
    source: str,
    target: Path,
    recipe_name: str | None,
    assignments: tuple[str, ...],
    device: str | None,
    plugin_folders: tuple[Path, ...],
) -> None:
    """Dream one picture or film, without a daemon. IN is a picture, a film, noise:640x480, or noise (image.size)."""
    from dreamd.commands.terminal.progress import progress, waiting

    _check_paths(source, target)
    resolved = _resolve(recipe_name or "classic", assignments)
    with waiting("loading torch"):
        from dreamd.plugin_host.host import Plugins
        from dreamd.worker.single import dream_file

    sidecar = dream_file(
        resolved,
        source,
        target,
        device=device,
        plugins=Plugins("dreamd.engine", folders=plugin_folders),
        progress=progress,
    )
    print_result(target, sidecar)


def _check_paths(source: str, target: Path) -> None:
    """Check what is to be read and written before torch is loaded, which takes seconds. Raises UsageError."""
    from dreamd.worker.result_names import NOISE, check_source, check_target

    check_target(target)
    if not NOISE.fullmatch(source):
        check_source(Path(source), target)


def print_result(target: Path, sidecar: Sidecar) -> None:
    """Print where a result is, how long it took, and on what."""
    click.echo(f"{target}  ({sidecar.seconds:.1f} s, {sidecar.device}, {sidecar.precision})")


def _resolve(name: str, assignments: Sequence[str]) -> Resolved:
    """Return the recipe of a file, a sidecar, a picture or a preset, with the command line's fields over it."""
    from dreamd.commands.recipes.lookup import documents_of
    from dreamd.settings.recipes.merging import set_fields
    from dreamd.settings.recipes.recipe_book import RecipeBook

    book = RecipeBook(None)
    return book.resolve([*documents_of(name, book), set_fields(assignments)])

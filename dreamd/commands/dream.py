"""`dreamd dream`: one picture, without a daemon."""

from __future__ import annotations

from pathlib import Path

import click

from dreamd.commands.options import FOLDER, PATH, device_option, set_option


@click.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=PATH)
@click.option("--recipe", "recipe_name", help="A recipe file, a sidecar, a preset or a named recipe.")
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
    """Dream one picture, without a daemon. IN is a picture, or noise:640x480."""
    from dreamd.commands.progress import progress
    from dreamd.worker.single import dream_one

    dream_one(
        source,
        target,
        recipe_name=recipe_name,
        assignments=assignments,
        device=device,
        plugin_folders=plugin_folders,
        progress=progress,
    )

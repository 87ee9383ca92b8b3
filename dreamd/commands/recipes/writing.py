"""`dreamd recipe init`: a recipe for a folder, from a preset, with what there is to change in comments."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.errors import UsageError
from dreamd.inbox.recipes import RECIPE_FILES

if TYPE_CHECKING:
    from dreamd.settings.config import Config

_BODY = """\
# Pictures in this folder, and in those below it without a recipe of their own, are dreamed like this.
# `dreamd recipe explain` with this folder shows every effective field; docs/recipes.md tells what each means.
extends: {preset}
# layers: …                       # `dreamd layers BACKBONE` lists them, `dreamd atlas BACKBONE` shows what each makes
# ascent: {{iterations: 10, lr: 0.05}}   # how far pixels climb: `dreamd sweep ascent.lr=0.02,0.05,0.1` shows it
# schedule: {{num_octaves: 4}}      # from how coarse a picture on
# image: {{max_side: 1600}}         # smaller pictures are dreamed sooner
# output: {{format: png}}
"""
"""The text of a new recipe file."""


def write_recipe(folder: str, preset: str, config: Config | None) -> Path:
    """Write the recipe of a folder, which is made if it is not there; return the file.

    Args:
        folder: a folder of the inbox, by its path or by its name in the inbox.
        preset: the preset, or named recipe, that it begins from.
        config: the config, if there is one.

    Raises:
        UsageError: there is no such preset, or the folder has a recipe already.
    """
    from dreamd.commands.recipes.lookup import book_of

    book_of(config).for_name(preset)  # raises, with the nearest right name
    place = _place_of(folder, config)
    there = next((place / name for name in RECIPE_FILES if os.path.lexists(place / name)), None)
    if there is not None:
        raise UsageError(f"{there} is there already; nothing was changed")
    place.mkdir(parents=True, exist_ok=True)
    file = place / "recipe.yaml"
    with file.open("x", encoding="utf-8") as recipe:  # never over one that came meanwhile
        recipe.write(_schema_line(place, config) + _BODY.format(preset=preset))
    return file


def _place_of(folder: str, config: Config | None) -> Path:
    """Return the folder that a path names from where one stands, or else in the inbox."""
    here = Path(folder).absolute()
    if config is None or here.is_dir() or here.is_relative_to(config.inbox) or PurePosixPath(folder).is_absolute():
        return here
    return config.inbox / folder


def _schema_line(place: Path, config: Config | None) -> str:
    """Return the line by which editors complete fields, for a folder of the tree."""
    if config is None or not place.is_relative_to(config.inbox):
        return ""
    schema = os.path.relpath(config.state / "recipe.schema.json", place)
    return f"# yaml-language-server: $schema={schema}\n"

"""One picture's dream: what came of it, and how that is described and written.

Knows pictures and what they were dreamed with. Dreams nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from dreamd.pictures.descriptions.recipe import with_recipe
from dreamd.pictures.descriptions.reducing import reduced
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from dreamd.settings.recipes.recipe_text import carried_text
from dreamd.wording import printable
from dreamd.worker.recipes.builder import Built

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dream:
    """One picture's dream.

    Attributes:
        picture: the result.
        built: what it was dreamed with.
        loss_before: the loss at the first iteration of the last ascent.
        loss_after: the loss at its last iteration.
        tiling: how the picture was cut up, in words; None when it was not.
    """

    picture: Picture
    built: Built
    loss_before: float
    loss_after: float
    tiling: str | None


def described(dream: Dream, picture_format: str, name: str) -> Dream:
    """Return a dream whose picture carries what its recipe wants of its description, and the recipe if it asks so.

    Where that finds no place, a note says why.

    Args:
        dream: the dream.
        picture_format: Pillow's name of the format that it is written in.
        name: the result's file name, for the log.
    """
    built, output = dream.built, dream.built.recipe.output
    picture = replace(dream.picture, description=reduced(dream.picture.description, output.metadata))
    dream = replace(dream, picture=picture)
    if not output.embed:
        return dream
    text = carried_text(built.recipe, built.dreamer.precision)
    description, problem = with_recipe(picture.description, text, picture_format)
    if not problem:
        return replace(dream, picture=replace(picture, description=description))
    log.warning("%s: %s", printable(name), problem)
    return replace(dream, picture=replace(picture, notes=(*picture.notes, problem)))


def write_dream(dream: Dream, target: Path, picture_format: str) -> Dream:
    """Write a dream's picture as its recipe says; returns the dream with what is to be said about that.

    Args:
        dream: the dream.
        target: where.
        picture_format: Pillow's name of the format.

    Raises:
        PictureError: the format cannot hold it.
        SpaceError: the disk or the quota is full.
    """
    recipe, picture = dream.built.recipe, dream.picture
    output = recipe.output
    notes = write_picture(
        picture, target, format=picture_format, quality=output.quality, depth=output.depth, seed=recipe.seed
    )
    for note in notes:
        log.info("%s: %s", printable(target.name), note)
    return replace(dream, picture=replace(picture, notes=(*picture.notes, *notes)))

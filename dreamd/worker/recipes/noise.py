"""Dreams from nothing: the noise that they begin with. Knows recipes and pictures; knows no files."""

from __future__ import annotations

import numpy as np

from dreamd.errors import RecipeError
from dreamd.pictures.picture import Picture
from dreamd.settings.recipes.recipe import Recipe


def noise_of(recipe: Recipe, *, max_pixels: int) -> Picture:
    """Return uniform noise of the recipe's `image.size`, drawn from its seed: the article's other start.

    Args:
        recipe: the recipe.
        max_pixels: the most pixels that a picture may have.

    Raises:
        RecipeError: the size is beyond that.
    """
    width, height = recipe.image.sides
    if width * height > max_pixels:
        problem = f"{recipe.image.size} is more than the {max_pixels:,} pixels that a picture may have"
        raise RecipeError(f"{problem} (limits.max_pixels)", field=("image", "size"))
    pixels = np.random.default_rng(recipe.seed).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(pixels=pixels, alpha=None, format="PNG")

"""Every recipe of examples/recipes/ dreams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dreamd.commands.demo.painting import clouds
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.session import Session
from dreamd.worker.single import open_session

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def session() -> Session:
    return open_session("cpu", Plugins("dreamd.engine"))


@pytest.fixture(scope="module")
def picture() -> Picture:
    """Clouds whose left half is transparent."""
    pixels = np.array(clouds(80, 64))
    alpha = np.where(np.arange(80) < 40, 0, 255).astype(np.uint8)[None].repeat(64, 0)
    return Picture(pixels=pixels, alpha=alpha, format="PNG")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_recipe_dreams(file: Path, session: Session, picture: Picture) -> None:
    book = RecipeBook(None)
    recipe = book.resolve([*book.documents_of_file(file), set_fields(["ascent.iterations=3"])]).recipe
    (dream,) = session.dream([picture], session.build(recipe), on_progress=lambda _: None)
    moved = np.abs(dream.picture.pixels.astype(int) - picture.pixels)
    assert dream.picture.pixels.shape == picture.pixels.shape
    assert moved[:, 40:].mean() > 0.5
    if recipe.image.mask == "alpha":
        assert not moved[:, :40].any()

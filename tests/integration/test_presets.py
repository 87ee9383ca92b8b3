"""The presets, each dreamed on a small picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dreamd.commands.demo.paintings.evening import evening
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, preset_names
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device
from dreamd.worker.session import Session

EMBEDDED = "efficientnet_lite0"

CLIPPED = 0.1
"""The largest share of values at the ends of their range in a dream that is not burnt out."""

MOST_ITERATIONS = 20
"""Iterations an ascent; a preset that climbs longer is broken off, since a test is to be fast."""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bounds = Bounds(max_pixels=1_000_000, max_bytes=1_000_000, memory=4_000_000_000)
    yield Session(Plugins("dreamd.engine"), Device(torch=torch.device("cpu"), label="cpu"), bounds)
    torch.set_num_threads(threads)


def recipe_of(name: str, *fields: str) -> Recipe:
    documents = RecipeBook(None).documents_of_name(name)
    iterations = min(MOST_ITERATIONS, resolve(documents).recipe.ascent.iterations)
    return resolve([*documents, set_fields([f"ascent.iterations={iterations}", *fields])]).recipe


def uses_embedded(name: str) -> bool:
    return RecipeBook(None).for_name(name).recipe.backbone.name == EMBEDDED


def dreamed(session: Session, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """The picture's and its dream's values, from 0 to 255."""
    pixels = np.array(evening(64, 48))
    picture = Picture(pixels=pixels, alpha=None, format="PNG")
    (dream,) = session.dream([picture], session.build(recipe), on_progress=lambda _: None)
    return pixels.astype(np.float32), dream.picture.pixels.astype(np.float32)


@pytest.mark.parametrize("name", [name for name in preset_names() if uses_embedded(name)])
def test_a_preset_changes_a_picture_and_does_not_burn_it_out(session: Session, name: str) -> None:
    before, after = dreamed(session, recipe_of(name))
    assert after.shape == before.shape
    assert 4 < np.sqrt(np.mean((after - before) ** 2)) < 90
    assert np.mean((after <= 1) | (after >= 254)) < CLIPPED


@pytest.mark.parametrize("name", [name for name in preset_names() if not uses_embedded(name)])
def test_a_preset_of_another_network_dreams_with_random_weights(session: Session, name: str) -> None:
    few = ["backbone.weights=random", "ascent.iterations=1", "schedule.num_octaves=2"]
    before, after = dreamed(session, recipe_of(name, *few))
    assert after.shape == before.shape
    assert np.abs(after - before).max() > 1

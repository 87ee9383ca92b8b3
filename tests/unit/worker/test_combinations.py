"""Any recipe out of all of dreamd's plugins: finite, alone and among others, in tiles, broken off, and explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.errors import RecipeError
from dreamd.settings.recipes.checking import check_recipe
from dreamd.settings.recipes.explaining import explain
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.yamlfile import Document, parse_document
from dreamd.worker.session import Session
from tests.recipes import Makings, any_recipe
from tests.unit.worker.kit import CHANNELS, fill, plugins_in, session_in

few = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**32 - 1)
"""Numbers and no generators: what hypothesis prints of a failure repeats it."""

Build = Callable[[dict[str, Any]], Dreamer]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads that wait for each other on a busy machine take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Makings]:
    folder = tmp_path_factory.mktemp("combinations")
    fill(folder)
    plugins = plugins_in(folder)
    makings = Makings.of(
        plugins,
        backbone={"name": "tiny", "weights": "random"},
        layers=CHANNELS,
        pictures=[str(folder / "other.png")],
        masks=[None],
    )
    return session_in(folder, plugins), makings


@pytest.fixture(scope="module")
def makings(session: tuple[Session, Makings]) -> Makings:
    return session[1]


@pytest.fixture(scope="module")
def build(session: tuple[Session, Makings]) -> Build:
    return lambda recipe: session[0].build(Recipe.model_validate(recipe)).dreamer


def pictures(*seeds: int, height: int = 40, width: int = 37) -> Tensor:
    drawn = [torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(drawn)


def dreamed(dreamer: Dreamer, images: Tensor, mask: Tensor | None = None, **options: Any) -> Tensor:
    return dream(images.clone(), dreamer, seeds=[7] * len(images), mask=mask, **options).images


def soft_mask(random: Random) -> Tensor | None:
    """Nothing, or the same for each of three pictures: out on the left, soft in the middle, in on the right."""
    ramp = torch.linspace(-1, 2, 37).clamp(0, 1).expand(3, 1, 40, 37)
    return random.choice([None, ramp])


# Among others


def check_among_others(random: Random, build: Build, makings: Makings) -> None:
    dreamer, mask = build(any_recipe(random, makings)), soft_mask(random)
    first, second = (dreamed(dreamer, pictures(*seeds), mask) for seeds in ((1, 2, 3), (1, 4, 5)))
    assert first.isfinite().all()
    assert first.shape == (3, 3, 40, 37)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert torch.equal(first[0], second[0])
    if mask is not None:
        assert torch.equal(first[:, :, :, :12], pictures(1, 2, 3)[:, :, :, :12])


@given(seed=seeds)
@few
def test_any_picture_is_finite_and_the_others_of_its_batch_change_no_bit_of_it(build, makings, seed):
    check_among_others(Random(seed), build, makings)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@given(seed=seeds)
@many
def test_of_many_recipes_the_others_of_a_batch_change_no_bit(build, makings, seed):
    check_among_others(Random(seed), build, makings)


def share_off(first: Tensor, second: Tensor) -> float:
    """Return the share of values that differ by more than one of 255 levels."""
    return float(((first - second).abs() > 1 / 255).float().mean())


def nudged(images: Tensor) -> Tensor:
    """Pictures that are a rounding away."""
    return images * (1 + 2**-23)


def check_alike(first: Tensor, second: Tensor, nudge: Tensor, recipe: dict[str, Any]) -> None:
    """Check that two dreams are the same to rounding, and what that may grow to.

    A nearest cell or a maximum may be another. `adam` and `lbfgs` make a whole step of a gradient that is nothing but
    rounding, as that of a frequency which the picture has not. A bare gradient that turns phases by many circles
    makes a rounding fifty times larger at each step: `nudge`, the second dream from a picture a rounding away, is the
    measure of that.
    """
    assert share_off(first, second) < max(0.02, 4 * share_off(second, nudge))
    if recipe["ascent"]["optimizer"]["name"] == "plain":
        assert median_off(first, second) < max(1e-5, 10 * median_off(second, nudge))


def median_off(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().median())


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 60))])
def test_a_picture_of_a_batch_is_what_it_is_alone(build, makings, seed):
    recipe = any_recipe(Random(seed), makings)
    dreamer = build(recipe)
    together = dreamed(dreamer, pictures(1, 2, 3))
    alone = torch.cat([dreamed(dreamer, pictures(number)) for number in (1, 2, 3)])
    moved = torch.cat([dreamed(dreamer, nudged(pictures(number))) for number in (1, 2, 3)])
    check_alike(together, alone, moved, recipe)


# In tiles


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 30))])
def test_a_picture_in_tiles_is_what_it_is_whole(build, makings, seed):
    recipe = any_recipe(Random(seed), makings)
    recipe["ascent"]["iterations"] = 1
    dreamer, image = build(recipe), pictures(1, height=170, width=150)
    whole, tiled = (dreamed(replace(dreamer, memory=memory), image) for memory in (None, 1))
    check_alike(tiled, whole, dreamed(dreamer, nudged(image)), recipe)


# Broken off


class BrokenOff(BaseException):
    pass


def check_broken_off(random: Random, build: Build, makings: Makings, folder: Path) -> None:
    dreamer, mask = build(any_recipe(random, makings)), soft_mask(random)
    mask = None if mask is None else mask[:1]
    reports: list[object] = []
    whole = dreamed(dreamer, pictures(1), mask, on_progress=reports.append)
    left = random.randint(1, len(reports))

    def break_off(progress: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise BrokenOff

    key = f"{random.random()}"
    with pytest.raises(BrokenOff):
        dreamed(dreamer, pictures(1), mask, on_progress=break_off,
                checkpoint=CheckpointFolder(folder, key, after_seconds=0))  # fmt: skip
    resumed = dreamed(dreamer, pictures(1), mask, checkpoint=CheckpointFolder(folder, key, after_seconds=0))
    assert torch.equal(resumed, whole)


@given(seed=seeds)
@few
def test_any_dream_that_was_broken_off_ends_in_the_same_bytes(build, makings, tmp_path_factory, seed):
    check_broken_off(Random(seed), build, makings, tmp_path_factory.mktemp("broken off"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@given(seed=seeds)
@many
def test_many_dreams_that_were_broken_off_end_in_the_same_bytes(build, makings, tmp_path_factory, seed):
    check_broken_off(Random(seed), build, makings, tmp_path_factory.mktemp("broken off"))


# Explained


def nested(rows: dict[str, Any]) -> dict[str, Any]:
    """Return `layers[0].name: a` as the mappings and lists that it stands for."""
    data: dict[Any, Any] = {}
    for name, value in rows.items():
        parts = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", name)]
        place = data
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    return {key: _listed(value) for key, value in data.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(below) for key, below in value.items()}
    return list(inner.values()) if inner and all(isinstance(key, int) for key in inner) else inner


@given(seed=seeds)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_explain_says_is_the_same_recipe_when_it_is_read_back(makings, seed):
    catalogue, fields = makings.catalogue, any_recipe(Random(seed), makings)
    found = resolve([Document("recipe.yaml", fields)])
    rows = explain(found, catalogue)
    text = yaml.safe_load("\n".join(f"{row.name}: {row.text}  # {row.origin}" for row in rows))
    again = resolve([parse_document(yaml.safe_dump(nested(text)), "again.yaml", RecipeError)])
    check_recipe(again.recipe, catalogue)
    assert [(row.name, row.value) for row in explain(again, catalogue)] == [(row.name, row.value) for row in rows]

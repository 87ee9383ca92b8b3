"""What a recipe is found by."""

from __future__ import annotations

import pytest

from dreamd.page.gallery.recipe_words import holds_word
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe_book import RecipeBook


def recipe_of(preset: str, **changes: object) -> str:
    recipe = resolve(RecipeBook(None).documents_of_name(preset)).recipe
    return recipe.model_copy(update=changes).model_dump_json()


@pytest.mark.parametrize("word", ["weave", "wea", "efficientnet", "blocks.3.2", "natural", "octaves"])
def test_a_recipe_is_found_by_its_preset_network_layer_and_steps(word: str) -> None:
    assert holds_word(recipe_of("weave", seed=77), word)


@pytest.mark.parametrize("word", ["arches", "animals", "vgg", "{stem}", "auto"])
def test_a_recipe_is_not_found_by_what_it_is_not_nor_by_what_every_recipe_has(word: str) -> None:
    assert not holds_word(recipe_of("weave"), word)


def test_presets_of_one_layer_are_told_apart() -> None:
    found = {name for name in ("arches", "animals", "facets", "watchers") if holds_word(recipe_of("arches"), name)}
    assert found == {"arches"}


@pytest.mark.parametrize("recipe", ["", "3", "[]", "{", '{"layers": 3}'])
def test_what_is_no_recipe_is_found_by_nothing(recipe: str) -> None:
    assert not holds_word(recipe, "weave")

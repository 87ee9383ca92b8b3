"""Names that were meant to be a recipe's."""

from __future__ import annotations

import pytest

from dreamd.inbox.recipes import is_nearly_recipe


@pytest.mark.parametrize(
    "name",
    [
        "Recipe.yaml", "RECIPE.YML", "receipe.yaml", "recipie.yml", "recpie.yaml", "recipes.yaml", "recipe.yaml.txt",
        "recipe (1).yaml", "recipe - copy.yaml", "copy of recipe.yaml", "recipe2.yaml", "Recipe.yml.txt",
    ],
)  # fmt: skip
def test_a_name_that_was_meant_as_a_recipes_is_known(name: str) -> None:
    assert is_nearly_recipe(name)


@pytest.mark.parametrize(
    "name",
    ["recipe.yaml", "recipe.yml", "config.yaml", "precise.yaml", "recipe.dream.yaml", "recipe.jpg", "recipe.txt", ""],
)
def test_other_names_and_recipes_themselves_are_not_near(name: str) -> None:
    assert not is_nearly_recipe(name)

"""What controls stand at is what the recipe says, in its shortest form."""

from __future__ import annotations

import pytest

from dreamd.page.recipes.standing import lists_of, own_fields, path_of
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe_book import RecipeBook, preset_names
from dreamd.settings.yamlfile import Document


@pytest.mark.parametrize(
    "name", [name for name in preset_names() if not RecipeBook(None).for_name(name).recipe.sequence]
)
def test_lists_in_their_shortest_form_mean_the_same(name):
    recipe = RecipeBook(None).for_name(name).recipe
    said = lists_of(recipe)
    again = resolve([Document("a test", {"backbone": recipe.backbone.name, **said})]).recipe
    assert {field: getattr(again, field) for field in said} == {field: getattr(recipe, field) for field in said}


def test_a_name_alone_says_all_where_nothing_else_is_set():
    recipe = resolve([Document("a test", {"layers": [{"name": "a", "weight": 1}, {"name": 3, "weight": 2}]})]).recipe
    assert lists_of(recipe)["layers"] == ["a", {"name": 3, "weight": 2.0}]
    assert lists_of(recipe)["gradient"] == ["smooth", "normalize"]


def test_a_plugin_is_given_where_its_name_is():
    assert own_fields({"loss": "l2", "schedule": {"num_octaves": 3}, "backbone": {"name": "a", "weights": "b"}}) == [
        "loss", "schedule.num_octaves", "backbone", "backbone.name", "backbone.weights",
    ]  # fmt: skip


@pytest.mark.parametrize("values", [None, [], "seed", [1], ["a"] * 7, ["a", None], ["a", True], [{}]])
def test_what_is_no_path_is_none(values):
    assert path_of(values) is None

"""Wishes: with which recipes a picture is dreamed again, and how many at once."""

from __future__ import annotations

import threading

import pytest

from dreamd.commands.init import make_tree
from dreamd.errors import RecipeError, UsageError
from dreamd.page.again.fields import SweepFields
from dreamd.page.again.wishes import MOST_AT_ONCE, SMALL_SIDE, Wish, Wishes
from dreamd.page.posting.recipe_folders import RecipeFolder, home_of
from dreamd.page.recipes.editor import Recipes
from dreamd.settings.config import Config, load_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("wishes") / "tree"
    make_tree(root)
    return load_config(root / "config.yaml")


@pytest.fixture(scope="module")
def recipes(config: Config) -> Recipes:
    return Recipes(config, threading.Event())


def side(wish: Wish) -> str:
    (line,) = (line for line in wish.recipe.splitlines() if line.startswith("image:"))
    return line.partition("max_side: ")[2].partition(",")[0]


def test_names_are_wished_for_once_each_and_as_they_are(recipes: Recipes) -> None:
    wishes = Wishes(recipes, ".", is_small=False).named(["weave", "city", "weave"], None)
    assert wishes == [Wish("weave", "weave", "weave"), Wish("city", "city", "city")]


def test_small_dreams_are_no_larger_than_they_were_to_be(recipes: Recipes) -> None:
    small = Wishes(recipes, ".", is_small=True)
    (of_name,) = small.named(["weave"], None)
    assert side(of_name) == str(SMALL_SIDE)
    (smaller,) = small.named([], "image: {max_side: 100}\n")
    assert side(smaller) == "100"
    (swept,) = small.swept("weave", "image.max_side=700")
    assert side(swept) == "700"  # what is swept is as it was asked for


def test_values_are_wished_for_as_dreamd_sweep_reads_them(recipes: Recipes) -> None:
    wishes = Wishes(recipes, ".", is_small=False).swept("animals", "layers=[blocks.3.2, blocks.4.2],blocks.5.0")
    assert [wish.label for wish in wishes] == ["[blocks.3.2, blocks.4.2]", "blocks.5.0"]
    with pytest.raises(UsageError, match="missing"):
        Wishes(recipes, ".", is_small=False).swept("animals", "layers=[blocks.3.2")


@pytest.mark.parametrize("number", [0, MOST_AT_ONCE + 1])
def test_nothing_and_too_much_are_refused(recipes: Recipes, number: int) -> None:
    with pytest.raises(UsageError):
        Wishes(recipes, ".", is_small=False).named([f"r{index}" for index in range(number)], None)


def test_a_wrong_recipe_is_refused_where_it_is_read(recipes: Recipes) -> None:
    with pytest.raises(RecipeError, match="layrs"):
        Wishes(recipes, ".", is_small=True).named([], "layrs: 3\n")


def test_the_folder_of_a_recipe_is_called_after_it_and_leads_home(config: Config, recipes: Recipes) -> None:
    target = RecipeFolder.of("a/b", "seed: 3\n", "ascent.lr-0.05")
    assert target.folder.startswith("a/b/ascent-lr-0-05-")
    assert home_of(config.inbox, target.folder) == target.folder, "nothing says that it is a recipe's folder"
    folder = config.inbox / target.folder
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(target.text)
    assert home_of(config.inbox, target.folder) == "a/b"
    assert target.folder not in [each["folder"] for each in recipes.folders()]
    (folder / "recipe.yaml").write_text("seed: 4\n")
    assert target.folder in [each["folder"] for each in recipes.folders()]
    assert home_of(config.inbox, target.folder) == target.folder, "it is a folder of somebody's by now"
    assert home_of(config.inbox, "a/b") == "a/b"


def test_fields_are_proposed_with_values_around_theirs(config: Config, recipes: Recipes) -> None:
    fields = {field.name: field for field in SweepFields(config, recipes).fields(".", "animals")}
    assert fields["ascent.lr"].proposed == ("0.0125", "0.025", "0.05", "0.1", "0.2")
    assert fields["ascent.jitter"].proposed == ("8", "16", "32", "64", "128")
    assert fields["layers[0].center"].proposed == ("false", "true")
    assert fields["layers[0].name"].value == '"blocks.4.2"'
    assert "blocks.4.2" in fields["layers[0].name"].proposed
    assert len(fields["layers[0].name"].proposed) < len(fields["layers[0].name"].names)
    assert not any(name.startswith(("output.", "sequence")) for name in fields)

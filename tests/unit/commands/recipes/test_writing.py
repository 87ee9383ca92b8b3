"""`dreamd recipe init`: a commented recipe, and never over one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.commands.init import make_tree
from dreamd.commands.recipes.lookup import find_recipe
from dreamd.commands.recipes.writing import write_recipe
from dreamd.errors import UsageError
from dreamd.settings.config import Config, load_config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    make_tree(tmp_path / "tree")
    monkeypatch.chdir(tmp_path)
    return load_config(tmp_path / "tree/config.yaml")


def test_a_new_folder_of_the_inbox_gets_a_recipe_that_is_its_presets(config: Config) -> None:
    file = write_recipe("sea/waves", "weave", config)
    assert file == config.inbox / "sea/waves/recipe.yaml"
    assert find_recipe(str(file.parent), config).recipe == find_recipe("weave", config).recipe
    first = file.read_text().splitlines()[0]
    assert (file.parent / first.partition("=")[2]).resolve() == config.state / "recipe.schema.json"


def test_every_comment_that_is_a_field_is_a_right_one(config: Config) -> None:
    file = write_recipe("sea", "animals", config)
    lines = [line.removeprefix("# ") for line in file.read_text().splitlines()[3:]]
    file.write_text("\n".join(line for line in lines if "…" not in line))
    recipe = find_recipe(str(file.parent), config).recipe
    assert (recipe.image.max_side, recipe.output.format, recipe.ascent.lr) == (1600, "png", 0.05)


def test_a_folder_may_be_a_path_and_need_no_config(config: Config) -> None:
    assert write_recipe("tree/inbox/hills", "weave", config) == config.inbox / "hills/recipe.yaml"
    assert write_recipe("elsewhere", "weave", None).read_text().splitlines()[2] == "extends: weave"


@pytest.mark.parametrize("name", ["recipe.yaml", "recipe.yml"])
def test_a_recipe_that_is_there_stays_whatever_it_is(config: Config, name: str) -> None:
    folder = config.inbox / "mine"
    folder.mkdir()
    (folder / name).symlink_to("nowhere")
    with pytest.raises(UsageError, match="is there already; nothing was changed"):
        write_recipe("mine", "weave", config)
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_preset_that_is_none_makes_no_folder(config: Config) -> None:
    with pytest.raises(UsageError, match="did you mean weave"):
        write_recipe("sea", "weav", config)
    assert not (config.inbox / "sea").exists()

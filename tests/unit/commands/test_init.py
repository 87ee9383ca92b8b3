"""`dreamd init`: the tree that it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from dreamd.commands.init import make_tree
from dreamd.errors import UsageError
from dreamd.settings.config import Config, load_config

REPOSITORY = Path(__file__).parents[3]


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_tree_is_ready_and_every_part_of_it_is_told(tmp_path: Path) -> None:
    root = tmp_path / "new" / "tree"
    made = make_tree(root)
    assert below(root) == {
        "config.yaml", "inbox", "inbox/recipe.yaml", "inbox/animals", "inbox/animals/recipe.yaml", "inbox/weave",
        "inbox/weave/recipe.yaml", "outbox", "done", "failed", "plugins", "recipes",
    }  # fmt: skip
    assert set(made) == {root / name for name in below(root) if name not in ("inbox", "inbox/animals", "inbox/weave")}


def test_its_config_shows_every_field_with_its_default(tmp_path: Path) -> None:
    make_tree(tmp_path)
    shown = yaml.safe_load((tmp_path / "config.yaml").read_text())
    bare = tmp_path / "bare.yaml"
    bare.write_text("defaults: {backbone: vgg19, loss: l2, schedule: octaves}\n")
    config = load_config(tmp_path / "config.yaml")
    assert config.model_dump(exclude={"file"}) == load_config(bare).model_dump(exclude={"file"})
    assert set(shown) == set(Config.model_fields) - {"file"}
    sections = [name for name, value in config if isinstance(value, BaseModel)]
    assert len(sections) > 5
    for section in sections:
        assert set(shown[section]) == set(getattr(config, section).model_dump()), section


def test_the_config_in_the_repository_is_the_one_that_init_makes(tmp_path: Path) -> None:
    make_tree(tmp_path)
    assert (tmp_path / "config.yaml").read_bytes() == (REPOSITORY / "config.yaml").read_bytes()


def test_its_recipes_can_be_resolved_and_name_the_schema_for_editors(tmp_path: Path) -> None:
    make_tree(tmp_path)
    config = load_config(tmp_path / "config.yaml")
    for file in config.inbox.rglob("recipe.yaml"):
        config.recipe_book().for_file(file)
        schema = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (file.parent / schema).resolve() == config.state / "recipe.schema.json"


def test_what_the_sample_recipes_suggest_in_comments_is_right(tmp_path: Path) -> None:
    make_tree(tmp_path)
    book = load_config(tmp_path / "config.yaml").recipe_book()
    for file in (tmp_path / "inbox").rglob("recipe.yaml"):
        suggested = [line.removeprefix("# ") for line in file.read_text().splitlines() if line.startswith("# ")]
        fields = [
            line for line in suggested if line.partition(":")[0] in ("backbone", "layers", "ascent", "image", "output")
        ]
        assert fields
        for line in fields:
            file.write_text(f"{line}\n")
            book.for_file(file)


def test_a_tree_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine\n")
    with pytest.raises(UsageError, match=r"config\.yaml is there already; nothing was changed"):
        make_tree(tmp_path)
    assert below(tmp_path) == {"config.yaml"}


def test_a_recipe_that_is_there_is_kept_and_not_told_as_made(tmp_path: Path) -> None:
    mine = tmp_path / "inbox" / "animals" / "recipe.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("seed: 3\n")
    assert mine not in make_tree(tmp_path)
    assert mine.read_text() == "seed: 3\n"


def test_a_file_is_no_place_for_a_tree(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file; give the folder"):
        make_tree(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be made: Not a directory"):
        make_tree(tmp_path / "file" / "tree")


def test_a_folder_of_plugins_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins").chmod(0o775)
    make_tree(tmp_path)
    assert (tmp_path / "plugins").stat().st_mode & 0o777 == 0o775

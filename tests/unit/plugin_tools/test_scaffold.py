"""`dreamd init` and `dreamd plugins new`: what they make."""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dreamd.errors import UsageError
from dreamd.plugin_tools.new import new_plugin
from dreamd.plugin_tools.scaffold import PLUGIN_KINDS, make_package, make_plugin, make_tree, plugin_group
from dreamd.settings.config import Config, load_config

REPOSITORY = Path(__file__).parents[3]


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_tree_is_ready_and_every_part_of_it_is_told(tmp_path: Path) -> None:
    root = tmp_path / "new" / "tree"
    made = make_tree(root)
    assert below(root) == {
        "config.yaml", "inbox", "inbox/animals", "inbox/animals/recipe.yaml", "inbox/weave",
        "inbox/weave/recipe.yaml", "outbox", "done", "failed", "plugins", "recipes",
    }  # fmt: skip
    assert set(made) == {root / name for name in below(root)} - {root / "inbox", *(root / "inbox").glob("*")}


def test_its_config_shows_every_field_with_its_default(tmp_path: Path) -> None:
    make_tree(tmp_path)
    shown = yaml.safe_load((tmp_path / "config.yaml").read_text())
    bare = tmp_path / "bare.yaml"
    bare.write_text("defaults: {backbone: vgg19, loss: l2, schedule: octaves}\n")
    config = load_config(tmp_path / "config.yaml")
    assert config.model_dump(exclude={"file"}) == load_config(bare).model_dump(exclude={"file"})
    assert set(shown) == set(Config.model_fields) - {"file"}
    for section in ("plugins", "watch", "limits", "workers", "status"):
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
        fields = [line for line in suggested if line.partition(":")[0] in ("layers", "ascent", "image", "output")]
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


# Plugins


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask as Debian has it, by which one's group may write."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_nobody_else_may_write_what_is_run(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    file = make_plugin("mine", "loss", tmp_path / "tree" / "plugins")
    for path in (file, file.parent):
        assert path.stat().st_mode & 0o022 == 0


def test_a_folder_of_plugins_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins").chmod(0o775)
    make_tree(tmp_path)
    assert (tmp_path / "plugins").stat().st_mode & 0o777 == 0o775


@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_a_new_plugin_is_python_with_its_own_name_everywhere(tmp_path: Path, kind: str) -> None:
    file = make_plugin("my_own", kind, tmp_path)
    assert file == tmp_path / "my_own.py"
    text = file.read_text()
    ast.parse(text)
    assert "my_own" in text
    assert not {"NAME", "KIND", "GROUP", "EXTENSION"} & set(text.replace("`", " ").replace('"', " ").split())


@pytest.mark.parametrize(
    "name", ["", "9lives", "my-own", "Mine", "a/b", "../a", "class", "mine.py", "mine\n", "l2", "local"]
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    for make in (make_plugin, make_package):
        with pytest.raises(UsageError, match=r"cannot be a plugin's name|there is a plugin"):
            make(name, "loss", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    file = make_plugin("mine", "loss", tmp_path)
    file.write_text("my work")
    with pytest.raises(UsageError, match=r"mine\.py is there already; nothing was changed"):
        make_plugin("mine", "schedule", tmp_path)
    assert file.read_text() == "my work"


def test_of_a_package_nothing_is_written_when_one_of_its_files_is_there(tmp_path: Path) -> None:
    readme = tmp_path / "dreamd-mine" / "README.md"
    readme.parent.mkdir()
    readme.write_text("my words")
    with pytest.raises(UsageError, match=r"README\.md is there already"):
        make_package("mine", "loss", tmp_path)
    assert below(tmp_path / "dreamd-mine") == {"README.md"}


@pytest.mark.parametrize("kind", PLUGIN_KINDS)
def test_a_packages_entry_point_is_its_module(tmp_path: Path, kind: str) -> None:
    files = make_package("mine", kind, tmp_path)
    root = tmp_path / "dreamd-mine"
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["entry-points"] == {plugin_group(kind): {"mine": "dreamd_mine"}}
    assert project["project"]["name"] == "dreamd-mine"
    assert root / "src" / "dreamd_mine" / "__init__.py" in files
    assert 'contract("mine")' in (root / "tests" / "test_mine.py").read_text()
    workflow = yaml.safe_load((root / ".github" / "workflows" / "test.yml").read_text())
    assert "${{ matrix.python }}" in str(workflow)


def test_a_new_plugin_goes_where_the_config_looks_for_its_kind(tmp_path: Path) -> None:
    make_tree(tmp_path)
    config = load_config(tmp_path / "config.yaml")
    lines = list(new_plugin("mine", "loss", None, config))
    assert lines[0] == str(tmp_path / "plugins" / "mine.py")
    assert lines[2:4] == [
        f"Next: dreamd plugins check {lines[0]}",
        f"then: dreamd plugins try {lines[0]} --on PICTURE",
    ]
    told = list(new_plugin("bell", "notify", None, config))
    assert told[0] == str(tmp_path / "plugins" / "daemon" / "bell.py")
    assert f"in {config.file}, under `plugins:`, write `daemon: [plugins/daemon]`" in told[3]
    assert not any("try" in line for line in told)

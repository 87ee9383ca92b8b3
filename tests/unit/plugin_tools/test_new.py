"""`dreamd plugins new`: what it makes."""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dreamd.commands.init import make_tree
from dreamd.errors import UsageError
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_tools.new import make_package, make_plugin, new_plugin
from dreamd.settings.config import load_config


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask as Debian has it, by which one's group may write."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_nobody_else_may_write_what_is_run(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    file = make_plugin("mine", Kind.LOSS, tmp_path / "tree" / "plugins")
    for path in (file, file.parent):
        assert path.stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("kind", list(Kind))
def test_a_new_plugin_is_python_with_its_own_name_everywhere(tmp_path: Path, kind: Kind) -> None:
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
            make(name, Kind.LOSS, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    file = make_plugin("mine", Kind.LOSS, tmp_path)
    file.write_text("my work")
    with pytest.raises(UsageError, match=r"mine\.py is there already; nothing was changed"):
        make_plugin("mine", Kind.SCHEDULE, tmp_path)
    assert file.read_text() == "my work"


def test_of_a_package_nothing_is_written_when_one_of_its_files_is_there(tmp_path: Path) -> None:
    readme = tmp_path / "dreamd-mine" / "README.md"
    readme.parent.mkdir()
    readme.write_text("my words")
    with pytest.raises(UsageError, match=r"README\.md is there already"):
        make_package("mine", Kind.LOSS, tmp_path)
    assert below(tmp_path / "dreamd-mine") == {"README.md"}


@pytest.mark.parametrize("kind", list(Kind))
def test_a_packages_entry_point_is_its_module(tmp_path: Path, kind: Kind) -> None:
    files = make_package("mine", kind, tmp_path)
    root = tmp_path / "dreamd-mine"
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["entry-points"] == {kind.group: {"mine": "dreamd_mine"}}
    assert project["project"]["name"] == "dreamd-mine"
    assert root / "src" / "dreamd_mine" / "__init__.py" in files
    assert 'contract("mine")' in (root / "tests" / "test_mine.py").read_text()
    workflow = yaml.safe_load((root / ".github" / "workflows" / "test.yml").read_text())
    assert "${{ matrix.python }}" in str(workflow)


def test_a_new_plugin_goes_where_the_config_looks_for_its_kind(tmp_path: Path) -> None:
    make_tree(tmp_path)
    config = load_config(tmp_path / "config.yaml")
    lines = list(new_plugin("mine", Kind.LOSS, None, config))
    assert lines[0] == str(tmp_path / "plugins" / "mine.py")
    assert lines[2:4] == [
        f"Next: dreamd plugins check {lines[0]}",
        f"then: dreamd plugins try {lines[0]} --on PICTURE",
    ]
    told = list(new_plugin("bell", Kind.NOTIFY, None, config))
    assert told[0] == str(tmp_path / "plugins" / "daemon" / "bell.py")
    assert f"in {config.file}, under `plugins:`, write `daemon: [plugins/daemon]`" in told[3]
    assert not any("try" in line for line in told)

"""Where the config of a tree is looked for, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.commands.init import make_tree
from dreamd.settings.config import load_config
from dreamd.settings.whereabouts import find_config, missing_config


def test_the_config_is_that_of_the_tree_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "dreams")
    monkeypatch.chdir(tmp_path / "dreams")
    assert find_config() == Path("config.yaml")
    monkeypatch.chdir(tmp_path / "dreams" / "inbox" / "animals")
    assert find_config().samefile(tmp_path / "dreams" / "config.yaml")
    assert load_config(find_config()).inbox == tmp_path / "dreams" / "inbox"


def test_another_programs_config_above_is_no_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").write_text("theirs: true\n")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert find_config() == Path("config.yaml")


def test_a_folder_that_is_gone_has_no_tree_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert find_config() == Path("config.yaml")


def test_whoever_stands_beside_a_tree_is_told_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = Path("config.yaml")
    assert str(missing_config(missing)) == "config.yaml: does not exist; `dreamd init DIR` makes one"
    make_tree(tmp_path / "my dreams")
    told = "config.yaml: does not exist; there is a tree: `--config 'my dreams/config.yaml'`, or go there"
    assert str(missing_config(missing)) == told

"""What a person tells a daemon: pausing a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.commands.init import make_tree
from dreamd.errors import UsageError
from dreamd.settings.config import Config, load_config
from dreamd.tree import control


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    make_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    return load_config(Path("config.yaml"))


def test_a_folder_that_is_not_there_is_not_paused(config: Config) -> None:
    with pytest.raises(UsageError, match=r"^wave is no folder of the inbox .*; did you mean weave\?$"):
        control.pause(config, "wave")
    assert control.resume(config, None) == "nothing is paused"


def test_a_folder_may_be_named_from_the_inbox_or_from_where_one_stands(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.inbox / "weave" / "deep").mkdir()
    assert control.pause(config, "weave") == "paused: weave"
    monkeypatch.chdir(config.inbox / "weave")
    assert control.pause(config, "deep") == "paused: weave/deep"
    assert control.pause(config, "animals") == "paused: animals"
    assert control.pause(config, ".") == "paused: weave"


def test_folders_can_be_paused_while_the_inbox_is_away(config: Config, tmp_path: Path) -> None:
    config.inbox.rename(tmp_path / "elsewhere")
    assert control.pause(config, "weave") == "paused: weave"

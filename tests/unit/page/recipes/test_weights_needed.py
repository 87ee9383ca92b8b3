"""Weights that are missing are told, and had fetched, from what is known beside the daemon's snapshot."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dreamd.errors import UsageError
from dreamd.page.recipes.editor import Recipes
from dreamd.page.recipes.weights_needed import WeightsNeeded
from dreamd.settings.config import load_config
from dreamd.tree.layout import StateFolder


@pytest.mark.parametrize("snapshot", ["{}", "torn"])
def test_of_another_versions_snapshot_weights_are_known_as_without_one(tmp_path: Path, snapshot: str) -> None:
    (tmp_path / "config.yaml").write_text("")
    config = load_config(tmp_path / "config.yaml")
    needed = WeightsNeeded(config, Recipes(config, threading.Event()))
    StateFolder(config.state).path.mkdir(parents=True)
    StateFolder(config.state).status.write_text(snapshot)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "recipe.yaml").write_text("backbone: far\n")
    assert needed.of_folder(".") == []
    with pytest.raises(UsageError, match="nobody knows here where the weights of 'far' are"):
        needed.fetch("far")

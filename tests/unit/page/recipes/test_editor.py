"""A text is judged by all that is known without the network itself."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dreamd.page.recipes.editor import Change, Recipes
from dreamd.settings.config import load_config


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    config = tmp_path / "config.yaml"
    config.write_text("plugins: {engine: []}\n")
    (tmp_path / "inbox").mkdir()
    return Recipes(load_config(config), threading.Event())


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "seed: 1\nbackbone: efficientnet_lite0\nlayers: blocks.4.22\n",
            3,
            "no layer 'blocks.4.22'; did you mean blocks.4.2?",
        ),
        ("seed: 1\nsequence: [animals, {extends: weave, layers: blocks.99}]\n", 2, "sequence[1].layers[0]"),
    ],
)
def test_the_layers_of_a_network_that_ships_are_judged_while_one_types(recipes, text, line, words):
    problem = recipes.check(".", text)["problem"]
    assert words in problem["text"]
    assert problem["line"] == line
    assert recipes.check(".", "backbone: efficientnet_lite0\nlayers: [blocks.4.2, 3]\n")["problem"] is None


@pytest.mark.parametrize("backbone", ["nobody_knows_this", "{name: resnet50, num_classes: 7}"])
def test_layers_that_only_the_network_knows_are_left_to_it(recipes, backbone):
    assert recipes.check(".", f"backbone: {backbone}\nlayers: whatever\n")["problem"] is None


def test_several_changes_are_made_one_after_another(recipes):
    changes = [Change(path=("backbone",), value="vgg19"), Change(path=("layers",), is_removal=True)]
    changed = recipes.change(".", "backbone: resnet50  # deep\nlayers: layer3  # mine\n", changes)
    assert changed["text"] == "backbone: vgg19  # deep\n# mine\n"
    assert changed["problem"] is None


def test_a_text_that_mends_what_it_inherits_is_right(recipes, tmp_path):
    (tmp_path / "inbox" / "recipe.yaml").write_text("backbone: efficientnet_lite0\nlayers: blocks.99\n")
    (tmp_path / "inbox" / "mended").mkdir()
    verdict = recipes.check("mended", "layers: blocks.4.2\n")
    assert verdict["problem"] is None
    assert not any(verdict["standing"]["inherited"].values())
    assert recipes.check("mended", "seed: 1\n")["problem"] is not None

"""Cards: what a preset or a named recipe is chosen by, and whether what it takes is here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from dreamd.commands.init import make_tree
from dreamd.page.recipes.cards import UNDREAMED, NetworkNeeded, RecipeCard, RecipeCards, sample_file
from dreamd.page.recipes.editor import Recipes
from dreamd.settings.config import load_config
from dreamd.settings.recipes.recipe_book import preset_names

Cards = Callable[[], dict[str, RecipeCard]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tmp_path / "weights"))
    make_tree(tmp_path / "tree")
    (tmp_path / "tree" / "recipes").mkdir(exist_ok=True)
    return tmp_path / "tree"


@pytest.fixture
def cards(tree: Path) -> Cards:
    def look() -> dict[str, RecipeCard]:
        config = load_config(tree / "config.yaml")
        return {card.name: card for card in RecipeCards(config, Recipes(config, threading.Event())).cards()}

    return look


def test_a_preset_says_what_it_makes_and_takes_and_has_a_picture(cards: Cards) -> None:
    card = cards()["animals"]
    assert card.kind == "preset"
    assert card.words.startswith("Dogs, fur and eyes")
    assert card.networks == (NetworkNeeded(name="efficientnet_lite0", weights="here"),)
    assert card.sample
    assert sample_file("animals") is not None


def test_a_preset_whose_weights_are_downloaded_says_so_and_has_no_picture_until_they_are(
    cards: Cards, tmp_path: Path
) -> None:
    card = cards()["vgg"]
    assert card.networks == (NetworkNeeded(name="vgg16", weights="missing"),)
    assert card.sample is None
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16-397923af.pth").write_bytes(b"weights")
    assert cards()["vgg"].networks == (NetworkNeeded(name="vgg16", weights="here"),)


def test_what_names_no_network_takes_the_one_of_the_config(cards: Cards, tree: Path) -> None:
    assert [each.name for each in cards()["classic"].networks] == ["vgg19"]
    values = yaml.safe_load((tree / "config.yaml").read_text())
    values["defaults"] = {**values.get("defaults", {}), "backbone": {"name": "tiny", "weights": "random"}}
    (tree / "config.yaml").write_text(yaml.safe_dump(values))
    assert cards()["classic"].networks == (NetworkNeeded(name="tiny", weights="here"),)


def test_a_named_recipe_is_a_card_without_a_picture(cards: Cards, tree: Path) -> None:
    (tree / "recipes" / "mine.yaml").write_text("# My own.\n# With eyes.\nextends: watchers\n")
    (tree / "recipes" / "path.yaml").write_text("backbone: {name: vgg19, weights: /nonexistent.pth}\n")
    found = cards()
    assert [*found][-2:] == ["mine", "path"]
    assert found["mine"].kind == "named"
    assert found["mine"].words == "My own. With eyes."
    assert found["mine"].sample is None
    assert found["path"].networks == (NetworkNeeded(name="vgg19", weights="missing"),)


def test_a_recipe_that_is_wrong_says_what_is_wrong_and_spoils_no_other(cards: Cards, tree: Path) -> None:
    (tree / "recipes" / "broken.yaml").write_text("layrs: 3\n")
    found = cards()
    assert "layrs" in (found["broken"].problem or "")
    assert all(card.problem is None for name, card in found.items() if name != "broken")


def test_a_network_that_others_bring_is_not_known(cards: Cards, tree: Path) -> None:
    (tree / "recipes" / "theirs.yaml").write_text("backbone: theirs\n")
    assert cards()["theirs"].networks == (NetworkNeeded(name="theirs", weights="unknown"),)


@pytest.mark.parametrize("name", ["", ".", "../classic", "made", "classic.yaml", "vgg", "\udcff", "a\0b"])
def test_nothing_but_samples_is_a_sample(name: str) -> None:
    assert sample_file(name) is None


def test_the_undreamed_picture_has_no_preset_of_its_name() -> None:
    assert UNDREAMED not in preset_names()
    assert sample_file(UNDREAMED) is not None

"""Weights that a recipe in the inbox names lie in the folders that the config allows, and nothing else is looked at."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import ConfigError, RecipeError
from dreamd.settings.config import load_config
from dreamd.settings.recipes.recipe_book import RecipeBook

ROOT = PurePosixPath()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a file of weights in an allowed folder and one elsewhere."""
    for folder in ("inbox/a", "weights", "recipes", "secret"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("weights/w.pth", "secret/w.pth"):
        (tmp_path / file).write_bytes(b"weights")
    (tmp_path / "config.yaml").write_text("")
    return tmp_path


def book_of(tree: Path) -> RecipeBook:
    return load_config(tree / "config.yaml").recipe_book()


def weights_of(tree: Path, path: str, text: str = "backbone: {{weights: {}}}\n") -> str:
    """The weights that a recipe in an inner folder comes to."""
    (tree / "inbox" / "a" / "recipe.yaml").write_text(text.format(path))
    return book_of(tree).for_folder(PurePosixPath("a")).recipe.backbone.weights


def test_weights_in_an_allowed_folder_are_taken_and_lead_through_no_folder_of_the_inbox(tree: Path) -> None:
    for path in (f"{tree}/weights/w.pth", "../../weights/w.pth", "../../weights/../weights/./w.pth"):
        assert weights_of(tree, path) == f"{tree}/weights/w.pth"
    assert weights_of(tree, "../../recipes/w.pth") == f"{tree}/recipes/w.pth"
    for word in ("default", "random"):
        assert weights_of(tree, word) == word


def refusal_of(tree: Path, path: str, text: str = "backbone: {{weights: {}}}\n") -> str:
    with pytest.raises(RecipeError) as caught:
        weights_of(tree, path, text)
    return str(caught.value).replace(f"{tree}/", "")


@pytest.mark.parametrize(
    "text",
    [
        "backbone: {{weights: {}}}\n",
        "backbone: {{name: vgg19, weights: {}}}\n",
        "sequence: [{{layers: a}}, {{backbone: {{weights: {}}}}}]\n",
        "job: j\nrecipe: {{backbone: {{weights: {}}}}}\n",
    ],
)
def test_nobody_learns_from_a_recipe_in_the_inbox_whether_a_file_is_there(tree: Path, text: str) -> None:
    (tree / "inbox" / "a" / "link").symlink_to(tree / "secret")
    there = {
        refusal_of(tree, path, text)
        for path in (
            f"{tree}/secret/w.pth", f"{tree}/secret/none.pth", "../../secret/w.pth", "../../weights/../secret/w.pth",
            f"{tree}/weights-of-others/w.pth", "/etc/passwd", "/etc/none", "link/w.pth", "link/none.pth",
            "dreamd:w.pth", "dreamd:/../../secret/w.pth", "~/w.pth", "~nobody-of-that-name/w.pth", "none.pth",
        )
    }  # fmt: skip
    assert len(there) == 1
    assert "weights that a recipe in the inbox names must lie in weights or recipes; move the file there" in there.pop()


def test_the_refusal_names_file_line_and_field(tree: Path) -> None:
    problem = refusal_of(tree, "/etc/passwd", "seed: 1\nsequence:\n- backbone:\n    weights: {}\n")
    assert problem.startswith("inbox/a/recipe.yaml:4: sequence[0].backbone.weights: weights that a recipe in")


def test_drafts_and_dream_files_are_bound_as_well(tree: Path) -> None:
    text = f"backbone: {{weights: {tree}/secret/w.pth}}\n"
    with pytest.raises(RecipeError, match="must lie in"):
        book_of(tree).for_draft(ROOT, text)
    (tree / "inbox" / "clouds.dream.yaml").write_text(text)
    with pytest.raises(RecipeError, match="must lie in"):
        book_of(tree).for_dream_file(PurePosixPath("clouds.dream.yaml"))


def test_the_operator_may_name_any_file(tree: Path) -> None:
    own = f"{{weights: {tree}/secret/w.pth}}"
    (tree / "recipes" / "mine.yaml").write_text(f"backbone: {own}\n")
    (tree / "inbox" / "recipe.yaml").write_text("extends: mine\n")
    assert book_of(tree).for_folder(ROOT).recipe.backbone.weights == f"{tree}/secret/w.pth"
    (tree / "inbox" / "recipe.yaml").write_text("seed: 1\n")
    (tree / "config.yaml").write_text(f"defaults: {{backbone: {own}}}\n")
    assert book_of(tree).for_folder(ROOT).recipe.backbone.weights == f"{tree}/secret/w.pth"
    file = tree / "recipe.yaml"
    file.write_text(f"backbone: {own}\n")
    assert RecipeBook(None).for_file(file).recipe.backbone.weights == f"{tree}/secret/w.pth"


def test_other_folders_are_allowed_by_the_config_but_none_in_the_inbox(tree: Path) -> None:
    (tree / "config.yaml").write_text("weights: {folders: [secret]}\n")
    assert weights_of(tree, "../../secret/w.pth") == f"{tree}/secret/w.pth"
    assert "must lie in secret; " in refusal_of(tree, "../../weights/w.pth")
    (tree / "config.yaml").write_text("weights: {folders: []}\n")
    assert "must lie in no folder at all; " in refusal_of(tree, "../../weights/w.pth")
    (tree / "config.yaml").write_text("weights: {folders: [secret, inbox/a]}\n")
    with pytest.raises(ConfigError, match=r"config.yaml:1: weights.folders: .*/inbox/a lies in the inbox; whoever"):
        book_of(tree)

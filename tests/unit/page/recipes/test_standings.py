"""The controls of parts and stages stand at what each comes to, as those of the recipe do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamd.errors import RecipeError
from dreamd.page.recipes.editor import Change, Recipes
from dreamd.settings.config import load_config

Stand = Callable[[str], dict[str, Any]]

STAGES = "extends: animals\nloss: mean\nstages:\n- {layers: blocks.5.2, octaves: 2}\n- ascent: {lr: 0.1}\n"
SEQUENCE = "loss: mean\nsequence:\n- strata\n- {extends: animals, loss: l1, stages: [{octaves: 2}]}\n"


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    config = tmp_path / "config.yaml"
    config.write_text("plugins: {engine: []}\n")
    (tmp_path / "inbox" / "below").mkdir(parents=True)
    return Recipes(load_config(config), threading.Event())


@pytest.fixture
def stand(recipes: Recipes) -> Stand:
    def standing_of(text: str) -> dict[str, Any]:
        verdict = recipes.check("below", text)
        assert verdict.keys() == {"problem", "standing"}  # nothing is told twice
        assert verdict["problem"] is None
        return dict(verdict["standing"])

    return standing_of


def values(standing: dict[str, Any]) -> dict[str, Any]:
    return {field["name"]: json.loads(field["value"]) for field in standing["fields"]}


def origins(standing: dict[str, Any]) -> dict[str, str]:
    return {field["name"]: field["origin"] for field in standing["fields"]}


def test_a_stage_stands_at_what_it_comes_to_and_inherits_the_recipes_fields(stand):
    first, second = stand(STAGES)["parts"]["stages"]
    assert first["own"] == ["layers", "octaves"]
    assert second["own"] == ["ascent.lr"]
    assert (values(first)["octaves"], values(second)["octaves"]) == (2, 1)
    assert values(first)["ascent.lr"] == values(first["inherited"])["ascent.lr"] != values(second)["ascent.lr"] == 0.1
    assert values(second)["loss.name"] == "mean"
    assert (first["lists"]["layers"], first["inherited"]["lists"]["layers"]) == (["blocks.5.2"], ["blocks.4.2"])
    assert origins(second)["ascent.lr"] == "below/recipe.yaml:5"
    assert values(first["inherited"])["octaves"] == 1


def test_a_part_stands_at_what_it_comes_to_and_inherits_what_it_extends(stand):
    standing = stand(SEQUENCE)
    entry = {"extends": "animals", "loss": "l1", "stages": [{"octaves": 2}]}
    assert standing["parts"].keys() == {"sequence"}
    assert standing["lists"] == {"sequence": ["strata", entry]}
    named, mapped = standing["parts"]["sequence"]
    assert (named["extends"], named["own"]) == ("strata", ["extends"])
    assert (mapped["extends"], mapped["own"]) == ("animals", ["extends", "loss", "stages"])
    assert values(mapped)["loss.name"] == "l1"
    assert values(mapped["inherited"])["loss.name"] == "l2"  # by `classic`, which `animals` extends
    assert mapped["lists"]["layers"] == ["blocks.4.2"]
    assert mapped["inherited"]["lists"]["stages"] == []
    assert (mapped["lists"]["stages"], mapped["origins"]["stages"]) == ([{"octaves": 2}], "below/recipe.yaml:4")
    (stage,) = mapped["parts"]["stages"]
    assert stage["own"] == ["octaves"]
    assert [each["own"] for each in named["parts"]["stages"]] == [[]] * len(named["lists"]["stages"])
    assert named["origins"]["stages"].startswith("preset strata")


def test_parts_that_are_inherited_set_nothing_here(stand):
    standing = stand("extends: strata\n")
    assert standing["origins"]["stages"].startswith("preset strata")
    assert standing["lists"]["stages"] == standing["inherited"]["lists"]["stages"]
    assert len(standing["parts"]["stages"]) > 1
    assert not any(stage["own"] for stage in standing["parts"]["stages"])


def test_a_part_that_its_own_fields_mend_inherits_nothing(stand):
    (part,) = stand("sequence: [{layers: 3}]\n")["parts"]["sequence"]
    assert part["inherited"]["fields"]
    (part,) = stand("layers: 0\nsequence: [{layers: 3}]\n")["parts"]["sequence"]
    assert not any(part["inherited"].values())


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("stages: [&a {octaves: 1}, *a, {octaves: 2}]\n", [True, True, False]),
        ("stages: [{loss: &a {name: l2}}, {loss: *a}]\n", [False, False]),
        ("stages: [{octaves: 1}]\n", [False]),
    ],
)
def test_a_part_that_aliases_make_one_with_another_place_says_so(stand, text, shared):
    assert [stage["is_shared"] for stage in stand(text)["parts"]["stages"]] == shared


def test_a_change_within_an_inherited_part_writes_the_list_out(recipes):
    changed = recipes.change("below", "extends: strata  # mine\n", [Change(path=("stages", 1, "octaves"), value=3)])
    assert changed["problem"] is None
    standing = changed["standing"]
    assert changed["text"].startswith("extends: strata  # mine\nstages:\n  - {")
    assert values(standing["parts"]["stages"][1])["octaves"] == 3
    assert standing["own"] == ["extends", "stages"]
    assert len(standing["parts"]["stages"]) == len(standing["inherited"]["lists"]["stages"])


def test_parts_are_added_changed_moved_and_taken_out_and_comments_stay(recipes):
    text = "sequence:\n  - weave   # first\n  # about animals\n  - animals\n"
    above = "sequence:\n  # about animals\n  - animals\n"
    steps = [
        (Change(path=("sequence", 0), moved_to=1), f"{above}  - weave   # first\n"),
        (Change(path=("sequence", 1, "ascent", "lr"), value=0.1),
         f"{above}  - {{extends: weave, ascent: {{lr: 0.1}}}}   # first\n"),
        (Change(path=("sequence", 0), is_removal=True),
         "sequence:\n  # about animals\n  - {extends: weave, ascent: {lr: 0.1}}   # first\n"),
        (Change(path=("sequence", 1), value="animals"),
         "sequence:\n  # about animals\n  - {extends: weave, ascent: {lr: 0.1}}   # first\n  - animals\n"),
        (Change(path=("sequence", 0, "ascent", "lr"), is_removal=True),
         "sequence:\n  # about animals\n  - {extends: weave}   # first\n  - animals\n"),
        (Change(path=("sequence", 0, "stages", 0), value={}),
         "sequence:\n  # about animals\n  - {extends: weave, stages: [{}]}   # first\n  - animals\n"),
    ]  # fmt: skip
    for change, came in steps:
        changed = recipes.change("below", text, [change])
        assert (changed["text"], changed["problem"]) == (came, None)
        text = came


def test_a_stage_is_added_where_there_was_none_and_the_last_one_leaves_an_empty_list(recipes):
    added = recipes.change("below", "seed: 1\n", [Change(path=("stages", 0), value={})])["text"]
    assert added == "seed: 1\nstages:\n  - {}\n"
    emptied = recipes.change("below", added, [Change(path=("stages", 0), is_removal=True)])
    assert emptied["text"] == "seed: 1\nstages: []\n"
    assert emptied["standing"]["parts"] == {"stages": []}


def test_an_unknown_field_of_a_part_is_told_with_its_line_and_stays(recipes):
    text = "stages:\n- octaves: 1\n  losss: l2  # typo\n- {octaves: 2}\n"
    problem = recipes.check("below", text)["problem"]
    assert problem["line"] == 3
    assert "losss" in problem["text"]
    changed = recipes.change("below", text, [Change(path=("stages", 0), moved_to=1)])["text"]
    assert changed == "stages:\n- {octaves: 2}\n- octaves: 1\n  losss: l2  # typo\n"


def test_a_change_of_a_part_that_is_shared_is_refused_in_words(recipes):
    with pytest.raises(RecipeError, match=r"stages\[1\]\.octaves .* change it in the text"):
        recipes.change("below", "stages: [&a {octaves: 1}, *a]\n", [Change(path=("stages", 1, "octaves"), value=2)])


def test_what_is_wrong_below_a_change_is_told_without_the_inboxs_place(recipes):
    with pytest.raises(RecipeError, match=r"^below/recipe\.yaml:1: sequence\[0\]: must be a recipe's name"):
        recipes.change("below", "sequence: [1]\n", [Change(path=("stages", 0, "octaves"), value=2)])

"""Stages of a recipe: partial recipes that go over it, each for some octaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.errors import RecipeError
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.checking import choices_of
from dreamd.settings.recipes.explaining import explain
from dreamd.settings.recipes.merging import resolve, set_fields, with_paths_below
from dreamd.settings.recipes.recipe import Recipe, Stage
from dreamd.settings.recipes.recipe_book import RecipeBook
from tests.unit.settings.kit import ROOT, document, refusal, resolved, write

STAGED = """layers: a
loss: {name: guide, picture: b.png}
ascent: {iterations: 5, lr: 2}
gradient: [smooth]
stages:
  - {layers: b}
  - {ascent: {iterations: 20}, octaves: 3}
  - {loss: l1, gradient: []}
"""


def names(stage: Stage) -> list[str | int]:
    return [layer.name for layer in stage.layers or ()]


def test_a_stage_goes_over_the_recipe_as_a_file_does():
    recipe = resolved(STAGED)
    first, second, third = recipe.stages
    assert names(first) == ["b"]
    assert (first.loss, first.ascent, first.gradient) == (recipe.loss, recipe.ascent, recipe.gradient)
    assert second.ascent == recipe.ascent.model_copy(update={"iterations": 20})
    assert names(second) == ["a"]
    assert (third.loss.name, third.loss.parameters, third.gradient) == ("l1", {}, ())
    assert [stage.octaves for stage in recipe.stages] == [1, 3, 1]


def test_what_another_file_says_lies_under_the_inherited_stages():
    recipe = resolved(STAGED, "ascent: {lr: 9, iterations: 1}\nsettle: [clamp]\n")
    assert [(stage.ascent.lr, stage.ascent.iterations) for stage in recipe.stages] == [(9, 1), (9, 20), (9, 1)]
    assert all(stage.settle == recipe.settle for stage in recipe.stages)


def test_stages_are_replaced_ended_or_forgotten_with_their_backbone():
    assert [names(stage) for stage in resolved(STAGED, "stages: [{layers: c}]\n").stages] == [["c"]]
    assert resolved(STAGED, "stages: []\n").stages == ()
    assert resolved(STAGED, "backbone: other\n").stages == ()
    assert len(resolved(STAGED, "backbone: other\nstages: [{layers: c}, {}]\n").stages) == 2
    assert len(resolved(STAGED, "backbone: vgg19\n").stages) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: {layers: a}", "recipe.yaml:1: stages: must be a list, not {\"layers\": \"a\"}"),
        ("stages: [relu1_1]", "recipe.yaml:1: stages[0]: must be a mapping of fields, not 'relu1_1'"),
        ("stages:\n- {}\n- layers: []", "recipe.yaml:3: stages[1].layers: must be a list that is not empty, not []"),
        ("stages:\n- ascent:\n    lr: fast", "recipe.yaml:3: stages[0].ascent.lr: must be a number, not 'fast'"),
        ("stages: [{ascent: {lrr: 1}}]", "recipe.yaml:1: stages[0].ascent.lrr: is not a field; did you mean lr?"),
        ("stages: [{lyers: a}]", "recipe.yaml:1: stages[0].lyers: is not a field; did you mean layers?"),
        ("stages: [{lr: 1}]", "recipe.yaml:1: stages[0].lr: is not a field; did you mean ascent.lr?"),
        ("stages: [{octaves: 0}]", "recipe.yaml:1: stages[0].octaves: must be at least 1, not 0"),
        ("ascent: {lr: x}\nstages: [{}]", "recipe.yaml:1: ascent.lr: must be a number, not 'x'"),
        (f"stages: [{', '.join(['{}'] * 33)}]", "must be a list of at most 32 entries"),
        *(
            (f"stages:\n- {field}: {value}",
             f":2: stages[0].{field}: is not a field; {field} is the whole recipe's, and no stage has its own")
            for field, value in {"backbone": "vgg19", "schedule": "single", "start": "[]", "finish": "[]", "seed": "1",
                                 "image": "{max_side: 3}", "output": "{quality: 3}", "precision": "fp32",
                                 "stages": "[]", "sequence": "[]"}.items()
        ),
    ],
)  # fmt: skip
def test_a_wrong_stage_is_refused_with_its_place(text, message):
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: [{}, {loss: l3}]", r"^recipe.yaml:1: stages\[1\].loss: no loss 'l3'"),
        ("stages: [{layers: [{name: a, loss: l3}]}]", r"stages\[0\].layers\[0\].loss: no loss 'l3'"),
        ("stages:\n- {}\n- transforms: [clamp]", r":3: stages\[1\].transforms\[0\]: transform 'clamp' has no gradient"),
        ("stages: [{ascent: {optimizer: lbfgs}}]", r"stages\[0\].ascent.jitter: the optimizer 'lbfgs' learns nothing"),
        ("stages: [{layers: picture}]", r"stages\[0\].layers: needs a layer of the network"),
    ],
)
def test_a_stages_plugins_are_checked_with_their_place(catalogue, text, message):
    with pytest.raises(RecipeError, match=message):
        resolve([document(text)]).check(catalogue)


def test_every_plugin_of_every_stage_is_known_by_its_field():
    fields = {field: choice.name for _, choice, field in choices_of(resolved(STAGED))}
    assert fields["stages", 2, "loss"] == "l1"
    assert fields["stages", 0, "loss"] == "guide"
    assert fields["stages", 1, "gradient", 0] == "smooth"
    assert fields["stages", 1, "ascent", "optimizer"] == "plain"
    assert [kind for kind, _, _ in choices_of(resolved(STAGED))].count(Kind.BACKBONE) == 1


def test_paths_in_stages_are_those_of_the_file_that_says_them():
    here = with_paths_below(Path("/there"), document("stages: [{loss: {name: guide, picture: a.png}}]\n"))
    layers = with_paths_below(Path("/here"), document("stages: [{layers: [{name: a, loss: {picture: b.png}}]}, 3]\n"))
    assert here.data["stages"][0]["loss"]["picture"] == "/there/a.png"
    assert layers.data["stages"][0]["layers"][0]["loss"]["picture"] == "/here/b.png"


def test_explain_shows_of_a_stage_what_is_not_as_in_the_recipe(catalogue, inbox):
    file = write(inbox, STAGED.replace("b.png", "/b.png"))
    rows = {row.name: (row.value, row.origin) for row in explain(RecipeBook(inbox).for_folder(ROOT), catalogue)}
    assert rows["stages[0].layers[0].name"] == ("b", f"{file}:6")
    assert rows["stages[1].ascent.iterations"] == (20, f"{file}:7")
    assert rows["stages[1].ascent.lr"] == (2, f"{file}:3")
    assert rows["stages[1].octaves"] == (3, f"{file}:7")
    assert rows["stages[2].loss.name"] == ("l1", f"{file}:8")
    assert rows["stages[2].gradient"] == ([], f"{file}:8")
    assert not [name for name in rows if name.startswith(("stages[0].loss", "stages[1].layers", "stages[2].ascent"))]


def test_a_staged_recipe_survives_its_json_and_its_own_text(tmp_path):
    recipe = resolved(STAGED.replace("b.png", "/b.png"))
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert RecipeBook(None).for_file(write(tmp_path, recipe.to_json())).recipe == recipe


def test_stages_are_set_on_the_command_line():
    found = resolve([document(STAGED), set_fields(["stages=[{layers: z}, {loss: mean}]", "ascent.lr=7"])]).recipe
    assert [(names(stage), stage.loss.name, stage.ascent.lr) for stage in found.stages] == [
        (["z"], "guide", 7), (["a"], "mean", 7)
    ]  # fmt: skip


def test_a_recipe_without_stages_climbs_by_itself():
    recipe = Recipe()
    assert recipe.climbs == (((), recipe),)
    assert [place for place, _ in resolved(STAGED).climbs] == [("stages", 0), ("stages", 1), ("stages", 2)]

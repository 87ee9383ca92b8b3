"""Sequences: recipes that a picture goes through one after the other, each resolved as a recipe of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.errors import RecipeError
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.checking import choices_of
from dreamd.settings.recipes.explaining import explain
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Part, Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from tests.unit.settings.kit import ROOT, document, refusal_in, write

SEQUENCE = """image: {max_side: 90}
ascent: {jitter: 3}
settle: [clamp]
sequence:
  - animals
  - extends: weave
    ascent: {iterations: 5}
  - {layers: x, stages: [{layers: y}, {}]}
"""


def of_file(folder: Path, text: str) -> Recipe:
    return RecipeBook(None).for_file(write(folder, text)).recipe


def alone(folder: Path, text: str) -> Recipe:
    return of_file(folder / "alone", text)


def as_part(recipe: Recipe) -> Part:
    return Part.model_validate(recipe.model_dump(include=set(Part.model_fields)))


def test_a_part_is_what_its_files_over_those_beside_it_would_be(tmp_path):
    recipe = of_file(tmp_path, SEQUENCE)
    below = "ascent: {jitter: 3}\nsettle: [clamp]\n"
    book = RecipeBook(None)
    parts = [
        book.resolve([document(below), *book.documents_of_name("animals")]),
        book.resolve([document(below), *book.documents_of_name("weave"), document("ascent: {iterations: 5}")]),
        book.resolve([document(below), document("layers: x\nstages: [{layers: y}, {}]")]),
    ]
    assert list(recipe.sequence) == [as_part(part.recipe) for part in parts]
    assert recipe.image.max_side == 90


def test_beside_a_sequence_stand_only_the_fields_of_the_whole(tmp_path):
    assert of_file(tmp_path, SEQUENCE).model_dump(exclude={"sequence", "image"}) == Recipe().model_dump(
        exclude={"sequence", "image"}
    )


def test_each_dream_of_a_sequence_is_a_recipe_with_the_wholes_seed_and_precision(tmp_path):
    recipe = of_file(tmp_path, f"seed: 4\nprecision: fp32\n{SEQUENCE}")
    places, dreams = zip(*recipe.dreams, strict=True)
    assert places == (("sequence", 0), ("sequence", 1), ("sequence", 2))
    assert {(dream.seed, dream.precision, dream.image.max_side, dream.sequence) for dream in dreams} == {
        (4, "fp32", 90, ())
    }
    assert [dream.backbone.name for dream in dreams] == ["efficientnet_lite0", "efficientnet_lite0", "vgg19"]
    assert Recipe().dreams == (((), Recipe()),)


def test_a_folder_inherits_a_sequence_and_lies_under_its_parts(inbox):
    write(inbox, SEQUENCE)
    write(inbox / "deep", "ascent: {momentum: 0.5}\nseed: 2\n")
    write(inbox / "plain", "sequence: []\nlayers: z\n")
    book = RecipeBook(inbox)
    deep = book.for_folder(ROOT / "deep").recipe
    assert deep.seed == 2
    assert [part.ascent.momentum for part in deep.sequence] == [0, 0, 0.5]  # presets say 0 themselves
    plain = book.for_folder(ROOT / "plain").recipe
    assert plain.sequence == ()
    assert plain.layers is not None
    assert plain.ascent.jitter == 3


def test_named_recipes_and_their_pictures_belong_to_their_files(tmp_path, inbox):
    named = tmp_path / "recipes"
    write(named, "extends: animals\nloss: {name: guide, picture: a.png}\nseed: 9\nimage: {max_side: 8}\n", "mine.yaml")
    write(inbox, "sequence: [mine, {backbone: {weights: w.pth}, loss: {name: guide, picture: b.png}}]\n")
    recipe = RecipeBook(inbox, named=named).for_folder(ROOT).recipe
    assert [part.loss.parameters["picture"] for part in recipe.sequence] == [f"{named}/a.png", f"{inbox}/b.png"]
    assert recipe.sequence[1].backbone.weights == f"{inbox}/w.pth"
    assert (recipe.seed, recipe.image.max_side) == (0, None)  # those of the whole, not of a recipe that a part extends


def test_a_named_recipe_that_changes_counts_from_then_on(tmp_path, inbox):
    named = tmp_path / "recipes"
    write(named, "layers: a\n", "mine.yaml")
    write(inbox, "sequence: [mine, mine]\n")
    book = RecipeBook(inbox, named=named)
    first = book.for_folder(ROOT)
    assert book.for_folder(ROOT) is first
    write(named, "layers: bcd\n", "mine.yaml")
    layers = [part.layers for part in book.for_folder(ROOT).recipe.sequence]
    assert [layer[0].name for layer in layers if layer] == ["bcd", "bcd"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequence: animals", ":1: sequence: must be a list, not 'animals'"),
        ("sequence:\n- animals\n- 3", ":3: sequence[1]: must be a recipe's name or a mapping of fields"),
        ("sequence:\n- animls", ":2: sequence[0]: no preset or named recipe 'animls'; did you mean animals?"),
        ("sequence:\n- layers: a\n  extends: animls", ":3: sequence[0].extends: no preset or named recipe 'animls'"),
        ("sequence:\n- extends: [a]\n  layers: a", ":2: sequence[0].extends: must be the name"),
        ("sequence:\n- {}\n- layers: [{name: a, weight: x}]", ":3: sequence[1].layers[0].weight: must be a number"),
        ("sequence:\n- {}\n- lyers: a", ":3: sequence[1].lyers: is not a field; did you mean layers?"),
        ("sequence:\n- stages:\n  - {}\n  - seed: 1", ":4: sequence[0].stages[1].seed: is not a field; seed is"),
        ("ascent: {lr: x}\nsequence: [{}]", ":1: sequence[0].ascent.lr: must be a number, not 'x'"),
        ("sequence:\n- sequence: [animals]", ":2: sequence[0]: is a sequence itself"),
        ("sequence:\n- nested", ":2: sequence[0]: is a sequence itself, which no part of a sequence can be"),
        ("sequence:\n- circle", "round.yaml:1: extends: goes round in a circle"),
        (f"sequence: [{', '.join(['{}'] * 9)}]", ":1: sequence: must be a list of at most 8 entries"),
        (f"stages: [{', '.join(['{}'] * 17)}]\nsequence: [{{}}, {{}}]", "34 stages in all, and at most 32 can be"),
        *(
            (f"sequence:\n- {{}}\n- {field}: {value}", f":3: sequence[1].{field}: is not a field; {field} is the whole")
            for field, value in {"image": "{max_side: 3}", "output": "{quality: 3}", "precision": "fp32",
                                 "seed": "1"}.items()
        ),
    ],
)  # fmt: skip
def test_a_wrong_part_is_refused_with_its_place(tmp_path, inbox, text, message):
    named = tmp_path / "recipes"
    write(named, "sequence: [animals]\n", "nested.yaml")
    write(named, "extends: round\n", "circle.yaml")
    write(named, "extends: circle\n", "round.yaml")
    write(inbox, f"{text}\n")
    assert message in refusal_in(RecipeBook(inbox, named=named))


def test_a_recipe_that_is_a_sequence_of_itself_is_refused(tmp_path, inbox):
    write(tmp_path / "recipes", "sequence: [mine]\n", "mine.yaml")
    write(inbox, "extends: mine\n")
    assert "sequence[0]: is a sequence itself" in refusal_in(RecipeBook(inbox, named=tmp_path / "recipes"))


def test_a_parts_plugins_are_checked_with_their_place(catalogue, inbox):
    file = write(inbox, "sequence:\n- animals\n- layers:\n  - {name: a, loss: l3}\n")
    with pytest.raises(RecipeError) as caught:
        RecipeBook(inbox).for_folder(ROOT).check(catalogue)
    assert str(caught.value).startswith(f"{file}:4: sequence[1].layers[0].loss: no loss 'l3'; ")


def test_every_plugin_of_every_part_is_known_and_none_of_what_nothing_reads(tmp_path):
    recipe = of_file(tmp_path, "loss: mean\nsequence: [{loss: l1, schedule: single, start: [clamp]}, {loss: max}]\n")
    fields = {field: choice.name for _, choice, field in choices_of(recipe)}
    assert fields["sequence", 0, "loss"] == "l1"
    assert fields["sequence", 0, "schedule"] == "single"
    assert fields["sequence", 0, "start", 0] == "clamp"
    assert ("loss",) not in fields
    assert [kind for kind, _, _ in choices_of(recipe)].count(Kind.BACKBONE) == 2


def test_explain_shows_each_part_with_the_files_it_comes_from(catalogue, inbox):
    file = write(inbox, SEQUENCE)
    rows = {row.name: (row.value, row.origin) for row in explain(RecipeBook(inbox).for_folder(ROOT), catalogue)}
    assert rows["image.max_side"] == (90, f"{file}:1")
    assert rows["sequence[0].backbone.name"] == ("efficientnet_lite0", "preset animals:3")
    assert rows["sequence[2].settle[0].name"] == ("clamp", f"{file}:3")
    assert rows["sequence[1].ascent.iterations"] == (5, f"{file}:7")
    assert rows["sequence[2].ascent.jitter"] == (3, f"{file}:2")
    assert rows["sequence[2].stages[0].layers[0].name"] == ("y", f"{file}:8")
    assert not [name for name in rows if name.startswith(("ascent", "backbone", "layers", "stages"))]


def test_a_sequence_survives_its_json_and_its_own_text(tmp_path):
    recipe = of_file(tmp_path, SEQUENCE)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert alone(tmp_path, recipe.to_json()) == recipe


def test_a_plugin_that_was_chosen_anew_keeps_its_defaults_in_a_sidecar(tmp_path):
    first = "schedule: {name: octaves, num_octaves: 9}\nsequence:\n- extends: article\n  schedule: octaves\n"
    recipe = of_file(tmp_path, first)
    assert recipe.sequence[0].schedule.parameters == {}
    assert alone(tmp_path, recipe.to_json()) == recipe


def test_a_sequence_is_set_on_the_command_line():
    book = RecipeBook(None)
    found = book.resolve([*book.documents_of_name("classic"), set_fields(["sequence=[animals, {layers: a}]"])]).recipe
    assert [part.backbone.name for part in found.sequence] == ["efficientnet_lite0", "vgg19"]


def test_where_no_recipe_can_be_looked_up_none_can_be_named():
    assert len(resolve([document("sequence: [{layers: a}, {}]\n")]).recipe.sequence) == 2
    with pytest.raises(RecipeError, match=r"^recipe.yaml:2: sequence\[0\]: cannot name a recipe here"):
        resolve([document("sequence:\n- animals\n")])

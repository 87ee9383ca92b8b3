"""The recipe's fields of the chain: what goes together, where paths count from, what editors are told."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

from dreamd.errors import RecipeError
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.checking import check_recipe
from dreamd.settings.recipes.explaining import explain
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.recipes.schema import recipe_schema
from dreamd.settings.yamlfile import parse_document

WHOLE = """
layers:
  - {name: relu4_1, loss: {name: guide, picture: guide.png}, channels: [0, 3]}
  - {name: picture, loss: total_variation, weight: -0.01}
  - relu3_1
parameterization: [bounded, decorrelated, {name: fourier, decay: 1.2}]
transforms: [{name: turn, degrees: 5, scale: [0.9, 1.2]}, {name: noise, sigma: 0.1, end: 0.03}]
start: [noise_start]
settle: [{name: blur, sigma: 0.3}]
finish: [original_colors, {name: match_histogram, picture: ../colours.png}]
ascent: {iterations: 30, lr: 0.05, lr_end: 0, optimizer: {name: adam, beta1: 0.5}}
image: {mask: mask.png}
"""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Plugins("dreamd.engine").catalogue


def refusal(catalogue: Catalogue, **fields: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        check_recipe(Recipe.model_validate(fields), catalogue)
    return str(caught.value)


def test_a_recipe_of_everything_is_right_and_explained(catalogue):
    found = resolve([parse_document(WHOLE, "recipe.yaml", RecipeError)])
    check_recipe(found.recipe, catalogue)
    assert Recipe.from_json(found.json) == found.recipe
    rows = {field.name: field for field in explain(found, catalogue)}
    assert rows["parameterization[2].decay"].text == "1.2"
    assert rows["parameterization[0].margin"].origin == "default of parameterization bounded"
    assert rows["transforms[0].flip"].origin == "default of transform turn"
    assert rows["ascent.optimizer"].value == {"name": "adam", "beta1": 0.5, "beta2": 0.999, "epsilon": 1e-8}
    assert rows["layers[0].loss"].value == {"name": "guide", "picture": "guide.png", "by": "dot"}


def test_editors_are_told_what_the_recipe_takes(catalogue):
    schema = recipe_schema(catalogue)
    found = parse_document(WHOLE, "recipe.yaml", RecipeError).data
    jsonschema.validate(found, schema)
    for wrong in ({"transforms": ["turm"]}, {"ascent": {"optimizer": {"name": "adam", "beta3": 1}}},
                  {"layers": [{"name": "a", "loss": "l9"}]}, {"parameterization": [{"decay": 1}]}):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"transforms": ["original_colors"]}, "transforms[0]: transform 'original_colors' has no gradient"),
        ({"ascent": {"optimizer": "lbfgs"}}, "ascent.jitter: the optimizer 'lbfgs' learns nothing"),
        ({"ascent": {"optimizer": "lbfgs", "jitter": 0}, "transforms": ["turn"]}, "transforms: the optimizer 'lbfgs'"),
        (
            {"ascent": {"optimizer": "adam", "momentum": 0.5}},
            "ascent.momentum: is not for the optimizer 'adam'; leave it out",
        ),
        ({"ascent": {"optimizer": "adams"}}, "ascent.optimizer: no optimizer 'adams'; did you mean adam?"),
        ({"layers": {"name": "picture", "loss": "l1"}}, "layers: needs a layer of the network"),
        (
            {"layers": ["a", {"name": "b", "loss": "guide"}]},
            "layers[1].loss: loss 'guide' needs the parameter 'picture'",
        ),
        ({"settle": [{"name": "blur", "sigma": -1}]}, "settle[0].sigma: must be a number > 0"),
        ({"finish": [{"name": "match_histogram", "picture": 3}]}, "finish[0].picture: must be the path of a picture"),
        ({"image": {"pages": "all"}, "output": {"format": "png"}}, "output.format: png holds one picture"),
        ({"image": {"pages": "all"}, "film": {"frames": 9}}, "image.pages: film.frames makes a film out of one"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_field(catalogue, fields, message):
    assert message in refusal(catalogue, **fields)


MOMENTUM = "ascent: {momentum: 1, jitter: 0, iterations: 6}\n"


@pytest.mark.parametrize("optimizer", ["adam", "{name: adam, beta1: 0.5}", "lbfgs"])
def test_another_optimizer_inherits_no_momentum(catalogue, optimizer):
    other = parse_document(f"ascent: {{optimizer: {optimizer}}}\n", "recipe.yaml", RecipeError)
    found = resolve([parse_document(MOMENTUM, "base.yaml", RecipeError), other])
    check_recipe(found.recipe, catalogue)
    assert (found.recipe.ascent.momentum, found.recipe.ascent.iterations) == (0, 6)
    rows = {field.name: field.origin for field in explain(found, catalogue)}
    assert rows["ascent.momentum"] == "built-in"


@pytest.mark.parametrize("same", ["{optimizer: plain}", "{optimizer: {name: plain}, lr: 1}", "{lr: 1}"])
def test_the_same_optimizer_inherits_the_momentum(same):
    documents = [parse_document(text, "base.yaml", RecipeError) for text in (MOMENTUM, f"ascent: {same}\n")]
    assert resolve(documents).recipe.ascent.momentum == 1


def test_momentum_beside_another_optimizer_is_refused_where_it_stands(catalogue):
    texts = (MOMENTUM, "ascent:\n  optimizer: adam\n  momentum: 0.5\n")
    found = resolve([parse_document(text, "recipe.yaml", RecipeError) for text in texts])
    with pytest.raises(RecipeError, match=r"recipe.yaml:3: ascent.momentum: is not for the optimizer 'adam'; leave it"):
        found.check(catalogue)


def test_lbfgs_goes_with_a_picture_that_stands_still(catalogue):
    check_recipe(Recipe.model_validate({"ascent": {"optimizer": "lbfgs", "jitter": 0}}), catalogue)


def test_paths_count_from_the_file_that_says_them(tmp_path):
    inbox = tmp_path / "inbox"
    (inbox / "a").mkdir(parents=True)
    (inbox / "a" / "recipe.yaml").write_text(WHOLE, encoding="utf-8")
    recipe = RecipeBook(inbox).for_folder(PurePosixPath("a")).recipe
    assert recipe.layers is not None
    assert recipe.layers[0].loss is not None
    assert recipe.layers[0].loss.parameters["picture"] == str(inbox / "a" / "guide.png")
    assert recipe.finish[1].parameters["picture"] == str(inbox / "a" / ".." / "colours.png")
    assert recipe.image.mask == str(inbox / "a" / "mask.png")
    assert recipe.layers[1].name == "picture"
    shipped = set_fields(["loss={name: guide, picture: 'dreamd:fruit'}"])
    assert shipped.data["loss"]["picture"] == "dreamd:fruit"
    here = set_fields(["loss={name: guide, picture: b.png}", "image.mask=alpha"])
    assert here.data["loss"]["picture"] == str(Path("b.png").absolute())
    assert here.data["image"]["mask"] == "alpha"


def test_a_catalogue_that_an_older_dreamd_kept_refuses_no_recipe_for_its_optimizer(catalogue):
    newer = ("optimizer", "parameterization", "transform")
    older = Catalogue(entries=tuple(entry for entry in catalogue.entries if entry.kind not in newer))
    found = resolve([parse_document("seed: 1\n", "recipe.yaml", RecipeError)])
    check_recipe(found.recipe, older)
    assert "ascent.optimizer" in {field.name for field in explain(found, older)}
    assert "no loss 'l3'" in refusal(older, loss="l3")

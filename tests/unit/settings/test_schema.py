"""A recipe as JSON, and the JSON Schema of recipe.yaml."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

import jsonschema
import pytest

from dreamd.errors import RecipeError
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, preset, preset_names
from dreamd.settings.recipes.schema import recipe_schema
from tests.unit.settings.kit import ROOT, document, resolved

# JSON and its schema


def test_a_recipe_survives_its_json():
    recipe = resolved(
        "backbone: {name: timm/x, weights: /ä}\nlayers: [1, {name: b, weight: 0.1, channels: [3]}]\n"
        "loss: {name: l, a: [1, 2.5, {b: null}], c: 'ü'}\ngradient: [smooth]\nseed: 9223372036854775807\n"
    )
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert "\n" not in recipe.to_json()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"ascent": {"lr": "fast"}}', "ascent.lr: cannot be read: the recipe is of another version of dreamd"),
        ('{"momentum": 1}', "momentum: cannot be read: the recipe is of another version of dreamd"),
        ("", "cannot be read: the recipe is of another version of dreamd"),
        ('{"seed": ', "cannot be read: the recipe is of another version of dreamd"),
        ("[]", "cannot be read: the recipe is of another version of dreamd"),
        ('{"loss": "\ud800"}', "cannot be read: the recipe is of another version of dreamd"),
    ],
)
def test_a_recipe_that_another_version_wrote_is_refused_with_one_kind_of_error(text, words):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(text)
    assert str(caught.value) == words


def test_equal_recipes_give_equal_json():
    one = resolved("loss: {name: l, a: 2, b: [1]}\nascent: {lr: 1}\nschedule: {octave_scale: 2}\n")
    other = resolved("schedule: {octave_scale: 2.0}\nascent: {lr: 1.0}\nloss: {b: [1.0], a: 2.0, name: l}\n")
    assert one == other
    assert one.to_json() == other.to_json()
    assert one.to_json() != resolved("loss: {name: l, a: true, b: [1]}\nschedule: {octave_scale: 2}\n").to_json()


def test_a_resolved_recipe_makes_its_json_once(inbox):
    found = RecipeBook(inbox).for_folder(ROOT)
    assert found.json == found.recipe.to_json()
    assert found.json is found.json


@pytest.fixture(scope="session")
def schema(catalogue: Catalogue) -> dict[str, Any]:
    schema = recipe_schema(catalogue)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def is_valid(schema: dict[str, Any], text: str) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(document(text).data)


def test_the_schema_takes_every_preset_and_sample_recipe(schema):
    texts = [(files("dreamd") / "presets" / f"{name}.yaml").read_text() for name in preset_names()]
    with as_file(files("dreamd") / "templates" / "inbox") as samples:
        sample_files = sorted(samples.rglob("recipe.yaml"))
        texts += [file.read_text() for file in sample_files]
    assert len(sample_files) == 3
    for text in texts:
        jsonschema.validate(document(text).data, schema, jsonschema.Draft202012Validator)


def test_the_schema_takes_the_recipe_of_the_design(schema):
    text = """
extends: classic
backbone: {name: vgg19, weights: default}
layers: [relu4_4, 3, {name: relu5_1, weight: -0.5, channels: [1, 2]}]
loss: l2
schedule: {name: octaves, num_octaves: 4, octave_scale: 1.4}
ascent: {iterations: 10, lr: 0.02, momentum: 0, jitter: 32}
gradient: [smooth, {name: smooth, sigma: 0.5}, {name: normalize, by: std}]
image: {max_side: null}
output: {format: same, quality: 92, name: "{stem}"}
precision: auto
seed: 0
"""
    assert is_valid(schema, text)
    assert is_valid(schema, "backbone: timm/resnet50\nlayers: null\ngradient: []\n")
    assert is_valid(schema, "stages: [{layers: a, octaves: 2}, {ascent: {iterations: 3}, gradient: []}, {}]\n")
    assert is_valid(schema, "sequence: [animals, {extends: weave, loss: l1, stages: [{layers: 3}]}]\nseed: 3\n")
    assert is_valid(schema, "backbone: {weights: random}\nlayers: {name: a}\nschedule: {num_octaves: 2}\n")


@pytest.mark.parametrize(
    "text",
    [
        "lyers: relu4_1",
        "ascent: {itterations: 3}",
        "ascent: {iterations: 0}",
        "ascent: {iterations: true}",
        "ascent: {lr: fast}",
        "schedule: {num_octavs: 3}",
        "schedule: octavs",
        "schedule: {name: octaves, num_octaves: 0}",
        "loss: some/family",
        "loss: l3",
        "backbone: vgg91",
        "layers: 0",
        "layers: []",
        "layers: [{name: a, wieght: 1}]",
        "layers: [{name: a, channels: []}]",
        "layers: [{name: a, channels: [-1]}]",
        "gradient: smooth",
        "gradient: [smoth]",
        "gradient: [{sigma: 1}]",
        "gradient: [{name: normalize, by: sdt}]",
        "output: {format: jpg}",
        "image: {max_side: 0}",
        "precision: fp16",
        "seed: -1",
        "extends: 3",
        "stages: [a]",
        "stages: [{backbone: vgg19}]",
        "stages: [{octaves: 0}]",
        "stages: [{loss: l3}]",
        "stages: [{ascent: {itterations: 3}}]",
        "sequence: animals",
        "sequence: [3]",
        "sequence: [{seed: 3}]",
        "sequence: [{sequence: [animals]}]",
        "sequence: [{extends: 3}]",
        "sequence: [{stages: [{schedule: single}]}]",
    ],
)
def test_the_schema_refuses_what_dreamd_refuses(schema, text):
    assert not is_valid(schema, text)


def test_the_sample_recipes_name_their_schema_and_presets_are_documents_of_their_own():
    with as_file(files("dreamd") / "templates" / "inbox") as samples:
        for file in samples.rglob("recipe.yaml"):
            up = "../" * len(file.relative_to(samples).parts)
            assert file.read_text().startswith(f"# yaml-language-server: $schema={up}state/recipe.schema.json\n")
    assert preset("article").line(("layers",)) is not None


def test_the_schema_tells_an_editor_what_each_field_means():
    schema = recipe_schema(Catalogue())
    told = {field: part.get("description", "") for field, part in schema["properties"].items()}
    assert all(told.values()), told
    assert told["seed"].startswith("where everything random starts from")
    ascent = schema["$defs"]["Ascent"]
    assert ascent["description"] == "The gradient ascent at one scale."
    assert "in pixels" in ascent["properties"]["jitter"]["description"]
    for name, part in schema["$defs"].items():
        if name != "PluginChoice":
            assert all("description" in field for field in part["properties"].values()), name


def test_the_schema_tells_of_stages_and_parts_what_it_tells_of_the_recipe(schema):
    parts = schema["$defs"]
    for field in ("layers", "loss", "gradient"):
        assert parts["Stage"]["properties"][field]["description"] == schema["properties"][field]["description"]
    assert parts["Part"]["properties"]["schedule"] == schema["properties"]["schedule"]
    assert all("description" in field for name in ("Stage", "Part") for field in parts[name]["properties"].values())

"""Recipes: what inherits what, where each value came from, and what is refused in which words (design §5)."""

from __future__ import annotations

import json
import os
import resource
from importlib.resources import as_file, files
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamd.errors import RecipeError
from dreamd.messages import Sidecar
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.host import Plugins
from dreamd.settings.explaining import explain
from dreamd.settings.merging import Resolved, resolve, set_fields
from dreamd.settings.recipe import LayerChoice, Recipe, check_recipe
from dreamd.settings.recipe_book import RecipeBook, preset, preset_names, recipe_file
from dreamd.settings.schema import recipe_schema
from dreamd.settings.yamlfile import Document, parse_document

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may be busy with something else."""
ROOT = PurePosixPath()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Plugins("dreamd.engine").catalogue


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def document(text: str, name: str = "recipe.yaml") -> Document:
    return parse_document(text, name, RecipeError)


def resolved(*texts: str) -> Recipe:
    """The recipe of files that lie over one another, the first at the bottom."""
    return resolve([document(text) for text in texts]).recipe


def refusal(*texts: str) -> str:
    with pytest.raises(RecipeError) as caught:
        resolved(*texts)
    return str(caught.value)


def refusal_in(book: RecipeBook, folder: PurePosixPath = ROOT) -> str:
    with pytest.raises(RecipeError) as caught:
        book.for_folder(folder)
    return str(caught.value)


# Inheritance


def test_a_folder_inherits_its_parents_fields_one_by_one_with_the_defaults_below(inbox):
    write(inbox, "layers: relu4_1\nascent: {lr: 0.3, jitter: 8}\n")
    write(inbox / "a", "ascent: {jitter: 4}\noutput: {quality: 80}\n")
    write(inbox / "a" / "b" / "c", "output: {format: png}\nseed: 7\n")
    book = RecipeBook(inbox, defaults=document("backbone: vgg16\nlayers: relu3_1\nascent: {iterations: 3}\n"))
    recipe = book.for_folder(PurePosixPath("a/b/c")).recipe
    assert recipe.backbone.name == "vgg16"
    assert recipe.layers == (LayerChoice(name="relu4_1"),)
    assert recipe.ascent.model_dump() == {"iterations": 3, "lr": 0.3, "momentum": 0.0, "jitter": 4}
    assert recipe.output.model_dump() == {"format": "png", "quality": 80, "name": "{stem}"}
    assert recipe.seed == 7
    assert book.for_folder(ROOT).recipe.ascent.jitter == 8
    assert book.for_folder(PurePosixPath("a/b")).recipe.seed == 0
    assert book.for_folder(PurePosixPath("other")).recipe == book.for_folder(ROOT).recipe


def test_without_any_recipe_the_defaults_count(inbox):
    assert RecipeBook(inbox).for_folder(PurePosixPath("a")).recipe == Recipe()
    assert RecipeBook(None, defaults=document("seed: 3")).for_folder(ROOT).recipe == Recipe(seed=3)


def test_a_mapping_merges_into_the_inherited_one():
    recipe = resolved("loss: {name: l3, power: 2}\n", "loss: {scale: 5}\n")
    assert recipe.loss.model_dump() == {"name": "l3", "power": 2, "scale": 5}


def test_a_mapping_that_names_the_same_plugin_merges_too():
    recipe = resolved("schedule: {name: octaves, num_octaves: 6}\n", "schedule: {name: octaves, octave_scale: 2}\n")
    assert recipe.schedule.parameters == {"num_octaves": 6, "octave_scale": 2}


def test_a_plugins_bare_name_keeps_the_parameters_it_has():
    assert resolved("loss: {name: l3, power: 2}\n", "loss: l3\n").loss.parameters == {"power": 2}


@pytest.mark.parametrize("other", ["loss: l4", "loss: {name: l4}"])
def test_naming_another_plugin_starts_from_that_plugins_defaults(other):
    assert resolved("loss: {name: l3, power: 2}\n", f"{other}\n").loss.model_dump() == {"name": "l4"}


@pytest.mark.parametrize("field", ["loss", "schedule", "backbone"])
def test_parameters_without_a_name_are_the_default_plugins(field):
    recipe = resolved(f"{field}: {{speed: 3}}\n")
    assert getattr(recipe, field).name == getattr(Recipe(), field).name
    assert getattr(recipe, field).parameters == {"speed": 3}


def test_an_empty_mapping_changes_nothing():
    assert resolved("loss: {name: l3, power: 2}\n", "loss: {}\nascent: {}\nimage: {}\n") == resolved(
        "loss: {name: l3, power: 2}\n"
    )


def test_a_list_replaces_the_inherited_one():
    below = "layers: [relu1_1, relu2_1]\ngradient: [smooth, {name: normalize, by: max}]\n"
    recipe = resolved(below, "layers: [relu3_1]\ngradient: [{name: smooth, sigma: 2}]\n")
    assert [layer.name for layer in recipe.layers or ()] == ["relu3_1"]
    assert [step.model_dump() for step in recipe.gradient] == [{"name": "smooth", "sigma": 2}]
    assert resolved(below, "gradient: []\n").gradient == ()


def test_null_takes_the_inherited_layers_and_size_back():
    recipe = resolved("layers: relu1_1\nimage: {max_side: 100}\n", "layers: null\nimage: {max_side: null}\n")
    assert recipe.layers is None
    assert recipe.image.max_side is None


def test_another_backbone_takes_the_inherited_layers_back():
    below = "backbone: vgg19\nlayers: relu4_1\n"
    assert resolved(below, "backbone: vgg16\n").layers is None
    assert resolved(below, "backbone: {name: vgg16}\n").layers is None
    assert resolved("layers: relu4_1\n", "backbone: vgg16\n").layers is None


def test_another_backbone_keeps_the_layers_given_beside_it_in_either_order():
    below = "backbone: vgg19\nlayers: relu4_1\n"
    for text in ("backbone: vgg16\nlayers: relu3_1\n", "layers: relu3_1\nbackbone: vgg16\n"):
        assert resolved(below, text).layers == (LayerChoice(name="relu3_1"),)


@pytest.mark.parametrize("same", ["backbone: vgg19", "backbone: {name: vgg19}", "backbone: {weights: random}"])
def test_the_same_backbone_keeps_the_inherited_layers(same):
    assert resolved("layers: relu4_1\n", f"{same}\n").layers == (LayerChoice(name="relu4_1"),)


def test_another_backbone_does_not_inherit_weights():
    assert resolved("backbone: {name: vgg16, weights: random}\n", "backbone: vgg11\n").backbone.weights == "default"


# Layers


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("relu4_1", [("relu4_1", 1.0, None)]),
        ("36", [(36, 1.0, None)]),
        ("'36'", [("36", 1.0, None)]),
        ("{name: 36, weight: -1}", [(36, -1.0, None)]),
        ("[a, 2, {name: b, weight: 0.5, channels: [0, 7]}]", [("a", 1, None), (2, 1, None), ("b", 0.5, (0, 7))]),
    ],
)
def test_layers_are_a_name_a_number_a_mapping_or_a_list_of_them(text, layers):
    chosen = resolved(f"layers: {text}\n").layers
    assert chosen is not None
    assert [(layer.name, layer.weight, layer.channels) for layer in chosen] == layers


# extends


def test_a_recipe_lies_over_the_preset_that_it_extends(inbox):
    write(inbox, "extends: article\nascent: {iterations: 3}\n")
    recipe = RecipeBook(inbox).for_folder(ROOT).recipe
    assert recipe.ascent.model_dump() == {"iterations": 3, "lr": 0.2, "momentum": 1.0, "jitter": 0}
    assert recipe.schedule.model_dump() == {"name": "article", "num_octaves": 100, "octave_scale": 2}
    assert recipe.gradient == ()
    assert recipe.layers == (LayerChoice(name=36),)


def test_a_folders_preset_lies_over_what_it_inherits(inbox):
    write(inbox, "ascent: {lr: 9}\noutput: {format: png}\n")
    write(inbox / "a", "extends: classic\n")
    recipe = RecipeBook(inbox).for_folder(PurePosixPath("a")).recipe
    assert recipe.ascent.lr == 0.05
    assert recipe.output.format == "png"


def test_named_recipes_extend_one_another_in_a_chain(inbox, tmp_path):
    named = tmp_path / "recipes"
    write(named, "extends: article\nascent: {lr: 5}\nseed: 1\n", "first.yaml")
    write(named, "extends: first\nseed: 2\n", "second.yaml")
    write(inbox, "extends: second\noutput: {quality: 1}\n")
    book = RecipeBook(inbox, named=named)
    recipe = book.for_folder(ROOT).recipe
    assert (recipe.ascent.lr, recipe.seed, recipe.output.quality) == (5, 2, 1)
    assert recipe.schedule.name == "article"
    assert book.for_name("second").recipe.seed == 2
    assert book.names() == {
        **{name: f"preset {name}" for name in preset_names()},
        "first": named / "first.yaml",
        "second": named / "second.yaml",
    }


def test_recipes_that_extend_one_another_in_a_circle_are_refused(inbox, tmp_path):
    named = tmp_path / "recipes"
    write(named, "extends: b\n", "a.yaml")
    write(named, "seed: 1\nextends: a\n", "b.yaml")
    write(named, "extends: self\n", "self.yaml")
    write(inbox, "extends: a\n")
    book = RecipeBook(inbox, named=named)
    assert refusal_in(book) == f"{named / 'b.yaml'}:2: extends: goes round in a circle: a → b → a"
    write(inbox, "extends: self\n")
    assert refusal_in(book) == f"{named / 'self.yaml'}:1: extends: goes round in a circle: self → self"


def test_an_unknown_name_to_extend_is_refused_with_the_nearest(inbox, tmp_path):
    named = tmp_path / "recipes"
    write(named, "seed: 1\n", "stormy.yaml")
    book = RecipeBook(inbox, named=named)
    file = write(inbox, "seed: 1\nextends: stromy\n")
    assert refusal_in(book) == f"{file}:2: extends: no preset or named recipe 'stromy'; did you mean stormy?"
    write(inbox, "extends: artcle\n")
    assert refusal_in(book) == f"{file}:1: extends: no preset or named recipe 'artcle'; did you mean article?"
    write(inbox, "extends: [article]\n")
    assert refusal_in(book) == f"{file}:1: extends: must be the name of a preset or of a named recipe"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "x" * 300, '"\\0"', ".", "..", "''"])
def test_a_name_to_extend_is_no_way_out_of_the_folder_of_recipes(inbox, tmp_path, name):
    write(tmp_path, "seed: 1\n", "secret.yaml")
    write(tmp_path / "recipes", "seed: 1\n", "mine.yaml")
    write(inbox, f"extends: {name}\n")
    assert "extends: no preset or named recipe" in refusal_in(RecipeBook(inbox, named=tmp_path / "recipes"))


def test_a_named_recipe_cannot_take_the_name_of_a_preset(inbox, tmp_path):
    file = write(tmp_path / "recipes", "seed: 1\n", "classic.yaml")
    write(inbox, "extends: classic\n")
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    assert refusal_in(book) == f"{file}: has the name of a preset; give it another"


def test_a_broken_named_recipe_is_named_itself(inbox, tmp_path):
    file = write(tmp_path / "recipes", "ascent:\n  iterations: 0\n", "mine.yaml")
    write(inbox, "extends: mine\n")
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    assert refusal_in(book) == f"{file}:2: ascent.iterations: must be at least 1, not 0"


# Weights


def test_a_path_to_weights_is_relative_to_the_file_that_says_it(inbox, tmp_path):
    write(inbox, "backbone: {name: vgg19, weights: my/net.pth}\n")
    write(inbox / "a", "seed: 3\n")
    write(tmp_path / "recipes", "backbone: {weights: ../net.pth}\n", "mine.yaml")
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    assert book.for_folder(PurePosixPath("a")).recipe.backbone.weights == str(inbox / "my/net.pth")
    assert book.for_name("mine").recipe.backbone.weights == str(tmp_path / "recipes/../net.pth")
    file = write(tmp_path / "other", "backbone: {weights: /abs/net.pth}\n")
    assert book.for_file(file).recipe.backbone.weights == "/abs/net.pth"


def test_a_path_to_weights_may_begin_with_the_home_folder(inbox, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(inbox, "backbone: {weights: ~/net.pth}\n")
    assert RecipeBook(inbox).for_folder(ROOT).recipe.backbone.weights == str(tmp_path / "net.pth")
    write(inbox, "backbone: {weights: ~nobody-of-that-name/net.pth}\n")
    unknown = RecipeBook(inbox).for_folder(ROOT).recipe.backbone.weights
    assert unknown == str(inbox / "~nobody-of-that-name/net.pth")


@pytest.mark.parametrize("word", ["default", "random"])
def test_the_words_for_weights_are_no_paths(inbox, word):
    write(inbox, f"backbone: {{weights: {word}}}\n")
    assert RecipeBook(inbox).for_folder(ROOT).recipe.backbone.weights == word


# What is refused, as a person reads it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lyers: relu4_1", "lyers: is not a field; did you mean layers?"),
        ("Layers: relu4_1", "Layers: is not a field; did you mean layers?"),
        ("extend: article", "extend: is not a field; did you mean extends?"),
        ("iterations: 3", "iterations: is not a field; did you mean ascent.iterations?"),
        ("quality: 3", "quality: is not a field; did you mean output.quality?"),
        ("zzz: 3", "zzz: is not a field; there are backbone, layers, loss, schedule, ascent, gradient, image, output, "
                   "precision, seed, extends"),
        ("ascent: {itterations: 3}", "ascent.itterations: is not a field; did you mean iterations?"),
        ("image: {maxside: 3}", "image.maxside: is not a field; did you mean max_side?"),
        ("output: {fromat: png}", "output.fromat: is not a field; did you mean format?"),
        ("layers: [a, {name: b, wieght: 3}]", "layers[1].wieght: is not a field; did you mean weight?"),
        ("layers: {name: b, chanels: [3]}", "layers.chanels: is not a field; did you mean channels?"),
        ("ascent: 3", "ascent: must be a mapping of fields, not 3"),
        ("ascent: [lr]", 'ascent: must be a mapping of fields, not ["lr"]'),
        ("output: png", "output: must be a mapping of fields, not 'png'"),
        ("image: null", "image: must be a mapping of fields, not null"),
        ("ascent: {iterations: many}", "ascent.iterations: must be a whole number, not 'many'"),
        ("ascent: {iterations: 1.5}", "ascent.iterations: must be a whole number, not 1.5"),
        ("ascent: {iterations: '3'}", "ascent.iterations: must be a whole number, not '3'"),
        ("ascent: {iterations: true}", "ascent.iterations: must be a whole number, not true"),
        ("ascent: {iterations: 0}", "ascent.iterations: must be at least 1, not 0"),
        ("ascent: {iterations: 10001}", "ascent.iterations: must be at most 10000, not 10001"),
        ("ascent: {lr: fast}", "ascent.lr: must be a number, not 'fast'"),
        ("ascent: {lr: false}", "ascent.lr: must be a number, not false"),
        ("ascent: {lr: null}", "ascent.lr: must be a number, not null"),
        ("ascent: {lr: [1]}", "ascent.lr: must be a number, not [1]"),
        ("ascent: {momentum: 1.5}", "ascent.momentum: must be at most 1, not 1.5"),
        ("ascent: {momentum: -0.1}", "ascent.momentum: must be at least 0, not -0.1"),
        ("ascent: {jitter: -1}", "ascent.jitter: must be at least 0, not -1"),
        ("ascent: {jitter: 4097}", "ascent.jitter: must be at most 4096, not 4097"),
        ("image: {max_side: 0}", "image.max_side: must be at least 1, not 0"),
        ("image: {max_side: big}", "image.max_side: must be a whole number, not 'big'"),
        ("output: {format: jpg}", "output.format: must be same, png, jpeg, webp, avif or tiff, not 'jpg'; "
                                  "did you mean jpeg?"),
        ("output: {format: 3}", "output.format: must be same, png, jpeg, webp, avif or tiff, not 3"),
        ("output: {quality: 101}", "output.quality: must be at most 100, not 101"),
        ("output: {name: 5}", "output.name: must be text, not 5"),
        ("output: {name: ''}", "output.name: must be text that is not empty, not ''"),
        ("output: {name: a/b}", "output.name: 'a/b': must be a file name: without /, and not hidden by a dot"),
        ("output: {name: .hidden}", "output.name: '.hidden': must be a file name: without /, and not hidden by a dot"),
        ("output: {name: '{stm}'}", "output.name: '{stm}': {stm} is not known; did you mean stem?"),
        ("output: {name: '{stem.x}'}", "output.name: '{stem.x}': {stem.x} is not known; did you mean stem?"),
        ("output: {name: '{stem:>9}'}", "output.name: '{stem:>9}': takes no format: write {stem}"),
        ("output: {name: '{stem!r}'}", "output.name: '{stem!r}': takes no format: write {stem}"),
        ("output: {name: '{'}", "output.name: '{': is no template: Single '{' encountered in format string; "
                                "a brace itself is written twice"),
        ("precision: fp23", "precision: must be auto, fp32, bf16 or tf32, not 'fp23'; did you mean fp32?"),
        ("seed: -1", "seed: must be at least 0, not -1"),
        ("seed: 9223372036854775808", "seed: must be less than 9223372036854775808, not 9223372036854775808"),
        ("layers: 0", "layers: 0: layers are counted from 1"),
        ("layers: [a, -2]", "layers[1]: -2: layers are counted from 1"),
        ("layers: true", "layers: must be text or a whole number, not true"),
        ("layers: 1.5", "layers: must be a layer's name or number, or a mapping with its name, not 1.5"),
        ("layers: []", "layers: must be a list that is not empty, not []"),
        ("layers: [[a]]", "layers[0]: must be a layer's name or number, or a mapping with its name, not [\"a\"]"),
        ("layers: [{weight: 2}]", "layers[0].name: is missing"),
        ("layers: {weight: 2}", "layers.name: is missing"),
        ("layers: [{name: a, weight: much}]", "layers[0].weight: must be a number, not 'much'"),
        ("layers: [{name: a, channels: 3}]", "layers[0].channels: must be a list, not 3"),
        ("layers: [{name: a, channels: []}]", "layers[0].channels: must be a list that is not empty, not []"),
        ("layers: [{name: a, channels: [1, -1]}]", "layers[0].channels[1]: must be at least 0, not -1"),
        ("loss: 3", "loss: must be a name, or a mapping with a name and parameters, not 3"),
        ("loss: null", "loss: must be a name, or a mapping with a name and parameters, not null"),
        ("schedule: [octaves]", 'schedule: must be a name, or a mapping with a name and parameters, not ["octaves"]'),
        ("loss: {name: 3}", "loss.name: must be text, not 3"),
        ("backbone: {weights: 3}", "backbone.weights: must be text, not 3"),
        ("backbone: {weights: ''}", "backbone.weights: must be text that is not empty, not ''"),
        ("gradient: smooth", "gradient: must be a list, not 'smooth'"),
        ("gradient: [smooth, 3]", "gradient[1]: must be a name, or a mapping with a name and parameters, not 3"),
        ("gradient: [{sigma: 3}]", "gradient[0].name: is missing"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_in_plain_words_with_its_line(text, message):
    assert refusal(f"# a comment\n{text}\n") == f"recipe.yaml:2: {message}"


def test_a_long_wrong_value_is_cut():
    message = refusal(f"seed: {'x' * 5000}\n")
    assert message.startswith("recipe.yaml:1: seed: must be a whole number, not 'xxx")
    assert len(message) < 120


def test_of_several_files_the_one_with_the_wrong_field_is_named(inbox):
    file = write(inbox, "seed: 1\nascent:\n  lr: fast\n")
    write(inbox / "a", "ascent: {jitter: 3}\n")
    message = refusal_in(RecipeBook(inbox), PurePosixPath("a"))
    assert message == f"{file}:3: ascent.lr: must be a number, not 'fast'"


def test_a_broken_recipe_holds_its_own_folder_only(inbox):
    write(inbox, "seed: 1\n")
    write(inbox / "bad", "seed: x\n")
    book = RecipeBook(inbox)
    assert book.for_folder(ROOT).recipe.seed == 1
    assert book.for_folder(PurePosixPath("good")).recipe.seed == 1
    assert "bad/recipe.yaml:1: seed:" in refusal_in(book, PurePosixPath("bad"))
    assert "bad/recipe.yaml:1: seed:" in refusal_in(book, PurePosixPath("bad/deeper"))
    write(inbox / "bad", "seed: 22\n")
    assert book.for_folder(PurePosixPath("bad")).recipe.seed == 22


def test_a_name_may_be_built_from_every_field_of_its_template():
    name = "{stem}-{job}-{backbone}-{loss}-{schedule}-{seed} {{x}}"
    assert resolved(f"output: {{name: '{name}'}}\n").output.name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backbone: vgg91", "2: backbone: no backbone 'vgg91'; did you mean vgg19?"),
        ("loss: {name: l22}", "2: loss: no loss 'l22'; did you mean l2?"),
        ("schedule: octave", "2: schedule: no schedule 'octave'; did you mean octaves?"),
        ("gradient: [smooth, normalise]", "2: gradient[1]: no gradient 'normalise'; did you mean normalize?"),
        ("schedule: {num_octavs: 4}", "2: schedule.num_octavs: schedule 'octaves' has no parameter 'num_octavs'; "
                                      "did you mean num_octaves?"),
        ("loss: {name: l2,\n  power: 4}", "3: loss.power: loss 'l2' has no parameter 'power'; there are none"),
        ("gradient: [{name: smooth, progress: 1}]", "2: gradient[0].progress: gradient 'smooth' has no parameter "
                                                    "'progress'; there are sigma, growth"),
        ("schedule: {num_octaves: 4.0}", "2: schedule.num_octaves: must be a whole number ≥ 1 and ≤ 64, not 4.0"),
        ("schedule: {octave_scale: 1}", "2: schedule.octave_scale: must be a number > 1 and ≤ 16, not 1"),
        ("gradient: [{name: normalize, by: sdt}]", "2: gradient[0].by: must be \"std\" or \"mean_abs\" or \"max\", "
                                                   "not 'sdt'; did you mean std?"),
    ],
)  # fmt: skip
def test_a_name_or_parameter_that_no_plugin_brings_is_refused_with_its_line(catalogue, text, message):
    found = resolve([document(f"seed: 1\n{text}\n")])
    with pytest.raises(RecipeError) as caught:
        check_recipe(found.recipe, catalogue)
    assert str(found.located(caught.value)) == f"recipe.yaml:{message}"


def test_an_unknown_plugin_is_located_where_it_is_named_and_not_where_it_is_merged_into(catalogue):
    found = resolve([document("loss: l3\n", "parent"), document("seed: 1\nloss: {power: 3}\n", "child")])
    with pytest.raises(RecipeError) as caught:
        check_recipe(found.recipe, catalogue)
    assert str(found.located(caught.value)).startswith("parent:1: loss: no loss 'l3'")


def test_every_preset_is_right(catalogue):
    assert {"classic", "article"} <= set(preset_names())
    for name in preset_names():
        check_recipe(RecipeBook(None).for_name(name).recipe, catalogue)


def test_the_preset_article_is_what_the_article_says():
    recipe = RecipeBook(None).for_name("article").recipe
    assert recipe == resolved(
        "backbone: vgg19\nlayers: 36\nloss: l2\nschedule: {name: article, num_octaves: 100, octave_scale: 2}\n"
        "ascent: {iterations: 6, lr: 0.2, momentum: 1, jitter: 0}\ngradient: []\n"
    )


# Files in an inbox


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a pipe"), (os.mkdir, "a folder")])
def test_what_bears_a_recipes_name_and_is_no_file_is_refused_at_once_and_forgotten_when_it_is_gone(inbox, make, kind):
    file = inbox / "recipe.yaml"
    book = RecipeBook(inbox)
    make(file)
    assert refusal_in(book) == f"{file}: is {kind}, and no file; remove it"
    file.rmdir() if file.is_dir() else file.unlink()
    assert book.for_folder(ROOT).recipe == Recipe()
    file.write_text("seed: 3\n")
    assert book.for_folder(ROOT).recipe.seed == 3


@pytest.mark.timeout(10)
@pytest.mark.parametrize("target", ["/dev/zero", "../secret", "nowhere", "recipe.yaml"])
def test_a_symlink_as_recipe_in_an_inbox_is_refused_at_once(inbox, target):
    write(inbox.parent, "seed: 3\n", "secret")
    (inbox / "recipe.yaml").symlink_to(target)
    message = refusal_in(RecipeBook(inbox))
    assert message.startswith(f"{inbox / 'recipe.yaml'}: is a symbolic link, which is not followed in an inbox")


def test_a_symlink_on_the_way_to_a_recipe_is_not_followed_and_forgotten_when_it_is_gone(inbox, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    secret = write(tmp_path / "elsewhere", "password: hunter2\n")
    (inbox / "sub").symlink_to(tmp_path / "elsewhere")
    book = RecipeBook(inbox)
    with pytest.raises(RecipeError) as caught:
        book.for_folder(PurePosixPath("sub"))
    assert str(caught.value).startswith(f"{inbox / 'sub' / 'recipe.yaml'}: cannot be read: ")
    assert "password" not in str(caught.value)
    (inbox / "sub").unlink()
    (inbox / "sub").mkdir()
    secret.rename(inbox / "sub" / "recipe.yaml").write_text("seed: 3\n")
    assert book.for_folder(PurePosixPath("sub")).recipe.seed == 3


def test_weights_in_a_folder_whose_name_is_no_utf_8_are_refused_in_clear_words(tmp_path):
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/no-utf-8-\xff"))
    folder.mkdir()
    write(folder, "backbone: {name: vgg19, weights: w.pth}\n")
    with pytest.raises(
        RecipeError, match=r"recipe.yaml:1: backbone.weights: must be text in UTF-8, as are all the names"
    ):
        RecipeBook(folder).for_folder(ROOT)


def test_a_named_recipe_may_be_a_symlink(inbox, tmp_path):
    write(tmp_path, "seed: 3\n", "real")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").symlink_to("../real")
    assert RecipeBook(inbox, named=tmp_path / "recipes").for_name("mine").recipe.seed == 3


def test_both_names_of_a_recipe_file_are_read_but_not_beside_one_another(inbox):
    write(inbox, "seed: 3\n", "recipe.yml")
    book = RecipeBook(inbox)
    assert book.for_folder(ROOT).recipe.seed == 3
    file = write(inbox, "seed: 4\n")
    assert refusal_in(book) == f"{file}: stands beside recipe.yml; keep one of them"
    (inbox / "recipe.yml").unlink()
    assert book.for_folder(ROOT).recipe.seed == 4


def test_a_folder_without_a_recipe_or_that_is_no_folder_has_none(inbox):
    file = write(inbox, "", "cat.jpg")
    assert recipe_file(inbox) is None
    assert recipe_file(inbox / "nowhere") is None
    assert recipe_file(file) is None


def test_a_folder_that_cannot_be_looked_into_is_said(inbox):
    with pytest.raises(RecipeError, match="cannot be read: File name too long"):
        recipe_file(inbox / ("x" * 300))


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(inbox):
    file = write(inbox, "seed: 3\n")
    book = RecipeBook(inbox)
    first = book.for_folder(ROOT)
    assert book.for_folder(ROOT) is first
    status = file.stat()
    file.write_text("seed: 4\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it had not changed
    assert book.for_folder(ROOT) is first
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert book.for_folder(ROOT).recipe.seed == 4


def test_a_broken_file_is_not_read_again_for_each_picture_either(inbox):
    file = write(inbox, "seed: [\n")
    book = RecipeBook(inbox)
    message = refusal_in(book)
    status = file.stat()
    file.write_text("seed: 1\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if it had not changed
    assert refusal_in(book) == message
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert book.for_folder(ROOT).recipe.seed == 1


def test_a_file_that_could_not_be_opened_is_tried_again(inbox):
    write(inbox, "seed: 1\n")
    book = RecipeBook(inbox)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        message = refusal_in(book)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert message == f"{inbox / 'recipe.yaml'}: cannot be read: Too many open files"
    assert book.for_folder(ROOT).recipe.seed == 1


def test_a_file_replaced_by_another_of_the_same_age_and_size_is_read_again(inbox):
    file = write(inbox, "seed: 3\n")
    book = RecipeBook(inbox)
    assert book.for_folder(ROOT).recipe.seed == 3
    status = file.stat()
    new = write(inbox, "seed: 4\n", "new")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(file)
    assert book.for_folder(ROOT).recipe.seed == 4


def test_a_recipe_that_comes_or_goes_counts_from_then_on(inbox, tmp_path):
    book = RecipeBook(inbox, named=tmp_path / "recipes")
    folder = PurePosixPath("a")
    assert book.for_folder(folder).recipe.seed == 0
    write(tmp_path / "recipes", "seed: 5\n", "mine.yaml")
    file = write(inbox / "a", "extends: mine\n")
    assert book.for_folder(folder).recipe.seed == 5
    write(tmp_path / "recipes", "seed: 66\n", "mine.yaml")
    assert book.for_folder(folder).recipe.seed == 66
    file.unlink()
    assert book.for_folder(folder).recipe.seed == 0


# Sidecars


def sidecar_text(recipe: Recipe, **fields: Any) -> str:
    values: dict[str, Any] = {
        "job": "01h",
        "picture": "kätzchen 😀 \u2028.jpg",
        "input_sha256": "0" * 64,
        "seed": 4,
        "size": (3, 4),
        "recipe": recipe.model_dump(mode="json"),
        "versions": {"dreamd": "1"},
        "weights_sha256": None,
        "device": "cpu",
        "precision": "bf16",
        "tiling": None,
        "seconds": 1.5e-5,
        "loss_before": 1.0,
        "loss_after": 2e10,
    }
    return Sidecar(**{**values, **fields}).model_dump_json(indent=1)


def test_a_sidecar_is_a_recipe_with_the_precision_that_was_used(tmp_path):
    recipe = resolved("extends: article\nbackbone: {weights: /w.pth}\nlayers: [3, {name: a, channels: [1]}]\nseed: 4\n")
    file = write(tmp_path, sidecar_text(recipe), "out.png.json")
    again = RecipeBook(None).for_file(file).recipe
    assert again == recipe.model_copy(update={"precision": "bf16"})


@pytest.mark.parametrize("wanted", ["auto", "fp32"])
def test_a_sidecar_asks_again_for_what_came_to_fp32(tmp_path, wanted):
    recipe = resolved(f"precision: {wanted}\n")
    file = write(tmp_path, sidecar_text(recipe, precision="fp32"), "out.png.json")
    assert RecipeBook(None).for_file(file).recipe.precision == wanted


def test_a_sidecar_that_python_wrote_with_escapes_is_read_too(tmp_path):
    text = json.dumps(json.loads(sidecar_text(resolved("output: {name: '😀{stem}'}\n"))))
    assert "\\ud83d" in text
    file = write(tmp_path, text, "out.png.json")
    assert RecipeBook(None).for_file(file).recipe.output.name == "😀{stem}"


def test_a_wrong_field_in_a_sidecar_is_shown_with_its_line(tmp_path):
    text = sidecar_text(Recipe()).replace('"iterations": 10', '"iterations": 0')
    file = write(tmp_path, text, "out.png.json")
    line = next(number for number, row in enumerate(text.splitlines(), 1) if '"iterations"' in row)
    with pytest.raises(RecipeError) as caught:
        RecipeBook(None).for_file(file)
    assert str(caught.value) == f"{file}:{line}: ascent.iterations: must be at least 1, not 0"


# --set


@pytest.mark.parametrize(
    ("assignments", "data"),
    [
        (["layers=relu5_1"], {"layers": "relu5_1"}),
        (["layers=[relu5_1, 3]"], {"layers": ["relu5_1", 3]}),
        (["layers="], {"layers": None}),
        (["ascent.lr=1e-3", "ascent.jitter=0"], {"ascent": {"lr": 0.001, "jitter": 0}}),
        (["ascent={lr: 1}", "ascent.jitter=0"], {"ascent": {"lr": 1, "jitter": 0}}),
        (["loss=l3"], {"loss": {"name": "l3"}}),
        (["loss=l3", "loss.power=2"], {"loss": {"name": "l3", "power": 2}}),
        (["loss.power=2", "loss=l3"], {"loss": {"name": "l3", "power": 2}}),
        (["loss={name: l3, power: 2}"], {"loss": {"name": "l3", "power": 2}}),
        (["seed=1", "seed=2"], {"seed": 2}),
        ([" seed = 1"], {"seed": 1}),
        (["output.name=a=b"], {"output": {"name": "a=b"}}),
        ([], {}),
    ],
)
def test_set_takes_a_field_or_a_part_of_one(assignments, data):
    assert set_fields(assignments).data == data


def test_a_path_to_weights_that_is_set_is_relative_to_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set_fields(["backbone.weights=net.pth"]).data == {"backbone": {"weights": str(tmp_path / "net.pth")}}


@pytest.mark.parametrize("assignment", ["layers", "=3", "ascent.=3", ".lr=3", "layers.0.weight=3", ""])
def test_set_refuses_what_is_no_assignment(assignment):
    with pytest.raises(RecipeError) as caught:
        set_fields([assignment])
    assert str(caught.value) == f"--set {assignment}: is no `field=value` or `field.parameter=value`"


def test_set_refuses_what_is_no_yaml_and_what_cannot_be_set():
    with pytest.raises(RecipeError, match=r"^--set layers=\[a:1: is not YAML"):
        set_fields(["layers=[a"])
    with pytest.raises(RecipeError, match=r"^--set extends=article: cannot be set; choose what to start from with"):
        set_fields(["extends=article"])


def test_what_is_set_lies_over_the_recipe_and_is_named_in_errors():
    found = resolve([document("ascent: {lr: 1, jitter: 2}\n"), set_fields(["ascent.lr=0.5"])])
    assert (found.recipe.ascent.lr, found.recipe.ascent.jitter) == (0.5, 2)
    with pytest.raises(RecipeError) as caught:
        resolve([set_fields(["ascent.lr=fast"])])
    assert str(caught.value) == "--set: ascent.lr: must be a number, not 'fast'"
    with pytest.raises(RecipeError, match=r"^--set: ascnt: is not a field; did you mean ascent"):
        resolve([set_fields(["ascnt.lr=1"])])


# explain


def test_explain_shows_every_effective_field_and_where_it_came_from(catalogue, inbox, tmp_path):
    file = write(inbox, "extends: classic\nlayers: relu4_1\nschedule:\n  num_octaves: 3\n")
    deeper = write(inbox / "a", "seed: 5\ngradient:\n  - smooth\n  - {name: normalize,\n     by: max}\n")
    defaults = document("backbone: vgg16\nascent: {momentum: 0.5}\nimage: {max_side: 64}\n", "config.yaml")
    found = RecipeBook(inbox, defaults=defaults).for_folder(PurePosixPath("a"))
    lines = (files("dreamd") / "presets" / "classic.yaml").read_text().splitlines()
    in_classic = {word: next(n for n, line in enumerate(lines, 1) if line.startswith(f"{word}:")) for word in
                  ("loss", "schedule", "ascent")}  # fmt: skip
    rows = {field.name: (field.text, field.origin) for field in explain(found, catalogue)}
    assert rows == {
        "backbone.name": ('"vgg16"', "config.yaml:1"),
        "backbone.weights": ('"default"', "built-in"),
        "layers[0].name": ('"relu4_1"', f"{file}:2"),
        "layers[0].weight": ("1.0", "built-in"),
        "layers[0].channels": ("null", "built-in"),
        "loss.name": ('"l2"', f"preset classic:{in_classic['loss']}"),
        "schedule.name": ('"octaves"', f"preset classic:{in_classic['schedule']}"),
        "schedule.num_octaves": ("3", f"{file}:4"),
        "schedule.octave_scale": ("1.4", f"preset classic:{in_classic['schedule']}"),
        "ascent.iterations": ("10", f"preset classic:{in_classic['ascent']}"),
        "ascent.lr": ("0.05", f"preset classic:{in_classic['ascent']}"),
        "ascent.momentum": ("0.0", f"preset classic:{in_classic['ascent']}"),
        "ascent.jitter": ("32", f"preset classic:{in_classic['ascent']}"),
        "gradient[0].name": ('"smooth"', f"{deeper}:3"),
        "gradient[0].sigma": ("0.5", "default of gradient smooth"),
        "gradient[0].growth": ("1.0", "default of gradient smooth"),
        "gradient[1].name": ('"normalize"', f"{deeper}:4"),
        "gradient[1].by": ('"max"', f"{deeper}:5"),
        "image.max_side": ("64", "config.yaml:3"),
        "output.format": ('"same"', "built-in"),
        "output.quality": ("92", "built-in"),
        "output.name": ('"{stem}"', "built-in"),
        "precision": ('"auto"', "built-in"),
        "seed": ("5", f"{deeper}:1"),
    }


def test_explain_says_what_a_plugin_and_a_backbone_decide_themselves(catalogue):
    found = resolve([document("schedule: article\nloss: {}\ngradient: []\n")])
    rows = {field.name: (field.text, field.origin) for field in explain(found, catalogue)}
    assert rows["layers"] == ("null", "default of backbone vgg19")
    assert rows["schedule.name"] == ('"article"', "recipe.yaml:1")
    assert rows["schedule.num_octaves"] == ("100", "default of schedule article")
    assert rows["loss.name"] == ('"l2"', "recipe.yaml:2")
    assert rows["gradient"] == ("[]", "recipe.yaml:3")
    assert rows["backbone.name"] == ('"vgg19"', "built-in")


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
    assert len(sample_files) == 2
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
    ],
)
def test_the_schema_refuses_what_dreamd_refuses(schema, text):
    assert not is_valid(schema, text)


def test_the_sample_recipes_name_their_schema_and_presets_are_documents_of_their_own():
    with as_file(files("dreamd") / "templates" / "inbox") as samples:
        for file in samples.rglob("recipe.yaml"):
            assert file.read_text().startswith("# yaml-language-server: $schema=../../state/recipe.schema.json\n")
    assert preset("article").line(("layers",)) is not None


# Anything at all

WORDS = st.sampled_from(
    [
        *(*Recipe.model_fields, "extends", "name", "weights", "lr", "iterations", "jitter", "num_octaves", "max_side"),
        *(
            "format",
            "quality",
            "weight",
            "channels",
            "vgg19",
            "l2",
            "octaves",
            "article",
            "classic",
            "smooth",
            "random",
        ),
        *("auto", "same", "{stem}", "{", "relu4_1", "job", "recipe", "x"),
    ]
)
SCALARS = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
MAPPINGS = st.dictionaries(WORDS, VALUES, max_size=6)


def resolved_or_refused(*documents: Document) -> Resolved | RecipeError:
    try:
        return resolve(documents)
    except RecipeError as error:
        return error


@unhurried
@given(st.lists(MAPPINGS, min_size=1, max_size=3))
def test_any_mappings_resolve_or_are_refused(mappings):
    documents = [Document(f"{number}.yaml", data) for number, data in enumerate(mappings)]
    outcome = resolved_or_refused(*documents)
    if isinstance(outcome, RecipeError):
        assert outcome.file in {document.file for document in documents}
        assert "pydantic" not in str(outcome)
        assert "Input should" not in str(outcome)
    else:
        assert Recipe.from_json(outcome.json) == outcome.recipe


@unhurried
@given(MAPPINGS.map(json.dumps) | st.text(max_size=80))
def test_any_recipe_file_resolves_or_is_refused(tmp_path_factory, text):
    inbox = tmp_path_factory.getbasetemp() / "any"
    inbox.mkdir(exist_ok=True)
    (inbox / "recipe.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = RecipeBook(inbox).for_folder(ROOT)
    except RecipeError:
        return
    assert Recipe.from_json(found.json) == found.recipe


# Drafts


def test_a_draft_counts_as_the_folders_own_file_over_what_it_inherits(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "recipe.yaml").write_text("seed: 1\nascent: {lr: 0.5}\n")
    (tmp_path / "a" / "recipe.yaml").write_text("seed: 2\n")
    book = RecipeBook(tmp_path, defaults=document("backbone: vgg16\n"))
    resolved = book.for_draft(PurePosixPath("a"), "extends: classic\nascent: {iterations: 3}\n")
    assert (resolved.recipe.seed, resolved.recipe.ascent.iterations, resolved.recipe.backbone.name) == (1, 3, "vgg16")
    assert str(resolved.origins["ascent", "iterations"]) == f"{tmp_path}/a/recipe.yaml:2"
    assert book.for_folder(PurePosixPath("a")).recipe.seed == 2
    assert book.for_draft(PurePosixPath("new/deep"), "").recipe.seed == 1


def test_a_wrong_draft_is_refused_in_the_words_of_a_wrong_file(tmp_path):
    with pytest.raises(RecipeError, match=r"new/recipe\.yaml:2: sed: is not a field; did you mean seed\?"):
        RecipeBook(tmp_path).for_draft(PurePosixPath("new"), "seed: 1\nsed: 2\n")
    with pytest.raises(RecipeError, match="larger than 64 KB"):
        RecipeBook(tmp_path).for_draft(PurePosixPath("new"), "#" * 70_000)

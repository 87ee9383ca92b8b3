"""How recipes lie over one another, what of that is refused in which words, and `--set`."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamd.errors import RecipeError
from dreamd.settings.recipes.checking import check_recipe
from dreamd.settings.recipes.merging import Resolved, resolve, set_fields
from dreamd.settings.recipes.recipe import Ascent, LayerChoice, Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, preset_names
from dreamd.settings.yamlfile import Document
from tests.unit.settings.kit import ROOT, document, refusal, refusal_in, resolved, unhurried, write

# Inheritance


def test_a_folder_inherits_its_parents_fields_one_by_one_with_the_defaults_below(inbox):
    write(inbox, "layers: relu4_1\nascent: {lr: 0.3, jitter: 8}\n")
    write(inbox / "a", "ascent: {jitter: 4}\noutput: {quality: 80}\n")
    write(inbox / "a" / "b" / "c", "output: {format: png}\nseed: 7\n")
    book = RecipeBook(inbox, defaults=document("backbone: vgg16\nlayers: relu3_1\nascent: {iterations: 3}\n"))
    recipe = book.for_folder(PurePosixPath("a/b/c")).recipe
    assert recipe.backbone.name == "vgg16"
    assert recipe.layers == (LayerChoice(name="relu4_1"),)
    assert recipe.ascent == Ascent(iterations=3, lr=0.3, momentum=0.0, jitter=4)
    assert (recipe.output.format, recipe.output.quality, recipe.output.name) == ("png", 80, "{stem}")
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


# What is refused, as a person reads it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lyers: relu4_1", "lyers: is not a field; did you mean layers?"),
        ("Layers: relu4_1", "Layers: is not a field; did you mean layers?"),
        ("extend: article", "extend: is not a field; did you mean extends?"),
        ("iterations: 3", "iterations: is not a field; did you mean ascent.iterations?"),
        ("quality: 3", "quality: is not a field; did you mean output.quality?"),
        ("zzz: 3", "zzz: is not a field; there are backbone, layers, loss, ascent, gradient, "
                   "parameterization, transforms, settle, schedule, start, finish, stages and 7 more"),
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
        ("output: {format: jpg}", "output.format: must be same, png, jpeg, webp, avif, tiff or heic, not 'jpg'; "
                                  "did you mean jpeg?"),
        ("output: {format: 3}", "output.format: must be same, png, jpeg, webp, avif, tiff or heic, not 3"),
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

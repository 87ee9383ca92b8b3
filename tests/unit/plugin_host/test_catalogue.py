"""A function's keyword parameters as fields in YAML: what they may be, and what is refused in which words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from dreamd.errors import PluginError, RecipeError, UnknownNameError
from dreamd.plugin_host.catalogue import Catalogue, Entry, Problem, merged
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter, parameters_of, supplied_to


def contrast(
    activation: object,
    mask: int = 3,
    *,
    power: Annotated[float, Field(gt=0, le=10)] = 2.0,
    by: Literal["mean", "max"] = "mean",
    steps: Annotated[int, Field(ge=1)] | None = None,
    name_of_it: str,
    weights_of_it: list[float] | None = None,
    on: bool = False,
) -> None:
    """The mean of a power.

    Args:
        activation: what a layer sees.
        power: 1 counts every neuron alike;
            more favours the strongest.
        by (str): how it is summed up.
        on: whether.

    Returns:
        power: not this one.
    """


def entry_of(function: Callable[..., object], **fields: Any) -> Entry:
    values = {"kind": Kind.LOSS, "name": "contrast", "plugin": "mine", "origin": "mine.py"}
    return Entry(**{**values, **fields}, parameters=parameters_of(function))


def refusal(entry: Entry, values: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        entry.check(values, ("loss",))
    return str(caught.value)


# From a signature


def test_keyword_only_parameters_are_fields_with_type_default_and_documentation():
    assert [(p.name, p.type, p.required, p.default, p.doc) for p in parameters_of(contrast)] == [
        ("power", "a number > 0 and ≤ 10", False, 2.0, "1 counts every neuron alike; more favours the strongest."),
        ("by", '"mean" or "max"', False, "mean", "how it is summed up."),
        ("steps", "a whole number ≥ 1 or null", False, None, ""),
        ("name_of_it", "text", True, None, ""),
        ("weights_of_it", "a list or null", False, None, ""),
        ("on", "true or false", False, False, "whether."),
    ]


def test_annotations_that_are_not_text_give_the_same_fields():
    def plain(a, *, power=2.0):
        return a

    plain.__annotations__["power"] = Annotated[float, Field(gt=0, le=10)]
    (parameter,) = parameters_of(plain)
    assert parameter.schema_ == {"type": "number", "exclusiveMinimum": 0, "maximum": 10}


def test_only_the_fields_own_annotations_must_be_there_to_be_read():
    def typed(a: TensorOfSomeModuleThatIsNotImported, *, power: float = 2.0) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert [parameter.name for parameter in parameters_of(typed)] == ["power"]


def test_parameters_are_found_behind_a_decorator_a_partial_and_an_object():
    def decorated(function: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(function)
        def wrapper(*args: object, **kwargs: object) -> object:
            return function(*args, **kwargs)

        return wrapper

    class Called:
        def __call__(self, a: object, *, power: Annotated[float, Field(gt=0)] = 3.0) -> None: ...

    assert [p.name for p in parameters_of(decorated(contrast))][:2] == ["power", "by"]
    halved = parameters_of(functools.partial(contrast, power=0.5))
    assert (halved[0].name, halved[0].default) == ("power", 0.5)
    assert [(p.name, p.type) for p in parameters_of(Called())] == [("power", "a number > 0")]


def test_what_the_engine_supplies_is_no_field_only_where_it_is_supplied():
    def step(gradient: object, *, progress: float, sigma: float = 1.0) -> None: ...

    assert [p.name for p in parameters_of(step, supplied=frozenset({"progress"}))] == ["sigma"]
    assert [p.name for p in parameters_of(step)] == ["progress", "sigma"]
    assert supplied_to(step, Kind.GRADIENT) == {"progress"}
    assert supplied_to(contrast, Kind.GRADIENT) == set()


def test_a_function_without_keyword_parameters_has_no_fields():
    assert parameters_of(lambda activation, power=2: activation) == ()


def with_parameter(annotation: object, default: object = 1.0) -> Callable[..., object]:
    def function(a, *, power=default):
        return a

    function.__annotations__["power"] = annotation
    return function


class Thing:
    pass


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Thing, "which YAML cannot fill; it gives bool, int, float, str, None, list and dict"),
        (Callable[[], int], "which YAML cannot fill; it gives bool, int, float, str, None, list and dict"),
        (Path, "which YAML cannot fill; it gives bool, int, float, str, None, list and dict"),
        ("Nowhere", "'Nowhere', which YAML cannot fill: name 'Nowhere' is not defined"),
        ("float[", "'float[', which YAML cannot fill: "),
        ("1 / 0", "'1 / 0', which YAML cannot fill: division by zero"),
    ],
)
def test_an_annotation_that_yaml_cannot_fill_is_refused(annotation, reason):
    with pytest.raises(PluginError) as caught:
        parameters_of(with_parameter(annotation))
    assert str(caught.value).startswith("parameter 'power' has the annotation ")
    assert reason in str(caught.value)


def test_a_parameter_without_annotation_is_refused_with_an_example():
    def bare(a, *, power=2):
        return a

    with pytest.raises(PluginError, match=r"^parameter 'power' needs an annotation, such as `power: float = 1\.0`$"):
        parameters_of(bare)


@pytest.mark.parametrize("name", ["name", "weights"])
def test_a_parameter_cannot_have_the_name_of_a_field_that_every_plugin_has(name):
    namespace: dict[str, Any] = {}
    exec(f"def function(a, *, {name}: str = 'x'): ...", namespace)
    with pytest.raises(PluginError, match=f"^parameter '{name}' needs another name"):
        parameters_of(namespace["function"])


def test_a_default_that_no_yaml_value_could_be_is_refused():
    with pytest.raises(
        PluginError, match=r"^parameter 'power' has the default <.*Thing object.*>, which no YAML value"
    ):
        parameters_of(with_parameter(float, Thing()))


def test_a_function_whose_parameters_cannot_be_told_is_refused():
    with pytest.raises(PluginError, match=r"^its parameters cannot be told .*; wrap it in a function of your own$"):
        parameters_of(dict)


# Values against them


def test_right_values_are_taken():
    entry = entry_of(contrast)
    entry.check({"name_of_it": "x"}, ("loss",))
    entry.check({"name_of_it": "", "power": 10, "by": "max", "steps": 1, "on": True}, ("loss",))
    entry.check({"name_of_it": "x", "power": 0.1, "steps": None, "weights_of_it": [1, 2.5]}, ("loss",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"powr": 2}, "loss.powr: loss 'contrast' has no parameter 'powr'; did you mean power?"),
        ({"power": 2}, "loss: loss 'contrast' needs the parameter 'name_of_it'"),
        ({"power": "2"}, "loss.power: must be a number > 0 and ≤ 10, not '2'"),
        ({"power": True}, "loss.power: must be a number > 0 and ≤ 10, not true"),
        ({"power": 0}, "loss.power: must be a number > 0 and ≤ 10, not 0"),
        ({"power": 10.5}, "loss.power: must be a number > 0 and ≤ 10, not 10.5"),
        ({"power": None}, "loss.power: must be a number > 0 and ≤ 10, not null"),
        ({"by": "mxa"}, 'loss.by: must be "mean" or "max", not \'mxa\'; did you mean max?'),
        ({"by": 3}, 'loss.by: must be "mean" or "max", not 3'),
        ({"steps": 0}, "loss.steps: must be a whole number ≥ 1 or null, not 0"),
        ({"steps": 2.0}, "loss.steps: must be a whole number ≥ 1 or null, not 2.0"),
        ({"steps": False}, "loss.steps: must be a whole number ≥ 1 or null, not false"),
        ({"weights_of_it": 3}, "loss.weights_of_it: must be a list or null, not 3"),
        ({"weights_of_it": [1, "x"]}, "loss.weights_of_it[1]: must be a number, not 'x'"),
        ({"on": 1}, "loss.on: must be true or false, not 1"),
        ({"name_of_it": ["x"]}, 'loss.name_of_it: must be text, not ["x"]'),
    ],
)
def test_a_wrong_value_is_refused_in_plain_words(values, message):
    assert refusal(entry_of(contrast), values) == message


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Annotated[str, Field(min_length=2)], "a", "loss.power: must be text of at least 2 characters, not 'a'"),
        (Annotated[list[int], Field(min_length=1)], [], "loss.power: must be a list of at least 1 entries, not []"),
        (dict[str, int], 3, "loss.power: must be a mapping, not 3"),
        (Literal[1, 2], 3, "loss.power: must be 1 or 2, not 3"),
        (Literal["on"], "no", "loss.power: must be \"on\", not 'no'"),
        (Annotated[int, Field(multiple_of=8)], 3, "loss.power: must be a whole number divisible by 8, not 3"),
    ],
)
def test_other_bounds_are_said_too(annotation, value, message):
    assert refusal(entry_of(with_parameter(annotation, None)), {"power": value}) == message


def test_anything_is_taken_where_anything_is_allowed():
    entry_of(with_parameter(Any)).check({"power": {"deep": [None]}}, ("loss",))
    assert Parameter(name="x", schema_={}, required=True).type == "any value"


# Names


def catalogue() -> Catalogue:
    def entry(kind: Kind, name: str) -> Entry:
        return Entry(kind=kind, name=name, plugin=f"p-{name}", origin="x")

    return Catalogue(
        entries=(entry(Kind.BACKBONE, "timm/*"), entry(Kind.BACKBONE, "timm/special"), entry(Kind.BACKBONE, "vgg19"),
                 entry(Kind.LOSS, "l2")),
        problems=(Problem(plugin="broken", origin="broken.py", reason="why"),),
    )  # fmt: skip


def test_a_family_answers_for_all_its_names_and_an_exact_name_comes_first():
    assert catalogue().find(Kind.BACKBONE, "timm/resnet50.a1_in1k").name == "timm/*"
    assert catalogue().find(Kind.BACKBONE, "timm/special").name == "timm/special"
    assert catalogue().names(Kind.BACKBONE) == ["timm/*", "timm/special", "vgg19"]


def test_an_unknown_name_is_refused_with_the_nearest_and_what_could_not_be_loaded():
    with pytest.raises(UnknownNameError) as caught:
        catalogue().find(Kind.BACKBONE, "vgg91")
    assert str(caught.value) == "no backbone 'vgg91'; did you mean vgg19? (not loaded: broken: why)"
    with pytest.raises(UnknownNameError, match=r"^no loss 'vgg19'; there .* l2"):
        catalogue().find(Kind.LOSS, "vgg19")
    with pytest.raises(UnknownNameError, match=r"^no executor 'x'; there are none$"):
        Catalogue().find(Kind.EXECUTOR, "x")


def test_catalogues_are_merged_and_survive_json():
    whole = merged([catalogue(), Catalogue(entries=(entry_of(contrast),))])
    assert len(whole.entries) == 5
    assert len(whole.problems) == 1
    again = Catalogue.model_validate_json(whole.model_dump_json())
    assert again == whole
    assert refusal(again.find(Kind.LOSS, "contrast"), {"powr": 1}).endswith("did you mean power?")

"""Every field of a recipe has a control that fits it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from dreamd.page.recipes.form import Control, Fields, Form, recipe_form
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter
from dreamd.settings.recipes.recipe import Ascent, Output, Part, Recipe, Stage
from dreamd.settings.recipes.values.film import Film
from dreamd.settings.recipes.values.image import Image


@pytest.fixture(scope="module")
def form() -> Form:
    catalogue = Shipped("dreamd.engine", (), ()).catalogue
    assert catalogue is not None
    return recipe_form(catalogue, ("animals", "mine"))


def controls_of(form: Fields) -> dict[str, Control]:
    return {control.path: control for group in form.groups for control in group.controls}


def every_control(form: Form) -> Iterator[Control]:
    for control in controls_of(form).values():
        yield control
        yield from controls_of(control.inside).values() if control.inside else ()
    for plugins in form.plugins.values():
        for plugin in plugins:
            yield from plugin.controls


def fields_of(model: type[BaseModel]) -> set[str]:
    sections: dict[str, type[BaseModel]] = {"ascent": Ascent, "image": Image, "output": Output, "film": Film}
    return {
        f"{name}.{inner}" if inner else name
        for name in model.model_fields
        for inner in (sections[name].model_fields if name in sections else [""])
    }


def test_every_field_of_the_model_has_a_control(form):
    assert controls_of(form).keys() == fields_of(Recipe) | {"backbone.weights"}


def test_parts_and_stages_have_the_controls_of_their_own_fields(form):
    part, stage = controls_of(form)["sequence"], controls_of(form)["stages"]
    assert controls_of(part.inside).keys() == fields_of(Part) | {"backbone.weights", "extends"}
    assert controls_of(stage.inside).keys() == fields_of(Stage)
    assert controls_of(part.inside)["stages"].inside == stage.inside
    for path in controls_of(form).keys() & controls_of(stage.inside).keys():
        assert controls_of(stage.inside)[path] == controls_of(form)[path]
    assert (part.part, part.limits, part.options) == ("part", (None, 8), ("animals", "mine"))
    assert (stage.part, stage.limits, stage.options) == ("stage", (None, 32), ())
    assert controls_of(part.inside)["extends"].options == ("animals", "mine")


def test_what_people_change_first_is_there(form):
    schedules = {plugin.name: [control.path for control in plugin.controls] for plugin in form.plugins["schedule"]}
    for path in form.main:
        assert path in controls_of(form) or path.removeprefix("schedule.") in schedules["octaves"]


def test_each_control_says_in_a_sentence_what_it_does(form):
    for control in every_control(form):
        assert control.doc, control.path
        assert "\n" not in control.doc


def test_a_slider_stays_within_the_limits_and_reaches_the_default(form):
    for control in every_control(form):
        if control.slider is None:
            continue
        low, high = control.slider
        least, most = control.limits
        assert low < high, control.path
        assert least is None or low >= least, control.path
        assert most is None or high <= most, control.path
        if isinstance(control.default, int | float):
            assert low <= control.default <= high, control.path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("layers", "layers"), ("ascent.lr", "number"), ("output.format", "choice"), ("output.depth", "choice"),
        ("output.embed", "flag"), ("stages", "parts"), ("sequence", "parts"),
        ("gradient", "steps"), ("schedule", "plugin"), ("ascent.optimizer", "plugin"), ("image.mask", "text"),
    ],
)  # fmt: skip
def test_a_control_has_the_look_of_what_it_is_for(form, path, kind):
    assert controls_of(form)[path].kind == kind


def test_what_may_be_null_says_so(form):
    optional = {path for path, control in controls_of(form).items() if control.optional}
    assert {"image.max_side", "image.mask", "ascent.lr_end"} <= optional
    assert not {"seed", "ascent.lr"} & optional


@pytest.mark.parametrize(
    ("schema", "default", "slider"),
    [
        ({"type": "number", "x-dreamd-usual": [2, 3], "minimum": 0, "maximum": 9}, 2.5, (2, 3)),
        ({"type": "number", "minimum": 0, "maximum": 9}, 2.5, (0, 9)),
        ({"type": "number"}, 2.5, (0, 10.0)),
        ({"type": "number", "minimum": 1}, 2.5, (1, 10.0)),
        ({"type": "number"}, -1, (-4, 0)),
        ({"type": "number"}, 0, None),
        ({"type": "integer", "minimum": 0, "maximum": 2**31}, 5, None),
    ],
)
def test_a_drop_ins_number_has_a_slider_where_one_makes_sense(schema, default, slider):
    parameter = Parameter(name="x", schema_=schema, required=False, default=default, doc="what it is")
    mine = Entry(kind=Kind.LOSS, name="mine", plugin="mine", origin="mine.py", parameters=(parameter,))
    (plugin,) = recipe_form(Catalogue(entries=(mine,))).plugins["loss"]
    assert plugin.controls[0].slider == slider

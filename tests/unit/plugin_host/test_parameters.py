"""A value that a look takes for right is one that JSON Schema takes too."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamd.plugin_host.parameters import Parameter, _plainly_fits, _strict_validator

BOUNDS = st.dictionaries(
    st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]), st.integers(-3, 3)
).filter(lambda bounds: bounds.get("multipleOf", 1) > 0)

WORDS = st.text("ab", max_size=2)

SCHEMAS = st.one_of(
    st.builds(lambda type_, bounds: {"type": type_, **bounds}, st.sampled_from(["number", "integer"]), BOUNDS),
    st.builds(lambda words: {"type": "string", "enum": words}, st.lists(WORDS, min_size=1)),
    st.builds(lambda length: {"type": "string", "minLength": length}, st.integers(0, 2)),
    st.builds(lambda values: {"type": "integer", "enum": values}, st.lists(st.integers(0, 2), min_size=1)),
    st.sampled_from([{}, {"type": "boolean"}, {"type": "null"}, {"type": "string", "pattern": "a"}, {"const": 1}]),
    st.just({"type": "array", "items": {"type": "integer"}}),
)

VALUES = st.one_of(
    st.integers(-4, 4), st.floats(-4, 4), st.sampled_from([True, False, None, float("nan"), float("inf")]), WORDS,
    st.lists(st.integers(0, 1), max_size=1),
)  # fmt: skip


@given(st.one_of(SCHEMAS, st.builds(lambda one, other: {"anyOf": [one, other]}, SCHEMAS, SCHEMAS)), VALUES)
def test_what_a_look_takes_the_validator_takes(schema: dict[str, Any], value: object) -> None:
    if _plainly_fits(value, schema):
        assert list(_strict_validator()(schema).iter_errors(value)) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "number", "exclusiveMinimum": 0}, 0.5),
        ({"type": "integer", "minimum": 1, "maximum": 4}, 4),
        ({"type": "string", "enum": ["mean", "std"]}, "std"),
        ({"type": "boolean"}, True),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
    ],
)
def test_usual_parameters_need_no_validator(schema: dict[str, Any], value: object) -> None:
    assert _plainly_fits(value, schema)


def test_a_right_value_is_checked_without_loading_jsonschema() -> None:
    code = (
        "import sys; from dreamd.plugin_host.parameters import Parameter\n"
        "Parameter(name='sigma', schema_={'type': 'number'}, required=True).check(0.5, ('sigma',))\n"
        "print('jsonschema' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
    Parameter(name="sigma", schema_={"type": "number"}, required=True).check(1, ("sigma",))

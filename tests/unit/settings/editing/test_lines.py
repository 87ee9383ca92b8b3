"""A list in brackets gets a line for each entry, and says the same."""

from __future__ import annotations

import pytest

from dreamd.errors import RecipeError
from dreamd.settings.editing.lines import with_lines


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("stages: [{a: 1}, b]  # mine\nseed: 1\n", "stages:  # mine\n  - {a: 1}\n  - b\nseed: 1\n"),
        ("stages: [a]", "stages:\n  - a"),
        ("seed: 1\r\nstages: [a, 'b # c']\r\n", "seed: 1\r\nstages:\r\n  - a\r\n  - 'b # c'\r\n"),
    ],
)
def test_each_entry_gets_a_line(text, came):
    assert with_lines(text, ("stages",)) == came


def test_a_list_of_a_part_in_lines_gets_lines_too():
    text = "sequence:\n  - extends: weave\n    stages: [{a: 1}]\n"
    assert with_lines(text, ("sequence", 0, "stages")) == (
        "sequence:\n  - extends: weave\n    stages:\n      - {a: 1}\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "stages: []\n", "stages: [a,\n  b]\n", "{stages: [a]}\n", "stages: &s [a]\nsettle: *s\n", "stages:\n- a\n",
        "stages: a\n", "seed: 1\n", "settle: &s [a]\nstages: *s\n",
    ],
)  # fmt: skip
def test_any_other_text_stays_as_it_is(text):
    assert with_lines(text, ("stages",)) == text


def test_a_text_that_is_no_yaml_is_refused():
    with pytest.raises(RecipeError, match="is not YAML"):
        with_lines("stages: [", ("stages",))

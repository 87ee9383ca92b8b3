"""A YAML text is changed in one place, and everything that a person wrote stays."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamd.errors import RecipeError
from dreamd.settings.editing.changes import with_value, without_value
from dreamd.settings.editing.places import comments_of
from dreamd.settings.yamlfile import parse_document

REPOSITORY = Path(__file__).parents[4]
RECIPES = {
    file.name: file.read_text(encoding="utf-8")
    for folder in ("examples/recipes", "dreamd/presets")
    for file in sorted((REPOSITORY / folder).glob("*.yaml"))
}

TEXT = """\
# yaml-language-server: $schema=recipe.schema.json
extends: 'animals'   # a dog, please

ascent:   { iterations: 20,lr: 0.05 }   # fast
gradient:  # soft
  - {name: smooth, sigma: 1.0}  # one
  - normalize   # two
# and the rest
loss: l2
layers:
- relu4_4
- name: relu5_1   # deep
  weight: 2
"""


def values(text: str) -> dict[str, Any]:
    return parse_document(text, "a test", RecipeError).data


def changed_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    """The lines that went and those that came."""
    pairs = difflib.SequenceMatcher(None, was := old.split("\n"), now := new.split("\n"), autojunk=False).get_opcodes()
    changed = [(was[a:b], now[c:d]) for tag, a, b, c, d in pairs if tag != "equal"]
    return [line for went, _ in changed for line in went], [line for _, came in changed for line in came]


@pytest.mark.parametrize(
    ("path", "value", "went", "came"),
    [
        (("ascent", "lr"), 0.1, ["ascent:   { iterations: 20,lr: 0.05 }   # fast"],
         ["ascent:   { iterations: 20,lr: 0.1 }   # fast"]),
        (("ascent", "jitter"), 4, ["ascent:   { iterations: 20,lr: 0.05 }   # fast"],
         ["ascent:   { iterations: 20,lr: 0.05, jitter: 4 }   # fast"]),
        (("extends",), "weave", ["extends: 'animals'   # a dog, please"], ["extends: weave   # a dog, please"]),
        (("loss", "power"), 3, ["loss: l2"], ["loss: {name: l2, power: 3}"]),
        (("gradient", 0, "sigma"), 2.5, ["  - {name: smooth, sigma: 1.0}  # one"],
         ["  - {name: smooth, sigma: 2.5}  # one"]),
        (("layers", 1, "weight"), -1, ["  weight: 2"], ["  weight: -1"]),
        (("layers", 1, "center"), True, [], ["  center: true"]),
        (("layers",), ["relu4_4", {"name": "relu5_1", "weight": 2}, "relu3_1"], [], ["- relu3_1"]),
        (("seed",), 7, [], ["seed: 7"]),
        (("schedule", "num_octaves"), 3, [], ["schedule: {num_octaves: 3}"]),
        (("gradient",), [{"name": "smooth", "sigma": 1.0}, "bare", "normalize"], [], ["  - bare"]),
    ],
)  # fmt: skip
def test_setting_a_field_changes_its_own_line_alone(path, value, went, came):
    assert changed_lines(TEXT, with_value(TEXT, path, value)) == (went, came)


@pytest.mark.parametrize(
    ("path", "went", "came"),
    [
        (("ascent", "lr"), ["ascent:   { iterations: 20,lr: 0.05 }   # fast"],
         ["ascent:   { iterations: 20 }   # fast"]),
        (("ascent",), ["ascent:   { iterations: 20,lr: 0.05 }   # fast"], ["# fast"]),
        (("layers", 1, "weight"), ["  weight: 2"], []),
        (("gradient", 1), ["  - normalize   # two"], ["  # two"]),
        (("seed",), [], []),
    ],
)  # fmt: skip
def test_removing_a_field_removes_its_own_line_alone_and_its_comment_stays(path, went, came):
    assert changed_lines(TEXT, without_value(TEXT, path)) == (went, came)


def test_a_mapping_whose_last_field_goes_is_gone_too():
    assert without_value("seed: 1\nascent:\n  lr: 1\n", ("ascent", "lr")) == "seed: 1\n"
    assert without_value("ascent: {lr: 1}\n", ("ascent", "lr")) == ""


@pytest.mark.parametrize(
    ("text", "path", "came"),
    [
        ("stages:\n  - a: 1\n    # b: 2\n\n    # c\n  # all\nseed: 1\n", ("stages", 1), "  - x"),
        ("stages:\n- a\n  # b\n# all\n", ("stages", 1), "- x"),
        ("ascent:\n  lr: 1\n   # slow\n", ("ascent", "seed"), "  seed: x"),
        ("layers:\n- a\n  # b", ("seed",), "seed: x"),
    ],
)
def test_what_is_added_stands_behind_the_comments_of_what_is_above_it(text, path, came):
    added = with_value(text, path, "x")
    assert changed_lines(text, added) == ([], [came])
    lines = added.split("\n")
    assert lines[lines.index(came) - 1].lstrip() in ("# c", "# b", "# slow")


def test_a_list_that_is_emptied_says_so_because_it_inherits_nothing():
    assert values(without_value("gradient:\n  - smooth\n", ("gradient", 0))) == {"gradient": []}


@pytest.mark.parametrize("text", ["", "# only a comment", "---\n", "seed: 1", "seed: 1\r\nlayers: a\r\n", "ascent:\n"])
def test_fields_are_added_to_short_texts_of_every_form(text):
    new = with_value(with_value(text, ("ascent", "lr"), 0.5), ("extends",), "animals")
    assert values(new) == {**values(text), "ascent": {"lr": 0.5}, "extends": "animals"}
    assert ("\r\n" in text) == ("\r\n" in new)


def test_what_extends_is_written_before_all_else():
    assert with_value("# mine\nseed: 1\n", ("extends",), "weave") == "# mine\nextends: weave\nseed: 1\n"


def test_a_text_that_reads_as_a_number_is_quoted():
    assert with_value("", ("output", "name"), "1e3") == "output: {name: '1e3'}\n"


def test_what_only_a_person_can_change_is_refused_and_says_so():
    shared = "ascent: &same {lr: 1}\nimage: *same\n"
    with pytest.raises(RecipeError, match="change it in the text"):
        with_value(shared, ("image", "lr"), 2)
    for nowhere in (("gradient", "smooth"), ("layers", 9, "weight"), (0,), ("loss", "name", "deeper")):
        with pytest.raises(RecipeError):
            with_value(TEXT, nowhere, 2)
    with pytest.raises(RecipeError, match="is not YAML"):
        with_value("seed: [", ("seed",), 2)


def test_a_sign_that_begins_a_comment_elsewhere_is_none_in_quotes():
    assert comments_of("a: 'x # y'  # z\nb: |\n  # text\nc: d#e\n# f\n") == ["# z", "# f"]


CHANGES = st.sampled_from(
    [
        (("extends",), "weave"),
        (("seed",), 12),
        (("ascent", "lr"), 0.125),
        (("ascent", "iterations"), 3),
        (("schedule", "num_octaves"), 2),
        (("backbone",), "vgg19"),
        (("loss",), {"name": "l2"}),
        (("image", "max_side"), None),
        (("output", "format"), "png"),
        (("layers",), ["a", {"name": "b", "weight": 2}]),
        (("layers",), "blocks.4.2"),
        (("gradient",), ["smooth", {"name": "natural", "amount": 0.5}, "normalize"]),
        (("transforms",), []),
    ]
)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(RECIPES)), changes=st.lists(CHANGES, max_size=4), data=st.data())
def test_real_recipes_keep_every_comment_and_all_other_values(name, changes, data):
    text = commented(RECIPES[name], data.draw(st.just(set(range(60))) | st.sets(st.integers(0, 12), max_size=4)))
    first = comments_of(text)
    for path, value in changes:
        new = with_value(text, path, value)
        own = path[0]
        assert {key: inner for key, inner in values(new).items() if key != own} == {
            key: inner for key, inner in values(text).items() if key != own
        }
        assert inside(values(new), path) == value
        text = new
    for path, _ in changes:
        text = without_value(text, path)
        assert path[-1] not in (values(text) if len(path) == 1 else values(text).get(path[0], {}))
    assert sorted(comments_of(text)) == sorted(first)


@settings(deadline=None)
@given(name=st.sampled_from(sorted(RECIPES)), data=st.data())
def test_a_number_of_a_real_recipe_is_changed_in_its_own_line(name, data):
    text = RECIPES[name]
    numbers = [path for path in leaves(values(text), ()) if type(inside(values(text), path)) in (int, float)]
    if not numbers:
        return
    path = data.draw(st.sampled_from(numbers))
    went, came = changed_lines(text, with_value(text, path, 7531))
    assert len(went) == len(came) == 1
    assert came[0].count("7531") == 1


def commented(text: str, numbers: set[int]) -> str:
    """The text with a comment behind some of its lines."""
    lines = text.split("\n")
    return "\n".join(f"{line}  # note {at}" if at in numbers and line else line for at, line in enumerate(lines))


def leaves(value: Any, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        return [path]
    return [leaf for key, below in inner for leaf in leaves(below, (*path, key))]


def inside(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return json.loads(json.dumps(value))

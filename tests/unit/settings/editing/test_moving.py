"""An entry of a list is moved in a YAML text with the comments that belong to it, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamd.errors import RecipeError
from dreamd.settings.editing.moving import with_moved
from dreamd.settings.editing.places import comments_of
from dreamd.settings.yamlfile import parse_document

TEXT = """\
# mine
stages:
  # about a
  - layers: a  # first
    ascent:
      lr: 1
    # loss: l2

  # about b
  - {layers: b}  # second
  - layers: c
# the end
seed: 1
"""

A = """\
  # about a
  - layers: a  # first
    ascent:
      lr: 1
    # loss: l2
"""
B = """\
  # about b
  - {layers: b}  # second
"""
C = """\
  - layers: c
"""


def text_of(*chunks: str) -> str:
    return f"# mine\nstages:\n{''.join(chunks)}# the end\nseed: 1\n"


def test_an_entry_takes_its_comments_along_and_empty_lines_stay():
    assert text_of(A, "\n", B, C) == TEXT
    assert with_moved(TEXT, ("stages", 0), 1) == text_of(B, "\n", A, C)
    assert with_moved(TEXT, ("stages", 1), 0) == text_of(B, "\n", A, C)
    assert with_moved(TEXT, ("stages", 2), 0) == text_of(C, "\n", A, B)
    assert with_moved(TEXT, ("stages", 1), 1) == TEXT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stages: [{a: 1}, {b: 2}, {c: 3}]  # x", "stages: [{b: 2}, {c: 3}, {a: 1}]  # x"),
        ("stages:\n  [{a: 1},\n   b,\n   c]\n", "stages:\n  [b,\n   c,\n   {a: 1}]\n"),
        ("stages:\r\n- {a: 1}\r\n- b # x\r\n- c", "stages:\r\n- b # x\r\n- c\r\n- {a: 1}"),
        ("stages:\n- |\n  # text\n- b\n- c\n", "stages:\n- b\n- c\n- |\n  # text\n"),
        ("seed: 1\nstages: [x, y,\n  z]\n", "seed: 1\nstages: [y, z,\n  x]\n"),
    ],
)  # fmt: skip
def test_lists_of_every_form_are_put_in_another_order(old, new):
    assert with_moved(old, ("stages", 0), 2) == new


def test_an_entry_of_a_list_within_a_list_is_moved():
    text = "sequence:\n  - stages:\n      - a  # one\n      # two\n      - b\n    seed: 1\n"
    moved = "sequence:\n  - stages:\n      # two\n      - b\n      - a  # one\n    seed: 1\n"
    assert with_moved(text, ("sequence", 0, "stages", 1), 0) == moved


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stages: [{a: 1},  # x\n {b: 2}]\n", "a comment stands between"),
        ("stages: [{a: 1}, {b: 2}  # x\n]\n", "a comment stands between"),
        ("stages: [&a {a: 1}, *a]\n", "only a person should change"),
        ("stages:\n  - &a {a: 1}\n  - {b: *a}\n", "only a person should change"),
        ("stages: [{a: 1}]\n", "no such place"),
        ("stages: {a: 1}\n", "no such place"),
        ("seed: 1\n", "no such place"),
        ("seed: [", "is not YAML"),
    ],
)
def test_what_only_a_person_can_move_is_refused_in_words(text, words):
    with pytest.raises(RecipeError, match=words):
        with_moved(text, ("stages", 0), 1)


def test_a_list_that_begins_within_a_line_is_refused_in_words():
    with pytest.raises(RecipeError, match="begins behind something else"):
        with_moved("stages:\n- - a\n  - b\n", ("stages", 0, 0), 1)


LINES = st.sampled_from(
    ["- {a: 1}  # end", "- a: 1\n  b: 2", "- name", "- a: 1  # x\n  # deep", "- a:\n    - b\n    - c"]
)
ABOVE = st.sampled_from(["", "# note\n", "\n", "\n# note\n\n# more\n"])


@settings(deadline=None)
@given(st.lists(st.tuples(ABOVE, LINES), min_size=2, max_size=5), st.data())
def test_there_and_back_is_the_same_text_and_no_comment_is_lost(entries, data):
    text = "stages:\n" + "".join(f"{above}{lines}\n" for above, lines in entries) + "seed: 1\n"
    number = st.integers(0, len(entries) - 1)
    start, to = data.draw(number), data.draw(number)
    moved = with_moved(text, ("stages", start), to)
    wanted = parse_document(text, "a test", RecipeError).data["stages"]
    wanted.insert(to, wanted.pop(start))
    assert parse_document(moved, "a test", RecipeError).data == {"stages": wanted, "seed": 1}
    assert sorted(comments_of(moved)) == sorted(comments_of(text))
    assert with_moved(moved, ("stages", to), start) == text

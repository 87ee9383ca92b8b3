"""JSON that can always be written, whatever is in a value."""

from __future__ import annotations

import json
import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamd.json_text import to_json

TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, categories=None))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary().map(os.fsdecode),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


def strictly(text: str) -> object:
    """What a reader makes of it that takes no NaN and no Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(text.encode("ascii"), parse_constant=refuse)


@given(VALUES)
def test_every_value_can_be_written_in_ascii_and_read_strictly(value: object) -> None:
    strictly(to_json(value))


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", "caf\u00e9".encode(), b"a\nb"])
def test_a_name_that_is_no_text_keeps_its_bytes(name: bytes) -> None:
    (read,) = strictly(to_json([os.fsdecode(name)]))  # type: ignore[misc]
    assert os.fsencode(read) == name


@given(VALUES)
def test_for_people_letters_stay_and_every_value_can_be_written_in_utf_8(value: object) -> None:
    json.loads(to_json(value, for_people=True).encode())


def test_for_people_a_half_character_is_seen_and_a_whole_one_stays() -> None:
    assert to_json(["caf\udce9 \u00e9"], for_people=True) == '["caf\\\\udce9 \u00e9"]'


def test_a_number_that_json_does_not_know_is_null_and_a_path_its_text() -> None:
    value = {"a": [float("nan"), (float("-inf"), 1.5)], "b": PurePosixPath("c/d")}
    assert strictly(to_json(value)) == {"a": [None, [None, 1.5]], "b": "c/d"}
    assert strictly(to_json({"b": PurePosixPath("c/d")}, indent=1)) == {"b": "c/d"}

"""A part or stage has its place in the text before it, or a field of it, is changed."""

from __future__ import annotations

import pytest

from dreamd.errors import FieldPath, RecipeError
from dreamd.page.recipes.said_lists import SaidLists, said_at, said_lists, with_own_lists
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document

INHERITED: SaidLists = {("stages",): [{"layers": "a"}], ("sequence",): [], ("sequence", 0, "stages"): [{"octaves": 2}]}


@pytest.mark.parametrize(
    ("text", "path", "came"),
    [
        ("seed: 1  # one\n", ("stages", 0, "loss"), "seed: 1  # one\nstages:\n  - {layers: a}\n"),
        ("seed: 1\n", ("stages", 1), "seed: 1\nstages:\n  - {layers: a}\n"),
        ("stages: []\n", ("stages", 0), "stages: []\n"),
        ("seed: 1\n", ("sequence", 0), "seed: 1\nsequence: []\n"),
        ("sequence:\n- weave  # a\n", ("sequence", 0, "loss"), "sequence:\n- {extends: weave}  # a\n"),
        ("sequence: [weave]\n", ("sequence", 0), "sequence: [weave]\n"),
        ("sequence: [weave]\n", ("sequence", 0, "stages", 0, "octaves"),
         "sequence: [{extends: weave, stages: [{octaves: 2}]}]\n"),
        ("seed: 1\n", ("gradient", 0, "sigma"), "seed: 1\n"),
        ("seed: 1\n", ("stages",), "seed: 1\n"),
    ],
)  # fmt: skip
def test_a_list_that_is_inherited_is_written_out_and_a_name_becomes_a_mapping(text, path, came):
    assert with_own_lists(text, (), path, lambda: INHERITED) == came


def test_what_is_inherited_is_not_looked_up_where_the_text_has_the_list():
    def looked_up() -> SaidLists:
        raise RecipeError("nobody needs this")

    path: FieldPath = ("stages", 0, "loss")
    assert with_own_lists("stages: [{}]\n", (), path, looked_up) == "stages: [{}]\n"


def test_the_lists_are_those_that_the_documents_come_to():
    book = RecipeBook(None)
    documents = [
        *book.documents_of_name("strata"),
        Document("mine", {"sequence": ["strata", {"stages": [{"octaves": 3}]}, {"extends": "weave"}]}),
    ]
    lists = said_lists(documents, book.parts(documents))
    strata = said_lists(documents[:-1], ())["stages",]
    assert len(strata) > 1
    assert lists["sequence",] == documents[-1].data["sequence"]
    assert lists["sequence", 0, "stages"] == strata
    assert lists["sequence", 1, "stages"] == [{"octaves": 3}]
    assert lists["sequence", 2, "stages"] == []


def test_what_a_text_says_of_a_field_is_found_in_a_sidecar_too():
    assert said_at('{"job": "x", "recipe": {"stages": [{"loss": "l2"}]}}', ("stages", 0, "loss")) == "l2"
    assert said_at("stages: [{loss: l2}]", ("stages", 1)) is None
    assert said_at("seed: 1", ("stages", 1)) is None

"""Sweeps: how values are read, which recipes they make, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.errors import DreamdError, RecipeError
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, preset
from dreamd.settings.recipes.sweeping import parse_axis
from dreamd.settings.yamlfile import parse_document
from dreamd.sheets.axes import MOST_CELLS, plan_sweep
from dreamd.sheets.plan import Cell


def swept(*texts: str) -> list[Recipe]:
    """The recipes of a sweep over the preset `classic`, in the order of its cells."""
    return [recipe_of(cell) for cell in plan_sweep([preset("classic")], [parse_axis(text) for text in texts]).cells]


def recipe_of(cell: Cell) -> Recipe:
    assert cell.recipe is not None
    return cell.recipe.recipe


def refused(*texts: str) -> str:
    with pytest.raises(DreamdError) as caught:
        swept(*texts)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("ascent.lr=0.02,0.05", ("0.02", "0.05")),
        ("layers=[blocks.3.2],[blocks.4.2, blocks.5.0]", ("[blocks.3.2]", "[blocks.4.2, blocks.5.0]")),
        ("loss={name: l2},mean", ("{name: l2}", "mean")),
        ("gradient=[],[{name: smooth, sigma: 1}, normalize]", ("[]", "[{name: smooth, sigma: 1}, normalize]")),
        ("output.name='a,b',\"c,d\"", ("'a,b'", '"c,d"')),
        ("output.name=cat's,dog's", ("cat's", "dog's")),
        ("seed=1, 2 ,1", ("1", "2")),
    ],
)
def test_commas_part_values_but_not_in_brackets_and_quotes(text: str, values: tuple[str, ...]) -> None:
    assert parse_axis(text).values == values


def test_two_fields_give_every_combination_with_the_last_running_fastest() -> None:
    found = [(recipe.seed, recipe.ascent.lr) for recipe in swept("seed=1,2", "ascent.lr=0.1,0.2,0.3")]
    assert found == [(1, 0.1), (1, 0.2), (1, 0.3), (2, 0.1), (2, 0.2), (2, 0.3)]


def test_three_fields_give_the_product() -> None:
    found = swept("seed=1,2", "ascent.lr=0.1,0.2", "schedule.num_octaves=1,2")
    assert len({(recipe.seed, recipe.ascent.lr, recipe.schedule.parameters["num_octaves"]) for recipe in found}) == 8


def test_a_plugin_is_swept_whole_or_by_its_parameters() -> None:
    assert [recipe.loss.name for recipe in swept("loss=l2,mean")] == ["l2", "mean"]
    assert [recipe.loss.name for recipe in swept("loss.name=l2,mean")] == ["l2", "mean"]
    bare, one = (recipe.gradient for recipe in swept("gradient=[],[{name: smooth, sigma: 2}]"))
    assert bare == ()
    assert one[0].parameters == {"sigma": 2}


def test_a_parameter_deep_in_a_list_is_reached_by_its_number() -> None:
    first, second = swept("gradient[0].sigma=1,2")
    assert [recipe.gradient[0].parameters["sigma"] for recipe in (first, second)] == [1, 2]
    assert first.gradient[1] == second.gradient[1] == Recipe.model_validate(preset("classic").data).gradient[1]
    assert swept("ascent.optimizer.name=adam")[0].ascent.optimizer.name == "adam"


def test_what_lies_deeper_is_set_after_what_holds_it_however_it_was_written() -> None:
    (recipe,) = swept("gradient[0].sigma=3", "gradient=[smooth]")
    assert recipe.gradient[0].parameters == {"sigma": 3}
    (recipe,) = swept("layers=blocks.3.2", "backbone=efficientnet_lite0")
    assert recipe.layers is not None
    assert (recipe.layers[0].name, recipe.backbone.name) == ("blocks.3.2", "efficientnet_lite0")


def test_a_plan_says_what_is_down_and_what_is_across() -> None:
    axes = [parse_axis(text) for text in ("layers=1,2", "seed=0,1", "ascent.lr=0.1,0.2")]
    assert plan_sweep([preset("classic")], axes).title == "layers, seed down, ascent.lr across"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("seed",), "is no FIELD=V1,V2"),
        (("seed=",), "has an empty value"),
        (("seed=1,,2",), "has an empty value"),
        (("layers=[a,b",), "']' is missing"),
        (("output.name='a",), '"\'" is missing'),
        (("extends=animals",), "choose what to start from with --recipe"),
        (("seed=1", "seed=2"), "seed is given twice"),
        (("seed=" + ",".join(map(str, range(MOST_CELLS + 1))),), "at most 2,000"),
        (("laers=1",), "did you mean layers?"),
        (("ascent.lrr=1",), "did you mean lr?"),
        (("ascent.lr=0.1,fast",), "sweep: ascent.lr: must be a number, not 'fast'"),
        (("gradient[7].sigma=1",), "sweep: gradient: has 2 entries, counted from 0"),
        (("schedule[0].sigma=1",), "sweep: schedule: is no list in this recipe"),
        (("ascent.optimzer.name=adam",), "did you mean optimizer?"),
        (("seed=1,{",), "'}' is missing"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(texts: tuple[str, ...], said: str) -> None:
    assert said in refused(*texts)


def test_fields_of_parts_and_stages_are_swept_with_named_recipes_among_them(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("layers: a\nstages: [{layers: b}, {}]\n", encoding="utf-8")
    book = RecipeBook(None, named=tmp_path)
    base = [parse_document("sequence: [animals, mine]\n", "recipe.yaml", RecipeError)]
    axes = [parse_axis("sequence[1].stages[0].ascent.iterations=3,4"), parse_axis("sequence[0].ascent.lr=0.5,1")]
    recipes = [recipe_of(cell) for cell in plan_sweep(base, axes, book).cells]
    assert [(one.sequence[1].stages[0].ascent.iterations, one.sequence[0].ascent.lr) for one in recipes] == [
        (3, 0.5), (3, 1), (4, 0.5), (4, 1)
    ]  # fmt: skip
    assert all(one.sequence[0].backbone.name == "efficientnet_lite0" for one in recipes)

"""What a recipe may say of a layer: its channels, its cells, its activation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dreamd.errors import RecipeError
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.values.channels import ChannelChoice
from dreamd.settings.yamlfile import parse_document


def layer(text: str) -> Any:
    document = parse_document(f"layers:\n  - {{name: scores, {text}}}\n", Path("recipe.yaml"), RecipeError)
    recipe = resolve([document]).recipe
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert recipe.layers is not None
    return recipe.layers[0]


def test_channels_are_numbers_and_labels_side_by_side() -> None:
    assert layer("channels: [peacock, 12, sea anemone]").channels == ("peacock", 12, "sea anemone")


@pytest.mark.parametrize(
    ("text", "by", "count", "when"),
    [
        ("{strongest: 5}", "strongest", 5, "once"),
        ("{weakest: 1, when: octave}", "weakest", 1, "octave"),
        ("{random: 3, when: once}", "random", 3, "once"),
    ],
)
def test_channels_are_chosen_by_strength_or_chance(text: str, by: str, count: int, when: str) -> None:
    channels = layer(f"channels: {text}").channels
    assert isinstance(channels, ChannelChoice)
    assert (channels.by, channels.count, channels.when) == (by, count, when)


def test_a_choice_is_written_without_what_it_is_not() -> None:
    channels = layer("channels: {strongest: 5}").channels
    assert channels.model_dump(mode="json") == {"strongest": 5, "when": "once"}


def test_a_place_is_a_share_of_both_sides_and_the_center_is_one() -> None:
    assert layer("place: [0, 0.5]").place == (0.0, 0.5)
    assert layer("center: true").center
    assert layer("activation: before").activation == "before"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("channels: {strongest: 5, weakest: 2}", ("layers[0].channels", "give one of strongest, weakest")),
        ("channels: {when: octave}", ("layers[0].channels", "give one of strongest, weakest and random")),
        ("channels: {strongst: 5}", ("layers[0].channels.strongst", "did you mean strongest")),
        ("channels: {strongest: 0}", ("layers[0].channels.strongest", "must be at least 1")),
        ("channels: {strongest: 5, when: always}", ("layers[0].channels.when", "must be once or octave")),
        ("channels: [-1]", ("layers[0].channels[0]", "must be")),
        ("channels: [1.5]", ("layers[0].channels[0]", "must be")),
        ("channels: []", ("layers[0].channels", "must be a list that is not empty")),
        ("place: [0.5, 1.5]", ("layers[0].place[1]", "must be at most 1")),
        ("place: [0.5]", ("layers[0].place", "")),
        ("place: [0.5, 0.5], center: true", ("layers[0]", "give center or place, not both")),
        ("center: 1", ("layers[0].center", "must be true or false")),
        ("activation: befor", ("layers[0].activation", "must be after or before, not 'befor'; did you mean before?")),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(text: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        layer(text)
    place, what = problem
    assert str(caught.value).startswith(f"recipe.yaml:2: {place}: ")
    assert what in str(caught.value)


@pytest.mark.parametrize(
    "text", ["channels: [red]", "channels: [3]", "channels: {strongest: 1}", "center: true", "place: [0, 0]",
             "activation: before"],
)  # fmt: skip
def test_the_picture_itself_has_colours_and_no_neurons(text: str) -> None:
    with pytest.raises(RecipeError, match=r"recipe.yaml:1: layers\[1\]: .*the picture"):
        resolve([parse_document(f"layers: [relu4_1, {{name: picture, {text}}}]", Path("recipe.yaml"), RecipeError)])

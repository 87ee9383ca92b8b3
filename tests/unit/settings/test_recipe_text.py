"""A recipe as text: it reads back as the same recipe, and what a picture carries of it tells of no machine."""

from __future__ import annotations

import pytest

from dreamd.errors import RecipeError
from dreamd.settings.recipes.merging import from_sidecar, resolve
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_text import carried_text, recipe_text
from dreamd.settings.yamlfile import document_of_text
from tests.unit.settings.kit import resolved

RECIPES = [
    "",
    "layers: ['1e3', 'yes', 'null', '640', 'é東', 'a: b', '# c']\nascent: {lr: 1e-5}\n",
    "layers: [{name: 3, weight: -0.5, channels: [1, 2], loss: {name: guide, picture: '1e5'}}]\n",
    "schedule: {name: octaves, sizes: [64, 128]}\noutput: {name: '{stem} {{x}}', embed: true}\n",
    "stages: [{layers: a, ascent: {lr: 0.2}}, {layers: b}]\n",
    "sequence: [{layers: a}, {layers: [{name: b, channels: {strongest: 5}}]}]\n",
    "start: [noise_start]\nfinish: [{name: blend, amount: 0.25}]\nimage: {size: 99x98}\nseed: 9223372036854775807\n",
]


def read(text: str) -> Recipe:
    return resolve([from_sidecar(document_of_text(text, "recipe", RecipeError))]).recipe


@pytest.mark.parametrize("text", RECIPES)
def test_a_recipe_reads_back_as_itself(text: str) -> None:
    recipe = resolved(text)
    assert read(recipe_text(recipe)) == recipe
    assert read(carried_text(recipe, "fp32")) == recipe


def test_what_is_carried_repeats_the_dream_in_its_precision_and_carries_itself_on() -> None:
    recipe = resolved("precision: auto")
    assert read(carried_text(recipe, "fp32")).precision == "auto"  # by name it would be the reference
    again = read(carried_text(recipe, "bf16"))
    assert again.precision == "bf16"
    assert carried_text(again, "bf16") == carried_text(recipe, "bf16")


def test_what_is_carried_names_no_folder() -> None:
    text = carried_text(
        resolved(
            "backbone: {name: vgg19, weights: /home/alice/nets/own.pth}\nimage: {mask: /mnt/secret/mask.png}\n"
            "layers: [{name: a, loss: {name: guide, picture: /home/alice/flowers.jpg}}]\n"
            "schedule: {name: own, deep: {er: [/srv/x/y]}}\n"
        ),
        "fp32",
    )
    assert not any(word in text for word in ("alice", "secret", "srv", "home", "mnt"))
    assert all(word in text for word in ("own.pth", "mask.png", "flowers.jpg"))
    assert text.isascii()


def test_what_is_carried_of_a_sequence_names_no_folder() -> None:
    part = (
        "{layers: b, backbone: {name: other, weights: /home/alice/second.pth}, loss: {name: g, picture: /home/a.png}}"
    )
    text = carried_text(resolved(f"sequence: [{{layers: a}}, {part}]"), "fp32")
    assert "home" not in text
    assert all(word in text for word in ("second.pth", "a.png"))

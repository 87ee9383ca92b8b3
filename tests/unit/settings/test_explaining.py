"""Where each field of a recipe came from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePosixPath

from dreamd.settings.recipes.explaining import explain
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe_book import RecipeBook
from tests.unit.settings.kit import document, write

# explain


EMPTY = ("parameterization", "transforms", "start", "settle", "finish", "stages", "sequence")
"""The lists that the preset `classic` leaves empty."""


FILM = {
    "every": "1", "keep": "0.9", "effort": "0.2", "cuts": "true", "frames": "null", "fps": "30.0",
    "step": '[{"name": "zoom"}]', "tone": "0.5", "back": "false", "loop": "null",
}  # fmt: skip
"""The fields of `film`, which hardly any recipe says."""


def test_explain_shows_every_effective_field_and_where_it_came_from(catalogue, inbox, tmp_path):
    file = write(inbox, "extends: classic\nlayers: relu4_1\nschedule:\n  num_octaves: 3\n")
    deeper = write(inbox / "a", "seed: 5\ngradient:\n  - smooth\n  - {name: normalize,\n     by: max}\n")
    defaults = document("backbone: vgg16\nascent: {momentum: 0.5}\nimage: {max_side: 64}\n", "config.yaml")
    found = RecipeBook(inbox, defaults=defaults).for_folder(PurePosixPath("a"))
    lines = (files("dreamd") / "presets" / "classic.yaml").read_text().splitlines()
    in_classic = {word: next(n for n, line in enumerate(lines, 1) if line.startswith(f"{word}:")) for word in
                  ("loss", "schedule", "ascent", *EMPTY)}  # fmt: skip
    rows = {field.name: (field.text, field.origin) for field in explain(found, catalogue)}
    assert rows == {
        "backbone.name": ('"vgg16"', "config.yaml:1"),
        "backbone.weights": ('"default"', "built-in"),
        "layers[0].name": ('"relu4_1"', f"{file}:2"),
        "layers[0].weight": ("1.0", "built-in"),
        "layers[0].channels": ("null", "built-in"),
        "layers[0].center": ("false", "built-in"),
        "layers[0].place": ("null", "built-in"),
        "layers[0].activation": ('"after"', "built-in"),
        "layers[0].loss": ("null", "built-in"),
        "loss.name": ('"l2"', f"preset classic:{in_classic['loss']}"),
        "schedule.name": ('"octaves"', f"preset classic:{in_classic['schedule']}"),
        "schedule.num_octaves": ("3", f"{file}:4"),
        "schedule.octave_scale": ("1.4", f"preset classic:{in_classic['schedule']}"),
        "schedule.sizes": ("null", "default of schedule octaves"),
        "ascent.iterations": ("10", f"preset classic:{in_classic['ascent']}"),
        "ascent.lr": ("0.05", f"preset classic:{in_classic['ascent']}"),
        "ascent.momentum": ("0.0", f"preset classic:{in_classic['ascent']}"),
        "ascent.jitter": ("32", f"preset classic:{in_classic['ascent']}"),
        "ascent.optimizer": ('{"name": "plain"}', f"preset classic:{in_classic['ascent']}"),
        "ascent.lr_end": ("null", f"preset classic:{in_classic['ascent']}"),
        "gradient[0].name": ('"smooth"', f"{deeper}:3"),
        "gradient[0].sigma": ("0.5", "default of gradient smooth"),
        "gradient[0].growth": ("1.0", "default of gradient smooth"),
        "gradient[1].name": ('"normalize"', f"{deeper}:4"),
        "gradient[1].by": ('"max"', f"{deeper}:5"),
        **{field: ("[]", f"preset classic:{in_classic[field]}") for field in EMPTY},
        "image.max_side": ("64", "config.yaml:3"),
        "image.mask": ("null", "built-in"),
        "image.size": ('"640x480"', "built-in"),
        "image.pages": ('"first"', "built-in"),
        "output.format": ('"same"', "built-in"),
        "output.quality": ("92", "built-in"),
        "output.depth": ('"same"', "built-in"),
        "output.metadata": ('"keep"', "built-in"),
        "output.name": ('"{stem}"', "built-in"),
        "output.embed": ("false", "built-in"),
        "output.steps": ("false", "built-in"),
        "output.film": ('"same"', "built-in"),
        "output.codec": ('"auto"', "built-in"),
        "output.pixel_format": ('"auto"', "built-in"),
        "precision": ('"auto"', "built-in"),
        "seed": ("5", f"{deeper}:1"),
        **{f"film.{field}": (text, "built-in") for field, text in FILM.items()},
    }


def test_explain_says_what_a_plugin_and_a_backbone_decide_themselves(catalogue):
    found = resolve([document("schedule: article\nloss: {}\ngradient: []\n")])
    rows = {field.name: (field.text, field.origin) for field in explain(found, catalogue)}
    assert rows["layers"] == ("null", "default of backbone vgg19")
    assert rows["schedule.name"] == ('"article"', "recipe.yaml:1")
    assert rows["schedule.num_octaves"] == ("100", "default of schedule article")
    assert rows["loss.name"] == ('"l2"', "recipe.yaml:2")
    assert rows["gradient"] == ("[]", "recipe.yaml:3")
    assert rows["backbone.name"] == ('"vgg19"', "built-in")

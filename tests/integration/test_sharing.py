"""Recipes that results carry: written by command and daemon, read back, dreamed again, and never believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image, PngImagePlugin

from dreamd.cli import main

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Warm = tuple[Tree, RunningDaemon]
    Command = Callable[..., Result]

RECIPE = ("--set", "output.embed=true", "--set", "seed=7", "--set", "ascent.iterations=2", "--set", "image.size=40x30")


@pytest.fixture(scope="module")
def command(warm: Warm) -> Command:
    """A command of dreamd's that knows the tree's plugins, without their folder for `recipe`."""
    tree, _ = warm

    def run(*words: object) -> Result:
        arguments = [str(word) for word in words]
        if arguments[0] == "dream":
            arguments += ["--device", "cpu", "--plugins", str(tree.root / "plugins")]
        return CliRunner().invoke(main, arguments)

    return run


def tiny(tree: Tree) -> tuple[str, str]:
    recipe = tree.root / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(tree.config.read_text())["defaults"]))
    return "--recipe", str(recipe)


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "avif", "tif"])
def test_a_picture_is_dreamed_again_by_the_recipe_that_it_carries(
    warm: Warm, command: Command, tmp_path: Path, ending: str
) -> None:
    tree, _ = warm
    first, again, told = (tmp_path / f"{name}.{ending}" for name in ("first", "again", "told"))
    assert command("dream", "noise", first, *tiny(tree), *RECIPE).exit_code == 0
    assert command("dream", "noise", again, "--recipe", first).exit_code == 0
    assert again.read_bytes() == first.read_bytes()
    printed = command("recipe", "from", first)
    assert printed.exit_code == 0, printed.output
    (tmp_path / "told.yaml").write_text(printed.output)
    check = command("recipe", "check", tmp_path / "told.yaml", "--config", tree.config)
    assert check.output == f"{tmp_path / 'told.yaml'}: ok\n"
    assert command("dream", "noise", told, "--recipe", tmp_path / "told.yaml").exit_code == 0
    assert np.array_equal(pixels(told), pixels(first))
    sidecar = command("recipe", "from", f"{first}.json")
    assert sidecar.output.splitlines()[1:] == printed.output.splitlines()[1:]


def test_a_daemons_result_carries_the_effective_recipe_and_nothing_of_the_machine(warm: Warm, command: Command) -> None:
    tree, _ = warm
    tree.recipe("shared", "seed: 12\noutput: {embed: true, format: png}\n")
    tree.drop("shared/cat.png")
    result = tree.result("shared/cat.png")
    with Image.open(result) as image:
        carried = json.loads(image.text["dreamd"])
    assert carried.keys() == {"dreamd", "precision", "recipe"}
    assert carried["recipe"]["seed"] == 12
    assert str(tree.root) not in json.dumps(carried)
    assert "seed: 12" in command("recipe", "from", result).output
    tree.drop("plain/cat.png")
    with Image.open(tree.result("plain/cat.png")) as image:
        assert "dreamd" not in image.text


@pytest.mark.parametrize(
    ("carried", "said"),
    [
        (None, "carries no recipe; dreamd writes one with output.embed: true"),
        ("[" * 5000, "is not YAML: it is nested too deeply"),
        ('{"dreamd": "9", "recipe": {}}' + " " * 70_000, "is larger than 64 KB"),
        ("a: &a [x,x]\nb: [" + "*a," * 9000 + "]", "a bomb?"),
        ('{"dreamd": "9", "recipe": {"loss": "l2", "los": 1}}', "los: is not a field; did you mean loss?"),
        ('{"dreamd": "9", "recipe": !!python/name:os.system 1}', "the tag"),
        ('{"dreamd": "9", "recipe": 3}', "is not a field"),
    ],
)
def test_what_a_strangers_picture_carries_is_data_and_refused_in_words(
    command: Command, tmp_path: Path, carried: str | None, said: str
) -> None:
    info = PngImagePlugin.PngInfo()
    if carried is not None:
        info.add_itxt("dreamd", carried)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    picture = tmp_path / "a.png"
    for words in (("recipe", "from", picture), ("dream", "noise", tmp_path / "b.png", "--recipe", picture)):
        result = command(*words)
        assert result.exit_code == 2
        assert said in result.output
        assert "a.png" in result.output
        assert "Traceback" not in result.output


def test_what_is_no_result_is_refused_in_words(command: Command, tmp_path: Path) -> None:
    assert "there is no such file" in command("recipe", "from", tmp_path / "none.png").output
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = command("recipe", "from", tmp_path / "broken.png")
    assert result.exit_code in (1, 2)
    assert "broken.png" in result.output

"""Film strips from end to end: by the command, and by a daemon, beside the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from dreamd.cli import main

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Warm = tuple[Tree, RunningDaemon]
    Run = Callable[..., RunningDaemon]


def test_the_command_writes_a_strip_beside_the_result_when_the_recipe_asks(warm: Warm, tmp_path: Path) -> None:
    tree, _ = warm
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(tree.config.read_text())["defaults"]))
    words = ["dream", "noise:40x30", "--recipe", str(recipe), "--plugins", str(tree.root / "plugins")]
    for name, steps in (("with", "true"), ("without", "false")):
        result = CliRunner().invoke(main, [*words, str(tmp_path / f"{name}.png"), "--set", f"output.steps={steps}"])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "with.png").read_bytes() == (tmp_path / "without.png").read_bytes()
    with Image.open(tmp_path / "with.png.steps.jpg") as strip:
        assert min(strip.size) > 2 * 240  # the start, one iteration, and the result
    assert not (tmp_path / "without.png.steps.jpg").exists()


def test_the_strip_of_a_dream_that_is_written_over_goes_with_it(warm: Warm, tmp_path: Path) -> None:
    tree, _ = warm
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(tree.config.read_text())["defaults"]))
    words = ["dream", "noise:40x30", "--recipe", str(recipe), "--plugins", str(tree.root / "plugins")]
    strip = tmp_path / "out.png.steps.jpg"
    for steps in ("true", "false"):
        CliRunner().invoke(main, [*words, str(tmp_path / "out.png"), "--set", f"output.steps={steps}"])
        assert strip.exists() == (steps == "true")
    strip.write_text("somebody's own")
    CliRunner().invoke(main, [*words, str(tmp_path / "out.png"), "--set", "output.steps=false"])
    assert strip.read_text() == "somebody's own"


def test_a_daemon_delivers_a_strip_with_its_result_and_keeps_no_frames(warm: Warm) -> None:
    tree, _ = warm
    tree.recipe("strips", "output: {steps: true}\nascent: {iterations: 3}\n")
    tree.drop("strips/cat.png")
    result = tree.result("strips/cat.png")
    assert sorted(file.name for file in result.parent.iterdir()) == ["cat.png", "cat.png.json", "cat.png.steps.jpg"]
    assert tree.sidecar("strips/cat.png")["steps"] is True
    with Image.open(f"{result}.steps.jpg") as strip:
        strip.load()
    assert tree.files(tree.state / "checkpoints") == []
    tree.drop("strips/cat.png")
    assert tree.result("strips/cat-2.png").with_name("cat-2.png.steps.jpg").exists()


@pytest.mark.slow
def test_pictures_that_are_dreamed_together_have_a_strip_each(tree: Tree, run_daemon: Run) -> None:
    tree.configure(workers={"batch": 4})
    tree.recipe("together", "output: {steps: true}\n")
    for number in range(4):
        tree.drop(f"together/{number}.png", tree.picture(32 + number // 2, 32))
    run_daemon(tree)
    strips = [tree.result(f"together/{number}.png").with_name(f"{number}.png.steps.jpg") for number in range(4)]
    assert all(strip.exists() for strip in strips)
    assert strips[0].read_bytes() == strips[1].read_bytes()
    assert strips[0].read_bytes() != strips[2].read_bytes()

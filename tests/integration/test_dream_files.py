"""Dreams from nothing by a real daemon: a dream file in the inbox becomes a picture made from noise."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dreamd.cli import main
from dreamd.job import JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Warm = tuple[Tree, RunningDaemon]
    Run = Callable[..., RunningDaemon]


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


def command(tree: Tree, *words: str) -> str:
    """What a command of `dreamd recipe` prints about the tree, and whether it is content."""
    result = CliRunner().invoke(main, ["recipe", *words, "--config", str(tree.config)])
    return f"{result.exit_code}: {result.output}"


def test_a_dream_file_becomes_the_picture_that_the_command_dreams_from_noise(warm: Warm, tmp_path: Path) -> None:
    tree, _ = warm
    tree.recipe("sky", "seed: 11\nascent: {iterations: 2, lr: 0.05}\n")
    tree.drop("sky/clouds.dream.yaml", b"image: {size: 40x30}\noutput: {name: '{stem}-of-{seed}'}\n")
    result = tree.result("sky/clouds-of-11.png")
    assert pixels(result).shape == (30, 40, 3)
    assert (tree.done / "sky" / "clouds.dream.yaml").exists()
    sidecar = tree.sidecar("sky/clouds-of-11.png")
    assert (sidecar["picture"], sidecar["input_sha256"], sidecar["size"]) == ("clouds.dream.yaml", "", [40, 30])
    again = ["dream", "noise", str(tmp_path / "again.png"), "--recipe", f"{result}.json", "--device", "cpu"]
    outcome = CliRunner().invoke(main, [*again, "--plugins", str(tree.root / "plugins")])
    assert outcome.exit_code == 0, outcome.output
    assert np.array_equal(pixels(tmp_path / "again.png"), pixels(result))
    start = np.random.default_rng(11).integers(0, 256, (30, 40, 3), np.uint8)
    assert not np.array_equal(pixels(result), start)
    assert abs(pixels(result).astype(int) - start).mean() < 30  # it is that noise still, dreamed on


def test_an_empty_one_is_its_folders_recipe_with_the_default_size(warm: Warm) -> None:
    tree, _ = warm
    tree.drop("empty.dream.yaml", b"")
    assert pixels(tree.result("empty.png")).shape == (480, 640, 3)


def test_a_wrong_one_is_held_with_file_and_line_and_taken_up_when_it_is_mended(warm: Warm) -> None:
    tree, _ = warm
    file = tree.drop("wrong/a.dream.yaml", b"image: {size: 20x20}\nseeed: 1\n")
    hold = tree.hold("wrong")
    assert hold["cause"] == "recipe"
    assert hold["reason"].startswith(f"{file}:2: seeed: is not a field; did you mean seed?")
    tree.drop("wrong/a.dream.yaml", b"image: {size: 20x20}\nseed: 1\n")
    tree.result("wrong/a.png")
    tree.wait_for(lambda: not tree.status()["holds"], "the hold to be over")
    assert "a mended one was put in its place" in tree.failure("wrong/a.dream.yaml")


def test_more_pixels_than_the_limit_hold_it_with_the_field(warm: Warm) -> None:
    tree, _ = warm
    file = tree.drop("huge/a.dream.yaml", b"seed: 1\nimage: {size: 99999x99999}\n")
    reason = tree.hold("huge")["reason"]
    assert reason.startswith(f"{file}:2: image.size: 99999x99999 is more than the 200,000,000 pixels")
    tree.drop("huge/a.dream.yaml", b"image: {size: 20x20}\n")
    tree.result("huge/a.png")


def test_a_picture_beyond_the_inbox_is_refused_as_a_recipes_is(warm: Warm) -> None:
    tree, _ = warm
    tree.drop("reach/a.dream.yaml", b"image: {size: 20x20, mask: /etc/passwd}\n")
    assert "pictures that a recipe names must lie in" in tree.hold("reach")["reason"]
    tree.drop("reach/a.dream.yaml", b"image: {size: 20x20}\n")
    tree.result("reach/a.png")


def test_a_link_called_so_is_left_alone(warm: Warm) -> None:
    tree, _ = warm
    secret = tree.root / "secret.yaml"
    secret.write_text("image: {size: 20x20}\n")
    (tree.inbox / "linked.dream.yaml").symlink_to(secret)
    tree.drop("after.dream.yaml", b"image: {size: 20x20}\n")
    tree.result("after.png")
    assert not (tree.outbox / "linked.png").exists()
    assert (tree.inbox / "linked.dream.yaml").is_symlink()


def test_recipe_check_and_explain_know_a_dream_file_in_the_inbox(warm: Warm, tmp_path: Path) -> None:
    tree, daemon = warm
    tree.recipe("told", "seed: 4\n")
    daemon.signal(signal.SIGSTOP)  # it must not take them up
    try:
        good = tree.drop("told/good.dream.yaml", b"ascent: {lr: 2}\n")
        wrong = tree.drop("told/wrong.dream.yaml", b"ascent: {lr: fast}\n")
        assert command(tree, "check", str(good)) == f"0: {good}: ok\n"
        assert f"{wrong}:1: ascent.lr: must be a number" in command(tree, "check", str(tree.inbox / "told"))
        told = command(tree, "explain", str(good))
        assert f"# {good}:1" in told
        assert f"# {tree.inbox}/told/recipe.yaml:1" in told
        wrong.unlink()
    finally:
        daemon.signal(signal.SIGCONT)
    tree.result("told/good.png")


@pytest.mark.slow
def test_a_drain_dreams_what_is_there_and_says_what_is_held(tree: Tree, run_daemon: Run) -> None:
    tree.drop("good.dream.yaml", b"image: {size: 20x20}\n")
    tree.drop("wrong.dream.yaml", b"los: l2\n")
    assert run_daemon(tree, "drain").wait() == 1
    assert (tree.outbox / "good.png").exists()
    (held,) = tree.jobs(JobState.HELD)
    assert held.name == "wrong.dream.yaml"


@pytest.mark.slow
def test_one_that_was_being_dreamed_when_everything_was_killed_comes_out(tree: Tree, run_daemon: Run) -> None:
    gate = tree.mood("slow", "wait")
    tree.drop("slow/a.dream.yaml", b"image: {size: 13x20}\n")
    first = run_daemon(tree)
    tree.wait_for(Path(f"{gate}.waiting").exists, "the dream to begin")
    first.signal(signal.SIGKILL)
    first.wait()
    gate.touch()
    run_daemon(tree)
    assert pixels(tree.result("slow/a.png")).shape == (20, 13, 3)
    assert [job.attempts for job in tree.jobs()] == [2]

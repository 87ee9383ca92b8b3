"""`dreamd atlas` and `dreamd sweep`, with a network of a few numbers whose dreams leave a line each in a file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from dreamd.cli import main
from dreamd.commands.demo.painting import clouds

PLUGIN = '''
import os
import time
from pathlib import Path

import torch
from torch import nn

from dreamd.api import Backbone, hookimpl


class Numbers(nn.Module):
    """Which channel is the largest: whole numbers, which have no gradient."""

    def forward(self, x):
        return x.argmax(1, keepdim=True)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.flat = nn.Conv2d(4, 6, 3, padding=1)
        self.numbers = Numbers()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.scores = nn.Linear(6, 3)

    def forward(self, x):
        x = self.flat(self.block(x))
        self.numbers(x)
        return self.scores(self.pool(x).flatten(1))


def tiny_sheet(name):
    """Two convolutions."""
    return Backbone(network=Network(), default_layer="flat", min_side=4, labels=("cat", "dog", "owl"))


def noted(image, ascend, *, ends: str = "well"):
    """One ascent, and a line in the file NOTED.

    Args:
        ends: badly, or well.
    """
    with open(os.environ["NOTED"], "a") as file:
        file.write("dream\\n")
    if os.environ.get("WAIT_AT") and len(Path(os.environ["NOTED"]).read_text().split()) == int(os.environ["WAIT_AT"]):
        time.sleep(3600)
    if ends == "badly":
        raise ValueError("not today")
    ascend.plan(1)
    yield ascend(image)


@hookimpl
def dreamd_backbones(register):
    register("tiny_sheet", tiny_sheet)


@hookimpl
def dreamd_schedules(register):
    register("noted", noted)
'''

RECIPE = """
backbone: {name: tiny_sheet, weights: random}
schedule: noted
ascent: {iterations: 2, lr: 0.2, jitter: 0}
"""

QUICK = ("--recipe", "mine.yaml", "--plugins", "plugins", "--device", "cpu", "--size", "32")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, a picture and the plugin, whose user's caches are in it too."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tiny_sheet.py").write_text(PLUGIN)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    clouds(48, 36).save(tmp_path / "sky.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(main, [*arguments, *QUICK])


def dreams(folder: Path) -> int:
    """How many dreams were dreamed so far."""
    return len((folder / "noted").read_text().split()) if (folder / "noted").exists() else 0


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    return values


def pixels(file: Path) -> NDArray[np.float64]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), np.float64)


def states(values: dict[str, Any]) -> dict[str, str]:
    return {", ".join(cell["values"]): cell["state"] for cell in values["cells"]}


# Sweeps


def test_a_sweep_dreams_every_combination_and_tells_of_each(run: Callable[..., Result], folder: Path) -> None:
    result = run("sweep", "ascent.lr=0.1,0.4", "layers=[block.0],[flat]", "--on", "sky.png", "--json")
    values = told(result)
    assert dreams(folder) == 4
    assert values["kind"] == "sweep"
    assert values["title"] == "ascent.lr down, layers across; on sky.png"
    assert values["fields"] == [
        {"field": "ascent.lr", "values": ["0.1", "0.4"]},
        {"field": "layers", "values": ["[block.0]", "[flat]"]},
    ]
    assert [cell["recipe"]["ascent"]["lr"] for cell in values["cells"]] == [0.1, 0.1, 0.4, 0.4]
    for cell in values["cells"]:
        assert (cell["state"], cell["loss_after"] > cell["loss_before"], cell["seconds"] > 0) == ("done", True, True)
        with Image.open(Path(values["folder"], cell["thumbnail"])) as picture:
            assert picture.size == (32, 24)
    (page,) = values["pages"]
    assert Path(page) == folder / "sweep-ascent.lr-layers.jpg"
    (record,) = Path(values["folder"]).glob("sweep-*.json")
    assert json.loads(record.read_text()) == values


def test_the_same_again_dreams_nothing_and_more_values_dream_only_what_is_new(
    run: Callable[..., Result], folder: Path
) -> None:
    assert run("sweep", "ascent.lr=0.1,0.4").exit_code == 0
    first = (folder / "sweep-ascent.lr.jpg").read_bytes()
    assert run("sweep", "ascent.lr=0.1,0.4").exit_code == 0
    assert dreams(folder) == 2
    assert (folder / "sweep-ascent.lr.jpg").read_bytes() == first
    result = run("sweep", "ascent.lr=0.1,0.2,0.4,0.8")
    assert "4 of 4 dreamed, 2 of them now" in result.stdout
    assert dreams(folder) == 4
    assert len(list((folder / "cache" / "dreamd" / "sheets").glob("sweep-*.json"))) == 1


@pytest.mark.parametrize(
    "change",
    [("--set", "seed=1"), ("--size", "40"), ("--on", "sky.png"), ("--on", "noise")],
    ids=["recipe", "size", "picture", "noise"],
)
def test_another_recipe_size_or_picture_is_another_dream(
    folder: Path, run: Callable[..., Result], change: tuple[str, ...]
) -> None:
    assert run("sweep", "ascent.lr=0.1").exit_code == 0
    assert CliRunner().invoke(main, ["sweep", "ascent.lr=0.1", *QUICK, *change]).exit_code == 0
    assert dreams(folder) == 2


def test_a_changed_plugin_dreams_anew(folder: Path, run: Callable[..., Result]) -> None:
    assert run("sweep", "ascent.lr=0.1").exit_code == 0
    (folder / "plugins" / "tiny_sheet.py").write_text(PLUGIN + "\n# changed\n")
    assert run("sweep", "ascent.lr=0.1").exit_code == 0
    assert dreams(folder) == 2


def test_pages_of_the_sheet_that_is_written_over_go_with_it(
    run: Callable[..., Result], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [Image.new("RGB", (8, 8))] * 3
    monkeypatch.setattr("dreamd.sheets.dreaming.draw_sheet", lambda _sheet: pages)
    words = ("sweep", "seed=1", "--on", "sky.png", "--out", "sheet.png")
    run(*words)
    (folder / "sheet-4.png").write_text("somebody's own")
    assert sorted(file.name for file in folder.glob("sheet*")) == [
        "sheet-2.png", "sheet-3.png", "sheet-4.png", "sheet.png"
    ]  # fmt: skip
    del pages[1:]
    run(*words[:1], "seed=2", *words[2:])
    assert sorted(file.name for file in folder.glob("sheet*")) == ["sheet-4.png", "sheet.png"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("ascent.lr=0.1,fast",), "sweep: ascent.lr: must be a number, not 'fast'"),
        (("schedule.end=1",), "did you mean ends?"),
        (("layers=[flat],[{name: flat, channels: [99]}]",), "99"),
        (("loss=l2,mene",), "did you mean mean?"),
        (("layers=[flat],[flot]",), "no layer 'flot'; did you mean flat?"),
        (("laers=[flat]",), "did you mean layers?"),
    ],
)
def test_a_wrong_field_or_value_is_refused_before_anything_is_dreamed(
    run: Callable[..., Result], folder: Path, texts: tuple[str, ...], said: str
) -> None:
    result = run("sweep", *texts)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert (dreams(folder), list(folder.glob("*.jpg"))) == (0, [])


def test_one_dream_that_fails_leaves_the_others_and_is_told(run: Callable[..., Result], folder: Path) -> None:
    result = run("sweep", "schedule.ends=well,badly")
    assert result.exit_code == 1
    assert "not today" in result.stderr
    assert "1 of 2 dreamed, 1 of them now" in result.stdout
    assert "1 failed" in result.stdout
    assert (folder / "sweep-schedule.ends.jpg").exists()


def test_a_picture_is_not_overwritten_and_a_missing_one_is_named(run: Callable[..., Result], folder: Path) -> None:
    assert "does not overwrite originals" in run("sweep", "seed=1", "--on", "sky.png", "--out", "sky.png").stderr
    assert "skye.png: there is no such file" in run("sweep", "seed=1", "--on", "skye.png").stderr
    assert "the name must end in one of" in run("sweep", "seed=1", "--out", "sheet.gif").stderr
    assert dreams(folder) == 0


# Ends before the end


def started(folder: Path, wait_at: int) -> subprocess.Popen[bytes]:
    """A sweep of five dreams in a process of its own that waits for ever in one of them."""
    command = [sys.executable, "-m", "dreamd", "sweep", "seed=1,2,3,4,5", *QUICK]
    process = subprocess.Popen(
        command, env={**os.environ, "WAIT_AT": str(wait_at)}, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    end = time.monotonic() + 90
    while dreams(folder) < wait_at and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert dreams(folder) == wait_at
    return process


@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_the_rest(run: Callable[..., Result], folder: Path) -> None:
    process = started(folder, wait_at=3)
    process.kill()
    process.communicate(timeout=60)
    values = told(run("sweep", "seed=1,2,3,4,5", "--json"))
    assert dreams(folder) == 3 + 3
    assert set(states(values).values()) == {"done"}


@pytest.mark.slow
def test_ctrl_c_draws_what_is_done_and_says_that_it_can_go_on(folder: Path) -> None:
    process = started(folder, wait_at=4)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"the same command goes on from there" in errors
    assert b"Traceback" not in errors
    (record,) = (folder / "cache" / "dreamd" / "sheets").glob("sweep-*.json")
    found = states(json.loads(record.read_text()))
    assert found == {"1": "done", "2": "done", "3": "done", "4": "waiting", "5": "waiting"}
    with Image.open(folder / "sweep-seed.jpg") as page:
        assert page.width > 3 * 32


# Atlases


def test_an_atlas_dreams_each_layer_and_says_what_cannot_be_dreamed(run: Callable[..., Result], folder: Path) -> None:
    values = told(run("atlas", "tiny_sheet", "--all", "--json"))
    assert states(values) == {
        "block.0": "done", "block.1": "done", "block": "done", "flat": "done", "numbers": "skipped", "pool": "skipped",
        "scores": "skipped",
    }  # fmt: skip
    notes = {cell["values"][0]: cell["note"] for cell in values["cells"]}
    assert notes["flat"] == "6 x 224 x 224"
    assert notes["pool"] == "6 x 1 x 1: has no place in the picture"
    assert notes["numbers"] == "no gradient reaches the picture"
    assert [cell["recipe"]["layers"][0]["name"] for cell in values["cells"][:2]] == ["block.0", "block.1"]
    assert dreams(folder) == 5


def test_without_all_a_sequence_stands_for_its_last_module(run: Callable[..., Result]) -> None:
    assert "block" not in states(told(run("atlas", "tiny_sheet", "--json")))


def test_an_atlas_of_channels_dreams_those_that_were_asked_for(run: Callable[..., Result], folder: Path) -> None:
    values = told(run("atlas", "tiny_sheet", "--layer", "flat", "--channels", "0,3-5", "--json"))
    assert [cell["recipe"]["layers"][0]["channels"] for cell in values["cells"]] == [[0], [3], [4], [5]]
    assert values["title"] == "tiny_sheet flat: 4 of 6 channels; on clouds"
    assert Path(values["pages"][0]) == folder / "atlas-tiny_sheet-flat.jpg"
    assert len(told(run("atlas", "tiny_sheet", "--layer", "4", "--json"))["cells"]) == 6


def test_an_atlas_of_classes_bears_their_labels(run: Callable[..., Result]) -> None:
    values = told(run("atlas", "tiny_sheet", "--layer", "scores", "--channels", "owl,0", "--json"))
    assert [(cell["values"], cell["note"]) for cell in values["cells"]] == [(["2"], "owl"), (["0"], "cat")]
    assert values["cells"][0]["recipe"]["layers"][0]["loss"]["name"] == "mean"
    assert values["cells"][0]["loss_after"] > values["cells"][0]["loss_before"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tiny_shet",), "did you mean tiny_sheet?"),
        (("tiny_sheet", "--layer", "flot"), "did you mean flat?"),
        (("tiny_sheet", "--layer", "flat", "--channels", "0-6"), "0 to 5"),
        (("tiny_sheet", "--layer", "flat", "--channels", "five"), "write numbers from 0 and ranges"),
        (("tiny_sheet", "--channels", "1"), "--channels needs --layer"),
        (("tiny_sheet", "--layer", "flat", "--all"), "--all is for layers"),
    ],
)
def test_a_wrong_layer_or_channel_is_refused(
    run: Callable[..., Result], folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run("atlas", *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert dreams(folder) == 0


def test_dreams_are_kept_in_the_trees_state_folder_when_there_is_a_config(
    run: Callable[..., Result], folder: Path
) -> None:
    (folder / "config.yaml").write_text("inbox: inbox\n")
    values = told(run("atlas", "tiny_sheet", "--json"))
    assert Path(values["folder"]) == folder / "state" / "sheets"
    assert not (folder / "cache").exists()


def test_the_dream_on_a_sheet_is_the_dream_that_dreamd_dream_makes(run: Callable[..., Result], folder: Path) -> None:
    values = told(run("sweep", "ascent.lr=0.2", "--on", "sky.png", "--json"))
    done = CliRunner().invoke(
        main, ["dream", "sky.png", "out.png", *QUICK[:-2], "--set", "image.max_side=32", "--set", "ascent.lr=0.2"]
    )
    assert done.exit_code == 0, done.output
    with (
        Image.open(folder / "out.png") as one,
        Image.open(Path(values["folder"], values["cells"][0]["thumbnail"])) as two,
    ):
        difference = np.asarray(one.convert("RGB"), float) - np.asarray(two.convert("RGB"), float)
    assert np.abs(difference).mean() < 4

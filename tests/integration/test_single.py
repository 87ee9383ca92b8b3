from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dreamd.cli import main
from dreamd.commands.demo.painting import clouds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

PLUGIN = '''
from torch import nn

from dreamd.api import Backbone, hookimpl


def tiny_single(name):
    """Two convolutions."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    layers = {"conv1": "0", "relu1": "1", "conv2": "2"}
    return Backbone(network=network, layers=layers, default_layer="conv2", min_side=4)


@hookimpl
def dreamd_backbones(register):
    register("tiny_single", tiny_single)
'''

TINY = ("--set", "backbone={name: tiny_single, weights: random}", "--device", "cpu")
QUICK = ("--set", "ascent.iterations=2")
STRONG = ("--set", "ascent.lr=0.2")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    folder.joinpath("tiny_single.py").write_text(PLUGIN, encoding="utf-8")
    return folder


@pytest.fixture
def dream(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`dreamd dream` in a folder with a picture `sky.png`, with the drop-in backbone."""
    monkeypatch.chdir(tmp_path)
    clouds(48, 36).save(tmp_path / "sky.png")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["dream", "--plugins", str(plugins), *arguments])

    return run


def words(result: Result) -> str:
    """What a command that was refused said, on one or two lines and without a traceback."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line.startswith("dreamd: ")]
    assert len(lines) == 1
    assert "Traceback" not in result.output
    return lines[0]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize(("name", "kind"), [("out.png", "PNG"), ("out.jpg", "JPEG"), ("out.webp", "WEBP")])
def test_the_results_format_follows_its_name(
    dream: Callable[..., Result], tmp_path: Path, name: str, kind: str
) -> None:
    result = dream("sky.png", name, *TINY, *QUICK, *STRONG)
    assert result.exit_code == 0, result.output
    assert name in result.stdout
    with Image.open(tmp_path / name) as picture:
        assert (picture.format, picture.size) == (kind, (48, 36))
    assert np.abs(pixels(tmp_path / name) - pixels(tmp_path / "sky.png")).mean() > 3


def test_the_result_and_its_sidecar_are_all_that_is_left(dream: Callable[..., Result], tmp_path: Path) -> None:
    before = (tmp_path / "sky.png").read_bytes()
    assert dream("sky.png", "out.png", *TINY, *QUICK).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.png", "out.png.json", "sky.png"]
    assert (tmp_path / "sky.png").read_bytes() == before


def test_the_sidecar_says_how_the_picture_came_to_be(dream: Callable[..., Result], tmp_path: Path) -> None:
    assert dream("sky.png", "out.png", *TINY, *QUICK, "--set", "seed=5", "--set", "precision=fp32").exit_code == 0
    sidecar = json.loads((tmp_path / "out.png.json").read_text(encoding="utf-8"))
    assert sidecar["picture"] == "sky.png"
    assert (sidecar["seed"], sidecar["device"], sidecar["precision"]) == (5, "cpu", "fp32")
    assert sidecar["threads"] == torch.get_num_threads()
    assert sidecar["size"] == [48, 36]
    assert sidecar["recipe"]["backbone"] == {"name": "tiny_single", "weights": "random"}
    assert sidecar["recipe"]["ascent"]["iterations"] == 2
    assert {"dreamd", "torch", "tiny_single", "l2", "octaves"} <= sidecar["versions"].keys()
    assert sidecar["weights_sha256"] is None
    assert sidecar["loss_after"] > sidecar["loss_before"] > 0


@pytest.mark.parametrize("name", ["out.png", "out.jpg"])
def test_a_sidecar_as_recipe_repeats_the_very_bytes(dream: Callable[..., Result], tmp_path: Path, name: str) -> None:
    changed = ("--set", "seed=7", "--set", "schedule.num_octaves=2", "--set", "output.quality=60")
    assert dream("sky.png", name, *TINY, *QUICK, *STRONG, *changed).exit_code == 0
    again = f"again{name[3:]}"
    repeated = dream("sky.png", again, "--recipe", f"{name}.json", "--device", "cpu")
    assert repeated.exit_code == 0, repeated.output
    assert (tmp_path / again).read_bytes() == (tmp_path / name).read_bytes()


SEQUENCE = """
ascent: {iterations: 2, lr: 0.5}
precision: fp32
output: {steps: true}
sequence:
  - {backbone: {name: tiny_single, weights: random}, layers: conv1, schedule: single}
  - backbone: {name: tiny_single, weights: random}
    schedule: {name: octaves, num_octaves: 3, octave_scale: 1.05}
    stages: [{layers: conv1}, {layers: conv2, ascent: {iterations: 1}, octaves: 2}]
"""


def test_a_sequence_with_stages_is_dreamed_and_repeated_from_its_sidecar(
    dream: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(SEQUENCE, encoding="utf-8")
    first = dream("sky.png", "out.png", "--recipe", "recipe.yaml", "--device", "cpu")
    assert first.exit_code == 0, first.output
    sidecar = json.loads((tmp_path / "out.png.json").read_text(encoding="utf-8"))
    assert [part["schedule"]["name"] for part in sidecar["recipe"]["sequence"]] == ["single", "octaves"]
    assert [stage["octaves"] for stage in sidecar["recipe"]["sequence"][1]["stages"]] == [1, 2]
    assert sidecar["weights_sha256"] == [None, None]
    assert {"single", "octaves", "tiny_single"} <= sidecar["versions"].keys()
    repeated = dream("sky.png", "again.png", "--recipe", "out.png.json", "--device", "cpu")
    assert repeated.exit_code == 0, repeated.output
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "out.png").read_bytes()
    assert np.abs(pixels(tmp_path / "out.png") - pixels(tmp_path / "sky.png")).mean() > 3


def test_what_is_wrong_in_a_part_is_told_with_file_line_and_field(dream: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(SEQUENCE.replace("layers: conv2", "layers: cnv2"), encoding="utf-8")
    result = dream("sky.png", "out.png", "--recipe", "recipe.yaml", "--device", "cpu")
    said = "recipe.yaml:9: sequence[1].stages[1].layers[0]: tiny_single: no layer 'cnv2'; did you mean conv2?"
    assert said in words(result)


def test_the_sidecar_tells_of_a_picture_whose_end_was_missing(dream: Callable[..., Result], tmp_path: Path) -> None:
    clouds(48, 36).save(tmp_path / "sky.jpg", progressive=True)
    whole = (tmp_path / "sky.jpg").read_bytes()
    for cut, notes in ((0, 0), (2, 1)):
        (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) - cut])
        assert dream("cut.jpg", "out.png", *TINY, *QUICK).exit_code == 0
        sidecar = json.loads((tmp_path / "out.png.json").read_text(encoding="utf-8"))
        assert len(sidecar["notes"]) == notes
        assert sidecar["input_sha256"] == hashlib.sha256((tmp_path / "cut.jpg").read_bytes()).hexdigest()


def test_set_reaches_fields_lists_and_plugins_parameters(dream: Callable[..., Result], tmp_path: Path) -> None:
    fields = ["layers=[{name: conv1, channels: [0, 2]}, relu1]", "schedule.octave_scale=2", "gradient=[]", "seed=3"]
    arguments = [part for field in fields for part in ("--set", field)]
    assert dream("sky.png", "out.png", *TINY, *QUICK, *arguments).exit_code == 0
    recipe = json.loads((tmp_path / "out.png.json").read_text(encoding="utf-8"))["recipe"]
    assert [layer["name"] for layer in recipe["layers"]] == ["conv1", "relu1"]
    assert recipe["layers"][0]["channels"] == [0, 2]
    assert recipe["schedule"]["octave_scale"] == 2
    assert (recipe["gradient"], recipe["seed"]) == ([], 3)


def test_a_recipe_file_counts_and_set_counts_over_it(dream: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: classic\nascent: {iterations: 3, lr: 0.3}\n", encoding="utf-8")
    assert dream("sky.png", "out.png", "--recipe", "mine.yaml", *TINY, *QUICK).exit_code == 0
    ascent = json.loads((tmp_path / "out.png.json").read_text(encoding="utf-8"))["recipe"]["ascent"]
    own = {"iterations": 2, "lr": 0.3, "momentum": 0, "jitter": 32}
    assert ascent == {**own, "optimizer": {"name": "plain"}, "lr_end": None}


def test_noise_is_a_start_of_the_size_that_is_asked_for(dream: Callable[..., Result], tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = dream("noise:64x48", f"{name}.png", *TINY, *QUICK, "--set", f"seed={seed}")
        assert result.exit_code == 0, result.output
    first, again, other = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert first == again
    assert first != other
    assert pixels(tmp_path / "a.png").shape == (48, 64, 3)
    assert pixels(tmp_path / "a.png").std() > 40


def test_a_dream_from_nothing_has_the_size_that_its_recipe_gives(dream: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.dream.yaml").write_text("image: {size: 64x48, max_side: 20}\n", encoding="utf-8")
    recipe = ("--recipe", "mine.dream.yaml", *TINY, *QUICK)
    assert dream("noise", "a.png", *recipe).exit_code == 0
    assert dream("noise:64x48", "b.png", *TINY, *QUICK).exit_code == 0
    assert pixels(tmp_path / "a.png").shape == (48, 64, 3)
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))
    assert dream("sky.png", "c.png", *TINY, *QUICK, "--set", "image.size=64x48").exit_code == 0
    assert pixels(tmp_path / "c.png").shape == (36, 48, 3)  # a picture that is given keeps its own
    advice = "dreamd dream noise d.png --recipe mine.dream.yaml"
    assert advice in words(dream("mine.dream.yaml", "d.png", *TINY))


def test_noise_without_pixels_is_refused(dream: Callable[..., Result]) -> None:
    assert "noise:0x48: write noise:WIDTHxHEIGHT in pixels" in words(dream("noise:0x48", "out.png", *TINY))


def test_noise_larger_than_any_picture_may_be_is_refused_before_it_is_made(dream: Callable[..., Result]) -> None:
    said = words(dream("noise:99999x99999", "out.png", *TINY))
    assert "image.size: 99999x99999 is more than the 200,000,000 pixels" in said


def test_a_dream_of_noise_is_repeated_from_its_sidecar(dream: Callable[..., Result], tmp_path: Path) -> None:
    assert dream("noise:40x33", "out.png", *TINY, *QUICK, "--set", "seed=9").exit_code == 0
    assert dream("noise", "again.png", "--recipe", "out.png.json", "--device", "cpu").exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "out.png").read_bytes()


def test_the_article_takes_random_shifts(dream: Callable[..., Result], tmp_path: Path) -> None:
    article = ("--recipe", "article", *TINY, "--set", "layers=conv2", *QUICK)
    article += ("--set", "ascent.lr=20", "--set", "schedule.num_octaves=1")
    outputs = []
    for name, jitter in (("still", 0), ("a", 32), ("b", 32)):
        assert dream("sky.png", f"{name}.png", *article, "--set", f"ascent.jitter={jitter}").exit_code == 0
        outputs.append((tmp_path / f"{name}.png").read_bytes())
    still, first, again = outputs
    assert first == again
    assert first != still


def test_a_picture_of_one_pixel_is_dreamed(dream: Callable[..., Result], tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (90, 120, 200)).save(tmp_path / "dot.png")
    assert dream("dot.png", "out.png", *TINY, *QUICK).exit_code == 0
    assert pixels(tmp_path / "out.png").shape == (1, 1, 3)


def test_transparency_stays(dream: Callable[..., Result], tmp_path: Path) -> None:
    picture = clouds(40, 40).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((40, 40)))
    picture.save(tmp_path / "glass.png")
    assert dream("glass.png", "out.png", *TINY, *QUICK).exit_code == 0
    with Image.open(tmp_path / "out.png") as result:
        assert np.array_equal(np.asarray(result.getchannel("A")), np.asarray(picture.getchannel("A")))


# What is refused, and in which words


@pytest.mark.parametrize("target", ["sky.png", "link.png"])
def test_a_picture_is_not_dreamed_over_itself(dream: Callable[..., Result], tmp_path: Path, target: str) -> None:
    (tmp_path / "link.png").symlink_to("sky.png")
    before = (tmp_path / "sky.png").read_bytes()
    assert "does not overwrite originals" in words(dream("sky.png", target, *TINY))
    assert (tmp_path / "sky.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sky.png", "out.bmp"), "out.bmp: the name must end in one of .jpg"),
        (("sky.png", "out"), "the name must end in one of"),
        (("skye.png", "out.png"), "skye.png: there is no such file"),
        (("noise:64", "out.png"), "noise:64: write noise:WIDTHxHEIGHT in pixels, such as noise:640x480"),
        (("sky.png", "nowhere/out.png"), "the folder nowhere does not exist"),
    ],
)
def test_paths_that_make_no_sense_are_refused_with_the_path(
    dream: Callable[..., Result], arguments: tuple[str, ...], said: str
) -> None:
    assert said in words(dream(*arguments, *TINY))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recipe", "artikle"), "did you mean article?"),
        (("--set", "backbone=tiny_singel"), "did you mean tiny_single?"),
        (("--set", "layers=cnv2"), "layers[0]: tiny_single: no layer 'cnv2'; did you mean conv2?"),
        (("--set", "layers=4"), "layers[0]: tiny_single: no layer number '4'; there are 1 to 3"),
        (
            ("--set", "loss=l3"),
            "loss: no loss 'l3'; there are blur_distance, boundary, caricature, "
            "direction, guide, l1, l2, max, mean, mean_square, stay_near, total_variation",
        ),
        (("--set", "schedule=octave"), "did you mean octaves?"),
        (("--set", "schedule.octavescale=2"), "did you mean octave_scale?"),
        (("--set", "ascent.iteration=2"), "did you mean iterations?"),
        (("--set", "ascent.iterations=0"), "ascent.iterations"),
        (("--set", "gradient=[smoth]"), "did you mean smooth?"),
        (("--set", "laers=conv2"), "did you mean layers?"),
        (("--set", "nonsense"), "is no `field=value`"),
        (("--set", "layers={name: conv1, channels: [9]}"), "9: layer conv1 has 4 channels, from 0 to 3"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    dream: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in words(dream("sky.png", "out.png", *TINY, *QUICK, *arguments))
    assert not list(tmp_path.glob("out*"))


def test_a_broken_recipe_file_is_named_with_its_line(dream: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("seed: 1\nascent:\n  lrr: 0.3\n", encoding="utf-8")
    assert "mine.yaml:3: ascent.lrr:" in words(dream("sky.png", "out.png", "--recipe", "mine.yaml", *TINY))


def test_a_layer_of_a_recipe_file_that_does_not_exist_is_named_with_its_line(
    dream: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "backbone: {name: tiny_single, weights: random}\nlayers: konv2\n", encoding="utf-8"
    )
    said = words(dream("sky.png", "out.png", "--recipe", "mine.yaml", "--device", "cpu"))
    assert "mine.yaml:2: layers[0]:" in said
    assert "did you mean conv2?" in said


def test_a_file_that_is_no_picture_is_a_failure_in_words(dream: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "sky.png").write_bytes(b"no picture at all")
    result = dream("sky.png", "out.png", *TINY)
    assert result.exit_code == 1
    assert "dreamd: " in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out.png").exists()


def test_a_device_that_is_not_there_is_named(dream: Callable[..., Result]) -> None:
    result = dream("sky.png", "out.png", *TINY[:2], "--device", "quantum")
    assert result.exit_code == 2
    assert "device 'quantum' cannot be used" in result.stderr


def test_backbones_without_weights_say_what_to_give(dream: Callable[..., Result]) -> None:
    result = dream("sky.png", "out.png", "--set", "backbone=tiny_single", "--device", "cpu")
    assert result.exit_code == 1
    assert "weights: PATH" in result.stderr


@pytest.mark.slow
def test_the_whole_command_works_in_a_process_of_its_own(tmp_path: Path, plugins: Path) -> None:
    clouds(48, 36).save(tmp_path / "sky.png")
    command = [sys.executable, "-m", "dreamd", "dream", "sky.png", "out.png", "--plugins", str(plugins), *TINY, *QUICK]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("out.png")
    assert (tmp_path / "out.png.json").is_file()


def test_help_names_the_two_starts() -> None:
    assert "noise:640x480" in click.unstyle(CliRunner().invoke(main, ["dream", "--help"]).output)

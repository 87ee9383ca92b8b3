"""Commands that only tell what there is answer without torch, once somebody has found it out, and say the same."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CODE = """
import sys
from dreamd.cli import main
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""

PLUGIN = '''
from torch import nn

from dreamd.api import Backbone, Download, hookimpl


def tiny_known(name):
    """Two convolutions."""
    return Backbone(network=nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)), min_side=4)


@hookimpl
def dreamd_backbones(register):
    register("tiny_known", tiny_known, weights=Download(url="https://example.invalid/tiny.pth"))
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir(mode=0o755)
    (tmp_path / "plugins" / "tiny_known.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "plugins" / "tiny_known.py").chmod(0o644)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "config.yaml").write_text(
        "plugins: {engine: [plugins], disable: [timm, torchvision]}\n", encoding="utf-8"
    )
    (tmp_path / "r.yaml").write_text(
        "backbone: tiny_known\nlayers: [{name: '1'}, {name: 2}]\ngradient: [{name: smooth, sigma: 1}]\n",
        encoding="utf-8",
    )
    (tmp_path / "default.yaml").write_text("backbone: tiny_known\n", encoding="utf-8")
    return tmp_path


def run(folder: Path, *words: str) -> tuple[str, bool]:
    """What a command prints, and whether it loaded torch."""
    done = call(folder, *words)
    return done.stdout, done.stderr.splitlines()[-1] == "True" if done.stderr else False


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command; the last line of its errors is whether it loaded torch."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "DREAMD_WEIGHTS": str(folder / "weights")}
    command = [sys.executable, "-c", CODE, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("recipe", "check", "r.yaml"),
        ("recipe", "explain", "r.yaml"),
        ("recipe", "explain", "default.yaml"),
        ("recipe", "schema"),
        ("plugins", "list"),
        ("plugins", "show", "tiny_known"),
        ("weights", "list"),
        ("weights", "list", "tiny_known"),
        ("layers", "tiny_known"),
        ("layers", "tiny_known", "--json"),
    ],
)
def test_the_second_time_it_is_known_and_the_same(folder: Path, words: tuple[str, ...]) -> None:
    first, loaded = run(folder, *words)
    assert loaded
    assert first
    assert run(folder, *words) == (first, False)


def test_what_one_command_found_out_serves_another(folder: Path) -> None:
    run(folder, "plugins", "list")
    assert not run(folder, "recipe", "schema")[1]


def test_a_plugin_that_changed_is_asked_again(folder: Path) -> None:
    before, _ = run(folder, "layers", "tiny_known")
    plugin = folder / "plugins" / "tiny_known.py"
    plugin.write_text(PLUGIN.replace("nn.Sequential(", "nn.Sequential(nn.ReLU(), "), encoding="utf-8")
    after, loaded = run(folder, "layers", "tiny_known")
    assert loaded
    assert len(after.splitlines()) == len(before.splitlines()) + 1


def test_a_plugin_that_fails_is_tried_each_time(folder: Path) -> None:
    broken = folder / "plugins" / "broken.py"
    broken.write_text("import not_there_at_all\n", encoding="utf-8")
    broken.chmod(0o644)
    for _ in range(2):
        text, loaded = run(folder, "plugins", "list")
        assert loaded
        assert "not_there_at_all" in text


@pytest.mark.parametrize("words", [("recipe", "list"), ("dream", "nosuch.jpg", "out.png")])
def test_what_needs_no_plugin_never_loads_torch(folder: Path, words: tuple[str, ...]) -> None:
    assert not run(folder, *words)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("recipe", "check", "right.yaml"),
        ("recipe", "explain", "right.yaml"),
        ("recipe", "schema"),
        ("plugins", "list"),
        ("plugins", "show", "octaves"),
        ("weights", "list"),
        ("layers", "vgg19"),
        ("layers", "resnet50", "--json"),
        ("layers", "efficientnet_lite0", "--labels", "peacock"),
    ],
)
def test_of_its_own_plugins_dreamd_knows_without_torch_from_the_first(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "right.yaml").write_text("layers: [relu4_1]\n", encoding="utf-8")
    text, loaded = run(tmp_path, *words)
    assert text
    assert not loaded


def test_a_layer_that_a_shipped_backbone_does_not_have_is_told_with_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("backbone: googlenet\nlayers: [inception4z, 1000]\n", encoding="utf-8")
    told = call(tmp_path, "recipe", "check", "wrong.yaml").stderr
    assert "no layer 'inception4z'" in told
    assert "inception4e" in told
    assert "layers[0]" in told
    assert told.splitlines()[-1] == "False"

"""`dreamd recipe from`: the recipe of a result, wherever it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from dreamd.cli import main


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A result that carries no recipe."""
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_a_result_whose_sidecar_lies_beside_it_has_the_sidecars_recipe(result: Path) -> None:
    sidecar = result.with_name("cat.png.json")
    sidecar.write_text(json.dumps({"job": "1", "recipe": {"backbone": "efficientnet_lite0", "seed": 4711}}))
    by_picture = CliRunner().invoke(main, ["recipe", "from", str(result)])
    by_sidecar = CliRunner().invoke(main, ["recipe", "from", str(sidecar)])
    assert by_picture.exit_code == by_sidecar.exit_code == 0
    assert "seed: 4711\n" in by_picture.output
    assert by_picture.output.splitlines()[1:] == by_sidecar.output.splitlines()[1:]


def test_a_result_that_has_neither_says_so(result: Path) -> None:
    told = CliRunner().invoke(main, ["recipe", "from", str(result)])
    assert told.exit_code == 2
    assert "carries no recipe" in told.output

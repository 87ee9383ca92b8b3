"""`dreamd demo`, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dreamd.tree import snapshot

CLIPPED = 0.02
"""The largest share of values at the ends of their range in a dream that is not burnt out."""

ALIKE = 0.8
"""The least correlation of neighbouring pixels in a picture; the lake has 0.99, noise has 0."""


def demo(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dreamd", "demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pixels(file: Path) -> NDArray[np.float64]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), np.float64)


def resized(file: Path, size: tuple[int, int]) -> NDArray[np.float64]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float64)


def likeness(values: NDArray[np.float64]) -> float:
    """The correlation of each value with its neighbour's to the right."""
    return float(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """The demo's folder, exit code, output and errors."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    process = demo("--out", folder)
    out, errors = process.communicate(timeout=540)
    return folder, process.returncode, out, errors


def results(folder: Path) -> list[Path]:
    return [folder / "outbox" / name / "lake.jpg" for name in ("animals", "weave")]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo_ends_with_the_paths_of_two_results_and_a_contact_sheet(shown: tuple[Path, int, str, str]) -> None:
    folder, code, out, errors = shown
    assert code == 0, errors
    *paths, empty, last = out.splitlines()
    assert paths == [str(path) for path in results(folder)]
    assert (empty, last) == ("", f"Before and after, side by side: {folder}/contact-sheet.jpg")
    assert "Traceback" not in errors + (folder / "daemon.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", [0, 1], ids=["animals", "weave"])
def test_a_dream_is_a_picture_and_neither_the_original_nor_noise_nor_burnt_out(
    shown: tuple[Path, int, str, str], which: int
) -> None:
    folder = shown[0]
    original, dream = pixels(folder / "lake.jpg"), pixels(results(folder)[which])
    assert dream.shape == original.shape
    change = dream - original
    assert 10 < np.sqrt(np.mean(change**2)) < 60
    assert likeness(dream) > ALIKE
    assert likeness(change) > ALIKE / 2
    assert np.mean((dream <= 1) | (dream >= 254)) < CLIPPED


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_two_dreams_differ_and_stand_beside_the_original_on_the_sheet(shown: tuple[Path, int, str, str]) -> None:
    folder = shown[0]
    first, second = (pixels(path) for path in results(folder))
    assert np.sqrt(np.mean((first - second) ** 2)) > 10
    sheet = pixels(folder / "contact-sheet.jpg")
    shown_pictures = [sheet[28:428, 28 + place * (600 + 14) :][:, :600] for place in range(3)]
    expected = [resized(file, (600, 400)) for file in (folder / "lake.jpg", *results(folder))]
    distances = np.array([[np.mean(np.abs(one - other)) for other in expected] for one in shown_pictures])
    assert list(distances.argmin(axis=1)) == [0, 1, 2]
    assert distances.diagonal().max() < 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_originals_are_put_away_and_the_daemon_has_stopped(shown: tuple[Path, int, str, str]) -> None:
    folder = shown[0]
    lake = (folder / "lake.jpg").read_bytes()
    assert [(folder / "done" / name / "lake.jpg").read_bytes() == lake for name in ("animals", "weave")] == [True] * 2
    assert [json.loads(Path(f"{path}.json").read_text())["recipe"]["backbone"]["name"] for path in results(folder)] == [
        "efficientnet_lite0"
    ] * 2
    values = snapshot.read(folder / "state")
    assert values is not None
    assert (values["state"], values["done"]) == ("stopped", 2)


@pytest.mark.slow
def test_a_file_that_is_no_picture_is_told_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_text("no picture")
    process = demo(tmp_path / "cat.jpg", "--out", tmp_path / "demo")
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert errors.startswith("dreamd: cat.jpg: not a picture that can be read")
    assert not (tmp_path / "demo" / "daemon.log").exists()


@pytest.mark.slow
def test_a_daemon_that_dies_ends_the_demo_with_its_log(tmp_path: Path, make: Callable[..., Any]) -> None:
    tree = make(tmp_path / "tree")
    gates = [tree.mood(name, "wait") for name in ("animals", "weave")]
    picture = tmp_path / "cat.png"
    picture.write_bytes(tree.picture(width=13))
    process = demo(picture, "--out", tree.root)
    waiting = [Path(f"{gate}.waiting") for gate in gates]
    tree.wait_for(lambda: any(path.exists() for path in waiting), "the first dream to begin")
    os.kill(tree.status()["pid"], signal.SIGKILL)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "watching" in errors
    assert errors.endswith("dreamd: the daemon ended with code -9, see its log above\n")

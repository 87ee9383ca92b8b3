"""A session: what decides whether a dream that was broken off may go on, and what a worker takes of its device."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamd.engine.checkpoint import FinishedAscent
from dreamd.messages import Settings
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.answers import Answers
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device, use_threads
from dreamd.worker.main import Worker
from dreamd.worker.session import Session

FILE = """
from dreamd.api import hookimpl
from dreamd.plugin_tools.tiny import tiny_network

@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny_network)
"""


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plugins(tmp_path: Path) -> Plugins:
    folder = tmp_path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "tiny.py").write_text(FILE, encoding="utf-8")
    (folder / "tiny.py").chmod(0o644)
    return Plugins("dreamd.engine", folders=[folder])


def session_on(plugins: Plugins, label: str = "cpu") -> Session:
    device = Device(torch=torch.device("cpu"), label=label)
    return Session(plugins, device, Bounds(max_pixels=10_000, max_bytes=10_000, memory=2_000_000_000))


def test_a_dream_goes_on_only_with_as_many_threads(plugins: Plugins, tmp_path: Path) -> None:
    """On a processor the last bits depend on how the work is shared out, and the rest must fit what was kept."""
    session = session_on(plugins)
    built = session.build(Recipe.model_validate({"backbone": {"name": "tiny", "weights": "random"}, "seed": 3}))

    def found() -> FinishedAscent | None:
        return session.checkpoint(tmp_path, "sha", built).load(1)

    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    picture = Picture(pixels=pixels, alpha=None, format="PNG", dpi=None)
    kept = session.checkpoint(tmp_path, "sha", built)
    kept._writes_from = 0.0
    session.dream([picture], built, on_progress=lambda _progress: None, checkpoint=kept)
    assert found() is not None
    use_threads(1)
    assert found() is None
    use_threads(2)
    assert found() is not None


def worker_with(**changes: object) -> Worker:
    settings = Settings(
        device="cpu", plugin_folders=(), disable=("timm", "torchvision"), max_pixels=1, max_bytes=1, memory=None
    )
    return Worker(settings.model_copy(update=changes), Answers(io.BytesIO()))


def test_workers_of_one_device_divide_its_memory() -> None:
    alone, shared = worker_with().memory, worker_with(sharers=4).memory
    assert shared == pytest.approx(alone / 4, rel=0.3)


def test_a_worker_computes_with_as_many_threads_as_it_is_told() -> None:
    worker_with(threads=1)
    assert torch.get_num_threads() == 1

"""Fifty recipes at random, five pictures each, through a daemon with the embedded network and little memory."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from PIL import Image

from dreamd.job import JobState
from dreamd.plugin_host.host import Plugins
from tests.recipes import Makings, any_recipe

pytestmark = pytest.mark.slow

RECIPES = 50

SIZES = ((400, 300), (211, 383), (256, 256), (320, 200), (200, 397))
"""Widths and heights in pixels."""

CHANNELS = {"blocks.2.1": 40, "blocks.3.2": 80, "blocks.4.1": 112, "blocks.4.2": 112, "blocks.5.0": 192}

MEMORY = 2_000_000_000

SECONDS = 2400


def picture_of(size: tuple[int, int], alpha: bool) -> bytes:
    """Soft colours with some grain."""
    random = np.random.default_rng(size[0])
    image = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(image) + random.normal(0, 6, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    if alpha:
        opaque = np.tile(np.linspace(0, 255, size[0]), (size[1], 1)).astype(np.uint8)
        pixels = np.dstack([pixels, opaque])
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def makings(tree) -> Makings:
    (tree.root / "recipes").mkdir(exist_ok=True)
    other, mask = tree.root / "recipes" / "other.png", tree.root / "recipes" / "mask.png"
    other.write_bytes(picture_of((300, 220), alpha=False))
    Image.linear_gradient("L").save(mask)
    return Makings.of(
        Plugins("dreamd.engine", only={"efficientnet_lite0"}),
        backbone={"name": "efficientnet_lite0"},
        layers=CHANNELS,
        pictures=[str(other)],
        masks=[None, None, "alpha", str(mask)],
        schedules=["octaves", "rescale", "single", "article"],
    )


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has held, by proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def losses(tree) -> Iterator[float]:
    for job in tree.jobs(JobState.DONE):
        sidecar = tree.sidecar(f"{job.folder}/{Path(job.name).name}")
        yield from (sidecar["loss_before"], sidecar["loss_after"])


@pytest.mark.timeout(SECONDS + 120)
def test_fifty_recipes_of_any_kind_dream_five_pictures_each(tree, run_daemon, makings):
    tree.configure(
        plugins={"engine": ["plugins"], "disable": ["timm", "torchvision", "vgg"]}, workers={"memory": "2GB"}
    )
    for number in range(RECIPES):
        tree.recipe(f"{number}", yaml.safe_dump(any_recipe(Random(number), makings)))
        for size in SIZES:
            tree.drop(f"{number}/{size[0]}.png", picture_of(size, alpha=size[0] == 256))
    daemon = run_daemon(tree)
    pids: set[int] = set()

    def is_through() -> bool:
        pids.update(worker["pid"] for worker in daemon.status()["workers"] if worker["pid"])
        assert not tree.jobs(JobState.FAILED), [job.reason for job in tree.jobs(JobState.FAILED)]
        assert not daemon.status()["holds"], daemon.status()["holds"]
        return len(tree.jobs(JobState.DONE)) == RECIPES * len(SIZES)

    tree.wait_for(is_through, "all pictures to be dreamed", SECONDS)
    (worker,) = pids  # none died of what it dreamed
    assert peak_bytes(worker) < MEMORY
    for number in range(RECIPES):
        for size in SIZES:
            with Image.open(tree.result(f"{number}/{size[0]}.png")) as dreamed:
                assert dreamed.size == size
                dreamed.load()
    assert all(math.isfinite(loss) for loss in losses(tree))

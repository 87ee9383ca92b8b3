"""The article's whole program against `dreamd dream --recipe article`: two processes, from start to exit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from benchmarks.nets import likeness, psnr
from benchmarks.plan import BenchmarkError, Plan, run_process
from benchmarks.report import Row, Table, at_least, figure
from benchmarks.timing import ProcessesClock, Way, alternate
from dreamd.commands.demo.painting import clouds
from dreamd.engine.speed.precision import Precision, fastest, winograd_gains
from dreamd.worker.machine.device import choose_device

_LEAST_DB = 49
"""Random weights hardly move a picture at the article's rate: an engine that does nothing comes within 46 dB."""

_BAR = 20
"""Times faster, on a device that is fast in bf16 or TF32."""

_BAR_IN_FP32 = 18
"""Times faster, on a processor that has Winograd's convolutions in fp32."""


def run(plan: Plan) -> Iterator[Table]:
    """Both programs on one picture, with the same random weights out of the same file."""
    (width, height), octaves, iterations = ((64, 40), 7, 1) if plan.quick else ((1024, 640), 100, 6)
    with tempfile.TemporaryDirectory(prefix="dreamd-benchmark-") as name:
        folder = Path(name)
        clouds(width, height).save(folder / "picture.png")
        torch.manual_seed(0)
        save_file(models.vgg19(weights=None).state_dict(), folder / "vgg19.safetensors")
        ways = [
            Way(name="the article's program", run=lambda: _article(folder, octaves, iterations)),
            Way(name="dreamd dream --recipe article", run=lambda: _dreamd(folder, octaves, iterations)),
        ]
        plan.say(f"both programs on {width}×{height} pixels")
        clock = ProcessesClock()
        article, dreamd = alternate(ways, rounds=1, clock=clock, warm=False)
        decibels = _agreement(folder)
    limit = None if plan.quick else _bar(choose_device("auto").torch)
    bar = None if limit is None else at_least(limit, dreamd.ratio, f"{limit}×")
    worked, own = (clock.processor[way.run][0] for way in ways)
    processor = f"{figure(worked)} s of processor"
    yield Table(
        benchmark="program",
        title=f"the whole program, {octaves + 1} levels of {iterations} iterations, {width}×{height}, start to exit",
        unit="s",
        better="less",
        against="the article's program",
        rows=[
            Row(
                what=ways[0].name,
                value=article.median,
                ratio=1.0,
                note=f"scaled down, {processor}" if plan.quick else processor,
            ),
            Row(
                what=ways[1].name,
                value=dreamd.median,
                ratio=dreamd.ratio,
                bar=bar,
                note=f"{likeness(decibels)}, {figure(own)} s of processor, {worked / own:.1f} times less",
            ),
        ],
    )


def _bar(device: torch.device) -> int | None:
    """Return how many times faster dreamd must be on a device; None where nothing is promised."""
    precision = fastest(device)
    if precision is not Precision.FP32:
        return _BAR
    return _BAR_IN_FP32 if winograd_gains(precision, device) else None


def _article(folder: Path, octaves: int, iterations: int) -> None:
    program = Path(__file__).with_name("article_program.py")
    settings = ["--weights", folder / "vgg19.safetensors", "--octaves", octaves, "--iterations", iterations]
    run_process([str(word) for word in (program, folder / "picture.png", folder / "article.png", *settings)])


def _dreamd(folder: Path, octaves: int, iterations: int) -> None:
    settings = [f"backbone.weights={folder / 'vgg19.safetensors'}", f"schedule.num_octaves={octaves}"]
    settings += [f"ascent.iterations={iterations}"]
    words = ["-m", "dreamd", "dream", str(folder / "picture.png"), str(folder / "dreamd.png"), "--recipe", "article"]
    run_process([*words, *(word for setting in settings for word in ("--set", setting))])


def _agreement(folder: Path) -> float:
    """How near the two results are, in dB. Raises BenchmarkError when they are two pictures."""
    article, dreamd = (
        torch.from_numpy(np.asarray(Image.open(folder / f"{name}.png"), np.float32) / 255)
        for name in ("article", "dreamd")
    )
    decibels = psnr(article, dreamd)
    if decibels < _LEAST_DB:
        raise BenchmarkError(f"dreamd's picture is not the article's program's: {figure(decibels)} dB")
    return decibels

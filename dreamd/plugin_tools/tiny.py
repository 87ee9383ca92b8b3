"""A network of a few hundred numbers, and a dream of milliseconds with it, to check plugins by. Knows no plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings, GradientStep
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term

CHANNELS = 6
"""The channels of the tiny network's last layer."""


def tiny_network(name: str) -> Backbone:
    """Build two convolutions with a pooling between them: a few hundred numbers."""
    del name
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, CHANNELS, 3, padding=1), nn.ReLU()
    )  # fmt: skip
    layers = {"conv1": "0", "relu1": "1", "pool1": "2", "conv2": "3", "relu2": "4"}
    return Backbone(network=network, layers=layers, default_layer="relu2", min_side=8)


def tiny_backbone(device: torch.device | None = None) -> Backbone:
    """Make the tiny network, frozen, always with the same random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = tiny_network("tiny").frozen()
    backbone.network.to(device or torch.device("cpu"))
    return backbone


def mean_square(activation: Tensor) -> Tensor:
    """Return the mean of the squares, as a loss: `[N, C, H, W]` → `[N]`."""
    return activation.flatten(1).square().mean(1)


def one_ascent(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    """Ascend once, as a schedule."""
    yield ascend(image)


def tiny_dream(
    pictures: Tensor,
    *,
    loss: Callable[[Tensor], Tensor] = mean_square,
    schedule: Callable[[Tensor, Ascend], Any] = one_ascent,
    steps: Sequence[Callable[[Tensor], Tensor]] = (),
    backbone: Backbone | None = None,
    device: torch.device | None = None,
    jitter: int = 2,
) -> Tensor:
    """Dream pictures `[N, 3, H, W]` in [0, 1] for two iterations, each with the seed 0.

    Args:
        pictures: what to dream.
        loss: a loss, with its parameters filled in.
        schedule: a schedule, with its parameters filled in.
        steps: gradient steps `gradient → gradient`, with their parameters filled in.
        backbone: what to dream with, frozen, on its device; the tiny network when none is given.
        device: what to dream on; the processor when none is given.
        jitter: the largest random shift, in pixels.
    """
    device = device or torch.device("cpu")
    backbone = backbone or tiny_backbone(device)
    dreamer = Dreamer(
        backbone=backbone,
        objective=Objective((Term(backbone.module_name(str(backbone.default_layer)), loss),)),
        settings=AscentSettings(iterations=2, lr=0.05, jitter=jitter),
        schedule=schedule,
        steps=[_without_progress(step) for step in steps],
        device=device,
    )
    return dream(pictures.clone(), dreamer, seeds=[0] * len(pictures)).images


def _without_progress(step: Callable[[Tensor], Tensor]) -> GradientStep:
    return lambda gradient, progress: step(gradient)  # noqa: ARG005

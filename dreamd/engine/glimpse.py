"""Glimpses: small pictures of a dream that goes on. Knows pictures; knows no network, no schedule and no files."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.dreamer import Progress

Glimpse = Callable[[int], Tensor]
"""`glimpse(side)` shows the dream's pictures as they are now: `[N, 3, h, w]` in [0, 1], no side longer than `side`."""

Look = Callable[[Progress, Glimpse], None]
"""`look(progress, glimpse)` is called after every iteration."""


def reduced(images: Tensor, side: int) -> Tensor:
    """Return pictures `[N, 3, H, W]` made smaller, so that no side is longer than `side` pixels; values as they are.

    Of a huge picture not every pixel is looked at, which would cost too much time and memory.
    """
    height, width = images.shape[2:]
    step = max(1, min(height, width) // (2 * side))
    images = images.detach()[:, :, ::step, ::step].float()
    scale = min(1.0, side / max(height, width))
    return F.interpolate(images, (max(1, round(height * scale)), max(1, round(width * scale))), mode="area")

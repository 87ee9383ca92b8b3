"""Targets: which channels and which cells of a layer count.

Knows activations. Knows no networks and no losses.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dreamd.errors import UsageError

By = Literal["strongest", "weakest", "random"]
"""What channels are chosen by: the greatest or the smallest mean activation, or by chance."""


@dataclass(frozen=True)
class Place:
    """A place in a picture, in shares of its sides: (0, 0) is the upper left corner, (1, 1) the lower right one.

    Attributes:
        x: from left to right.
        y: from top to bottom.
    """

    x: float
    y: float

    def cell(self, height: int, width: int) -> tuple[int, int]:
        """Return the row and the column of the cell there, in an activation of so many cells."""
        return min(int(self.y * height), height - 1), min(int(self.x * width), width - 1)


CENTER = Place(0.5, 0.5)
"""The middle of a picture. Of an even number of cells it is the one after the middle, as in lucid's `neuron`."""


class Choice:
    """Channels that are chosen by what a layer sees, for each picture its own.

    It is made before an ascent and not inside the gradient, which may be a recording. The chosen numbers are written
    into the same tensor each time, so that a recording reads the new ones.

    Attributes:
        by: what they are chosen by.
        count: how many.
        each_ascent: whether they are chosen anew at the start of each ascent; else once, in the pictures as they came.
    """

    def __init__(self, by: By, count: int, *, each_ascent: bool = False) -> None:
        self.by = by
        self.count = count
        self.each_ascent = each_ascent
        self._chosen: dict[tuple[int, torch.device], Tensor] = {}

    @property
    def key(self) -> Hashable:
        """Equal for choices that are made alike."""
        return self.by, self.count, self.each_ascent

    def choose(self, strengths: Tensor, seeds: Sequence[int]) -> None:
        """Choose channels.

        Args:
            strengths: the mean of each channel, `[N, C]`.
            seeds: N numbers, by which `random` draws.

        Raises:
            UsageError: there are fewer channels.
        """
        channels = strengths.shape[1]
        if self.count > channels:
            raise UsageError(f"{self.by}: {self.count} of {channels} channels cannot be chosen")
        order = torch.stack([
            _drawn(channels, seed) if self.by == "random" else _ranked(each, descending=self.by == "strongest")
            for each, seed in zip(strengths, seeds, strict=True)
        ])  # fmt: skip
        chosen = order[:, : self.count].sort(dim=1).values
        kept = self._chosen.setdefault((len(chosen), strengths.device), chosen.to(strengths.device))
        kept.copy_(chosen)

    def of(self, activation: Tensor) -> Tensor:
        """Return the chosen channels of an activation `[N, C, ...]`.

        Before anything is chosen it is the first ones: then only the memory that a gradient takes is being measured.
        """
        chosen = self._chosen.get((len(activation), activation.device))
        if chosen is None:
            return activation[:, : self.count]
        return activation[torch.arange(len(activation), device=activation.device)[:, None], chosen]


def _ranked(strengths: Tensor, *, descending: bool) -> Tensor:
    """Return channels by their strength; of equal ones the first comes first, on every device."""
    return strengths.cpu().sort(descending=descending, stable=True).indices


def _drawn(channels: int, seed: int) -> Tensor:
    """Return channels in a random order."""
    return torch.randperm(channels, generator=torch.Generator().manual_seed(seed))


def seed_of(picture: int, *numbers: int) -> int:
    """Return a seed for one of several things that a picture draws, from its own seed.

    The picture's generator is not used for it, so that nothing else it draws depends on what is chosen.

    Args:
        picture: its seed.
        numbers: what tells the things apart.
    """
    return int(np.random.SeedSequence([picture, *numbers]).generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=256)
def index_of(channels: tuple[int, ...], device: torch.device) -> Tensor:
    """Return channels as a tensor on a device, made once: a recording cannot copy them there, and reads them again."""
    return torch.tensor(channels, device=device)


def as_map(activation: Tensor) -> Tensor:
    """Return an activation as `[N, C, H, W]`: the scores of a classifier, `[N, K]`, are a map of one cell."""
    return activation[:, :, None, None] if activation.dim() == 2 else activation

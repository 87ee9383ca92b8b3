"""Chance: random numbers of which each picture has its own, so that it comes out the same in any batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dreamd.engine.speed.devices import moved


class Random:
    """Draws random numbers for each picture of a batch from that picture's own generator."""

    def __init__(self, generators: Sequence[torch.Generator], device: torch.device) -> None:
        """Draw from these generators.

        Args:
            generators: one a picture, on the processor.
            device: where the drawn tensors lie.
        """
        self._generators = generators
        self._device = device

    def normal(self, *shape: int) -> Tensor:
        """Draw `[N, *shape]` with mean 0 and standard deviation 1."""
        return self._stacked([torch.randn(shape, generator=generator) for generator in self._generators])

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw `[N, *shape]`, evenly from `low` to `high`."""
        drawn = self._stacked([torch.rand(shape, generator=generator) for generator in self._generators])
        return low + (high - low) * drawn

    def integers(self, low: int, high: int, count: int) -> list[list[int]]:
        """Draw `count` whole numbers a picture, each from `low` to `high`, both included."""
        return [torch.randint(low, high + 1, (count,), generator=each).tolist() for each in self._generators]

    def on_cpu(self) -> Random:
        """Return what draws the same, into the processor's memory: few numbers are computed with sooner there.

        On a GPU each operation is a launch, even of one number. What comes of them goes to the pictures without a wait
        by `.to(image.device, non_blocking=True)`.
        """
        return self if self._device.type == "cpu" else Random(self._generators, torch.device("cpu"))

    def repeated(self, count: int) -> Random:
        """Return what draws for so many views of each picture, those of a picture behind each other."""
        return Random([generator for generator in self._generators for _ in range(count)], self._device)

    def states(self) -> Tensor:
        """Return the state of each generator, `[N, bytes]` in uint8."""
        return torch.stack([generator.get_state() for generator in self._generators])

    def set_states(self, states: Tensor) -> None:
        """Put the generators where they were when `states` returned this."""
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state.clone())  # aligned as torch does it; on numpy's memory it crashes

    def _stacked(self, drawn: list[Tensor]) -> Tensor:
        together = drawn[0][None] if len(drawn) == 1 else torch.stack(drawn)  # noise is as large as a picture
        return moved(together, self._device)

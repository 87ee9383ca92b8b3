"""Climbing: the climbs of one dream made ready, one after the other, each with its gradient in the memory there is.

Knows what gradients cost. Knows no schedule and no checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dreamd.engine.ascents.ascent import plain
from dreamd.engine.ascents.chain import Scene
from dreamd.engine.ascents.chance import Random
from dreamd.engine.ascents.outset import (
    Comparisons,
    Outset,
    held_beside,
    held_whatever_the_size,
    keeps_original,
    padded,
)
from dreamd.engine.dreamer import Climb, Dreamer, preparation
from dreamd.engine.objectives.objective import Gradient, WholeGradient
from dreamd.engine.speed.card.graphs import GraphedGradient
from dreamd.engine.speed.devices import moved
from dreamd.engine.tiles.fitting import Fit, FittedGradient, cost_of
from dreamd.engine.tiles.footprint import SMALLEST_TILE, pictures_that_fit

if TYPE_CHECKING:
    from types import TracebackType

_LEAST_PIXELS = 224 * 224
"""The fewest pixels that a picture is reckoned with. A schedule may dream small ones larger, as the article's does."""


class Climbing:
    """A climb made ready. It holds hooks in the network until it is closed.

    Attributes:
        climb: what is climbed, and how.
        mean: of the network's pixels, `[1, 3, 1, 1]`.
        std: their standard deviation.
    """

    def __init__(
        self,
        dreamer: Dreamer,
        climb: Climb,
        generators: Sequence[torch.Generator],
        outset: Outset | None,
        fit: Fit | None = None,
    ) -> None:
        """Make a climb ready.

        Args:
            dreamer: whose climb it is.
            climb: the climb.
            generators: one random source a picture.
            outset: how the dream began; None when no climb of it asks for that.
            fit: what the climb before has found out about memory; None for the first.
        """
        self.climb = climb
        self._whole = WholeGradient(dreamer.backbone.network, climb.objective)
        self._gradient = _gradient_for(self._whole, dreamer, climb, generators)
        if fit is not None:
            self.take_up(Fit(memory=fit.memory, largest_tile=fit.largest_tile))
        self._prepare = preparation(dreamer)
        self._generators = generators
        self._device = dreamer.device
        self._min_side = dreamer.backbone.min_side
        references = climb.objective.references()
        self._outset = outset
        if outset is None or (climb.chain.is_bare and not references and not outset.has_mask):
            self._comparisons = None
        else:
            self._comparisons = Comparisons(climb.chain, references, outset)
        self.mean, self.std = (
            torch.tensor(values, device=dreamer.device).view(1, 3, 1, 1)
            for values in (dreamer.backbone.mean, dreamer.backbone.std)
        )

    @property
    def fit(self) -> Fit | None:
        """What has been found out about memory; None for a dream without a limit to its memory."""
        return self._gradient.fit if isinstance(self._gradient, FittedGradient) else None

    def take_up(self, fit: Fit | None) -> None:
        """Go on with what a dream had found out about memory."""
        if isinstance(self._gradient, FittedGradient) and fit is not None:
            self._gradient.take_up(fit)

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]` there."""
        return self._gradient(x, self._prepare)

    def choose(self, x: Tensor, ascent: int) -> None:
        """Choose the channels that are chosen as an ascent begins.

        Args:
            x: the normalised pictures that it begins with.
            ascent: its number, from 1; 0 for the beginning of the dream.
        """
        seeds = [generator.initial_seed() for generator in self._generators]
        self.climb.objective.choose(lambda: self._gradient.strengths(x, self._prepare), seeds, ascent)

    def choose_at_start(self, images: Tensor) -> None:
        """Choose the channels that are chosen once, in the pictures `[N, 3, H, W]` in [0, 1] as they came."""
        if any(not choice.each_ascent for _, choice in self.climb.objective.choices()):
            self.choose((padded(moved(images, self._device), self._min_side) - self.mean) / self.std, 0)

    def scene(self, shape: torch.Size, random: Random) -> Scene | None:
        """Return what stands around the gradient for pictures of a shape; None for bare pixels.

        Everything that the losses compare with is looked at.
        """
        if self._outset is None or self._comparisons is None:
            return None
        size = (shape[2], shape[3])
        if isinstance(self._gradient, FittedGradient):
            self._gradient.hold(shape[1:].numel())
        self._comparisons.prepare(size, self._seen_in, anew=self.climb.objective.chooses_each_ascent)
        return Scene(
            chain=self.climb.chain,
            mean=self.mean,
            std=self.std,
            given=self._outset.given(size, random),
            look=self._seen,
            originals=self._comparisons.originals,
        )

    def close(self) -> None:
        """Take the hooks out of the network."""
        self._whole.close()

    def _seen_in(self, pictures: Tensor) -> list[Tensor]:
        """What the terms' layers see in pictures in [0, 1], on any device."""
        return self._seen((moved(pictures, self._device) - self.mean) / self.std)

    def _seen(self, x: Tensor) -> list[Tensor]:
        return self._gradient.seen(x, self._prepare)


class Climbings:
    """The climbs of one dream. One at a time is ready, since each has what it has seen in memory.

    A context manager.
    """

    def __init__(self, dreamer: Dreamer, generators: Sequence[torch.Generator], outset: Outset | None) -> None:
        self._dreamer = dreamer
        self._generators = generators
        self._outset = outset
        self._index = 0
        self.current = self._ready()

    def choose_at_start(self, images: Tensor) -> None:
        """Choose the channels that any climb chooses once, in the pictures `[N, 3, H, W]` in [0, 1] as they came.

        Raises:
            UsageError: a layer has fewer.
        """
        self.current.choose_at_start(images)
        for climb in self._dreamer.later:
            if climb.objective.choices():
                later = Climbing(self._dreamer, climb, self._generators, None)
                later.choose_at_start(images)
                later.close()

    def at(self, ascent: int) -> Climbing:
        """Return the climb of the ascent of that number, from 1, which must not fall."""
        while self._index < self._index_at(ascent):
            self.current.close()
            self._index += 1
            self.current = self._ready(self.current.fit)
        return self.current

    def deterministic_from(self, ascent: int) -> bool:
        """Return whether equal pictures give equal results from the ascent of that number on, as far as is known."""
        *_, last = self._dreamer.climbs
        shifts = self.current.fit is not None and not self.current.fit.deterministic
        return self._index_at(ascent) == len(self._dreamer.later) and not last.draws and not shifts

    def _index_at(self, ascent: int) -> int:
        ends = accumulate(climb.ascents for climb in self._dreamer.climbs[:-1])
        return sum(ascent > end for end in ends)

    def _ready(self, fit: Fit | None = None) -> Climbing:
        return Climbing(self._dreamer, self._dreamer.climbs[self._index], self._generators, self._outset, fit)

    def __enter__(self) -> Climbings:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.current.close()


def outset_of(dreamer: Dreamer, images: Tensor, mask: Tensor | None, original: Tensor | None) -> Outset | None:
    """Return what the dream keeps of how it began; None where nothing asks for it.

    Args:
        dreamer: what dreams.
        images: the pictures that the dream begins with, `[N, 3, H, W]` in [0, 1].
        mask: where to dream, `[N, 1, H, W]` from 0 to 1; None for everywhere.
        original: what counts as the original; None for the pictures that the dream begins with.
    """
    chain = dreamer.chain
    is_bare = all(climb.chain.is_bare and not climb.objective.references() for climb in dreamer.climbs)
    if is_bare and not (chain.start or chain.finish) and mask is None:
        return None
    whole = moved(images if original is None else original, dreamer.device)
    return Outset(chain, whole, mask, keeps_original=asks_for_original(dreamer), min_side=dreamer.backbone.min_side)


def asks_for_original(dreamer: Dreamer) -> bool:
    """Return whether something in a dream compares with the pictures as they came, or takes from them."""
    return any(keeps_original(climb.chain, climb.objective.references()) for climb in dreamer.climbs)


def is_for_one(dreamer: Dreamer) -> bool:
    """Return whether pictures are dreamed one at a time."""
    return any(climb.objective.is_for_one for climb in dreamer.climbs)


def batch_limit(dreamer: Dreamer, height: int, width: int, memory: int) -> int:
    """Return how many pictures of a size in pixels can be dreamed together within some bytes, in every climb.

    Args:
        dreamer: what dreams.
        height: in pixels.
        width: in pixels.
        memory: bytes that the process may hold.
    """
    only = dreamer.backbone.input_size
    side = only or max(SMALLEST_TILE, dreamer.backbone.min_side)
    pixels = max(height * width, _LEAST_PIXELS)
    fitting = []
    for climb in dreamer.climbs:
        with WholeGradient(dreamer.backbone.network, climb.objective) as whole:
            views = ceil(held_whatever_the_size(climb.chain) / (pixels * 3 * 4))
            cost = cost_of(whole, dreamer.device, preparation(dreamer), side, _pictures_held(dreamer) + views)
        fitting.append(pictures_that_fit(memory, pixels, only**2 if only else pixels, cost))
    return min(fitting)


def _gradient_for(
    whole: WholeGradient, dreamer: Dreamer, climb: Climb, generators: Sequence[torch.Generator]
) -> Gradient | FittedGradient:
    """Return a gradient that keeps within the dreamer's memory. A network that takes one size only needs no care."""
    gradient: Gradient = whole
    if dreamer.graphs is not None:
        way = (dreamer.precision, dreamer.exact, dreamer.deterministic, dreamer.backbone.input_size)
        gradient = GraphedGradient(whole, dreamer.graphs, way)
    if dreamer.memory is None or dreamer.backbone.input_size is not None:
        return gradient
    return FittedGradient(
        whole,
        gradient=gradient,
        memory=dreamer.memory,
        shortest=dreamer.backbone.min_side,
        pictures=_pictures_held(dreamer),
        views=held_whatever_the_size(climb.chain),
        generators=generators,
    )


def _pictures_held(dreamer: Dreamer) -> int:
    """Count the whole pictures that are held beside a gradient, in the climb that holds the most.

    The one given, the ascent's, its gradient, what the schedule or a gradient step is making and what it makes that of,
    what the optimizer remembers, what the chain holds, and what others do.
    """
    return (
        5
        + dreamer.beside
        + max(_remembered(climb) + held_beside(climb.chain, climb.objective.references()) for climb in dreamer.climbs)
    )


def _remembered(climb: Climb) -> int:
    """Count the pictures that a climb's optimizer remembers."""
    return bool(climb.settings.momentum) if climb.optimizer is plain else climb.optimizer_pictures

"""A dreamer: a network made ready to dream, and how far its dream is. Knows no pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascents.ascent import AscentSettings, GradientStep, Optimizer, plain
from dreamd.engine.ascents.chain import Chain
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Prepare
from dreamd.engine.speed.card.deterministic import gpu_algorithms
from dreamd.engine.speed.card.graphs import Graphs
from dreamd.engine.speed.precision import Precision, cast, products_in

if TYPE_CHECKING:
    from dreamd.engine.ascents.scheduled_ascent import Ascend


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a dream is.

    Attributes:
        ascent: the ascent that runs, from 1.
        ascents: how many there will be, as far as the schedule has said.
        iteration: iterations of this ascent that are done.
        iterations: iterations that this ascent has.
        part: the part of a sequence that runs, from 1.
        parts: how many parts there are.
    """

    ascent: int
    ascents: int
    iteration: int
    iterations: int
    part: int = 1
    parts: int = 1

    @property
    def share(self) -> float:
        """Return the share of the dream that is done, 0 to 1, counting every part alike, and in it every ascent."""
        own = (self.ascent - 1 + self.iteration / self.iterations) / max(self.ascent, self.ascents)
        return (self.part - 1 + min(1.0, own)) / self.parts


@dataclass(frozen=True, kw_only=True)
class Climb:
    """What ascents make larger, and how: all that may change from one ascent of a dream to the next.

    Attributes:
        objective: what the ascents make larger.
        settings: how the ascents climb.
        steps: what is done to each gradient, in order.
        optimizer: makes a move of each gradient.
        optimizer_pictures: how many pictures the optimizer remembers.
        chain: what stands around the gradient.
        ascents: how many ascents climb so before the dream's next climb begins; the last climb goes on for the rest.
    """

    objective: Objective
    settings: AscentSettings
    steps: Sequence[GradientStep] = ()
    optimizer: Optimizer = plain
    optimizer_pictures: int = 1
    chain: Chain = field(default_factory=Chain)
    ascents: int = 1

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers, so that equal pictures give different results."""
        return self.settings.jitter != 0 or self.chain.draws or self.objective.draws


@dataclass(frozen=True, kw_only=True)
class Dreamer(Climb):
    """A backbone made ready to dream, and the climb that the dream begins with.

    Its own chain's `start` and `finish` are the dream's.

    Attributes:
        backbone: the network, frozen, on `device`, in `precision`.
        schedule: `(image, ascend) → images`; a plugin's function with its parameters filled in.
        later: the climbs that come after the first one, in order.
        precision: what the backbone computes in.
        exact: in fp32, whether the backbone is the reference, as it was loaded, and not arranged for speed.
        device: where the backbone is.
        deterministic: on a GPU, take only algorithms that give the same bits each time; otherwise the fastest.
        memory: bytes that the process may hold; larger pictures are dreamed in tiles. None: never in tiles.
        graphs: where recordings of gradients are kept, on a GPU; None: nothing is recorded.
        beside: how many whole pictures are held for others while it dreams.
    """

    backbone: Backbone
    schedule: Callable[[Tensor, Ascend], Iterable[Tensor]]
    later: Sequence[Climb] = ()
    precision: Precision = Precision.FP32
    exact: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    deterministic: bool = True
    memory: int | None = None
    graphs: Graphs | None = None
    beside: int = 0

    @property
    def climbs(self) -> tuple[Climb, ...]:
        """Every climb of the dream, in order."""
        return (self, *self.later)

    @property
    def is_reference(self) -> bool:
        """Return whether the network computes as it was loaded: in fp32, in torch's own order, layer by layer."""
        return self.exact and self.precision is Precision.FP32


@contextmanager
def arithmetic_of(dreamer: Dreamer) -> Iterator[None]:
    """Compute inside as the dreamer's precision and its choice of algorithms say."""
    algorithms = gpu_algorithms(
        dreamer.device, deterministic=dreamer.deterministic, fastest=not dreamer.is_reference
    )  # fmt: skip
    with products_in(dreamer.precision), algorithms:
        yield


def preparation(dreamer: Dreamer) -> Prepare:
    """Return what brings pictures to what the dreamer's network takes: its only size, its precision."""
    size = dreamer.backbone.input_size

    def prepare(x: Tensor) -> Tensor:
        if size is not None and x.shape[2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        return x if dreamer.is_reference else cast(x, dreamer.precision)

    return prepare

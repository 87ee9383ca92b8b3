"""Objectives: what an ascent makes larger.

An objective is a weighted sum of losses, each of one layer's activation.

Knows networks through a `Lookout`. Knows no pictures' sizes and no tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor, nn

from dreamd.engine.network.lookout import Lookout, Sight, Where
from dreamd.engine.objectives.references import Reference, Referring
from dreamd.engine.objectives.targets import Choice, Place, as_map, index_of, seed_of
from dreamd.errors import NoGradientError, PluginError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

Loss = Callable[[Tensor], Tensor]
"""A function from an activation `[N, C, H, W]` to `[N]`, one value a picture, which is maximised."""

Prepare = Callable[[Tensor], Tensor]
"""A function that brings pictures to what the network takes: its size, its precision."""

_AnyLoss = TypeVar("_AnyLoss", bound=Callable[..., Tensor])


@dataclass(frozen=True)
class Sums:
    """A loss as a function of sums over the cells: `finish(part(a) + part(b))` is the loss of `a` and `b` together.

    Attributes:
        part: the sums of any part of the cells, `[N, C, h, w]` → `[N]`, or `[N, K]` for K sums.
        finish: the loss of the sums of all cells, of the same shape → `[N]`.
    """

    part: Callable[..., Tensor]
    finish: Callable[..., Tensor]


def summed(part: Callable[..., Tensor], finish: Callable[..., Tensor]) -> Callable[[_AnyLoss], _AnyLoss]:
    """Declare that a loss depends on sums over the cells alone.

    Nothing changes for pictures that fit in memory. Of larger ones the layer's whole activation, which may be many
    times the picture, need then not be held; with one sum, one pass over the picture is enough.

        @summed(part=lambda activation: activation.flatten(1).square().sum(1), finish=torch.sqrt)
        def l2(activation): ...

    Args:
        part: the sums of any part of the cells, `[N, C, h, w]` → `[N]`, or `[N, K]` for K sums.
        finish: the loss of the sums of all cells, of the same shape → `[N]`.

    Both are given the loss's own keyword parameters. dreamd compares them with the loss itself on the first tile.
    """

    def declare(loss: _AnyLoss) -> _AnyLoss:
        loss.dreamd_sums = Sums(part, finish)  # type: ignore[attr-defined]
        return loss

    return declare


def sums_of(loss: Loss) -> Sums | None:
    """Return the sums that a loss declared, its parameters filled in; None when it declared none."""
    if isinstance(loss, Referring):
        sums = None if loss.looks_at_the_original else sums_of(loss.loss)
        return Sums(loss.part_with(sums.part), loss.finish_with(sums.finish)) if sums else None
    function, parameters = (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})
    sums = getattr(function, "dreamd_sums", None)
    return Sums(partial(sums.part, **parameters), partial(sums.finish, **parameters)) if sums else None


def unchanged(x: Tensor) -> Tensor:
    """Return pictures as they are: the `Prepare` of networks that take them so."""
    return x


@dataclass(frozen=True)
class Term:
    """One loss of one layer: where to look, which channels, which cells, what is to grow, and how much it counts.

    Attributes:
        module: the layer's module in the network.
        loss: what of its activation is to grow.
        weight: what it counts for.
        channels: the channels to look at, from 0, or how they are chosen; None for all.
        place: the place whose cell alone counts; None for all cells.
        where: what of the module is looked at.
    """

    module: str
    loss: Loss
    weight: float = 1.0
    channels: tuple[int, ...] | Choice | None = None
    place: Place | None = None
    where: Where = "output"

    @property
    def sight(self) -> Sight:
        """What is looked at."""
        return Sight(self.module, self.where)

    @property
    def choice(self) -> Choice | None:
        """How its channels are chosen; None where they are not."""
        return self.channels if isinstance(self.channels, Choice) else None

    def __call__(self, activation: Tensor) -> Tensor:
        """Return the weighted loss `[N]` of an activation `[N, C, ...]`, in float32."""
        return self.value(self.chosen(activation))

    def value(self, activation: Tensor) -> Tensor:
        """Return the weighted loss `[N]` of the chosen part `[N, C, ...]` of an activation. Raises PluginError."""
        value = self.loss(activation.float())
        if not isinstance(value, Tensor) or value.shape != activation.shape[:1]:
            what = f"tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise PluginError(
                f"the loss returned a {what} for an activation of shape {list(activation.shape)}; it must return one "
                f"value a picture, [{activation.shape[0]}]"
            )
        return value if self.weight == 1.0 else self.weight * value

    def chosen(self, activation: Tensor) -> Tensor:
        """Return the channels and cells to look at of an activation `[N, C, ...]`. Raises UsageError."""
        return self.of_channels(self.of_place(as_map(activation)))

    def of_place(self, activation: Tensor) -> Tensor:
        """Return the cells to look at of an activation `[N, C, H, W]`. Raises UsageError when it is no map."""
        if self.place is None:
            return activation
        if activation.dim() != 4:
            raise UsageError(f"layer {self.module} is no map of the picture, so that no cell of it lies at a place")
        row, column = self.place.cell(*activation.shape[2:])
        return activation[:, :, row : row + 1, column : column + 1]

    def of_channels(self, cells: Tensor) -> Tensor:
        """Return the channels to look at of some cells `[N, C, ...]`. Raises UnknownNameError."""
        if self.channels is None:
            return cells
        if isinstance(self.channels, Choice):
            return self.channels.of(cells)
        count = cells.shape[1]
        for channel in self.channels:
            if not 0 <= channel < count:
                raise UnknownNameError(f"channel of layer {self.module}", channel, [f"0 to {count - 1}"])
        return cells[:, index_of(self.channels, cells.device)]

    def strengths(self, activation: Tensor) -> Tensor:
        """Return the mean of each channel over the cells to look at, `[N, C]` in float64."""
        cells = self.of_place(as_map(activation))
        sums: Tensor = cells.flatten(2).sum(2, dtype=torch.float64)
        return sums / max(1, cells[0, 0].numel())


@dataclass(frozen=True)
class Objective:
    """A sum of terms.

    Attributes:
        terms: the terms, at least one.
    """

    terms: tuple[Term, ...]

    def sights(self) -> list[Sight]:
        """Return what it looks at, in the order of the terms."""
        return [term.sight for term in self.terms]

    def choices(self) -> list[tuple[int, Choice]]:
        """Return how channels are chosen, where they are, with the number of the term."""
        return [(index, term.choice) for index, term in enumerate(self.terms) if term.choice is not None]

    @property
    def draws(self) -> bool:
        """Whether channels are drawn at random for each ascent, so that equal pictures give different results."""
        return any(choice.by == "random" and choice.each_ascent for _, choice in self.choices())

    @property
    def chooses_each_ascent(self) -> bool:
        """Whether other channels may be looked at in each ascent."""
        return any(choice.each_ascent for _, choice in self.choices())

    @property
    def is_for_one(self) -> bool:
        """Whether pictures are dreamed alone: their own channels are compared with what is everybody's."""
        return any(
            term.choice is not None
            and isinstance(term.loss, Referring)
            and any(not reference.is_original for reference in term.loss.references.values())
            for term in self.terms
        )

    def choose(self, strengths: Callable[[], Sequence[Tensor]], seeds: Sequence[int], ascent: int) -> None:
        """Choose the channels that are chosen now; vectors are looked at by them too.

        Args:
            strengths: gives the mean of each channel of each term's layer, `[N, C]`.
            seeds: the seed of each picture.
            ascent: the number of the ascent that begins, from 1; 0 for the beginning of the dream.
        """
        self._choose(strengths, seeds, ascent)
        for index, reference in self.references():
            if reference.vector is not None:
                reference.value = self.terms[index].of_channels(reference.vector)

    def _choose(self, strengths: Callable[[], Sequence[Tensor]], seeds: Sequence[int], ascent: int) -> None:
        due = [(index, choice) for index, choice in self.choices() if choice.each_ascent == (ascent > 0)]
        if not due:
            return
        seen = strengths()
        for index, choice in due:
            choice.choose(seen[index], [seed_of(seed, index, ascent) for seed in seeds])

    def references(self) -> list[tuple[int, Reference]]:
        """Return every reference of the terms' losses, with the number of its term."""
        losses = [(index, term.loss) for index, term in enumerate(self.terms) if isinstance(term.loss, Referring)]
        return [(index, reference) for index, loss in losses for reference in loss.references.values()]

    def loss(self, activations: Sequence[Tensor]) -> Tensor:
        """Return the value `[N]` for the activations of `sights()`."""
        return add_up([term(activation) for term, activation in zip(self.terms, activations, strict=True)])


def add_up(values: Sequence[Tensor]) -> Tensor:
    """Add up the terms' values, in their order."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def check_differentiable(loss: Tensor) -> None:
    """Raise NoGradientError when a loss has none."""
    if not loss.requires_grad:
        raise NoGradientError("the loss does not depend on what the network sees, so it has no gradient")


class Gradient(Protocol):
    """The gradient of an objective: `WholeGradient`, or something faster that gives the same.

    What it returns is valid until it is called again.
    """

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]` there."""
        ...

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures `[N, 3, H, W]`: its chosen part, float32."""
        ...

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer in normalised pictures, `[N, C]`: all channels."""
        ...

    def release(self) -> bool:
        """Give back memory that is kept for speed. Returns whether there was any."""
        ...


class WholeGradient:
    """The gradient of pictures that the network sees whole. A context manager: it holds hooks in the network.

    Attributes:
        network: the network.
        objective: the objective.
        lookout: shows the activations of the objective's modules.
    """

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        self.network = network
        self.objective = objective
        self.lookout = Lookout(network, objective.sights())
        self._others: dict[tuple[Sight, ...], Lookout] = {}

    def lookout_at(self, sights: tuple[Sight, ...]) -> Lookout:
        """Return what shows something else of the network, as long as this gradient holds its hooks."""
        if sights not in self._others:
            self._others[sights] = Lookout(self.network, sights)
        return self._others[sights]

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]` there.

        `prepare` brings a picture to what the network takes (its size, its precision), inside the gradient.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = self.objective.loss(self.lookout(prepare(x)))
            check_differentiable(loss)
            # Each picture's loss depends on that picture alone, so the gradient of the sum holds each one's own.
            (gradient,) = torch.autograd.grad(loss.sum(), x)
        # It comes in the network's order of memory; those who take steps with it may count on torch's own.
        return gradient.contiguous(), loss.detach()

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures `[N, 3, H, W]`: its chosen part, float32."""
        return [term.chosen(activation).float() for term, activation in self._looked(x, prepare)]

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer in normalised pictures, `[N, C]`: all channels."""
        return [term.strengths(activation) for term, activation in self._looked(x, prepare)]

    def _looked(self, x: Tensor, prepare: Prepare) -> list[tuple[Term, Tensor]]:
        """Return each term with its whole activation."""
        with torch.no_grad():
            return list(zip(self.objective.terms, self.lookout(prepare(x)), strict=True))

    def release(self) -> bool:
        """Return False: nothing is kept between calls, so there is nothing to give back."""
        return False

    def close(self) -> None:
        """Take the hooks out of the network."""
        for lookout in (self.lookout, *self._others.values()):
            lookout.close()

    def __enter__(self) -> WholeGradient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

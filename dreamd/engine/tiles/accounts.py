"""Accounts: what is gathered of one term over the tiles of a picture, and what it then pulls at each tile.

Knows terms and cells. Knows no pixels and no network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dreamd.engine.objectives.objective import Sums, Term, check_differentiable
from dreamd.errors import PluginError

Spot = tuple[slice, slice]
"""Rows and columns of an activation."""


class Account(Protocol):
    """What is gathered of one term."""

    def add(self, cells: Tensor, spot: Spot) -> None:
        """Gather a tile's own cells, all channels; `spot` is where they lie in the whole activation."""
        ...

    def settle(self) -> Tensor:
        """Return the weighted loss `[N]` of all that was gathered, and know what it pulls."""
        ...

    def pull(self, cells: Tensor, spot: Spot) -> tuple[Tensor, Tensor]:
        """Return what to take a tile's gradient of, computed of its own cells, and the gradient there."""
        ...


@dataclass
class Assembled:
    """Gathers one term's whole activation, for a loss that needs it.

    Attributes:
        term: the term.
        size: the cells of the whole activation.
    """

    term: Term
    size: tuple[int, int]
    whole: Tensor | None = None
    gradient: Tensor | None = None

    def add(self, cells: Tensor, spot: Spot) -> None:
        """Put a tile's own cells where they lie."""
        cells = self.term.of_channels(cells)
        if self.whole is None:
            self.whole = cells.new_empty(*cells.shape[:2], *self.size)
        self.whole[(..., *spot)].copy_(cells)

    def settle(self) -> Tensor:
        """Take the loss of the whole, and its gradient there."""
        whole, self.whole = held(self.whole).requires_grad_(), None
        with torch.enable_grad():
            loss = self.term.value(whole)
            check_differentiable(loss)
            (self.gradient,) = torch.autograd.grad(loss.sum(), whole)
        return loss.detach()

    def pull(self, cells: Tensor, spot: Spot) -> tuple[Tensor, Tensor]:
        """Pull at the cells themselves."""
        return self.term.of_channels(cells), held(self.gradient)[(..., *spot)]

    def seen(self) -> Tensor:
        """Return the whole, float32."""
        return held(self.whole).float()


@dataclass
class Summed:
    """Gathers one term's sums over the cells, for a loss that says it needs no more."""

    term: Term
    sums: Sums
    total: Tensor | None = None
    gradient: Tensor | None = None

    def add(self, cells: Tensor, spot: Spot) -> None:
        """Add a tile's own sums."""
        del spot
        self.take(self._part(cells))

    def take(self, part: Tensor) -> None:
        """Add sums."""
        part = part.detach().double()  # there may be billions of cells
        self.total = part if self.total is None else self.total + part

    def settle(self) -> Tensor:
        """Take the loss of the sums, and its gradient there."""
        total = held(self.total).float().requires_grad_()
        with torch.enable_grad():
            loss = self.term.weight * self.sums.finish(total)
            (self.gradient,) = torch.autograd.grad(loss.sum(), total)
        return loss.detach()

    def pull(self, cells: Tensor, spot: Spot) -> tuple[Tensor, Tensor]:
        """Pull at a tile's own sums."""
        del spot
        return self._part(cells), held(self.gradient)

    def _part(self, cells: Tensor) -> Tensor:
        return self.sums.part(self.term.of_channels(cells).float())


@dataclass
class Averaged:
    """Gathers the mean over the cells of every channel, for a layer behind a network's pooling.

    Attributes:
        term: the term.
        behind: what the layer behind the pooling sees, for the mean of the layer before it `[N, C]`; None where the
            mean itself is wanted.
    """

    term: Term
    behind: Callable[[Tensor], Tensor] | None = None
    total: Tensor | None = None
    cells: int = 0
    gradient: Tensor | None = None

    def add(self, cells: Tensor, spot: Spot) -> None:
        """Add up a tile's own cells."""
        del spot
        part = cells.flatten(2).sum(2, dtype=torch.float64)
        self.total = part if self.total is None else self.total + part
        self.cells += cells[0, 0].numel()

    def settle(self) -> Tensor:
        """Take the loss of what is behind the mean, and its gradient at the sum of the cells."""
        mean = self._mean().float().requires_grad_()
        with torch.enable_grad():
            loss = self.term(self._behind(mean))
            check_differentiable(loss)
            (at_mean,) = torch.autograd.grad(loss.sum(), mean)
        self.gradient = at_mean / self.cells
        return loss.detach()

    def pull(self, cells: Tensor, spot: Spot) -> tuple[Tensor, Tensor]:
        """Pull at the sum of a tile's own cells."""
        del spot
        return cells.float().flatten(2).sum(2), held(self.gradient)

    def seen(self) -> Tensor:
        """Return what the layer behind the mean sees."""
        return self.term.chosen(self._behind(self._mean().float())).float()

    def strengths(self) -> Tensor:
        """Return the mean of every channel, `[N, C]`, or what is behind it."""
        return self._mean() if self.behind is None else self.term.strengths(self._behind(self._mean().float()))

    def _mean(self) -> Tensor:
        return held(self.total) / self.cells

    def _behind(self, mean: Tensor) -> Tensor:
        assert self.behind is not None
        return self.behind(mean)


def held(value: Tensor | None) -> Tensor:
    """Return what was gathered. Raises RuntimeError when nothing was."""
    if value is None:
        raise RuntimeError("no tile has been added")
    return value


def check_part(term: Term, sums: Sums, cells: Tensor) -> Tensor:
    """Return the sums of some chosen cells. Raises PluginError unless they make what the loss itself returns."""
    part = sums.part(cells)
    if part.dim() not in (1, 2) or part.shape[0] != cells.shape[0]:
        raise PluginError(
            f"the loss's sums are a tensor of shape {list(part.shape)}; they must be [{cells.shape[0]}], or "
            f"[{cells.shape[0]}, K] for K sums"
        )
    loss, expected = sums.finish(part), term.loss(cells)
    if loss.shape != expected.shape or not torch.allclose(loss, expected, rtol=1e-3, atol=1e-6, equal_nan=True):
        raise PluginError(f"the loss's sums make {loss.tolist()} where the loss itself is {expected.tolist()}")
    return part

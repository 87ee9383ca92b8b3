"""Tiling: the gradient of pictures that do not fit in memory, tile by tile.

For a local network it is the whole picture's gradient, to rounding. A first pass sees every layer in pieces. The loss
of the whole gives the gradient at the layers. A second pass pulls that back to the pixels, piece by piece, and adds up
where the pieces' halos overlap. Random shifts, momentum and octaves still see the whole picture.

Knows objectives and locality. Knows no memory and no ascents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from dreamd.engine.lookout import Lookout
from dreamd.engine.objective import (
    Gradient,
    Objective,
    Prepare,
    Sums,
    Term,
    add_up,
    check_differentiable,
    sums_of,
    unchanged,
)
from dreamd.engine.speed.devices import moved
from dreamd.engine.tiles.locality import Cells, Side
from dreamd.errors import PluginError

_CHECKED = 32
"""The cells along a side on which a loss is compared with its sums. torch's own norm of many more is off by percents in
float32."""

_OVERLAP = 0.25
"""The share of a tile's side that overlaps the next one: wide enough for a smooth blend, and it costs little."""


@dataclass(frozen=True)
class Piece:
    """A piece of one side of a picture.

    Attributes:
        start: its first pixel, its halo included.
        end: the pixel after its last one.
        cells: the cells of each layer that are its own.
        inner: the same cells, counted from the piece's first one.
    """

    start: int
    end: int
    cells: tuple[slice, ...]
    inner: tuple[slice, ...]


def pieces(side: Side, length: int, tile: int, shortest: int) -> list[Piece]:
    """Cut a side of a picture into pieces of nearly equal length, no longer than a tile but for halo and rounding.

    Args:
        side: how the layers' cells lie along it.
        length: in pixels.
        tile: the most pixels of a piece without its halo.
        shortest: the fewest pixels that the network takes.
    """
    count = -(-length // tile)
    cuts = sorted({index * length // count // side.step * side.step for index in range(count)})
    return [_piece(side, length, first, last, shortest) for first, last in pairwise([*cuts, length])]


def _piece(side: Side, length: int, first: int, last: int, shortest: int) -> Piece:
    cells = tuple(_between(layer, length, first, last) for layer in side.layers)
    wanted = [(layer, own) for layer, own in zip(side.layers, cells, strict=True) if own.start < own.stop]
    start = min([first, *((own.start - layer.spoilt) * layer.stride for layer, own in wanted)])
    end = max([last, *(own.stop * layer.stride + layer.reach for layer, own in wanted)])
    start = max(0, start // side.step * side.step)
    end = length - max(0, length - max(end, start + shortest)) // side.step * side.step
    start = max(0, min(start, (end - shortest) // side.step * side.step))
    offsets = [start // layer.stride for layer in side.layers]
    inner = tuple(
        slice(own.start - offset, own.stop - offset) for own, offset in zip(cells, offsets, strict=True)
    )  # fmt: skip
    return Piece(start, end, cells, inner)


def _between(layer: Cells, length: int, first: int, last: int) -> slice:
    """Return a layer's cells of the pixels from `first` to `last`, which are multiples of the step or the end."""
    count = layer.count(length)
    stop = count if last == length else min(last // layer.stride, count)
    return slice(min(first // layer.stride, stop), stop)


@dataclass(frozen=True)
class Tile:
    """A piece of a picture, both ways.

    Attributes:
        down: the piece of its vertical side.
        right: the piece of its horizontal side.
    """

    down: Piece
    right: Piece

    def cut(self, x: Tensor) -> Tensor:
        """Return its pixels of pictures `[N, 3, H, W]`, its halo included, as a view."""
        return x[:, :, self.down.start : self.down.end, self.right.start : self.right.end]

    def inner(self, layer: int, activation: Tensor) -> Tensor:
        """Return its own cells from the activation of its pixels, as a view."""
        return activation[:, :, self.down.inner[layer], self.right.inner[layer]]

    def place(self, layer: int, whole: Tensor) -> Tensor:
        """Return its own cells from the whole picture's activation, as a view."""
        return whole[:, :, self.down.cells[layer], self.right.cells[layer]]

    def holds(self, layer: int) -> bool:
        """Return whether any cell of a layer is its own: a sliver at the picture's end may have none."""
        return all(piece.cells[layer].start < piece.cells[layer].stop for piece in (self.down, self.right))


@dataclass
class _Assembled:
    """Gathers one term's whole activation, for a loss that needs it."""

    term: Term
    layer: int
    size: tuple[int, int]
    whole: Tensor | None = None
    gradient: Tensor | None = None

    def add(self, cells: Tensor, tile: Tile) -> None:
        if self.whole is None:
            self.whole = cells.new_empty(*cells.shape[:2], *self.size)
        tile.place(self.layer, self.whole).copy_(cells)

    def settle(self) -> Tensor:
        whole, self.whole = _held(self.whole).requires_grad_(), None
        with torch.enable_grad():
            loss = self.term.value(whole)
            check_differentiable(loss)
            (self.gradient,) = torch.autograd.grad(loss.sum(), whole)
        return loss.detach()

    def pull(self, cells: Tensor, tile: Tile) -> tuple[Tensor, Tensor]:
        return cells, tile.place(self.layer, _held(self.gradient))


@dataclass
class _Summed:
    """Gathers one term's sums over the cells, for a loss that says it needs no more."""

    term: Term
    sums: Sums
    total: Tensor | None = None
    gradient: Tensor | None = None

    def add(self, cells: Tensor, tile: Tile) -> None:
        del tile
        self.take(self.sums.part(cells.float()))

    def take(self, part: Tensor) -> None:
        part = part.detach().double()  # there may be billions of cells
        self.total = part if self.total is None else self.total + part

    def settle(self) -> Tensor:
        total = _held(self.total).float().requires_grad_()
        with torch.enable_grad():
            loss = self.term.weight * self.sums.finish(total)
            (self.gradient,) = torch.autograd.grad(loss.sum(), total)
        return loss.detach()

    def pull(self, cells: Tensor, tile: Tile) -> tuple[Tensor, Tensor]:
        del tile
        return self.sums.part(cells.float()), _held(self.gradient)


def _held(value: Tensor | None) -> Tensor:
    if value is None:
        raise RuntimeError("no tile has been added")
    return value


class TiledGradient:
    """The gradient of an objective of a local network's activations, tile by tile.

    What is alive at once: the pictures, their gradient, one tile's graph, and the whole activation of each layer whose
    loss does not declare its sums.

    Args:
        lookout: shows the activations of the objective's modules.
        objective: what is to grow.
        sides: how the layers' cells lie in the pictures to come, vertically and horizontally.
        tile: the side of a tile in pixels, its halo not counted.
        shortest: the shortest side in pixels that the network takes.
    """

    def __init__(
        self, lookout: Lookout, objective: Objective, sides: tuple[Side, Side], tile: int, shortest: int
    ) -> None:
        self._lookout = lookout
        self._terms = objective.terms
        self._sums = [sums_of(term.loss) for term in objective.terms]
        self._sides = sides
        self._tile = tile
        self._shortest = shortest
        self._one_pass: bool | None = None

    def __str__(self) -> str:
        return f"{self._tile} px, halo {max(side.halo for side in self._sides)}"

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]` and the loss `[N]`, as `WholeGradient` does."""
        tiles, accounts = self._tiles(x.shape), self._accounts(x.shape)
        if self._one_pass is None:
            self._one_pass = self._is_one_sum(x, prepare, tiles[0])
        if self._one_pass:
            return self._in_one_pass(x, prepare, tiles, accounts[0])
        return self._in_two_passes(x, prepare, tiles, accounts)

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures: its chosen channels, float32, put together."""
        down, right = self._sides
        accounts = [
            _Assembled(term, layer, (down.layers[layer].count(x.shape[2]), right.layers[layer].count(x.shape[3])))
            for layer, term in enumerate(self._terms)
        ]
        with torch.no_grad():
            for tile in self._tiles(x.shape):
                for layer, cells in self._cells(tile.cut(x), prepare, tile):
                    accounts[layer].add(cells, tile)
        return [_held(account.whole).float() for account in accounts]

    def _tiles(self, shape: torch.Size) -> list[Tile]:
        down, right = (
            pieces(side, length, self._tile, self._shortest)
            for side, length in zip(self._sides, shape[2:], strict=True)
        )
        return [Tile(*both) for both in product(down, right)]

    def _accounts(self, shape: torch.Size) -> list[_Assembled | _Summed]:
        down, right = self._sides
        accounts: list[_Assembled | _Summed] = []
        for layer, (term, sums) in enumerate(zip(self._terms, self._sums, strict=True)):
            size = (down.layers[layer].count(shape[2]), right.layers[layer].count(shape[3]))
            accounts.append(_Assembled(term, layer, size) if sums is None else _Summed(term, sums))
        return accounts

    def _is_one_sum(self, x: Tensor, prepare: Prepare, tile: Tile) -> bool:
        """Return whether all depends on one sum. Compares every loss's sums with the loss itself, on a few cells."""
        with torch.no_grad():
            parts = [
                _check_part(self._terms[layer], sums, cells[:, :, :_CHECKED, :_CHECKED].float())
                for layer, cells in self._cells(tile.cut(x), prepare, tile)
                if (sums := self._sums[layer]) is not None
            ]
        return len(self._terms) == len(parts) == 1 and parts[0].dim() == 1

    def _in_one_pass(
        self, x: Tensor, prepare: Prepare, tiles: Sequence[Tile], account: _Assembled | _Summed
    ) -> tuple[Tensor, Tensor]:
        """Take the gradient of the sum. Once the sum is known, one factor a picture makes it that of the loss."""
        assert isinstance(account, _Summed)
        gradient = torch.zeros_like(x)
        account.gradient = x.new_ones(len(x))
        for tile in tiles:
            for part in self._pull(x, prepare, tile, [account], gradient):
                account.take(part)
        loss = account.settle()
        return gradient.mul_(account.gradient.view(-1, 1, 1, 1)), loss

    def _in_two_passes(
        self, x: Tensor, prepare: Prepare, tiles: Sequence[Tile], accounts: Sequence[_Assembled | _Summed]
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            for tile in tiles:
                for layer, cells in self._cells(tile.cut(x), prepare, tile):
                    accounts[layer].add(cells, tile)
        loss = add_up([account.settle() for account in accounts])
        gradient = torch.zeros_like(x)
        for tile in tiles:
            self._pull(x, prepare, tile, accounts, gradient)
        return gradient, loss

    def _pull(
        self, x: Tensor, prepare: Prepare, tile: Tile, accounts: Sequence[_Assembled | _Summed], gradient: Tensor
    ) -> list[Tensor]:
        """Add to the pictures' gradient what a tile's own cells pull; returns what the gradient was taken of."""
        pixels = tile.cut(x).clone().requires_grad_()
        with torch.enable_grad():
            pulled = [accounts[layer].pull(cells, tile) for layer, cells in self._cells(pixels, prepare, tile)]
            if not pulled:
                return []
            outputs, at_outputs = zip(*pulled, strict=True)
            (own,) = torch.autograd.grad(outputs, pixels, at_outputs)
        tile.cut(gradient).add_(own)
        return [output.detach() for output in outputs]

    def _cells(self, pixels: Tensor, prepare: Prepare, tile: Tile) -> Iterator[tuple[int, Tensor]]:
        """Yield the chosen cells that are a tile's own, for each layer where it has any."""
        for layer, activation in enumerate(self._lookout(prepare(pixels))):
            if tile.holds(layer):
                yield layer, self._terms[layer].chosen(tile.inner(layer, activation))


def _check_part(term: Term, sums: Sums, cells: Tensor) -> Tensor:
    """Return the sums of some cells. Raises PluginError unless they make what the loss itself returns."""
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


class OverlappedGradient:
    """Gradients of tiles, each with its own loss, blended where they overlap: for networks that are not local.

    That is not the whole picture's gradient, but it has no seams, because the tiles lie elsewhere each time.

    Args:
        whole: the gradient of a tile.
        tile: the side of a tile in pixels.
        generators: one random source a picture, for the place of its tiles.
    """

    def __init__(self, whole: Gradient, tile: int, generators: Sequence[torch.Generator]) -> None:
        self._whole = whole
        self._tile = tile
        self._generators = generators

    def __str__(self) -> str:
        return f"{self._tile} px, overlap {round(_OVERLAP * self._tile)}, shifted at random"

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the blended gradient at normalised pictures `[N, 3, H, W]` and the mean `[N]` of the tiles' losses."""
        gradient = torch.zeros_like(x)
        losses = [
            self._add(x[index : index + 1], gradient[index : index + 1], prepare, generator)
            for index, generator in enumerate(self._generators)
        ]
        return gradient, torch.cat(losses)

    def _add(self, x: Tensor, gradient: Tensor, prepare: Prepare, generator: torch.Generator) -> Tensor:
        down, right = (windows(length, self._tile, generator) for length in x.shape[2:])
        losses = []
        for (top, rows), (left, columns) in product(down, right):
            place = (..., slice(top, top + len(rows)), slice(left, left + len(columns)))
            own, loss = self._whole(x[place], prepare)
            gradient[place] += own * moved(torch.outer(rows, columns), x.device)
            losses.append(loss)
        return torch.stack(losses).mean(0)


def windows(length: int, tile: int, generator: torch.Generator) -> list[tuple[int, Tensor]]:
    """Cut a side into overlapping stretches at random places.

    Returns the first pixel of each and its weights; the weights of all add up to 1 everywhere.
    """
    if tile >= length:
        return [(0, torch.ones(length))]
    overlap = max(1, round(_OVERLAP * tile))
    step = tile - overlap
    first = int(torch.randint(step, (1,), generator=generator)) - step
    starts = sorted({min(max(0, start), length - tile) for start in range(first, length - overlap, step)})
    ramp = torch.arange(1, tile + 1).clamp(max=overlap) / overlap
    weights = ramp * ramp.flip(0)
    total = torch.zeros(length)
    for start in starts:
        total[start : start + tile] += weights
    return [(start, weights / total[start : start + tile]) for start in starts]

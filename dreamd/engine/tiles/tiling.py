"""Tiling: the gradient of pictures that do not fit in memory, tile by tile.

For a local network it is the whole picture's gradient, to rounding. A first pass sees every layer in pieces. The loss
of the whole gives the gradient at the layers. A second pass pulls that back to the pixels, piece by piece, and adds up
where the pieces' halos overlap. Random shifts, momentum and octaves still see the whole picture.

Knows objectives and locality. Knows no memory and no ascents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from dreamd.engine.objectives.objective import Gradient, Objective, Prepare, add_up, sums_of, unchanged
from dreamd.engine.objectives.targets import as_map
from dreamd.engine.speed.devices import moved
from dreamd.engine.tiles.accounts import Account, Assembled, Averaged, Spot, Summed, check_part
from dreamd.engine.tiles.locality import Cells, Side

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

    def own(self, layer: int) -> tuple[Spot, Spot] | None:
        """Return where a layer's own cells lie in the activation of its pixels, and in that of the whole picture.

        None when it has none: a sliver at the picture's end may have none.
        """
        inner = (self.down.inner[layer], self.right.inner[layer])
        whole = (self.down.cells[layer], self.right.cells[layer])
        return (inner, whole) if all(side.start < side.stop for side in whole) else None

    def own_cell(self, layer: int, row: int, column: int) -> tuple[Spot, Spot] | None:
        """Return the same for one cell of the layer, which is then the whole; None when it is not its own."""
        inner: list[slice] = []
        for piece, index in ((self.down, row), (self.right, column)):
            cells = piece.cells[layer]
            if not cells.start <= index < cells.stop:
                return None
            offset = piece.inner[layer].start + index - cells.start
            inner.append(slice(offset, offset + 1))
        return (inner[0], inner[1]), (slice(0, 1), slice(0, 1))


Look = Callable[[Tensor], list[Tensor]]
"""A function from what the network takes, `[N, 3, H, W]`, to the activation of each term's layer."""


@dataclass(frozen=True)
class Behind:
    """Layers behind a network's pooling, of which a tile shows the layer before it.

    Attributes:
        layers: the numbers of their terms.
        look: what every term's layer sees, for the mean of the layer before the pool.
    """

    layers: frozenset[int]
    look: Callable[[Tensor], list[Tensor]]


class TiledGradient:
    """The gradient of an objective of a local network's activations, tile by tile.

    What is alive at once: the pictures, their gradient, one tile's graph, and the whole activation of each layer whose
    loss does not declare its sums.

    Args:
        look: shows what the objective looks at, or what is before the pool in place of what is behind it.
        objective: what is to grow.
        sides: how the layers' cells lie in the pictures to come, vertically and horizontally.
        tile: the side of a tile in pixels, its halo not counted.
        shortest: the shortest side in pixels that the network takes.
        behind: the layers behind a pool; None where there are none.
    """

    def __init__(
        self,
        look: Look,
        objective: Objective,
        sides: tuple[Side, Side],
        tile: int,
        shortest: int,
        behind: Behind | None = None,
    ) -> None:
        self._look = look
        self._terms = objective.terms
        self._behind = behind or Behind(frozenset(), lambda _mean: [])
        self._sums = [
            None if layer in self._behind.layers else sums_of(term.loss) for layer, term in enumerate(objective.terms)
        ]
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
        if self._one_pass and isinstance(accounts[0], Summed):
            return self._in_one_pass(x, prepare, tiles, accounts[0])
        return self._in_two_passes(x, prepare, tiles, accounts)

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures: its chosen part, float32, put together."""
        accounts = [
            self._averaged(layer) if layer in self._behind.layers else Assembled(term, self._size(layer, x.shape))
            for layer, term in enumerate(self._terms)
        ]
        self._gather(x, prepare, self._tiles(x.shape), accounts)
        return [account.seen() for account in accounts]

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer in normalised pictures, `[N, C]`: all channels."""
        accounts = [self._averaged(layer) for layer in range(len(self._terms))]
        self._gather(x, prepare, self._tiles(x.shape), accounts)
        return [account.strengths() for account in accounts]

    def _tiles(self, shape: torch.Size) -> list[Tile]:
        down, right = (
            pieces(side, length, self._tile, self._shortest)
            for side, length in zip(self._sides, shape[2:], strict=True)
        )
        return [Tile(*both) for both in product(down, right)]

    def _size(self, layer: int, shape: torch.Size) -> tuple[int, int]:
        """Return how many cells of a layer count in pictures of a shape, vertically and horizontally."""
        if self._terms[layer].place is not None:
            return 1, 1
        down, right = self._sides
        return down.layers[layer].count(shape[2]), right.layers[layer].count(shape[3])

    def _accounts(self, shape: torch.Size) -> list[Account]:
        accounts: list[Account] = []
        for layer, (term, sums) in enumerate(zip(self._terms, self._sums, strict=True)):
            if layer in self._behind.layers:
                accounts.append(self._averaged(layer))
            elif sums is None:
                accounts.append(Assembled(term, self._size(layer, shape)))
            else:
                accounts.append(Summed(term, sums))
        return accounts

    def _averaged(self, layer: int) -> Averaged:
        def behind(mean: Tensor) -> Tensor:
            return self._behind.look(mean)[layer]

        return Averaged(self._terms[layer], behind if layer in self._behind.layers else None)

    def _is_one_sum(self, x: Tensor, prepare: Prepare, tile: Tile) -> bool:
        """Return whether all depends on one sum. Compares every loss's sums with the loss itself, on a few cells."""
        with torch.no_grad():
            parts = [
                check_part(term, sums, term.of_channels(cells[:, :, :_CHECKED, :_CHECKED]).float())
                for layer, cells in enumerate(self._look(prepare(tile.cut(x))))
                if (sums := self._sums[layer]) is not None and (term := self._terms[layer])
            ]
        return len(self._terms) == len(parts) == 1 and parts[0].dim() == 1

    def _in_one_pass(
        self, x: Tensor, prepare: Prepare, tiles: Sequence[Tile], account: Summed
    ) -> tuple[Tensor, Tensor]:
        """Take the gradient of the sum. Once the sum is known, one factor a picture makes it that of the loss."""
        gradient = torch.zeros_like(x)
        account.gradient = x.new_ones(len(x))
        for tile in tiles:
            for part in self._pull(x, prepare, tile, [account], gradient):
                account.take(part)
        loss = account.settle()
        return gradient.mul_(account.gradient.view(-1, 1, 1, 1)), loss

    def _in_two_passes(
        self, x: Tensor, prepare: Prepare, tiles: Sequence[Tile], accounts: Sequence[Account]
    ) -> tuple[Tensor, Tensor]:
        self._gather(x, prepare, tiles, accounts)
        loss = add_up([account.settle() for account in accounts])
        gradient = torch.zeros_like(x)
        for tile in tiles:
            self._pull(x, prepare, tile, accounts, gradient)
        return gradient, loss

    def _gather(self, x: Tensor, prepare: Prepare, tiles: Sequence[Tile], accounts: Sequence[Account]) -> None:
        with torch.no_grad():
            for tile in tiles:
                for layer, cells, spot in self._cells(tile.cut(x), prepare, tile, x.shape):
                    accounts[layer].add(cells, spot)

    def _pull(
        self, x: Tensor, prepare: Prepare, tile: Tile, accounts: Sequence[Account], gradient: Tensor
    ) -> list[Tensor]:
        """Add to the pictures' gradient what a tile's own cells pull; returns what the gradient was taken of."""
        pixels = tile.cut(x).clone().requires_grad_()
        with torch.enable_grad():
            pulled = [
                accounts[layer].pull(cells, spot) for layer, cells, spot in self._cells(pixels, prepare, tile, x.shape)
            ]
            if not pulled:
                return []
            outputs, at_outputs = zip(*pulled, strict=True)
            (own,) = torch.autograd.grad(outputs, pixels, at_outputs)
        tile.cut(gradient).add_(own)
        return [output.detach() for output in outputs]

    def _cells(
        self, pixels: Tensor, prepare: Prepare, tile: Tile, shape: torch.Size
    ) -> Iterator[tuple[int, Tensor, Spot]]:
        """Yield the wanted cells that are a tile's own, and where they lie, for each layer where it has any."""
        owned = {layer: spots for layer in range(len(self._terms)) if (spots := self._own(tile, layer, shape))}
        if not owned:
            return
        activations = self._look(prepare(pixels))
        for layer, (inner, whole) in owned.items():
            yield layer, as_map(activations[layer])[(..., *inner)], whole

    def _own(self, tile: Tile, layer: int, shape: torch.Size) -> tuple[Spot, Spot] | None:
        place = self._terms[layer].place
        if place is None or layer in self._behind.layers:
            return tile.own(layer)
        down, right = self._sides
        cell = place.cell(down.layers[layer].count(shape[2]), right.layers[layer].count(shape[3]))
        return tile.own_cell(layer, *cell)


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

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer over tiles that lie the same each time, `[N, C]`."""
        steady = torch.Generator().manual_seed(0)
        down, right = (windows(length, self._tile, steady) for length in x.shape[2:])
        each = [
            self._whole.strengths(x[..., top : top + len(rows), left : left + len(columns)], prepare)
            for (top, rows), (left, columns) in product(down, right)
        ]
        return [torch.stack(of_term).mean(0) for of_term in zip(*each, strict=True)]

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

"""Fitting: chooses how to take a gradient so that it fits in memory, and takes smaller tiles when it did not."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dreamd.engine.footprint import SMALLEST_TILE, Cost, choose_tile, halved, is_out_of_memory, peak_bytes
from dreamd.engine.locality import Side, locality_of
from dreamd.engine.objective import Gradient, Prepare, Term, sums_of, unchanged
from dreamd.engine.tiling import OverlappedGradient, TiledGradient

_BYTES_A_KEPT_CELL = 16
"""The activation, the gradient at it, and what a loss makes on the way, in float32."""


@dataclass(frozen=True)
class _Way:
    """One way to take the gradient; `tile` is None when it takes pictures whole."""

    gradient: Gradient | TiledGradient | OverlappedGradient
    tile: int | None


class FittedGradient:
    """The gradient of pictures of any size, in bounded memory: whole where that fits, else tile by tile.

    Attributes:
        tiling: how pictures were last cut up, in words; None as long as none were.
        deterministic: whether equal pictures have had equal gradients so far.

    Args:
        whole: the gradient of a picture that fits.
        memory: bytes that the process may hold.
        shortest: the shortest side in pixels that the network takes.
        pictures: how many whole pictures, in float32, are held beside the tiles.
        generators: the random source of each picture's tiles, for networks that are not local.
    """

    def __init__(
        self,
        whole: Gradient,
        *,
        memory: int,
        shortest: int,
        pictures: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        self._whole = whole
        self._memory = memory
        self._shortest = shortest
        self._pictures = pictures
        self._generators = generators
        self._ways: dict[torch.Size, _Way] = {}
        self._largest: int | None = None
        self.tiling: str | None = None
        self.deterministic = True

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """The gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]` there.

        Out of memory halves the tiles, from then on.
        """
        if x.shape not in self._ways:
            self._ways[x.shape] = self._way(x, prepare, self._chosen_tile(x, prepare))
        while True:
            way = self._ways[x.shape]
            try:
                return way.gradient(x, prepare)
            except (RuntimeError, MemoryError) as error:
                smaller = halved(way.tile, x.shape, self._shortest) if is_out_of_memory(error) else None
                if smaller is None:
                    raise
            # Out here the failed attempt's tensors are gone, which the error still held.
            self._largest = smaller
            self._ways[x.shape] = self._way(x, prepare, smaller)

    def _chosen_tile(self, x: Tensor, prepare: Prepare) -> int | None:
        cost = self._cost(x.device, prepare)
        tile = choose_tile(self._memory, x.shape, cost, 0)
        if tile is not None and (sides := self._sides(x, prepare)) is not None:
            tile = choose_tile(self._memory, x.shape, cost, max(side.halo for side in sides))
        return tile if self._largest is None else min(tile or max(x.shape[2:]), self._largest)

    def _way(self, x: Tensor, prepare: Prepare, tile: int | None) -> _Way:
        if tile is None or tile >= max(x.shape[2:]):
            return _Way(self._whole, None)
        sides = self._sides(x, prepare)
        gradient: TiledGradient | OverlappedGradient
        if sides is None:
            tile = max(tile, self._shortest)
            gradient = OverlappedGradient(self._whole, tile, self._generators)
            self.deterministic = False
        else:
            gradient = TiledGradient(self._whole.lookout, self._whole.objective, sides, tile, self._shortest)
        self.tiling = str(gradient) if self._largest is None else f"{gradient}, halved for lack of memory"
        return _Way(gradient, tile)

    def _sides(self, x: Tensor, prepare: Prepare) -> tuple[Side, Side] | None:
        def look(strip: Tensor) -> list[Tensor]:
            return self._whole.lookout(prepare(strip.to(x.device)))

        with _without_cudnn():
            modules = self._whole.objective.modules()
            return locality_of(self._whole.network, modules, look, self._shortest).sides(look, x.shape)

    def _cost(self, device: torch.device, prepare: Prepare) -> Cost:
        known = _COSTS.setdefault(self._whole.network, {})
        key = (*map(_signature, self._whole.objective.terms), device)
        if key not in known:
            known[key] = _measured(self._whole, device, prepare, max(SMALLEST_TILE, self._shortest))
        running, kept = known[key]
        return Cost(fixed=_bytes_of(self._whole.network), pictures=self._pictures, running=running, kept=kept)


_COSTS: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[float, float]]] = WeakKeyDictionary()
"""Of each objective of a network, the bytes a pixel that it takes to run, and that whole activations take."""


def _measured(whole: Gradient, device: torch.device, prepare: Prepare, side: int) -> tuple[float, float]:
    """What a pixel costs, by the gradient of a small picture; more pixels cost in proportion."""
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    running = peak_bytes(lambda: whole(x, prepare), device)
    with torch.no_grad():
        activations = whole.lookout(prepare(x))
    cells = sum(
        term.chosen(activation).numel()
        for term, activation in zip(whole.objective.terms, activations, strict=True)
        if sums_of(term.loss) is None
    )
    return running / side**2, _BYTES_A_KEPT_CELL * cells / side**2


def _signature(term: Term) -> Hashable:
    """What a term's cost depends on. Losses are made anew for every job, by filling in parameters."""
    loss = term.loss
    if isinstance(loss, partial):
        return term.module, term.channels, loss.func, repr(sorted(loss.keywords.items()))
    return term.module, term.channels, loss


def _bytes_of(network: nn.Module) -> int:
    """Bytes of a network, twice: some convolutions keep their weights in an order of their own."""
    return 2 * sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Inside, convolutions are computed straight: cuDNN's fast ones spread a not-a-number to neighbouring cells."""
    enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = enabled

"""Fitting: takes the gradient of a picture whole where that fits in memory, and else in tiles.

When memory runs out all the same, the tiles become smaller. Knows gradients and what they cost. Knows no ascents.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dreamd.engine.network.lookout import Lookout, Sight
from dreamd.engine.objectives.objective import Gradient, Objective, Prepare, Term, WholeGradient, sums_of, unchanged
from dreamd.engine.objectives.references import Referring
from dreamd.engine.objectives.targets import Choice
from dreamd.engine.speed.frozen import bytes_of_turned
from dreamd.engine.speed.winograd import bytes_of_values
from dreamd.engine.tiles.footprint import SMALLEST_TILE, Cost, choose_tile, halved, is_out_of_memory, measure_peak
from dreamd.engine.tiles.locality import Side, locality_of
from dreamd.engine.tiles.pooling import pooling_of
from dreamd.engine.tiles.tiling import Behind, OverlappedGradient, TiledGradient
from dreamd.errors import PluginError

_BYTES_A_KEPT_CELL = 16
"""The bytes of a cell of a whole activation: its value, its gradient, and what a loss makes on the way, in float32."""


_OVERLAPPED = (
    "{} cannot be dreamed in overlapped tiles, which this network needs for so large a picture; give image.max_side"
)
"""What is said of what only the whole picture has."""

_Result = TypeVar("_Result")

_COSTS: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[float, float]]] = WeakKeyDictionary()
"""The measured costs of each objective of a network: bytes a pixel of a gradient, and of whole activations."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a dream has found out about memory so far, on which the rest of the dream depends.

    Attributes:
        memory: bytes that the process may hold.
        largest_tile: the side in pixels that tiles have had since memory ran out; None if it never did.
        deterministic: whether equal pictures have had equal gradients so far.
        tiling: how pictures were last cut up, in words; None as long as none were.
    """

    memory: int
    largest_tile: int | None = None
    deterministic: bool = True
    tiling: str | None = None


class BatchTooLargeError(Exception):
    """Memory does not suffice for a batch of pictures; each may still be dreamed in a smaller one, or alone."""

    def __init__(self, pictures: int) -> None:
        super().__init__(f"there is no memory for {pictures} pictures at once")


@dataclass(frozen=True)
class _Way:
    """One way to take the gradient of pictures of one shape.

    Attributes:
        gradient: what takes it.
        tile: the side of its tiles in pixels; None when it takes pictures whole.
    """

    gradient: Gradient | TiledGradient | OverlappedGradient
    tile: int | None

    def seen(self, x: Tensor, prepare: Prepare) -> list[Tensor]:
        """Return what each term's layer sees. Raises as `FittedGradient.seen` does."""
        if isinstance(self.gradient, OverlappedGradient):
            raise PluginError(_OVERLAPPED.format("a loss that looks at the original"))
        if len(x) > 1 and isinstance(self.gradient, TiledGradient):
            raise BatchTooLargeError(len(x))
        return self.gradient.seen(x, prepare)

    def __call__(self, x: Tensor, prepare: Prepare) -> tuple[Tensor, Tensor]:
        """Return the gradient and the loss. Tiles are cut from one picture at a time."""
        if len(x) == 1 or not isinstance(self.gradient, TiledGradient):
            return self.gradient(x, prepare)
        gradients, losses = zip(*(self.gradient(picture[None], prepare) for picture in x), strict=True)
        return torch.cat(gradients), torch.cat(losses)


@dataclass(frozen=True)
class _Cut:
    """How pictures of one shape can be cut up.

    Attributes:
        look: shows each term's layer in a tile, or the one before the pool.
        sides: how the layers' cells lie in the pictures.
        behind: the layers behind a pool; None where there are none.
    """

    look: Lookout
    sides: tuple[Side, Side]
    behind: Behind | None = None


class FittedGradient:
    """The gradient of pictures of any size, in bounded memory: whole where that fits, else tile by tile.

    Attributes:
        fit: what has been found out so far.

    Args:
        whole: the network's gradient, whose parts tiles are computed with.
        gradient: what takes it of pictures that fit, perhaps faster; None: `whole` itself.
        memory: bytes that the process may hold.
        shortest: the shortest side in pixels that the network takes.
        pictures: how many whole pictures, in float32, are held beside the tiles.
        views: the bytes that views of a picture take, where the network looks at several of them.
        generators: one random source a picture for the place of its tiles, where the network is not local.
    """

    def __init__(
        self,
        whole: WholeGradient,
        *,
        memory: int,
        shortest: int,
        pictures: int,
        generators: Sequence[torch.Generator],
        views: int = 0,
        gradient: Gradient | None = None,
    ) -> None:
        self._whole = whole
        self._gradient: Gradient = gradient or whole
        self._shortest = shortest
        self._pictures = pictures
        self._views = views
        self._generators = generators
        self._ways: dict[torch.Size, _Way] = {}
        self._held = 0
        self.fit = Fit(memory=memory)

    @property
    def deterministic(self) -> bool:
        """Return whether equal pictures have had equal gradients so far."""
        return self.fit.deterministic

    def take_up(self, fit: Fit) -> None:
        """Go on as a dream did that was broken off, in no more memory than there is now."""
        self.fit = replace(fit, memory=min(fit.memory, self.fit.memory))
        self._ways.clear()

    def hold(self, values: int) -> None:
        """Count with pictures of so many values each that are held, though smaller views of them may be looked at."""
        if values != self._held:
            self._held = values
            self._ways.clear()

    def __call__(self, x: Tensor, prepare: Prepare = unchanged) -> tuple[Tensor, Tensor]:
        """Return the gradient at normalised pictures `x` `[N, 3, H, W]`, and the loss `[N]` there.

        When memory runs out for a single picture, its tiles are half as large from then on.

        Raises:
            BatchTooLargeError: a batch would have to be cut up in other tiles than each of its pictures alone.
        """
        return self._in_its_way(x, prepare, lambda way: way(x, prepare))

    def seen(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return what each term's layer sees in normalised pictures: its chosen part, float32.

        Raises:
            BatchTooLargeError: the pictures are taken in tiles, and each would have to be alone.
            PluginError: the tiles overlap, so that no cell of one is a cell of the whole.
        """
        return self._in_its_way(x, prepare, lambda way: way.seen(x, prepare))

    def strengths(self, x: Tensor, prepare: Prepare = unchanged) -> list[Tensor]:
        """Return the mean of each channel of each term's layer in normalised pictures, `[N, C]`: all channels.

        Raises:
            BatchTooLargeError: the pictures are taken in tiles, and each would have to be alone.
        """
        return self._in_its_way(x, prepare, lambda way: way.gradient.strengths(x, prepare))

    def _in_its_way(self, x: Tensor, prepare: Prepare, work: Callable[[_Way], _Result]) -> _Result:
        """Do some work in the way for pictures of this shape, and in a smaller one each time that memory runs out."""
        may_release = True
        while True:
            way = self._way(x, prepare)
            try:
                return work(way)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                released = may_release and self._gradient.release()
                smaller = None if released or len(x) > 1 else halved(way.tile, x.shape, self._shortest)
                if not released and smaller is None:
                    raise
            # Out here the failed attempt's tensors are gone, which the error still held.
            may_release = False
            self._shrink(smaller)

    def _way(self, x: Tensor, prepare: Prepare) -> _Way:
        if x.shape not in self._ways:
            self._ways[x.shape] = self._choose_way(x, prepare)
        return self._ways[x.shape]

    def _shrink(self, tile: int | None) -> None:
        """Cut up everything from now on in tiles no larger than this; None: leave it."""
        if tile is not None:
            self.fit = replace(self.fit, largest_tile=tile)
            self._ways.clear()

    def _choose_way(self, x: Tensor, prepare: Prepare) -> _Way:
        tile = self._chosen_tile(x, len(x), prepare)
        if len(x) > 1 and tile != self._chosen_tile(x, 1, prepare):
            raise BatchTooLargeError(len(x))
        if tile is None or tile >= max(x.shape[2:]):
            return _Way(self._gradient, None)
        objective, cut = self._whole.objective, self._cut(x, prepare)
        if len(x) > 1 and objective.choices():  # each picture's own channels are those of its place in the batch
            raise BatchTooLargeError(len(x))
        gradient: TiledGradient | OverlappedGradient
        if cut is None:
            if any(term.place is not None for term in objective.terms):
                raise PluginError(_OVERLAPPED.format("a single place (`place`, `center`)"))
            tile = max(tile, self._shortest)
            gradient = OverlappedGradient(self._gradient, tile, self._generators)
        else:
            gradient = TiledGradient(cut.look, objective, cut.sides, tile, self._shortest, cut.behind)
        tiling = str(gradient) if self.fit.largest_tile is None else f"{gradient}, halved for lack of memory"
        self.fit = replace(self.fit, tiling=tiling, deterministic=self.fit.deterministic and cut is not None)
        return _Way(gradient, tile)

    def _chosen_tile(self, x: Tensor, pictures: int, prepare: Prepare) -> int | None:
        """Choose the side in pixels of the tiles for so many pictures of this shape; None to take them whole."""
        shape = torch.Size([pictures, *x.shape[1:]])
        held = self._pictures + ceil(self._views / (4 * max(shape[1:].numel(), self._held)))
        cost = cost_of(self._whole, x.device, prepare, max(SMALLEST_TILE, self._shortest), held)
        tile = choose_tile(self.fit.memory, shape, cost, 0, self._held)
        if tile is not None and (cut := self._cut(x, prepare)) is not None:
            tile = choose_tile(self.fit.memory, shape, cost, max(side.halo for side in cut.sides), self._held)
        largest = self.fit.largest_tile
        return tile if largest is None else min(tile or max(x.shape[2:]), largest)

    def _cut(self, x: Tensor, prepare: Prepare) -> _Cut | None:
        """Return how pictures of this shape are cut up; None when the network is not local, nor is it before a pool."""
        whole, sights = self._whole, tuple(self._whole.objective.sights())
        sides = self._sides(sights, whole.lookout, x, prepare)
        if sides is not None:
            return _Cut(whole.lookout, sides)

        def look(pictures: Tensor) -> list[Tensor]:
            return whole.lookout(prepare(pictures.to(x.device)))

        pooling = pooling_of(whole.network, sights, look, self._shortest)
        if pooling is None:
            return None
        before = whole.lookout_at(pooling.sights)
        sides = self._sides(pooling.sights, before, x, prepare)
        if sides is None:
            return None
        return _Cut(before, sides, Behind(pooling.behind, partial(pooling.seen_behind, whole.network, look)))

    def _sides(
        self, sights: Sequence[Sight], lookout: Lookout, x: Tensor, prepare: Prepare
    ) -> tuple[Side, Side] | None:
        def look(strip: Tensor) -> list[Tensor]:
            return lookout(prepare(strip.to(x.device)))

        with _without_cudnn():
            return locality_of(self._whole.network, sights, look, self._shortest).sides(look, x.shape)


def cost_of(whole: WholeGradient, device: torch.device, prepare: Prepare, side: int, pictures: int) -> Cost:
    """Return what a gradient costs, which is measured once for each network and objective.

    Args:
        whole: the gradient.
        device: where it is taken.
        prepare: brings a picture to what the network takes.
        side: the side in pixels of the picture to measure it with.
        pictures: how many whole pictures, in float32, are held besides.
    """
    known = _COSTS.setdefault(whole.network, {})
    key = (signature_of(whole.objective), device)
    if key not in known:
        known[key] = _measure(whole, device, prepare, side)
    running, kept = known[key]
    return Cost(fixed=_bytes_of(whole.network), pictures=pictures, running=running, kept=kept)


def _measure(whole: WholeGradient, device: torch.device, prepare: Prepare, side: int) -> tuple[float, float]:
    """Measure what a pixel costs, by the gradient of a small picture; more pixels cost in proportion."""
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    running = measure_peak(lambda: whole(x, prepare), device)
    with torch.no_grad():
        activations = whole.lookout(prepare(x))
    cells = sum(
        term.chosen(activation).numel()
        for term, activation in zip(whole.objective.terms, activations, strict=True)
        if sums_of(term.loss) is None
    )
    return running / side**2, _BYTES_A_KEPT_CELL * cells / side**2


def signature_of(objective: Objective) -> Hashable:
    """Return a value that is equal for equal objectives, though every job fills in its losses' parameters anew."""
    return tuple(_signature(term) for term in objective.terms)


def _signature(term: Term) -> Hashable:
    channels = term.channels.key if isinstance(term.channels, Choice) else term.channels
    loss, own = term.loss, (term.sight, term.weight, channels, term.place)
    if isinstance(loss, Referring):
        return *own, loss.signature
    if isinstance(loss, partial):
        return *own, loss.func, repr(sorted(loss.keywords.items()))
    return *own, loss


def _bytes_of(network: nn.Module) -> int:
    """Return the bytes of a network, its parameters twice: some convolutions keep a copy in an order of their own.

    Frozen ones keep another, for the gradient.
    """
    tensors = [*network.parameters(), *network.parameters(), *network.buffers()]
    own = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return own + bytes_of_turned(network) + bytes_of_values(network)


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Inside, convolutions are computed straight: cuDNN's fast ones spread a not-a-number to neighbouring cells."""
    enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = enabled

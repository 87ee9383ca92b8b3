"""Locality: which pixels a network's cells see, found by asking the network itself.

A network is local when every cell of a layer sees a bounded stretch of the picture, and all cells see it alike. Then
the layer can be computed from pieces of a picture. Pooling of the whole picture, attention, squeeze-and-excitation and
embedded positions are not local.

Knows networks. Knows no tiles and no losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dreamd.engine.speed.straight import straight
from dreamd.engine.speed.winograd import cells_at_once

Look = Callable[[Tensor], list[Tensor]]
"""A function from normalised pictures `[N, 3, H, W]` to the activations of the wanted layers."""

_STRIP = 512
"""The length in pixels of the first strip that a network is shown."""
_LONGEST_STRIP = 2048
"""The length in pixels of the last one. A network that sees farther gains nothing from tiles."""
_LARGEST_STEP = 256
"""The largest step in pixels that is tried between the beginnings of pieces."""
_TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 1e-2}
_FLOAT32_TOLERANCE = 1e-4
"""The share of its norm by which an activation of a piece may differ from the whole picture's: rounding, no more."""


@dataclass(frozen=True)
class Cells:
    """How the cells of one layer lie along one side of a picture.

    Attributes:
        stride: pixels from one cell to the next.
        missing: the side's length in pixels, less the stride times the number of cells.
        spoilt: how many of a piece's first cells have wrong values, unless the piece begins at the picture's edge.
        reach: how many pixels before a piece's end its cells begin to have wrong values, unless it ends at the
            picture's edge: with the end at pixel `b`, they are the cells from `(b - reach) / stride` on.
    """

    stride: int
    missing: int
    spoilt: int
    reach: int

    def count(self, length: int) -> int:
        """Return the number of cells along so many pixels."""
        return (length - self.missing) // self.stride


@dataclass(frozen=True)
class Side:
    """How the wanted layers' cells lie along one side of a picture.

    It holds for all sides whose lengths leave the same rest when divided by `step`. A piece begins a multiple of `step`
    from the picture's beginning, and ends a multiple of it from the picture's end. So every operation in the network,
    also one that pads by its input's size, meets the same cells as in the whole picture.

    Attributes:
        step: pixels.
        layers: the cells of each wanted layer.
    """

    step: int
    layers: tuple[Cells, ...]

    @property
    def halo(self) -> int:
        """Return the pixels that a piece takes at each end beyond what it is for, in whole steps."""
        needed = max(max(cells.spoilt * cells.stride, cells.reach) for cells in self.layers)
        return -(-needed // self.step) * self.step


class Locality:
    """The locality of one network's wanted layers, as far as it has been found out."""

    def __init__(self, look: Look, min_side: int, grid: int) -> None:
        """Find the layers' strides and the smallest step.

        Args:
            look: shows the layers' activations.
            min_side: the shortest side in pixels that the network takes.
            grid: how many cells along a side the network computes together.
        """
        self._min_side, self._grid = min_side, grid
        self._sides: dict[tuple[int, int], Side | None] = {}
        self._strides = _strides(look, min_side)
        self._step = self._find_step(look)

    def sides(self, look: Look, shape: torch.Size) -> tuple[Side, Side] | None:
        """Return both sides of pictures `[N, 3, H, W]`, the vertical first; None when the network is not local."""
        down, right = (self._side(look, axis, shape[axis]) for axis in (2, 3))
        return None if down is None or right is None else (down, right)

    def _find_step(self, look: Look) -> int | None:
        """Find the smallest step at which pieces agree with the whole, both ways; None when there is none."""
        step = self._grid * math.lcm(*self._strides) if self._strides else _LARGEST_STEP + 1
        while step <= _LARGEST_STEP:
            self._sides = {(axis, 0): self._probe(look, axis, step, 0) for axis in (2, 3)}
            if None not in self._sides.values():
                return step
            step *= 2
        return None

    def _side(self, look: Look, axis: int, length: int) -> Side | None:
        if self._step is None:
            return None
        rest = length % self._step
        if (axis, rest) not in self._sides:
            self._sides[axis, rest] = self._probe(look, axis, self._step, rest)
        return self._sides[axis, rest]

    def _probe(self, look: Look, axis: int, step: int, rest: int) -> Side | None:
        """Probe one side on a strip that is long enough; None when pieces do not agree with the whole."""
        length = _STRIP
        while length <= _LONGEST_STRIP:
            strip = _noise(-(-length // step) * step + rest, self._min_side)
            probe = _Probe(look, strip, axis, step, self._strides)
            if probe.side is not None:
                return probe.side if probe.pieces_agree() else None
            length *= 2
        return None


_KNOWN: WeakKeyDictionary[nn.Module, dict[Hashable, Locality]] = WeakKeyDictionary()
"""The localities that were probed, by each network's sights. Probing takes as long as a few small pictures."""


def locality_of(network: nn.Module, sights: Sequence[Hashable], look: Look, min_side: int) -> Locality:
    """Return the locality of what is looked at in a network, which is probed once.

    Args:
        network: the network, in evaluation mode, with its weights.
        sights: what is looked at.
        look: shows it.
        min_side: the shortest side in pixels that the network takes.
    """
    known = _KNOWN.setdefault(network, {})
    key = tuple(sights)
    if key not in known:
        known[key] = Locality(look, min_side, cells_at_once(network))
    return known[key]


def _strides(look: Look, narrow: int) -> list[int]:
    """Return the layers' strides; none when the activations are no maps, or finer than the picture."""
    short, long = (_seen(look, _noise(length, narrow), 2) for length in (_STRIP, 2 * _STRIP))
    gained = [more.shape[2] - less.shape[2] for less, more in zip(short, long, strict=True)]
    return [round(_STRIP / cells) for cells in gained] if all(0 < cells <= _STRIP for cells in gained) else []


class _Probe:
    """A strip of noise, and what the network sees in it when it is cut."""

    def __init__(self, look: Look, strip: Tensor, axis: int, step: int, strides: Sequence[int]) -> None:
        self._look, self._strip, self._axis, self._step, self._strides = look, strip, axis, step, strides
        self._length = strip.shape[2]
        self._start = self._length // 2 // step * step
        self._end = self._length - self._start
        self._whole = _seen(look, strip, axis)
        self.side = self._reaches()

    def _reaches(self) -> Side | None:
        """Find which cells of each half see into the other; None when all of them do.

        Half of the strip is filled with not-a-number. That passes through every operation that touches it, even times
        zero, so it shows exactly which cells see anything of that half.
        """
        upper, lower = self._strip.clone(), self._strip.clone()
        upper[:, :, : self._start] = torch.nan
        lower[:, :, self._end :] = torch.nan
        without_upper, without_lower = (_seen(self._look, strip, self._axis) for strip in (upper, lower))
        layers = []
        for stride, first, last in zip(self._strides, without_upper, without_lower, strict=True):
            dirty_first, dirty_last = (seen.isnan().any(3).any(1)[0] for seen in (first, last))
            if bool(dirty_first[-1]) or bool(dirty_last[0]):
                return None
            layers.append(self._cells(stride, dirty_first, dirty_last))
        return Side(self._step, tuple(layers))

    def _cells(self, stride: int, dirty_first: Tensor, dirty_last: Tensor) -> Cells:
        count = len(dirty_first)
        clean = int(dirty_first.nonzero().max()) + 1 if bool(dirty_first.any()) else 0
        dirty = int(dirty_last.nonzero().min()) if bool(dirty_last.any()) else count
        return Cells(
            stride=stride,
            missing=self._length - stride * count,
            spoilt=clean - self._start // stride,
            reach=self._end - stride * dirty,
        )

    def pieces_agree(self) -> bool:
        """Return whether the network sees in a piece what it sees there in the whole, with its real weights."""
        if self.side is None:
            return False
        upper = _seen(self._look, self._strip[:, :, : self._end], self._axis)
        lower = _seen(self._look, self._strip[:, :, self._start :], self._axis)
        layers = zip(self.side.layers, self._whole, upper, lower, strict=True)
        return all(self._agree(*layer) for layer in layers)

    def _agree(self, cells: Cells, whole: Tensor, upper: Tensor, lower: Tensor) -> bool:
        first = self._start // cells.stride
        sizes = (whole.shape[2], upper.shape[2], lower.shape[2])
        lengths = (self._length, self._end, self._length - self._start)
        if self._step % cells.stride or sizes != tuple(cells.count(length) for length in lengths):
            return False
        below = (self._end - cells.reach) // cells.stride
        return _near(upper[:, :, :below], whole[:, :, :below]) and _near(
            lower[:, :, cells.spoilt :], whole[:, :, first + cells.spoilt :]
        )


def _noise(length: int, narrow: int) -> Tensor:
    return torch.randn(1, 3, length, narrow, generator=torch.Generator().manual_seed(0))


def _seen(look: Look, strip: Tensor, axis: int) -> list[Tensor]:
    """Return the activations of a strip that lies along an axis, turned so that their rows run along it.

    There are none when the activations are no maps.
    """
    turned = strip if axis == 2 else strip.transpose(2, 3).contiguous()
    with torch.no_grad(), straight():
        activations = look(turned)
    if any(activation.dim() != 4 or 0 in activation.shape for activation in activations):
        return []
    return activations if axis == 2 else [activation.transpose(2, 3) for activation in activations]


def _near(piece: Tensor, whole: Tensor) -> bool:
    tolerance = _TOLERANCE.get(whole.dtype, _FLOAT32_TOLERANCE)
    return bool((piece.float() - whole.float()).norm() <= tolerance * whole.float().norm())

"""Locality: which pixels a network's cells see, found by asking the network itself. Knows nothing of tiles or losses.

A network is local when a cell of a layer sees a bounded stretch of the picture, and the same stretch, moved, for every
other cell. Then a layer can be computed from pieces of a picture. Not local: pooling of the whole picture, attention,
squeeze-and-excitation, embedded positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dreamd.engine.winograd import cells_at_once, straight

Look = Callable[[Tensor], list[Tensor]]
"""Normalised pictures `[N, 3, H, W]` → the activations of the wanted layers."""

_STRIP = 512
_LONGEST_STRIP = 2048
"""Pixels. A network that sees farther gains nothing from tiles."""
_LARGEST_STEP = 256
_TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 1e-2}
"""By how much, of its norm, an activation may differ for a piece of a picture: rounding, and no more."""
_FLOAT32_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Cells:
    """How the cells of one layer lie along one side of a picture.

    Attributes:
        stride: pixels from one cell to the next.
        missing: the side's length less the stride times the number of cells.
        spoilt: a piece that begins at pixel `a` gives wrong values in its first so many cells, unless `a` is 0.
        reach: a piece that ends at pixel `b` gives wrong values in the cells from `(b - reach) / stride` on, unless `b`
            is the picture's own end.
    """

    stride: int
    missing: int
    spoilt: int
    reach: int

    def count(self, length: int) -> int:
        """The number of cells along so many pixels."""
        return (length - self.missing) // self.stride


@dataclass(frozen=True)
class Side:
    """How the wanted layers' cells lie along a side whose length leaves a certain rest when divided by `step`.

    Pieces of it begin at multiples of `step` and end at multiples of it from the picture's end: then every operation
    inside the network, also one that pads by its input's size, meets the same cells as in the whole picture.
    """

    step: int
    layers: tuple[Cells, ...]

    @property
    def halo(self) -> int:
        """The pixels that a piece takes at each end beyond what it is for, in whole steps."""
        needed = max(max(cells.spoilt * cells.stride, cells.reach) for cells in self.layers)
        return -(-needed // self.step) * self.step


class Locality:
    """What is known of the locality of one network's wanted layers, whose cells are computed `grid` at a time."""

    def __init__(self, look: Look, min_side: int, grid: int) -> None:
        self._min_side, self._grid = min_side, grid
        self._sides: dict[tuple[int, int], Side | None] = {}
        self._strides = _strides(look, min_side)
        self._step = self._found_step(look)

    def sides(self, look: Look, shape: torch.Size) -> tuple[Side, Side] | None:
        """Both sides, vertical and horizontal, of pictures `[N, 3, H, W]`; None when the network is not local."""
        down, right = (self._side(look, axis, shape[axis]) for axis in (2, 3))
        return None if down is None or right is None else (down, right)

    def _found_step(self, look: Look) -> int | None:
        """The smallest step at which pieces agree with the whole, both ways."""
        step = self._grid * math.lcm(*self._strides) if self._strides else _LARGEST_STEP + 1
        while step <= _LARGEST_STEP:
            self._sides = {(axis, 0): self._probed(look, axis, step, 0) for axis in (2, 3)}
            if None not in self._sides.values():
                return step
            step *= 2
        return None

    def _side(self, look: Look, axis: int, length: int) -> Side | None:
        if self._step is None:
            return None
        rest = length % self._step
        if (axis, rest) not in self._sides:
            self._sides[axis, rest] = self._probed(look, axis, self._step, rest)
        return self._sides[axis, rest]

    def _probed(self, look: Look, axis: int, step: int, rest: int) -> Side | None:
        """One side, probed on a strip that is long enough; None when pieces do not agree with the whole."""
        length = _STRIP
        while length <= _LONGEST_STRIP:
            strip = _noise(-(-length // step) * step + rest, self._min_side)
            probe = _Probe(look, strip, axis, step, self._strides)
            if probe.side is not None:
                return probe.side if probe.pieces_agree() else None
            length *= 2
        return None


_KNOWN: WeakKeyDictionary[nn.Module, dict[Hashable, Locality]] = WeakKeyDictionary()
"""Probing takes as long as a few small pictures, and gives the same for a network ever after."""


def locality_of(network: nn.Module, modules: Sequence[str], look: Look, min_side: int) -> Locality:
    """What is known of a network's modules, probed once.

    Args:
        network: in evaluation mode, with its weights.
        modules: the wanted layers' modules.
        look: gives these modules' activations.
        min_side: the shortest side in pixels that the network takes.
    """
    known = _KNOWN.setdefault(network, {})
    key = tuple(modules)
    if key not in known:
        known[key] = Locality(look, min_side, cells_at_once(network))
    return known[key]


def _strides(look: Look, narrow: int) -> list[int]:
    """The layers' strides; none when the activations are no maps, or finer than the picture."""
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
        """What each half lacks without the other.

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
        """Whether the network, run on a piece, sees in it what it sees in the whole: a proof by the real weights."""
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
    """The activations of a strip that lies along an axis, turned so that their rows run along it; none: no maps."""
    turned = strip if axis == 2 else strip.transpose(2, 3).contiguous()
    with torch.no_grad(), straight():
        activations = look(turned)
    if any(activation.dim() != 4 or 0 in activation.shape for activation in activations):
        return []
    return activations if axis == 2 else [activation.transpose(2, 3) for activation in activations]


def _near(piece: Tensor, whole: Tensor) -> bool:
    tolerance = _TOLERANCE.get(whole.dtype, _FLOAT32_TOLERANCE)
    return bool((piece.float() - whole.float()).norm() <= tolerance * whole.float().norm())

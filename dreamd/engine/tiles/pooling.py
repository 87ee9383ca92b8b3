"""Pooling: layers behind a network's global average, whose value for a whole picture follows from a mean over cells.

A classifier's scores are a function of the mean over the cells of its last map. So a picture that is taken in pieces
needs the sum over each piece's cells only, and what the rest of the network makes of the mean. Both are found by asking
the network itself, whatever it is built of.

Knows networks. Knows no tiles and no losses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dreamd.engine.network.lookout import Sight

Look = Callable[[Tensor], list[Tensor]]
"""A function from normalised pictures `[N, 3, H, W]` to what is seen in them."""

_SMALLEST_PROBE = 64
"""The side in pixels of the smaller picture that a network is shown; the other one's is twice as long."""

_TOLERANCE = {torch.bfloat16: 5e-2, torch.float16: 1e-2}
_FLOAT32_TOLERANCE = 1e-4
"""The share of its norm by which a layer may differ behind the mean that it was given: rounding, no more."""


@dataclass(frozen=True)
class Pooling:
    """What of some sights lies behind a network's pooling.

    Attributes:
        pool: the module that takes the mean over the cells.
        behind: the numbers of the sights behind it.
        sights: what to look at in a piece of a picture: before the pool in place of what is behind it.
        side: the side in pixels of a picture that the network takes.
    """

    pool: str
    behind: frozenset[int]
    sights: tuple[Sight, ...]
    side: int

    def seen_behind(self, network: nn.Module, look: Look, mean: Tensor) -> list[Tensor]:
        """Return what is seen when the pool gives this mean `[N, C]`, differentiable by it, whatever the picture is.

        Only that of the sights behind the pool means anything.
        """

        def replace(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            return mean.to(output.dtype).reshape(output.shape)

        hook = network.get_submodule(self.pool).register_forward_hook(replace, prepend=True)
        try:
            return look(torch.zeros(len(mean), 3, self.side, self.side, device=mean.device))
        finally:
            hook.remove()


_KNOWN: WeakKeyDictionary[nn.Module, dict[Hashable, Pooling | None]] = WeakKeyDictionary()
"""The poolings that were found, by each network's sights."""


def pooling_of(network: nn.Module, sights: Sequence[Sight], look: Look, min_side: int) -> Pooling | None:
    """Return how a network pools what some sights see; None when none is behind a pool, or one sees more than the mean.

    Args:
        network: the network, in evaluation mode, with its weights.
        sights: what is looked at.
        look: shows the sights.
        min_side: the shortest side in pixels that the network takes.
    """
    known = _KNOWN.setdefault(network, {})
    key = tuple(sights)
    if key not in known:
        with torch.no_grad():
            known[key] = _find(network, key, look, max(min_side, _SMALLEST_PROBE))
    return known[key]


def _find(network: nn.Module, sights: tuple[Sight, ...], look: Look, side: int) -> Pooling | None:
    watch = _PoolWatch(network)
    try:
        small, large = look(_noise(side)), look(_noise(2 * side))
    finally:
        watch.close()
    behind = frozenset(
        index for index, (less, more) in enumerate(zip(small, large, strict=True)) if less.shape == more.shape
    )
    if not behind or watch.pool is None:
        return None
    before = Sight(watch.pool, "input")
    pooling = Pooling(
        watch.pool, behind, tuple(before if index in behind else sight for index, sight in enumerate(sights)), side
    )
    seen = pooling.seen_behind(network, look, watch.mean)
    return pooling if all(_near(seen[index], large[index]) for index in behind) else None


class _PoolWatch:
    """Sees the last module to run that gives the mean over the cells of what it is given, and that mean."""

    def __init__(self, network: nn.Module) -> None:
        self.pool: str | None = None
        self.mean = torch.empty(0)
        self._hooks = [
            module.register_forward_hook(self._hook(name), prepend=True)  # a lookout's may end the run
            for name, module in network.named_modules()
        ]

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def see(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            given = inputs[0] if len(inputs) == 1 else None
            if not (isinstance(given, Tensor) and isinstance(output, Tensor) and given.dim() == 4):
                return
            if given.shape[2] * given.shape[3] == 1 or output.numel() != given.shape[0] * given.shape[1]:
                return
            mean = given.float().mean((2, 3))
            if _near(output.reshape(mean.shape), mean):
                self.pool, self.mean = name, mean

        return see


def _noise(side: int) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def _near(one: Tensor, other: Tensor) -> bool:
    tolerance = max(_TOLERANCE.get(each.dtype, _FLOAT32_TOLERANCE) for each in (one, other))
    return one.shape == other.shape and bool((one.float() - other.float()).norm() <= tolerance * other.float().norm())

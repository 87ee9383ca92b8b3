"""Folding: computes batch norms as part of the convolutions before them, which is less work for the same values.

Knows networks of torch's own modules. Knows no weights and no devices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Pair:
    """A convolution whose output goes into a batch norm and nowhere else.

    Attributes:
        convolution: the name of the convolution's module.
        norm: the name of the batch norm's module.
    """

    convolution: str
    norm: str


def find_pairs(network: nn.Module, side: int) -> list[Pair]:
    """Find the pairs of a frozen network, by running it once.

    Args:
        network: the network, in evaluation mode, on the CPU.
        side: the side in pixels of the picture to run it on.
    """
    convolutions = {id(m.weight): name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    norms = {id(m.running_mean): name for name, m in network.named_modules() if _is_understood(m)}
    if not norms:
        return []
    watch = _Watch()
    with torch.no_grad(), watch:
        network(torch.zeros(1, 3, side, side))
    return [
        Pair(convolutions[weight], norms[mean])
        for weight, mean in watch.pairs()
        if weight in convolutions and mean in norms
    ]


def fold(network: nn.Module, pairs: Collection[Pair]) -> None:
    """Fold batch norms into convolutions, in place: a norm then passes on what the convolution gives it.

    All modules keep their names, and every norm still gives what it gave. A folded convolution does not: leave out the
    pairs whose convolution is to be looked at. Fold in float32, before the network is brought to another precision.
    """
    for pair in pairs:
        _fold(network.get_submodule(pair.convolution), network.get_submodule(pair.norm))


def _fold(convolution: nn.Module, norm: nn.Module) -> None:
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )  # fmt: skip
    convolution.weight, convolution.bias = weight.requires_grad_(False), bias.requires_grad_(False)
    norm.forward = partial(_through, tuple(norm.children()))  # type: ignore[method-assign]


def _through(modules: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Run what is left of a folded norm: timm's have a dropout and an activation in them."""
    for module in modules:
        x = module(x)
    return x


_CHILDREN_OF_TIMMS = ["drop", "act"]
"""The names of the modules in a norm of timm's, in the order they run after it."""


def _is_understood(module: nn.Module) -> bool:
    """Return whether a module is a batch norm whose children run after it."""
    if not isinstance(module, nn.BatchNorm2d) or module.running_mean is None:
        return False
    children = [name for name, _ in module.named_children()]
    return type(module) is nn.BatchNorm2d or children == _CHILDREN_OF_TIMMS


class _Watch(TorchFunctionMode):
    """Sees which tensors go from convolutions into batch norms, and how often each is used.

    Functions are watched and not modules, so that what a network adds or joins between its modules counts as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alive: list[Tensor] = []  # no other tensor shall get the identity of one that is gone
        self._convolved: dict[int, int] = {}
        self._normed: dict[int, int] = {}
        self._uses: Counter[int] = Counter()

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **kwargs or {})
        if isinstance(result, Tensor) or func is Tensor.__setitem__:
            self._uses.update({id(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)})
        if func is torch.conv2d and isinstance(args[1], nn.Parameter):
            self._alive.append(result)
            # What is known of this identity so far was of a tensor that is gone.
            self._uses[id(result)] = 0
            self._normed.pop(id(result), None)
            self._convolved[id(result)] = id(args[1])
        elif func is F.batch_norm:
            self._normed[id(args[0])] = id(args[1])
        return result

    def pairs(self) -> list[tuple[int, int]]:
        """Return the identities of a convolution's weight and a norm's mean, for each pair that is used once."""
        return [
            (weight, self._normed[output])
            for output, weight in self._convolved.items()
            if output in self._normed
            and all(self._uses[used] == 1 for used in (output, weight, self._normed[output]))
        ]  # fmt: skip

"""Folding: computes batch norms as part of the convolutions before them, which is less work for the same values.

Knows networks of torch's own modules. Knows no weights and no devices.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dreamd.engine.speed.flow import Pair


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

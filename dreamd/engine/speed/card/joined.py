"""Joined: convolutions on a GPU that add their bias and clamp in one kernel, with the pooling behind them.

Each of torch's own kernels for a bias, a ReLU, its gradient and a pooling reads and writes a whole activation. With
VGG19 on an H200 they took as long as the products did. cuDNN adds the bias and clamps while a result is in the
registers, and the pooling's gradient is masked by the ReLU while it is spread (`kernels`).

Knows convolutions and the clamps behind them. Knows no precisions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from dreamd.engine.speed.card import kernels
from dreamd.engine.speed.clamps import Clamped, Join, join_clamps
from dreamd.engine.speed.flow import Flow

log = logging.getLogger(__name__)


def join_on_card(network: nn.Module, flow: Flow) -> None:
    """Have ReLUs computed with the convolutions before them, and with the poolings behind them.

    Args:
        network: frozen, on a GPU, in its precision; changed in place.
        flow: how tensors go through it.
    """
    for join in join_clamps(network, flow, _accepts):
        if join.pooling is not None and _is_by_pairs(join.pooling):
            join.pooling.forward = partial(_pooled, join, join.pooling.forward)  # type: ignore[method-assign]


def _accepts(module: nn.Module, join: Join) -> bool:
    """Have a convolution clamp its own result, if cuDNN has a kernel for both."""
    if type(module) is not nn.Conv2d or not join.is_relu or module.bias is None:
        return False
    if module.groups != 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return False
    module.__class__ = JoinedConv2d
    assert isinstance(module, JoinedConv2d)
    module.join = join
    return True


def _is_by_pairs(pooling: nn.MaxPool2d) -> bool:
    """Return whether a pooling takes windows of 2×2 side by side, as the kernels do."""
    if pooling.return_indices or pooling.ceil_mode:
        return False
    fields = (pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation)
    return [tuple(value) if isinstance(value, tuple | list) else (value, value) for value in fields] == [
        (2, 2),
        (2, 2),
        (0, 0),
        (1, 1),
    ]


class JoinedConv2d(nn.Conv2d):
    """A convolution with a bias and a ReLU, whose weights never change, on a GPU.

    Attributes:
        join: the ReLU behind it.
    """

    join: Join

    def forward(self, x: Tensor) -> Tensor:
        """Convolve pictures or activations: `[N, C, H, W]` → `[N, K, H, W]`."""
        if not x.is_cuda or x.dim() != 4 or x.dtype != self.weight.dtype or not self.join.is_free():
            return super().forward(x)
        return self.join.clamped_by(partial(_ConvolutionAndRelu.apply, x, self))


class _ConvolutionAndRelu(torch.autograd.Function):
    """A convolution and its ReLU, and the gradient for the input; weights have none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, of: JoinedConv2d, clamped: Clamped) -> Tensor:
        padding: Any = of.padding  # two numbers, no word
        result: Tensor = torch.cudnn_convolution_relu(x, of.weight, of.bias, of.stride, padding, of.dilation, 1)
        ctx.of, ctx.clamped = of, clamped
        ctx.save_for_backward(x, result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, result = ctx.saved_tensors
        if not ctx.clamped.is_masked:
            gradient = torch.ops.aten.threshold_backward(gradient, result, 0)
        of: JoinedConv2d = ctx.of
        window = (of.stride, of.padding, of.dilation, False, (0, 0), 1)
        pulled = torch.ops.aten.convolution_backward(gradient, x, of.weight, None, *window, (True, False, False))
        return pulled[0], None, None


def _pooled(join: Join, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Pool what was clamped with the convolution before, and mask its gradient; pool anything else the plain way."""
    clamped = join.last
    if clamped is None or not clamped.is_in(x) or not join.is_unseen() or not _is_for_kernels(x):
        return plain(x)
    clamped.is_masked = True
    pooled: Tensor = _ReluAndPooling.apply(x)
    return pooled


def _is_for_kernels(x: Tensor) -> bool:
    """Return whether a ReLU's result is as the kernels take it."""
    return (
        x.dtype is torch.bfloat16
        and x.shape[1] % kernels.CHANNELS == 0
        and min(x.shape[2:]) >= 2
        and x.is_contiguous(memory_format=torch.channels_last)
        and _has_kernels(x.device)
    )


@lru_cache
def _has_kernels(device: torch.device) -> bool:
    if kernels.are_to_be_had(device):
        return True
    log.info("%s pools with torch's own kernels: this torch cannot compile others", device)
    return False


class _ReluAndPooling(torch.autograd.Function):
    """The pooling of what a ReLU gave, and the gradient at what the ReLU was given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return kernels.pool(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return kernels.pull(gradient.contiguous(memory_format=torch.channels_last), x)

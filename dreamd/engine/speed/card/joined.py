"""Joined: convolutions on a GPU that add their bias and clamp while a result is in the registers.

Each of torch's own kernels for a bias, a clamp and its gradient reads and writes a whole activation. With VGG19 on an
H200 they, and the poolings, took as long as the products did. A convolution of whole windows and its ReLU are one
kernel of cuDNN's; one channel by channel is a kernel of `depthwise`; one of single cells is a matrix product, for which
cuDNN need not plan each shape anew.

Knows convolutions and the clamps behind them. Knows no precisions.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dreamd.engine.speed.card import depthwise
from dreamd.engine.speed.card.depthwise import Window
from dreamd.engine.speed.card.kernels import CHANNELS, suits
from dreamd.engine.speed.card.pooling import pool_after
from dreamd.engine.speed.clamps import Clamped, Join, join_clamps
from dreamd.engine.speed.flow import Flow
from dreamd.engine.speed.frozen import pads_as_tensorflow, through_clamp
from dreamd.engine.speed.straight import is_straight
from dreamd.engine.speed.windows import same_padding

_LAST = torch.channels_last


def arrange_on_card(network: nn.Module, flow: Flow) -> None:
    """Have convolutions spare what frozen ones need not do, with the clamps and poolings behind them.

    A convolution stays the object that it is, and only its class changes: its hooks, names and weights stay.

    Args:
        network: frozen, on a GPU, in its precision; changed in place.
        flow: how tensors go through it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and (into := _class_for(module)):
            padded = type(module) is not nn.Conv2d or module.padding == "same"
            way = Way(plain=type(module), is_same=padded)
            module.__class__ = into
            assert isinstance(module, CardConv2d)
            module.way = way
    for join in join_clamps(network, flow, _accepts):
        pool_after(join)


def _class_for(module: nn.Conv2d) -> type[CardConv2d] | None:
    """Return the class of convolutions that computes what a module does in less time; None for none."""
    if module.padding_mode != "zeros":
        return None
    if module.weight.dtype is torch.bfloat16 and module.groups == module.in_channels == module.out_channels > 1:
        is_known = type(module) is nn.Conv2d or _pads_as_tensorflow(module)
        return DepthwiseConv2d if is_known and module.in_channels % CHANNELS == 0 else None
    if type(module) is not nn.Conv2d or module.groups != 1 or isinstance(module.padding, str):
        return None
    return PointwiseConv2d if _is_of_single_cells(module) else ReluConv2d


def _pads_as_tensorflow(module: nn.Conv2d) -> bool:
    return pads_as_tensorflow(copy.deepcopy(module).to("cpu", torch.float32))  # cuDNN would plan each trial


def _is_of_single_cells(module: nn.Conv2d) -> bool:
    return (module.kernel_size, module.stride, module.padding) == ((1, 1), (1, 1), (0, 0))


def _accepts(module: nn.Module, join: Join) -> bool:
    """Have a convolution clamp its own result, if it can."""
    if not isinstance(module, CardConv2d) or not module.can_clamp(join):
        return False
    module.way.join = join
    return True


@dataclass
class Way:
    """How a convolution is computed.

    Attributes:
        plain: its class before.
        is_same: whether it pads as TensorFlow does.
        join: the clamp that is computed with it; None for none.
        kernel: its weight in another order; made when it is first needed, after norms were folded into it.
        bias: its bias and the clamp's bounds.
    """

    plain: type[nn.Conv2d]
    is_same: bool
    join: Join | None = None
    kernel: Tensor | None = None
    bias: dict[bool, Tensor] | None = None


class CardConv2d(nn.Conv2d):
    """A convolution whose weights never change, on a GPU.

    Attributes:
        way: how it is computed.
    """

    way: Way

    def forward(self, x: Tensor) -> Tensor:
        """Convolve pictures or activations: `[N, C, H, W]` → `[N, K, H, W]`."""
        join = self.way.join
        join = join if join is not None and join.is_free() else None
        if is_straight() or not x.is_cuda or x.dtype != self.weight.dtype or x.dim() != 4 or not self.takes(x, join):
            return self.way.plain.forward(self, x)
        if join is None:
            return self.computed(x, None, Clamped())
        return join.clamped_by(partial(self.computed, x, join))

    def can_clamp(self, join: Join) -> bool:
        """Return whether it can clamp its own result so."""
        raise NotImplementedError

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether these activations, with that clamp behind them, are computed faster than torch does."""
        raise NotImplementedError

    def computed(self, x: Tensor, join: Join | None, clamped: Clamped) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        raise NotImplementedError


class ReluConv2d(CardConv2d):
    """A convolution of whole windows, which cuDNN computes together with its bias and a ReLU."""

    def can_clamp(self, join: Join) -> bool:
        """Return whether it can clamp its own result so."""
        return join.is_relu and self.bias is not None

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether there is a ReLU behind it, or else torch is as fast."""
        del x
        return join is not None

    def computed(self, x: Tensor, join: Join | None, clamped: Clamped) -> Tensor:
        """Return the convolution and its ReLU."""
        del join
        result: Tensor = _ConvolutionAndRelu.apply(x, self, clamped)
        return result


class _ConvolutionAndRelu(torch.autograd.Function):
    """A convolution and its ReLU, and the gradient for the input; weights have none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, of: ReluConv2d, clamped: Clamped) -> Tensor:
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
        of: ReluConv2d = ctx.of
        window = (of.stride, of.padding, of.dilation, False, (0, 0), 1)
        pulled = torch.ops.aten.convolution_backward(gradient, x, of.weight, None, *window, (True, False, False))
        return pulled[0], None, None


class DepthwiseConv2d(CardConv2d):
    """A convolution channel by channel in bf16."""

    def can_clamp(self, join: Join) -> bool:
        """Return that it can clamp its own result, whatever the bounds."""
        del join
        return True

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether the kernels take these activations."""
        del join
        return suits(x) and depthwise.is_to_be_had(x.device)

    def computed(self, x: Tensor, join: Join | None, clamped: Clamped) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        del clamped
        way = self.way
        if way.kernel is None or way.bias is None:
            way.kernel, way.bias = depthwise.in_order(self.weight), {}
        if (join is not None) not in way.bias:
            low, high = (float("-inf"), float("inf")) if join is None else (join.low, join.high)
            way.bias[join is not None] = depthwise.bias_and_bounds(self.bias, self.weight, low, high)
        bias = way.bias[join is not None]
        result: Tensor = _Depthwise.apply(x, way.kernel, bias, self.window(x.shape), join)
        return result

    def window(self, shape: torch.Size) -> Window:
        """Return how the kernel is moved over pictures or activations `[N, C, H, W]`."""
        if self.way.is_same:
            above_and_below, left_and_right = same_padding(self, shape)
        elif isinstance(self.padding, str):
            above_and_below, left_and_right = (0, 0), (0, 0)
        else:
            above_and_below, left_and_right = ((zeros, zeros) for zeros in self.padding)
        cells = [
            (size + sum(zeros) - dilation * (side - 1) - 1) // stride + 1
            for size, zeros, dilation, side, stride in zip(
                shape[2:], (above_and_below, left_and_right), self.dilation, self.kernel_size, self.stride, strict=True
            )
        ]
        return Window(
            side=_pair(self.kernel_size),
            stride=_pair(self.stride),
            padding=(above_and_below[0], left_and_right[0]),
            dilation=_pair(self.dilation),
            cells=_pair(cells),
        )


def _pair(values: Any) -> tuple[int, int]:
    return values[0], values[1]


class _Depthwise(torch.autograd.Function):
    """A convolution channel by channel, clamped if there is a join, and its gradient for the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, window: Window, join: Join | None) -> Tensor:
        result = depthwise.convolve(x, kernel, bias, window)
        ctx.kernel, ctx.window, ctx.join, ctx.shape = kernel, window, join, x.shape
        ctx.overwrites = join is not None and join.is_unseen()
        ctx.save_for_backward(None if join is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _through_join(ctx, gradient)
        return depthwise.pull(gradient, ctx.kernel, ctx.shape, ctx.window), None, None, None, None


def _through_join(ctx: Any, gradient: Tensor) -> Tensor:
    """Return the gradient before the clamp, if there is one, with the channels innermost."""
    (result,) = ctx.saved_tensors
    if ctx.join is not None:
        is_last = gradient.is_contiguous(memory_format=_LAST)
        gradient = through_clamp(gradient, result, ctx.join, gradient if ctx.overwrites and is_last else None)
    return gradient.contiguous(memory_format=_LAST)


class PointwiseConv2d(CardConv2d):
    """A convolution of single cells, as a matrix product of all cells."""

    def can_clamp(self, join: Join) -> bool:
        """Return that it can clamp its own result, whatever the bounds."""
        del join
        return True

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether the cells lie in memory as the rows of a matrix."""
        del join
        return x.is_contiguous(memory_format=_LAST)

    def computed(self, x: Tensor, join: Join | None, clamped: Clamped) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        del clamped
        result: Tensor = _Pointwise.apply(x, self.weight.detach()[:, :, 0, 0], self.bias, join)
        return result


class _Pointwise(torch.autograd.Function):
    """A convolution of single cells, clamped if there is a join, and its gradient for the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, join: Join | None) -> Tensor:
        cells = _as_rows(x)
        rows = cells @ weight.T if bias is None else torch.addmm(bias, cells, weight.T)
        if join is not None:
            rows.clamp_(join.low, join.high)
        result = _as_pictures(rows, x.shape)
        ctx.weight, ctx.join = weight, join
        ctx.overwrites = join is not None and join.is_unseen()
        ctx.save_for_backward(None if join is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _through_join(ctx, gradient)
        return _as_pictures(_as_rows(gradient) @ ctx.weight, gradient.shape), None, None, None


def _as_rows(x: Tensor) -> Tensor:
    """Return activations `[N, C, H, W]` whose channels are innermost as the matrix `[N · H · W, C]` that they are."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _as_pictures(rows: Tensor, shape: torch.Size) -> Tensor:
    """Return the matrix `[N · H · W, K]` as activations `[N, K, H, W]`; `shape` gives the other sides."""
    return rows.view(shape[0], *shape[2:], -1).permute(0, 3, 1, 2)

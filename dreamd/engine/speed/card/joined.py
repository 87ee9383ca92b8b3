"""Joined: convolutions on a GPU that add their bias and clamp while a result is in the registers.

Each of torch's own kernels for a bias, a clamp and its gradient reads and writes a whole activation. With VGG19 on an
H200 they, and the poolings, took as long as the products did. A convolution of whole windows and its ReLU are one
kernel of cuDNN's; one channel by channel is a kernel of `depthwise`; one of single cells is a matrix product, for which
cuDNN need not plan each shape anew.

Knows convolutions and the clamps behind them. Knows no precisions.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dreamd.engine.speed.card import depthwise
from dreamd.engine.speed.card.depthwise import Window
from dreamd.engine.speed.card.kernels import CHANNELS, suits
from dreamd.engine.speed.card.pooling import pool_after
from dreamd.engine.speed.clamps import Join, through_join
from dreamd.engine.speed.fixed import FixedConv2d, Pair, Way, fix, join_clamps, pads_as_tensorflow, zeros_around
from dreamd.engine.speed.flow import Flow


def arrange_on_card(network: nn.Module, flow: Flow) -> None:
    """Have convolutions spare what fixed ones need not do, with the clamps and poolings behind them.

    Args:
        network: frozen, on a GPU, in its precision; changed in place.
        flow: how tensors go through it.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and (into := _class_for(module)):
            fix(module, into)
    for join in join_clamps(network, flow):
        pool_after(join)


def _class_for(module: nn.Conv2d) -> type[FixedConv2d] | None:
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


class ReluConv2d(FixedConv2d):
    """A convolution of whole windows, which cuDNN computes together with its bias and a ReLU."""

    def can_clamp(self, join: Join) -> bool:
        """Return whether it is a ReLU that comes after a bias: cuDNN has a kernel for that."""
        return join.is_relu and self.bias is not None

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether there is a ReLU behind it, or else torch is as fast."""
        return x.is_cuda and join is not None

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution and its ReLU."""
        result: Tensor = _ConvolutionAndRelu.apply(x, self, join)
        return result


class _ConvolutionAndRelu(torch.autograd.Function):
    """A convolution and its ReLU, and the gradient for the input; weights have none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, of: ReluConv2d, join: Join) -> Tensor:
        padding: Any = of.padding  # two numbers, no word
        result: Tensor = torch.cudnn_convolution_relu(x, of.weight, of.bias, of.stride, padding, of.dilation, 1)
        ctx.of, ctx.clamped = of, join.last
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


@dataclass
class DepthwiseWay(Way):
    """How a convolution channel by channel is computed; made when it is first needed, after norms were folded into it.

    Attributes:
        kernel: its weight in the order of the kernels.
        values: its bias and the bounds of a clamp, by whether it clamps.
    """

    kernel: Tensor | None = None
    values: dict[bool, Tensor] = field(default_factory=dict)


class DepthwiseConv2d(FixedConv2d):
    """A convolution channel by channel in bf16."""

    way_class = DepthwiseWay
    way: DepthwiseWay

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether the kernels take these activations."""
        del join
        return x.is_cuda and suits(x) and depthwise.is_to_be_had(x.device)

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        kernel, values = self._prepared(join)
        result: Tensor = _Depthwise.apply(x, kernel, values, self.window(x.shape), join)
        return result

    def _prepared(self, join: Join | None) -> tuple[Tensor, Tensor]:
        """Return the weight in the order of the kernels, and the bias with the bounds of the clamp."""
        way, clamps = self.way, join is not None
        if way.kernel is None:
            way.kernel = depthwise.in_order(self.weight)
        if clamps not in way.values:
            low, high = (float("-inf"), float("inf")) if join is None else (join.low, join.high)
            way.values[clamps] = depthwise.bias_and_bounds(self.bias, self.weight, low, high)
        return way.kernel, way.values[clamps]

    def window(self, shape: torch.Size) -> Window:
        """Return how the kernel is moved over pictures or activations `[N, C, H, W]`."""
        zeros = zeros_around(self, shape, is_same=self.way.is_same)
        cells = [
            (size + sum(around) - dilation * (side - 1) - 1) // stride + 1
            for size, around, dilation, side, stride in zip(
                shape[2:], zeros, self.dilation, self.kernel_size, self.stride, strict=True
            )
        ]
        return Window(
            side=_pair(self.kernel_size),
            stride=_pair(self.stride),
            padding=(zeros[0][0], zeros[1][0]),
            dilation=_pair(self.dilation),
            cells=_pair(cells),
        )


def _pair(values: Any) -> Pair:
    return values[0], values[1]


class _Depthwise(torch.autograd.Function):
    """A convolution channel by channel, clamped if there is a join, and its gradient for the input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, values: Tensor, window: Window, join: Join | None) -> Tensor:
        result = depthwise.convolve(x, kernel, values, window)
        ctx.kernel, ctx.window, ctx.shape = kernel, window, x.shape
        _keep(ctx, result, join)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return depthwise.pull(_through(ctx, gradient), ctx.kernel, ctx.shape, ctx.window), None, None, None, None


def _keep(ctx: Any, result: Tensor, join: Join | None) -> None:
    """Keep what `_through` needs."""
    ctx.join, ctx.overwrites = join, join is not None and join.is_unseen()
    ctx.save_for_backward(None if join is None else result)


def _through(ctx: Any, gradient: Tensor) -> Tensor:
    """Return the gradient before the clamp, if there is one."""
    (result,) = ctx.saved_tensors
    return through_join(gradient, result, ctx.join, overwrites=ctx.overwrites)


class PointwiseConv2d(FixedConv2d):
    """A convolution of single cells, as a matrix product of all cells."""

    def takes(self, x: Tensor, join: Join | None) -> bool:
        """Return whether the cells lie in a GPU's memory as the rows of a matrix."""
        del join
        return x.is_cuda and x.is_contiguous(memory_format=torch.channels_last)

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
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
        ctx.weight = weight
        _keep(ctx, result, join)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _through(ctx, gradient)
        return _as_pictures(_as_rows(gradient) @ ctx.weight, gradient.shape), None, None, None


def _as_rows(x: Tensor) -> Tensor:
    """Return activations `[N, C, H, W]` whose channels are innermost as the matrix `[N · H · W, C]` that they are."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _as_pictures(rows: Tensor, shape: torch.Size) -> Tensor:
    """Return the matrix `[N · H · W, K]` as activations `[N, K, H, W]`; `shape` gives the other sides."""
    return rows.view(shape[0], *shape[2:], -1).permute(0, 3, 1, 2)

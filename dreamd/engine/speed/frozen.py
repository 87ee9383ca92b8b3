"""Frozen convolutions: what a processor need not do for a convolution whose weights never change.

Three things are spared. The clamp behind a convolution is computed with it (oneDNN does that while a result is in the
registers), and its gradient in the memory of the one that came in. The "same" padding of TensorFlow, which is one
longer at the end than at the start, costs no copy of the activation: a kernel with one more row of zeros at its start,
padded alike on both sides, gives the same to the bit. And the gradient for the input of a 1×1 convolution, and of a
convolution channel by channel, is a convolution of that kind again, which oneDNN computes faster than as a gradient.

Knows convolutions and the flow around them. Knows no precisions.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.speed.flow import Clamp, Flow
from dreamd.engine.speed.straight import is_straight

Pair = tuple[int, int]
"""A number for the vertical side and one for the horizontal side."""

_FORMATS = (torch.float32, torch.bfloat16)
"""The number formats that are computed in this way."""


def freeze_convolutions(network: nn.Module) -> None:
    """Have the convolutions of a network spare what frozen ones need not do.

    A convolution stays the object that it is, and only its class changes: a network may hold it in more places than its
    tree of modules, and its hooks, names and weights stay.

    Args:
        network: frozen, on the CPU, in its precision; changed in place.
    """
    for module in network.modules():
        if is_eligible(module):
            freeze(module, FrozenConv2d)


def join_clamps(network: nn.Module, flow: Flow) -> None:
    """Have clamps computed with the frozen convolutions before them, and others in place.

    What a module gives is what it gave, wherever somebody has a hook in it: whether anybody looks is asked each time
    that the network runs.

    Args:
        network: with its convolutions frozen, and with norms that are folded or not; changed in place.
        flow: how tensors go through it.
    """
    for clamp in flow.clamps:
        _join(network, clamp)
    for name in flow.overwriting:
        network.get_submodule(name).inplace = True  # type: ignore[assignment]


def is_eligible(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a module is a convolution padded with zeros, by fixed numbers or as TensorFlow does."""
    if not isinstance(module, nn.Conv2d) or module.padding_mode != "zeros" or module.weight.dtype not in _FORMATS:
        return False
    return type(module) is nn.Conv2d or _pads_as_tensorflow(module)


def freeze(module: nn.Conv2d, into: type[FrozenConv2d]) -> None:
    """Make a convolution a frozen one."""
    way = Way(type(module), type(module) is not nn.Conv2d or module.padding == "same")
    module.__class__ = into
    assert isinstance(module, FrozenConv2d)
    module.way = way


def _pads_as_tensorflow(convolution: nn.Conv2d) -> bool:
    """Return whether a convolution of another class pads as TensorFlow does and does nothing else; it is tried out."""
    generator = torch.Generator().manual_seed(0)
    weight = convolution.weight
    for more in range(max(convolution.stride)):
        sides = [
            side * dilation + more for side, dilation in zip(convolution.kernel_size, convolution.dilation, strict=True)
        ]
        x = torch.randn(1, convolution.in_channels, *sides, generator=generator).to(weight.dtype)
        window = (convolution.stride, 0, convolution.dilation, convolution.groups)
        with torch.no_grad():
            (top, bottom), (left, right) = same_padding(convolution, x.shape)
            expected = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, convolution.bias, *window)
            if not torch.equal(convolution.forward(x), expected):
                return False
    return True


def same_padding(convolution: nn.Conv2d, shape: torch.Size) -> tuple[Pair, Pair]:
    """Return the zeros that TensorFlow puts above and below `[N, C, H, W]`, and those to its left and right."""
    down, right = (
        _same_padding(side, kernel, stride, dilation)
        for side, kernel, stride, dilation in zip(
            shape[2:], convolution.kernel_size, convolution.stride, convolution.dilation, strict=True
        )
    )
    return down, right


def _same_padding(side: int, kernel: int, stride: int, dilation: int) -> Pair:
    cells = -(-side // stride)
    zeros = max(0, (cells - 1) * stride + (kernel - 1) * dilation + 1 - side)
    return zeros // 2, zeros - zeros // 2


@dataclass
class Join:
    """A clamp that is computed with the convolution before it.

    Attributes:
        low: the least value that it lets through.
        high: the largest one.
        before: the modules with a hook that would see what is clamped.
        after: the modules with a hook that would see the result.
        is_own: whether the gradient of the result belongs to nobody else, unless a hook sees the result.
        done: the last result, which the clamp's own module then passes on.
    """

    low: float
    high: float
    before: tuple[nn.Module, ...]
    after: tuple[nn.Module, ...]
    is_own: bool
    done: weakref.ref[Tensor] | None = None

    def is_free(self) -> bool:
        """Return whether nobody looks at what is clamped."""
        return not any(module._forward_hooks or module._forward_pre_hooks for module in self.before)

    def may_overwrite(self) -> bool:
        """Return whether the gradient of the result can be written over."""
        return self.is_own and not any(module._forward_hooks or module._forward_pre_hooks for module in self.after)


def _join(network: nn.Module, clamp: Clamp) -> None:
    """Have a clamp computed with the convolution before it, if that is frozen and the norm between them is folded."""
    convolution = network.get_submodule(clamp.convolution)
    if not isinstance(convolution, FrozenConv2d):
        return
    if clamp.norm is not None and "forward" not in vars(network.get_submodule(clamp.norm)):
        return
    activation = network.get_submodule(clamp.activation)
    low, high = _bounds(activation)
    before, after = (
        tuple(network.get_submodule(name) for name in names) for names in (clamp.shown_before, clamp.shown_after)
    )
    join = Join(low, high, before, after, clamp.is_own)
    convolution.way.join = join
    activation.forward = partial(_clamped, join, activation.forward)


def _bounds(activation: nn.Module) -> tuple[float, float]:
    if isinstance(activation, nn.Hardtanh):  # and ReLU6, which is one
        return activation.min_val, activation.max_val
    return 0.0, float("inf")


def _clamped(join: Join, clamp: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Pass on what was clamped with the convolution before, and clamp anything else."""
    return x if join.done is not None and join.done() is x else clamp(x)


@dataclass
class Way:
    """How a frozen convolution is computed.

    Attributes:
        plain: its class before.
        is_same: whether it pads as TensorFlow does.
        join: the clamp that is computed with it; None for none.
        kernels: its kernels, by how many rows and columns of zeros are in front of them.
        windows: how it is computed at the sizes of picture that came last.
    """

    plain: type[nn.Conv2d]
    is_same: bool
    join: Join | None = None
    kernels: dict[Pair, Kernels] = field(default_factory=dict)
    windows: dict[torch.Size, Window] = field(default_factory=dict)


class FrozenConv2d(nn.Conv2d):
    """A convolution whose weights never change, on a processor. Made by `freeze`.

    Attributes:
        way: how it is computed.
    """

    way: Way

    def forward(self, x: Tensor) -> Tensor:
        """Convolve pictures or activations: `[N, C, H, W]` → `[N, K, H, W]`."""
        if is_straight() or x.dim() != 4 or x.dtype != self.weight.dtype or x.dtype not in _FORMATS:
            return self.way.plain.forward(self, x)
        join = self.way.join
        if join is None or not join.is_free():
            return self.computed(x, None)
        result = self.computed(x, join)
        join.done = weakref.ref(result)
        return result

    def computed(self, x: Tensor, join: Join | None) -> Tensor:
        """Return the convolution, clamped with it if there is a `join`."""
        windows = self.way.windows
        size = x.shape[2:]
        if size not in windows:
            if len(windows) >= _MOST_WINDOWS:
                windows.clear()
            windows[size] = _window_of(self, x.shape)
        result: Tensor = _Convolution.apply(x, windows[size], join)
        return result


_MOST_WINDOWS = 64
"""The most sizes of picture that a convolution remembers."""


@dataclass(frozen=True)
class Kernels:
    """What a convolution and its gradient are computed with.

    Attributes:
        weight: the kernels, `[K, C / groups, h, w]`.
        turned: the kernels of the convolution that the gradient is; None where it is computed as a gradient.
    """

    weight: Tensor
    turned: Tensor | None


@dataclass(frozen=True)
class Window:
    """One convolution at one size of picture.

    Attributes:
        kernels: what is computed with.
        bias: one value a channel; None for none.
        padding: zeros above and left, and as many below and right.
        stride: cells from one place of the kernel to the next.
        dilation: cells from one of the kernel's own to the next.
        groups: in how many groups the channels are convolved.
        zeros: what is put around the picture by copying it: left, right, above, below; None for nothing.
    """

    kernels: Kernels
    bias: Tensor | None
    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int
    zeros: tuple[int, int, int, int] | None

    def convolve(self, x: Tensor, attribute: str, bounds: list[float]) -> Tensor:
        """Convolve `x`, and have oneDNN do with the result what the attribute says."""
        x = x if self.zeros is None else F.pad(x, self.zeros)
        x = x.contiguous(memory_format=torch.channels_last)
        window = (self.padding, self.stride, self.dilation, self.groups)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.kernels.weight, self.bias, *window, attribute, bounds, ""
        )
        return result

    def pull(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """Return the gradient at pictures of a shape for one at the result."""
        turned = self.kernels.turned
        if turned is None:
            return self._gradient(gradient, shape)
        reach = [dilation * (side - 1) for dilation, side in zip(self.dilation, turned.shape[2:], strict=True)]
        if self.stride != [1, 1]:
            gradient = self._spread(gradient, shape, reach)
        padding = [far - zeros for far, zeros in zip(reach, self.padding, strict=True)]
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            gradient, turned, None, padding, [1, 1], self.dilation, self.groups, "none", [], ""
        )
        return result

    def _spread(self, gradient: Tensor, shape: torch.Size, reach: list[int]) -> Tensor:
        """Put zeros between the cells of a gradient, as many as the stride left out."""
        height, width = (
            side - far + 2 * zeros for side, far, zeros in zip(shape[2:], reach, self.padding, strict=True)
        )
        down, right = self.stride
        spread = gradient.new_zeros(shape[0], height, width, gradient.shape[1]).permute(0, 3, 1, 2)
        rows, columns = gradient.shape[2:]
        spread[:, :, : (rows - 1) * down + 1 : down, : (columns - 1) * right + 1 : right] = gradient
        return spread

    def _gradient(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """Have torch compute the gradient, for which it looks at the pictures' shape and order of memory alone."""
        left, right, above, below = self.zeros or (0, 0, 0, 0)
        batch, channels, height, width = shape
        unread = gradient.new_empty(batch, height + above + below, width + left + right, channels)
        window = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups, [True, False, False])
        pictures = unread.permute(0, 3, 1, 2)
        whole: Tensor = torch.ops.aten.convolution_backward(gradient, pictures, self.kernels.weight, None, *window)[0]
        return whole if self.zeros is None else whole[:, :, above : above + height, left : left + width]


class _Convolution(torch.autograd.Function):
    """The convolution, clamped if there is a join, and its gradient for the input; weights have none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, join: Join | None) -> Tensor:
        result = window.convolve(x, *_attribute(join))
        ctx.window, ctx.join, ctx.shape = window, join, x.shape
        ctx.overwrites = join is not None and join.may_overwrite()
        ctx.save_for_backward(None if join is None else result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        join: Join | None = ctx.join
        (result,) = ctx.saved_tensors
        if join is not None:
            is_last = gradient.is_contiguous(memory_format=torch.channels_last)
            gradient = through_clamp(gradient, result, join, gradient if ctx.overwrites and is_last else None)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return ctx.window.pull(gradient, ctx.shape), None, None


def _attribute(join: Join | None) -> tuple[str, list[float]]:
    """Return what oneDNN shall do with a result, in the words of torch."""
    if join is None:
        return "none", []
    return ("relu", []) if (join.low, join.high) == (0, float("inf")) else ("hardtanh", [join.low, join.high])


def through_clamp(gradient: Tensor, result: Tensor, join: Join, into: Tensor | None) -> Tensor:
    """Return the gradient at what was clamped for one at the result, in the memory of `into` if that is given."""
    if into is None:
        pulled: Tensor = torch.ops.aten.hardtanh_backward(gradient, result, join.low, join.high)
        return pulled
    torch.ops.aten.hardtanh_backward.grad_input(gradient, result, join.low, join.high, grad_input=into)
    return into


def _window_of(convolution: FrozenConv2d, shape: torch.Size) -> Window:
    """Return how a convolution is computed for pictures `[N, C, H, W]`."""
    padding, zeros = _padding_of(convolution, shape)
    more = (0, 0)
    if zeros is not None and _is_channel_by_channel(convolution):
        left, right, above, below = zeros
        padding, zeros, more = [below, right], None, (below - above, right - left)
    known = convolution.way.kernels
    if more not in known:
        known[more] = _kernels(convolution, more, padding)
    return Window(
        kernels=known[more],
        bias=None if convolution.bias is None else convolution.bias.detach(),
        padding=padding,
        stride=list(convolution.stride),
        dilation=list(convolution.dilation),
        groups=convolution.groups,
        zeros=zeros,
    )


def _padding_of(convolution: FrozenConv2d, shape: torch.Size) -> tuple[list[int], tuple[int, int, int, int] | None]:
    """Return the zeros on both sides, or those that must be put around the picture since the sides differ."""
    if convolution.way.is_same:
        (above, below), (left, right) = same_padding(convolution, shape)
        return ([above, left], None) if (above, left) == (below, right) else ([0, 0], (left, right, above, below))
    if isinstance(convolution.padding, str):
        return [0, 0], None
    return list(convolution.padding), None


def _kernels(convolution: nn.Conv2d, more: Pair, padding: list[int]) -> Kernels:
    """Return kernels with rows and columns of zeros in front.

    They are turned where the gradient is faster as a convolution than in oneDNN's own way. A stride leaves cells out,
    which would have to be filled with zeros. That costs more than it gains, but in bf16, where oneDNN's gradient of
    strided convolutions channel by channel is ten times slower than in float32.
    """
    weight = convolution.weight.detach()
    if more != (0, 0):
        weight = F.pad(weight, (more[1], 0, more[0], 0)).contiguous(memory_format=torch.channels_last)
    by_channel = _is_channel_by_channel(convolution)
    is_strided = convolution.stride != (1, 1) and not (by_channel and weight.dtype is torch.bfloat16)
    reach = [dilation * (side - 1) for dilation, side in zip(convolution.dilation, weight.shape[2:], strict=True)]
    if is_strided or any(zeros > far for zeros, far in zip(padding, reach, strict=True)):
        return Kernels(weight, None)
    if by_channel:
        return Kernels(weight, weight.flip(2, 3).contiguous(memory_format=torch.channels_last))
    if convolution.groups == 1 and weight.shape[2:] == (1, 1):
        return Kernels(weight, weight.transpose(0, 1).contiguous())
    return Kernels(weight, None)


def _is_channel_by_channel(convolution: nn.Conv2d) -> bool:
    return convolution.groups == convolution.in_channels == convolution.out_channels

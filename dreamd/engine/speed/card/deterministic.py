"""Deterministic: has a GPU compute the same bits each time.

Some of cuDNN's and torch's kernels add up with atomic operations, in whatever order the threads come. torch is told to
take others where it has them. Where it has none for a gradient, the operation is computed in another way here.

Knows torch's functions. Knows no networks and no devices' names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dreamd.engine.speed.card import warping

_MOST_MATRICES = 64
"""The most matrices that are kept: a recording reads them again each time, where they lay when it was made."""


@contextmanager
def gpu_algorithms(device: torch.device, *, deterministic: bool, fastest: bool) -> Iterator[None]:
    """Choose a GPU's algorithms inside; a processor's are always the same.

    Args:
        device: where it is computed.
        deterministic: take only algorithms that give the same bits each time, and choose them without a clock.
        fastest: otherwise, have cuDNN time its algorithms for every new shape and take the fastest.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = fastest and not deterministic, deterministic
    try:
        if deterministic:
            with _deterministic_kernels(), DeterministicFunctions():
                yield
        else:
            yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


@contextmanager
def _deterministic_kernels() -> Iterator[None]:
    """Have torch take deterministic kernels inside, and warn of an operation that has none."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings.fill_uninitialized_memory = False  # it costs time, and nothing here reads such memory
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = filled


class DeterministicFunctions(TorchFunctionMode):
    """Has pooling, resizing, padding and warping inside take ways whose gradients are the same each time."""

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func not in _WAYS:
            return func(*args, **named)
        return _WAYS[func](*([named.pop("input")] if "input" in named else []), *args, **named)


def max_pool(
    x: Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Pool as `torch.nn.functional.max_pool2d` does, with a gradient that does not depend on any order.

    Windows that overlap send their gradients to the same pixel. Here all windows' first places are added, then all
    their second ones, and so on: no two of one place meet in a pixel.
    """
    kernel, steps = _pair(kernel_size), _pair(stride or kernel_size)
    apart = all(step >= side for step, side in zip(steps, kernel, strict=True))
    if return_indices or apart or _pair(dilation) != (1, 1) or x.dim() != 4:
        torchs: Any = F.max_pool2d
        return torchs(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _MaxPool.apply(x, kernel, steps, _pair(padding), ceil_mode)


class _MaxPool(torch.autograd.Function):
    """Pooling of `[N, C, H, W]` by overlapping windows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kernel: tuple[int, int], steps: tuple[int, int], padding: tuple[int, int], ceil: bool
    ) -> Tensor:
        pooled, indices = F.max_pool2d(x, kernel, steps, padding, 1, ceil, return_indices=True)
        ctx.save_for_backward(indices)
        ctx.shape, ctx.kernel, ctx.steps, ctx.padding = x.shape, kernel, steps, padding
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (indices,) = ctx.saved_tensors
        height, width = ctx.shape[2:]
        (down, right), (above, left) = ctx.steps, ctx.padding
        rows, columns = indices.shape[2:]
        # Windows may reach over the edges: with room for all of them, every place in the windows is a plain slice.
        room = ((rows - 1) * down + ctx.kernel[0], (columns - 1) * right + ctx.kernel[1])
        whole = torch.zeros_like(gradient[:, :, :1, :1].expand(-1, -1, *room), memory_format=_memory_format(gradient))
        first_row = torch.arange(rows, device=gradient.device).view(-1, 1) * down - above
        first_column = torch.arange(columns, device=gradient.device) * right - left
        for row, column in product(range(ctx.kernel[0]), range(ctx.kernel[1])):
            is_here = indices == (first_row + row) * width + first_column + column
            end_row, end_column = row + (rows - 1) * down + 1, column + (columns - 1) * right + 1
            whole[:, :, row:end_row:down, column:end_column:right] += gradient * is_here
        inside = whole[:, :, above : above + height, left : left + width]
        behind_the_last_window = (0, width - inside.shape[3], 0, height - inside.shape[2])
        return F.pad(inside, behind_the_last_window), None, None, None, None


def _memory_format(x: Tensor) -> torch.memory_format:
    is_last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def adaptive_average_pool(x: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """Pool as `torch.nn.functional.adaptive_avg_pool2d` does, as two matrix products."""
    height, width = x.shape[-2:]
    down, right = _pair(output_size)
    down, right = down or height, right or width
    if (down, right) == (1, 1):
        return F.adaptive_avg_pool2d(x, output_size)  # torch takes the mean
    return _averages(height, down, x.device, x.dtype) @ x @ _averages(width, right, x.device, x.dtype).T


def resize(x: Tensor, size: Any = None, *args: Any, **named: Any) -> Tensor:
    """Resize as `torch.nn.functional.interpolate` does; with antialiasing, as two matrix products.

    torch has a deterministic way of its own for the modes without antialiasing.
    """
    mode, antialias = named.get("mode", "nearest"), named.get("antialias", False)
    if args or not antialias or mode != "bilinear" or size is None or x.dim() != 4:
        return F.interpolate(x, size, *args, **named)
    down, right = (
        _resizing(before, after, named.get("align_corners"), x.device, x.dtype)
        for before, after in zip(x.shape[2:], _pair(size), strict=True)
    )
    return down @ x @ right.T


def padded(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad as `torch.nn.functional.pad` does; by repeated edges, with their gradients added up in one order.

    torch takes a slow way for those, which looks every pixel up, even where no gradient is asked for.
    """
    if mode != "replicate" or x.dim() != 4 or len(pad) != 4 or min(pad) < 0:
        return F.pad(x, pad, mode, value)
    result: Tensor = _EdgesRepeated.apply(x, tuple(pad))
    return result


class _EdgesRepeated(torch.autograd.Function):
    """The edges of `[N, C, H, W]` repeated outwards: to the left, to the right, above and below."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
        ctx.pad = pad
        result: Tensor = torch.ops.aten.replication_pad2d(x, pad)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        left, right, above, below = ctx.pad
        return _folded(_folded(gradient, 3, left, right), 2, above, below), None


def _folded(gradient: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Return the inside along an axis, with what lies before and behind it added to its ends."""
    size = gradient.shape[axis] - before - after
    inside = gradient.narrow(axis, before, size).clone()
    inside.narrow(axis, 0, 1).add_(gradient.narrow(axis, 0, before).sum(axis, keepdim=True))
    inside.narrow(axis, size - 1, 1).add_(gradient.narrow(axis, before + size, after).sum(axis, keepdim=True))
    return inside


@lru_cache(maxsize=_MOST_MATRICES)
def _averages(before: int, after: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the matrix `[after, before]` that averages a side as adaptive pooling does."""
    return F.adaptive_avg_pool1d(torch.eye(before), after).T.contiguous().to(device, dtype)


@lru_cache(maxsize=_MOST_MATRICES)
def _resizing(before: int, after: int, align_corners: bool | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the matrix `[after, before]` that resizes a side bilinearly, with antialiasing."""
    sides = torch.eye(before).view(1, 1, before, before)
    resized = F.interpolate(sides, (before, after), mode="bilinear", align_corners=align_corners, antialias=True)
    return resized.view(before, after).T.contiguous().to(device, dtype)


def _pair(value: Any) -> tuple[Any, Any]:
    """Return a size as two, where torch takes one for both."""
    return (value, value) if value is None or isinstance(value, int) else (value[0], value[-1])


_WAYS: dict[Callable[..., Any], Callable[..., Any]] = {
    F.max_pool2d: max_pool,
    torch.max_pool2d: max_pool,
    F.adaptive_avg_pool2d: adaptive_average_pool,
    F.interpolate: resize,
    F.grid_sample: warping.sample,
    F.pad: padded,
}
"""The functions that are computed in another way."""

"""Pooling: by windows of 2×2 behind a ReLU, and the gradient of both, on a GPU in bf16.

torch keeps where each window's largest value was as an integer of eight bytes, and goes over the activation five times:
it fills the gradient with zeros, spreads the pooled one, and masks it by the ReLU. With VGG19 that was a fifth of an
iteration on an H200. Here the gradient is written once, from the activation itself.

Knows activations and the ReLUs that gave them. Knows no convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.speed.card.kernels import CHANNELS, are_to_be_had, empty, launch, suits
from dreamd.engine.speed.clamps import Join

# Values of a ReLU are not negative, and the bits of such bf16 values, read as integers, are in the values' own order.
# Read as signed ones, -0 is the least. NaN is the largest, as in torch's pooling.
_SOURCE = """
typedef unsigned int word;

struct Window { long long top; int across, down; bool right, below; };

// The window of a thread, and which eight of a pixel's channels it takes. False: there is none for it.
__device__ bool find(long long at, long long count, int C8, int H, int W, int rows, int columns, Window *window,
                     int *row, int *column, long long *picture, int *channel) {
    if (at >= count) return false;
    *channel = (int)(at % C8);
    at /= C8;
    *column = (int)(at % columns);
    at /= columns;
    *row = (int)(at % rows);
    *picture = at / rows;
    window->top = ((*picture * H + 2 * *row) * W + 2 * *column) * C8 + *channel;
    window->across = C8;
    window->down = W * C8;
    window->right = 2 * *column + 1 < W;
    window->below = 2 * *row + 1 < H;
    return true;
}

__device__ word largest(word a, word b) { return __vmaxs2(a, b); }

extern "C" __global__ void pool(const uint4 *x, uint4 *pooled, int N, int H, int W, int C8) {
    int rows = H / 2, columns = W / 2, row, column, channel;
    long long picture, count = (long long)N * rows * columns * C8;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    Window w;
    if (!find(at, count, C8, H, W, rows, columns, &w, &row, &column, &picture, &channel)) return;
    uint4 a = x[w.top], b = x[w.top + w.across], c = x[w.top + w.down], d = x[w.top + w.down + w.across];
    uint4 most;
    most.x = largest(largest(a.x, b.x), largest(c.x, d.x));
    most.y = largest(largest(a.y, b.y), largest(c.y, d.y));
    most.z = largest(largest(a.z, b.z), largest(c.z, d.z));
    most.w = largest(largest(a.w, b.w), largest(c.w, d.w));
    pooled[at] = most;
}

// The two values of a word: the first of the window's places with the largest value gets the gradient, if the ReLU let
// that value through.
__device__ void spread(word gradient, word *a, word *b, word *c, word *d) {
    word most = largest(largest(*a, *b), largest(*c, *d));
    word open = __vcmpgts2(most, 0u) & gradient;
    word here = __vcmpeq2(*a, most), taken = here;
    *a = here & open;
    here = __vcmpeq2(*b, most) & ~taken, taken |= here;
    *b = here & open;
    here = __vcmpeq2(*c, most) & ~taken, taken |= here;
    *c = here & open;
    *d = ~taken & open;
}

extern "C" __global__ void pull(const uint4 *pulled, const uint4 *x, uint4 *into, int N, int H, int W, int C8) {
    int rows = (H + 1) / 2, columns = (W + 1) / 2, row, column, channel;
    long long picture, count = (long long)N * rows * columns * C8;
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    Window w;
    if (!find(at, count, C8, H, W, rows, columns, &w, &row, &column, &picture, &channel)) return;
    uint4 a = {0, 0, 0, 0}, b = a, c = a, d = a;
    if (w.right && w.below) {  // what is behind the last whole window is in none
        uint4 gradient = pulled[((picture * (H / 2) + row) * (W / 2) + column) * C8 + channel];
        a = x[w.top], b = x[w.top + w.across], c = x[w.top + w.down], d = x[w.top + w.down + w.across];
        spread(gradient.x, &a.x, &b.x, &c.x, &d.x);
        spread(gradient.y, &a.y, &b.y, &c.y, &d.y);
        spread(gradient.z, &a.z, &b.z, &c.z, &d.z);
        spread(gradient.w, &a.w, &b.w, &c.w, &d.w);
    }
    into[w.top] = a;
    if (w.right) into[w.top + w.across] = b;
    if (w.below) into[w.top + w.down] = c;
    if (w.right && w.below) into[w.top + w.down + w.across] = d;
}
"""


def pool_after(join: Join) -> None:
    """Have the pooling behind a ReLU mask its gradient as the ReLU would, if it takes windows of 2×2 side by side."""
    pooling = join.pooling
    if pooling is not None and _is_by_pairs(pooling):
        pooling.forward = partial(_pooled, join, pooling.forward)  # type: ignore[method-assign]


def _is_by_pairs(pooling: nn.MaxPool2d) -> bool:
    if pooling.return_indices or pooling.ceil_mode:
        return False
    fields = (pooling.kernel_size, pooling.stride, pooling.padding, pooling.dilation)
    return [_pair(field) for field in fields] == [(2, 2), (2, 2), (0, 0), (1, 1)]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _pooled(join: Join, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Pool what was clamped with the convolution before, and mask its gradient; pool anything else the plain way."""
    clamped = join.last
    if clamped is None or not clamped.is_in(x) or not join.is_unseen():
        return plain(x)
    if not x.is_cuda or not suits(x) or min(x.shape[2:]) < 2 or not is_to_be_had(x.device):
        return plain(x)
    clamped.is_masked = True
    pooled: Tensor = _ReluAndPooling.apply(x)
    return pooled


class _ReluAndPooling(torch.autograd.Function):
    """The pooling of what a ReLU gave, and the gradient at what the ReLU was given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return pool(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return pull(gradient.contiguous(memory_format=torch.channels_last), x)


def pool(x: Tensor) -> Tensor:
    """Return the largest value of each window of 2×2: `[N, C, H, W]` → `[N, C, H // 2, W // 2]`.

    Args:
        x: what a ReLU gave, as kernels take it.
    """
    count, channels, height, width = x.shape
    pooled = empty(count, channels, height // 2, width // 2, x)
    launch(_SOURCE, "pool", pooled.numel() // CHANNELS, x, pooled, count, height, width, channels // CHANNELS)
    return pooled


def pull(pulled: Tensor, x: Tensor) -> Tensor:
    """Return the gradient at what the ReLU was given.

    Args:
        pulled: the gradient at what `pool` gave, its channels innermost.
        x: what `pool` was given.
    """
    count, channels, height, width = x.shape
    into = torch.empty_like(x)
    threads = count * ((height + 1) // 2) * ((width + 1) // 2) * channels // CHANNELS
    launch(_SOURCE, "pull", threads, pulled, x, into, count, height, width, channels // CHANNELS)
    return into


def is_to_be_had(device: torch.device) -> bool:
    """Return whether the kernels can be compiled on a device and compute what torch does."""
    return are_to_be_had(device, _trial)


def _trial(device: torch.device) -> bool:
    generator = torch.Generator().manual_seed(0)
    values, pulled = (
        torch.randn(2, CHANNELS, *size, generator=generator)
        .to(device, torch.bfloat16)
        .contiguous(memory_format=torch.channels_last)
        for size in ((5, 7), (2, 3))
    )
    with torch.enable_grad():
        pooled = F.max_pool2d(values.requires_grad_().relu(), 2)
        (expected,) = torch.autograd.grad(pooled, values, pulled)
    x = values.detach().relu()
    return torch.equal(pool(x), pooled) and torch.equal(pull(pulled, x), expected)

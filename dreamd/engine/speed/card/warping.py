"""Warping: the gradient of `grid_sample` for the pictures, on a GPU, the same bits each time.

torch adds up what comes to a pixel by atomic operations on floating point numbers, in whatever order the threads come.
Here they are integers, a fixed part of the largest gradient: those have the same sum in any order.

Knows pictures and grids. Knows no transforms.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.speed.card.kernels import are_to_be_had, launch

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
"""As torch numbers them."""

# Coordinates, weights and edges are those of torch's own kernel (aten/src/ATen/native/cuda/GridSampler.cuh and
# UpSample.cuh), of which this is the gradient.
_SOURCE = """
typedef unsigned long long whole;

struct Way { int mode, padding; bool corners; };

__device__ Way way_of(int number) {
    Way way = {number % 3, number / 3 % 3, number / 9 == 1};
    return way;
}

__device__ float from_grid(float at, int size, bool corners) {
    return corners ? (at + 1.0f) / 2 * (size - 1) : ((at + 1.0f) * size - 1) / 2;
}

__device__ float reflected(float at, int size, bool corners) {
    float low = corners ? 0.0f : -0.5f, span = corners ? size - 1.0f : (float)size;
    if (span <= 0.0f) return 0.0f;
    at = fabsf(at - low);
    float rest = fmodf(at, span);
    return (long long)floorf(at / span) % 2 == 0 ? rest + low : span - rest + low;
}

__device__ float inside(float at, int size, Way way) {
    if (way.padding == 2) at = reflected(at, size, way.corners);
    return way.padding == 0 ? at : fminf(size - 1.0f, fmaxf(at, 0.0f));
}

// The cells along one side that a place is made of, and what each counts for; returns how many there are.
__device__ int cells_of(float at, int size, Way way, float *cells, float *weights) {
    at = from_grid(at, size, way.corners);
    if (way.mode == 2) {
        float first = floorf(at), t = at - first, A = -0.75f, x = t + 1.0f;
        weights[0] = ((A * x - 5.0f * A) * x + 8.0f * A) * x - 4.0f * A;
        x = t;
        weights[1] = ((A + 2.0f) * x - (A + 3.0f)) * x * x + 1.0f;
        x = 1.0f - t;
        weights[2] = ((A + 2.0f) * x - (A + 3.0f)) * x * x + 1.0f;
        x = 2.0f - t;
        weights[3] = ((A * x - 5.0f * A) * x + 8.0f * A) * x - 4.0f * A;
        for (int i = 0; i < 4; i++) cells[i] = inside(first - 1.0f + i, size, way);
        return 4;
    }
    at = inside(at, size, way);
    if (way.mode == 1) {
        cells[0] = rintf(at), weights[0] = 1.0f;
        return 1;
    }
    cells[0] = floorf(at), cells[1] = cells[0] + 1.0f;
    weights[0] = cells[1] - at, weights[1] = at - cells[0];
    return 2;
}

__device__ bool lies_in(float cell, int size) { return cell >= 0.0f && cell < (float)size; }

extern "C" __global__ void spread(whole *sums, const float *gradient, const float *grid, const float *largest, int N,
                                  int C, int H, int W, int rows, int columns, int number, int bits) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x, views = (long long)rows * columns;
    if (at >= N * views || !(*largest > 0.0f) || isinf(*largest)) return;
    long long picture = at / views;
    Way way = way_of(number);
    double unit = ldexp(1.0, bits) / *largest;
    float across[4], down[4], share[4], height[4];
    int columns_of = cells_of(grid[2 * at], W, way, across, share);
    int rows_of = cells_of(grid[2 * at + 1], H, way, down, height);
    for (int channel = 0; channel < C; channel++) {
        whole *plane = sums + (picture * C + channel) * H * W;
        double pulled = gradient[(picture * C + channel) * views + at % views] * unit;
        for (int i = 0; i < rows_of; i++)
            for (int j = 0; j < columns_of; j++)
                if (lies_in(down[i], H) && lies_in(across[j], W))
                    atomicAdd(plane + (long long)down[i] * W + (long long)across[j],
                              (whole)__double2ll_rn(pulled * height[i] * share[j]));
    }
}

extern "C" __global__ void finish(const long long *sums, const float *largest, float *into, int count, int bits) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at < count) into[at] = (float)(sums[at] * (*largest * ldexp(1.0, -bits)));
}
"""


def sample(
    x: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Look at pictures as `torch.nn.functional.grid_sample` does, to the bit, with a gradient that repeats itself.

    Args:
        x: the pictures, `[N, C, H, W]`.
        grid: the places to look at, `[N, h, w, 2]`, x before y, from -1 to 1.
        mode: between pixels.
        padding_mode: beyond the edges.
        align_corners: whether -1 and 1 are the middles of the outermost pixels, or the edges.
    """
    is_known = mode in _MODES and padding_mode in _PADDINGS and x.dim() == 4 and x.numel() < 1 << 31
    takes = x.is_cuda and x.dtype is grid.dtype is torch.float32 and x.requires_grad and not grid.requires_grad
    if not (is_known and takes and torch.is_grad_enabled() and is_to_be_had(x.device)):
        return F.grid_sample(x, grid, mode, padding_mode, align_corners)
    result: Tensor = _Sampled.apply(
        x, grid.contiguous(), _MODES.index(mode), _PADDINGS.index(padding_mode), bool(align_corners)
    )
    return result


class _Sampled(torch.autograd.Function):
    """What pictures show at places, and the gradient at the pictures."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor, mode: int, padding: int, corners: bool) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape, ctx.way = x.shape, (mode, padding, corners)
        return torch.grid_sampler(x, grid, mode, padding, corners)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (grid,) = ctx.saved_tensors
        return pull(gradient.contiguous(), grid, ctx.shape, *ctx.way), None, None, None, None


def pull(gradient: Tensor, grid: Tensor, shape: torch.Size, mode: int, padding: int, corners: bool) -> Tensor:
    """Return the gradient at the pictures.

    Args:
        gradient: at what they show, `[N, C, h, w]`, float32.
        grid: the places, `[N, h, w, 2]`.
        shape: the pictures', `[N, C, H, W]`.
        mode: between pixels, as torch numbers it.
        padding: beyond the edges, as torch numbers it.
        corners: whether -1 and 1 are the middles of the outermost pixels.
    """
    rows, columns = gradient.shape[2:]
    # All places may fall into one pixel, where a bicubic weight counts for less than 2.
    bits = 61 - math.ceil(math.log2(max(2, rows * columns)))
    largest = torch.linalg.vector_norm(gradient, torch.inf)
    sums = torch.zeros(shape, dtype=torch.int64, device=gradient.device)
    number = mode + 3 * padding + 9 * corners
    threads = shape[0] * rows * columns
    launch(_SOURCE, "spread", threads, sums, gradient, grid, largest, *shape, rows, columns, number, bits)
    pulled = torch.empty(shape, dtype=gradient.dtype, device=gradient.device)
    launch(_SOURCE, "finish", pulled.numel(), sums, largest, pulled, pulled.numel(), bits)
    return pulled


def is_to_be_had(device: torch.device) -> bool:
    """Return whether the kernels can be compiled on a device and compute what torch does."""
    return are_to_be_had(device, _trial)


def _trial(device: torch.device) -> bool:
    generator = torch.Generator().manual_seed(0)
    x, pulled = (torch.randn(2, 3, *size, generator=generator) for size in ((5, 7), (4, 6)))
    grid = torch.empty(2, 4, 6, 2).uniform_(-1.6, 1.6, generator=generator)
    return all(
        _are_near(pull(pulled.to(device), grid.to(device), x.shape, *way).cpu(), _torchs(x, grid, pulled, *way))
        for way in product(range(3), range(3), (False, True))
    )


def _are_near(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=1e-4)  # a place between pixels is rounded, as the gradient is


def _torchs(x: Tensor, grid: Tensor, pulled: Tensor, mode: int, padding: int, corners: bool) -> Tensor:
    """Return torch's gradient, on the processor."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (expected,) = torch.autograd.grad(torch.grid_sampler(leaf, grid, mode, padding, corners), leaf, pulled)
    return expected

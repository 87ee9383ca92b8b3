"""Depthwise: convolutions channel by channel on a GPU in bf16, with their bias and clamp.

cuDNN makes a plan for each shape that it meets. Channel by channel a plan took 130 ms on an H200: with six octaves, a
picture of a new size waited 13 s for a dream of a fifth of a second. These kernels have no plans. A thread computes
eight channels of a cell in float32, and rounds once.

Knows activations and kernels. Knows no modules.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.speed.card.kernels import CHANNELS, are_to_be_had, empty, launch
from dreamd.engine.speed.fixed import Pair

_SOURCE = """
typedef unsigned int word;

// bf16 is the upper half of a float32.
__device__ float first(word w) { return __uint_as_float(w << 16); }
__device__ float second(word w) { return __uint_as_float(w & 0xffff0000u); }

__device__ word rounded(float value) {
    word bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

__device__ void add(float *sums, uint4 values, uint4 weights) {
    sums[0] += first(values.x) * first(weights.x);
    sums[1] += second(values.x) * second(weights.x);
    sums[2] += first(values.y) * first(weights.y);
    sums[3] += second(values.y) * second(weights.y);
    sums[4] += first(values.z) * first(weights.z);
    sums[5] += second(values.z) * second(weights.z);
    sums[6] += first(values.w) * first(weights.w);
    sums[7] += second(values.w) * second(weights.w);
}

__device__ uint4 packed(const float *sums) {
    uint4 result;
    result.x = rounded(sums[0]) | rounded(sums[1]) << 16;
    result.y = rounded(sums[2]) | rounded(sums[3]) << 16;
    result.z = rounded(sums[4]) | rounded(sums[5]) << 16;
    result.w = rounded(sums[6]) | rounded(sums[7]) << 16;
    return result;
}

// `bias` holds the channels' values, then the least and the largest one that the clamp lets through.
extern "C" __global__ void convolve(
    const uint4 *x, const uint4 *kernel, const float *bias, uint4 *result, int N, int C8, int H, int W, int rows,
    int columns, int high, int wide, int down, int right, int above, int left, int apart_down, int apart_right) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)N * rows * columns * C8) return;
    int channel = (int)(at % C8), column = (int)(at / C8 % columns), row = (int)(at / C8 / columns % rows);
    long long picture = at / C8 / columns / rows;
    float sums[8];
    for (int i = 0; i < 8; i++) sums[i] = bias[channel * 8 + i];
    for (int i = 0; i < high; i++) {
        int y = row * down - above + i * apart_down;
        if (y < 0 || y >= H) continue;
        for (int j = 0; j < wide; j++) {
            int z = column * right - left + j * apart_right;
            if (z < 0 || z >= W) continue;
            add(sums, x[((picture * H + y) * W + z) * C8 + channel], kernel[(i * wide + j) * C8 + channel]);
        }
    }
    float least = bias[C8 * 8], most = bias[C8 * 8 + 1];
    for (int i = 0; i < 8; i++) sums[i] = sums[i] < least ? least : sums[i] > most ? most : sums[i];
    result[at] = packed(sums);
}

extern "C" __global__ void pull(
    const uint4 *gradient, const uint4 *kernel, uint4 *result, int N, int C8, int H, int W, int rows, int columns,
    int high, int wide, int down, int right, int above, int left, int apart_down, int apart_right) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)N * H * W * C8) return;
    int channel = (int)(at % C8), z = (int)(at / C8 % W), y = (int)(at / C8 / W % H);
    long long picture = at / C8 / W / H;
    float sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = 0; i < high; i++) {
        int row = y + above - i * apart_down;
        if (row < 0 || row % down || row / down >= rows) continue;
        for (int j = 0; j < wide; j++) {
            int column = z + left - j * apart_right;
            if (column < 0 || column % right || column / right >= columns) continue;
            long long from = ((picture * rows + row / down) * columns + column / right) * C8 + channel;
            add(sums, gradient[from], kernel[(i * wide + j) * C8 + channel]);
        }
    }
    result[at] = packed(sums);
}
"""


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel is moved over pictures of one size; down and right, or above and to the left.

    Attributes:
        side: the kernel's rows and columns.
        stride: the steps between cells of the result.
        padding: the zeros above the picture and to its left; beyond its other sides there are as many as are needed.
        dilation: the steps between the kernel's cells.
        cells: the rows and columns of the result.
    """

    side: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    cells: Pair

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the numbers in the order that the CUDA kernels take them."""
        return (*self.cells, *self.side, *self.stride, *self.padding, *self.dilation)


def in_order(weight: Tensor) -> Tensor:
    """Return a weight `[C, 1, h, w]` in the order that the CUDA kernels take: `[h, w, C]`."""
    return weight.detach()[:, 0].permute(1, 2, 0).contiguous()


def bias_and_bounds(bias: Tensor | None, weight: Tensor, low: float, high: float) -> Tensor:
    """Return `[C + 2]` in float32: the channels' bias, and the clamp's bounds."""
    zeros = weight.new_zeros(weight.shape[0], dtype=torch.float32)
    values = zeros if bias is None else bias.detach().float()
    return torch.cat([values, values.new_tensor([low, high])])


def convolve(x: Tensor, kernel: Tensor, values: Tensor, window: Window) -> Tensor:
    """Convolve channel by channel, add the bias and clamp: `[N, C, H, W]` → `[N, C, *window.cells]`.

    Args:
        x: activations as kernels take them.
        kernel: as `in_order` gives it.
        values: as `bias_and_bounds` gives them.
        window: how the kernel is moved.
    """
    count, channels, height, width = x.shape
    result = empty(count, channels, *window.cells, x)
    sizes = (count, channels // CHANNELS, height, width, *window.numbers)
    launch(_SOURCE, "convolve", result.numel() // CHANNELS, x, kernel, values, result, *sizes)
    return result


def pull(gradient: Tensor, kernel: Tensor, shape: torch.Size, window: Window) -> Tensor:
    """Return the gradient at what was convolved, of that shape, for one at the convolution without its clamp."""
    count, channels, height, width = shape
    result = empty(count, channels, height, width, gradient)
    sizes = (count, channels // CHANNELS, height, width, *window.numbers)
    launch(_SOURCE, "pull", result.numel() // CHANNELS, gradient, kernel, result, *sizes)
    return result


def is_to_be_had(device: torch.device) -> bool:
    """Return whether the kernels can be compiled on a device and compute what torch does."""
    return are_to_be_had(device, _trial)


def _trial(device: torch.device) -> bool:
    """Compare with the processor, by small whole numbers, which bf16 holds exactly."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randint(-2, 3, size, generator=generator).float()
        for size in ((2, CHANNELS, 6, 7), (CHANNELS, 1, 3, 3), (CHANNELS,))
    )
    with torch.enable_grad():
        plain = F.conv2d(x.requires_grad_(), weight, bias, 2, (1, 1), 1, CHANNELS)
        (expected,) = torch.autograd.grad(plain, x, plain.detach().sign())
    there, of_kernel, pulled = (
        values.detach().to(device, torch.bfloat16).contiguous(memory_format=torch.channels_last)
        for values in (x, weight, plain.sign())
    )
    window = Window(side=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), cells=(3, 4))
    kernel = in_order(of_kernel)
    result = convolve(there, kernel, bias_and_bounds(bias.to(device), weight, -3, 6), window)
    back = pull(pulled, kernel, x.shape, window)
    return torch.equal(result.float().cpu(), plain.clamp(-3, 6)) and torch.equal(back.float().cpu(), expected)

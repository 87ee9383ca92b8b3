"""The deterministic ways compute what torch computes, values and gradients: a processor can tell that as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.speed.card.deterministic import DeterministicFunctions, gpu_algorithms

CPU = torch.device("cpu")


def values_and_gradient(compute: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    result = compute(x)
    slope = torch.rand(result.shape, generator=torch.Generator().manual_seed(1)).to(result.dtype)
    (gradient,) = torch.autograd.grad(result, x, slope)
    return result.detach(), gradient


def assert_same(compute: Callable[[Tensor], Tensor], x: Tensor) -> None:
    expected, expected_gradient = values_and_gradient(compute, x)
    with DeterministicFunctions():
        result, gradient = values_and_gradient(compute, x)
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("size", [(9, 9), (10, 13), (3, 3), (4, 17)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil_mode"),
    [
        (3, 2, 0, False),
        (3, 2, 1, False),
        (3, 2, 0, True),
        (3, 1, 1, False),
        ((3, 2), (2, 1), (1, 0), True),
        (2, 2, 0, False),
    ],
)
def test_overlapping_maxima_are_torchs(
    size: tuple[int, int], kernel: int, stride: int, padding: int, ceil_mode: bool
) -> None:
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    assert_same(pool, noise(2, 3, *size))


def test_a_maximum_that_several_windows_share_gathers_all_of_their_gradients() -> None:
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1.0
    with DeterministicFunctions():
        _, gradient = values_and_gradient(lambda at: F.max_pool2d(at, 3, stride=2), x)
    assert int((gradient != 0).sum()) == 1
    assert gradient[0, 0, 2, 2] > 1


def test_channels_stay_innermost_in_the_gradient_of_maxima() -> None:
    x = noise(1, 4, 9, 9).to(memory_format=torch.channels_last)
    with DeterministicFunctions():
        pooled = F.max_pool2d(x.requires_grad_(), 3, stride=2)
    slope = torch.ones_like(pooled)
    assert slope.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(pooled, x, slope)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("pad", [(2, 3, 1, 4), (0, 2, 0, 0), (9, 9, 9, 9), (0, 0, 0, 0)])
@pytest.mark.parametrize("size", [(6, 8), (1, 5), (7, 1)])
def test_repeated_edges_are_torchs(size: tuple[int, int], pad: tuple[int, ...]) -> None:
    assert_same(lambda x: F.pad(x, pad, mode="replicate"), noise(2, 3, *size))
    assert_same(lambda x: F.pad(input=x, pad=list(pad), mode="replicate"), noise(2, 3, *size))


@pytest.mark.parametrize("mode", ["constant", "replicate", "reflect"])
def test_other_padding_is_torchs_own(mode: str) -> None:
    assert_same(lambda x: F.pad(x, (1, 2), mode=mode), noise(2, 3, 6))
    assert_same(lambda x: F.pad(x, (-1, 2, 0, 1), mode="constant", value=0.5), noise(2, 3, 6, 6))


@pytest.mark.parametrize("padding_mode", ["zeros", "reflection"])
def test_warps_are_torchs_where_there_are_no_kernels(padding_mode: str) -> None:
    grid = noise(2, 5, 7, 2)
    assert_same(lambda x: F.grid_sample(x, grid, "bicubic", padding_mode, align_corners=False), noise(2, 3, 6, 6))


@pytest.mark.parametrize("output", [1, 7, (2, 3), (None, 4), (5, 1)])
def test_adaptive_averages_are_torchs(output: object) -> None:
    assert_same(nn.AdaptiveAvgPool2d(output), noise(2, 3, 11, 14))


@pytest.mark.parametrize("size", [(20, 20), (7, 5), (11, 30)])
def test_antialiased_resizing_is_torchs(size: tuple[int, int]) -> None:
    assert_same(lambda x: F.interpolate(x, size, mode="bilinear", antialias=True), noise(2, 3, 11, 14))


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_other_resizing_is_left_to_torch(mode: str) -> None:
    assert_same(lambda x: F.interpolate(x, scale_factor=2.0, mode=mode), noise(2, 3, 6, 5))


def test_functions_called_with_names_or_with_indices_work_as_ever() -> None:
    x = noise(1, 2, 8, 8)
    with DeterministicFunctions():
        named = F.max_pool2d(input=x, kernel_size=3, stride=2)
        pooled, indices = F.max_pool2d(x, 3, 2, return_indices=True)
        without_indices = torch.max_pool2d(x, [3, 3], [2, 2])
    torch.testing.assert_close(named, pooled)
    torch.testing.assert_close(without_indices, pooled)
    torch.testing.assert_close(x.flatten(2).gather(2, indices.flatten(2)).view_as(pooled), pooled)


def test_a_processor_is_left_alone() -> None:
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    with gpu_algorithms(CPU, deterministic=True, fastest=True):
        assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == before
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_gpus_algorithms_are_searched_for_only_where_bits_may_differ(deterministic: bool) -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    with gpu_algorithms(torch.device("cuda"), deterministic=deterministic, fastest=True):
        assert cudnn.benchmark is not deterministic
        assert cudnn.deterministic is deterministic
        assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert (cudnn.benchmark, cudnn.deterministic) == before
    assert not torch.are_deterministic_algorithms_enabled()

"""Winograd's convolutions: the values of torch's own, wherever they are used at all."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.speed.points import WINDOW, values_of
from dreamd.engine.speed.precision import Precision, arrange_network, winograd_gains
from dreamd.engine.speed.products import Products, grid_of
from dreamd.engine.speed.straight import straight
from dreamd.engine.speed.winograd import WinogradConv2d, bytes_of_values, use_winograd
from dreamd.engine.tiles.footprint import measure_peak
from dreamd.engine.tiles.locality import locality_of

CPU = torch.device("cpu")


def convolution(channels: int = 64, out_channels: int = 128, **options: object) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, out_channels, 3, **options).requires_grad_(False)  # type: ignore[arg-type]


def winograd(of: nn.Conv2d) -> nn.Conv2d:
    """A copy of a convolution that takes Winograd's way."""
    network = nn.Sequential(copy.deepcopy(of))
    use_winograd(network)
    assert isinstance(network[0], WinogradConv2d)
    return network[0]


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def taken_both_ways(of: nn.Conv2d, x: Tensor) -> tuple[float, float]:
    """The errors of a convolution's values and of its gradient, against float64."""
    swapped, exact = winograd(of), copy.deepcopy(of).double()
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    values, expected = swapped(single), exact(double)
    assert values.shape == expected.shape
    slope = noise(*values.shape)
    (gradient,) = torch.autograd.grad(values, single, slope)
    (expected_gradient,) = torch.autograd.grad(expected, double, slope.double())
    return error(values.detach(), expected.detach()), error(gradient, expected_gradient)


def is_winograd(module: nn.Module, x: Tensor) -> bool:
    """Whether values come from tiles: there a not-a-number spoils cells that do not see it."""
    x = x.clone()
    x[:, :, 0, 0] = math.nan
    return bool(module(x)[:, :, 3, 3].isnan().any())


@pytest.mark.parametrize("padding", [0, 1, 2, (0, 2), "same", "valid"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(32, 32), (33, 30), (23, 47)])
def test_values_and_gradients_are_those_of_the_convolution(
    padding: int | tuple[int, int] | str, bias: bool, size: tuple[int, int]
) -> None:
    of = convolution(padding=padding, bias=bias)
    assert is_winograd(winograd(of), noise(1, 64, *size))
    assert max(taken_both_ways(of, noise(1, 64, *size))) < 2e-6


def reckoned(channels: int) -> float:
    """The error of a convolution that sums so many channels, as `points` derives it."""
    of_products = 5.02 * 0.425 * math.sqrt(channels / 2)
    return math.hypot(of_products, 8) * 2**-24


@pytest.mark.parametrize(("channels", "out_channels"), [(96, 64), (64, 256), (512, 512)])
def test_the_error_is_what_roundings_of_float32_come_to(channels: int, out_channels: int) -> None:
    of, x = convolution(channels, out_channels, padding=1), noise(1, channels, 32, 32)
    values, gradient = taken_both_ways(of, x)
    assert values < 1.05 * reckoned(channels)
    assert gradient < 1.05 * reckoned(out_channels)


def test_each_picture_of_a_batch_has_the_bits_that_it_has_alone() -> None:
    swapped, x = winograd(convolution(padding=1)), noise(3, 64, 40, 24)
    assert torch.equal(swapped(x), torch.cat([swapped(picture[None]) for picture in x]))


@pytest.mark.parametrize("size", [(200, 24), (24, 200), (20, 900)])
def test_bands_of_tiles_join_without_a_seam(size: tuple[int, int]) -> None:
    of, x = convolution(padding=1), noise(1, 64, *size)
    swapped = winograd(of)(x)
    exact = copy.deepcopy(of).double()(x.double())
    assert (swapped.double() - exact).abs().max() < 2e-5


@pytest.mark.parametrize("across", [120, 256, 416])
def test_a_piece_that_begins_between_two_tiles_has_the_bits_of_the_whole_inside(across: int) -> None:
    swapped, x = winograd(convolution(padding=1)), noise(1, 64, 96, 480)
    whole, piece = swapped(x), swapped(x[:, :, 16:80, 64 : 64 + across])
    assert torch.equal(piece[:, :, 4:-4, 4:-4], whole[:, :, 20:76, 68 : 60 + across])


def test_pieces_for_a_network_that_has_it_begin_between_its_tiles() -> None:
    network = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 64, 1), convolution(padding=1)).requires_grad_(False)
    picture = torch.Size([1, 3, 640, 480])

    def look(x: Tensor) -> list[Tensor]:
        return [network(x)]

    plain = locality_of(network, ["2"], look, 32).sides(look, picture)
    network = copy.deepcopy(network)
    use_winograd(network)
    tiled = locality_of(network, ["2"], look, 32).sides(look, picture)
    assert plain is not None
    assert tiled is not None
    assert [(side.step, side.halo) for side in plain] == [(2, 2)] * 2
    assert [(side.step, side.halo) for side in tiled] == [(8, 8)] * 2
    assert [side.layers for side in tiled] == [side.layers for side in plain]


def test_the_order_of_memory_that_comes_in_changes_no_bit_and_channels_come_out_last() -> None:
    swapped, x = winograd(convolution(padding=1)), noise(1, 64, 33, 30)
    values = swapped(x)
    assert torch.equal(values, swapped(x.contiguous(memory_format=torch.channels_last)))
    assert values.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "other",
    [
        convolution(32, 64),
        convolution(stride=2),
        convolution(dilation=2),
        convolution(groups=2),
        convolution(padding=3),
        convolution(padding_mode="reflect", padding=1),
        nn.Conv2d(64, 128, (1, 3)),
        nn.Conv2d(64, 128, 1),
        nn.ConvTranspose2d(64, 128, 3),
    ],
    ids=str,
)
def test_what_it_cannot_compute_or_does_not_gain_by_is_left_as_it_is(other: nn.Module) -> None:
    network = nn.Sequential(other)
    use_winograd(network)
    assert type(network[0]) is type(other)


@pytest.mark.parametrize(("size", "expected"), [((12, 12), False), ((14, 14), False), ((20, 20), True)])
def test_small_pictures_are_convolved_straight(size: tuple[int, int], expected: bool) -> None:
    assert is_winograd(winograd(convolution(padding=1)), noise(1, 64, *size)) is expected


def test_other_number_formats_and_single_pictures_without_a_batch_are_convolved_straight() -> None:
    of = convolution(padding=1)
    swapped, x = winograd(of), noise(1, 64, 32, 32)
    assert torch.equal(swapped(x[0]), of(x[0]))
    half = copy.deepcopy(swapped).to(torch.bfloat16)
    assert half(x.bfloat16()).dtype is torch.bfloat16


def test_a_convolution_takes_it_wherever_the_network_holds_it_and_keeps_hooks_names_and_weights() -> None:
    inner = convolution(padding=1)
    network = nn.Sequential(nn.Sequential(nn.ReLU(), inner), convolution(128, 64))
    held_in_a_list, seen = [inner], []
    inner.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
    names, weight = list(network.state_dict()), inner.weight
    use_winograd(network)
    assert network[0][1] is held_in_a_list[0]
    assert is_winograd(held_in_a_list[0], noise(1, 64, 32, 32))
    assert seen
    assert inner.weight is weight
    assert list(network.state_dict()) == names


def test_inside_straight_a_cell_depends_on_what_it_sees_alone() -> None:
    swapped, x = winograd(convolution(padding=1)), noise(1, 64, 32, 32)
    with straight():
        assert not is_winograd(swapped, x)
    with pytest.raises(KeyError), straight():
        raise KeyError
    assert is_winograd(swapped, x)


# Products


@pytest.mark.parametrize("tiles", [1, 7, 16, 64, 65, 72, 100, 150, 196, 700])
def test_tiles_are_laid_out_with_few_that_are_computed_for_nothing(tiles: int) -> None:
    rows, length = grid_of(tiles)
    assert tiles <= rows * length < tiles + 24


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("channels", "out_channels"), [(64, 96), (128, 512), (50, 70)])
def test_a_tiles_products_have_the_same_bits_among_any_others(channels: int, out_channels: int, turned: bool) -> None:
    weight, products = noise(out_channels, channels, 3, 3), Products(turned=turned)
    values = noise(144, WINDOW**2, out_channels if turned else channels)
    whole = products.of(values, (3, 48), weight)
    for grid in [(1, 1), (1, 5), (1, 16), (1, 49), (2, 24), (1, 144), (4, 36)]:
        tiles = grid[0] * grid[1]
        assert torch.equal(products.of(values[:tiles].clone(), grid, weight), whole[:tiles]), grid
    matrices = values_of(weight) if turned else values_of(weight).transpose(1, 2)
    exact = torch.einsum("tpc,pck->tpk", values.double(), matrices.double())
    assert error(whole, exact) < 1e-6


def test_what_the_values_take_counts_as_memory_of_the_network() -> None:
    network = nn.Sequential(convolution(padding=1), nn.ReLU(), convolution(128, 64)).requires_grad_(False)
    assert bytes_of_values(network) == 0
    use_winograd(network)
    assert bytes_of_values(network) == 2 * 2 * 36 * 64 * 128 * 4


def test_the_memory_of_a_run_can_be_measured_whatever_order_its_values_are_kept_in() -> None:
    swapped, x = winograd(convolution(padding=1)), noise(1, 64, 40, 40)
    first, later = measure_peak(lambda: swapped(x), CPU), measure_peak(lambda: swapped(x), CPU)
    result = 128 * 40 * 40 * 4
    assert first >= later > 2 * result


def test_a_copy_of_a_convolution_that_has_run_convolves_alike() -> None:
    swapped, x = winograd(convolution(padding=1)), noise(1, 64, 40, 40)
    expected = swapped(x)
    assert torch.equal(copy.deepcopy(swapped)(x), expected)


# In a dream


def small_vgg(precision: Precision, *, exact: bool, memory: int | None = None) -> Dreamer:
    """Of a network like VGG's with four convolutions, the last two of them wide."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 96, 3, padding=1), nn.ReLU()]
    layers += [nn.MaxPool2d(2), nn.Conv2d(96, 128, 3, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers)
    names = {str(index): str(index) for index in range(len(network))}
    backbone = Backbone(network=network, layers=names, default_layer="6", min_side=16).frozen()
    arrange_network(network, precision, CPU, exact=exact)
    return Dreamer(
        backbone=backbone,
        objective=Objective((Term("6", lambda activation: activation.flatten(1).norm(dim=1)),)),
        settings=AscentSettings(iterations=3, lr=30, momentum=1.0),
        schedule=once,
        precision=precision,
        exact=exact,
        memory=memory,
    )


def once(image: Tensor, ascend: Ascend) -> list[Tensor]:
    return [ascend(image)]


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that gains by Winograd's way, whatever this one does."""
    monkeypatch.setattr("dreamd.engine.speed.precision.winograd_gains", lambda *_: True)


@pytest.mark.usefixtures("gains")
def test_the_reference_keeps_torchs_convolutions_and_auto_dreams_its_picture() -> None:
    exact, fast = (small_vgg(Precision.FP32, exact=exact) for exact in (True, False))
    assert not any(isinstance(module, WinogradConv2d) for module in exact.backbone.network.modules())
    assert isinstance(fast.backbone.network[5], WinogradConv2d)  # type: ignore[index]
    picture = F.interpolate(noise(1, 3, 8, 8).sigmoid(), (96, 72), mode="bicubic").clamp(0, 1)
    reference, result = (dream(picture, by, seeds=[0]).images for by in (exact, fast))
    assert (reference - picture).abs().mean() > 0.02
    assert (result - reference).abs().mean() < 1e-4


@pytest.mark.usefixtures("gains")
def test_pictures_in_tiles_are_the_whole_picture_also_in_winograds_way() -> None:
    picture = F.interpolate(noise(1, 3, 8, 8).sigmoid(), (700, 300), mode="bicubic").clamp(0, 1)
    whole = dream(picture, small_vgg(Precision.FP32, exact=False), seeds=[0])
    tiled = dream(picture, small_vgg(Precision.FP32, exact=False, memory=780_000_000), seeds=[0])
    assert whole.tiling is None
    assert tiled.tiling is not None
    assert "overlapped" not in tiled.tiling
    assert (tiled.images - whole.images).abs().mean() < 1e-4


@pytest.mark.parametrize(
    ("capability", "expected"), [("AVX2", True), ("AVX512", True), ("DEFAULT", False), ("SVE256", False)]
)
def test_the_processors_instructions_decide_so_that_every_dream_has_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, capability: str, expected: bool
) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    monkeypatch.setattr("torch.backends.mkl.is_available", lambda: True)
    assert winograd_gains(Precision.FP32, CPU) is expected
    assert not winograd_gains(Precision.FP32, torch.device("cuda"))
    assert not winograd_gains(Precision.BF16, CPU)
    monkeypatch.setattr("torch.backends.mkl.is_available", lambda: False)
    assert not winograd_gains(Precision.FP32, CPU)


def test_a_network_that_gains_nothing_is_left_with_torchs_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamd.engine.speed.precision.winograd_gains", lambda *_: False)
    network = arrange_network(nn.Sequential(convolution(padding=1)), Precision.FP32, CPU, exact=False)
    assert not isinstance(network[0], WinogradConv2d)  # type: ignore[index]

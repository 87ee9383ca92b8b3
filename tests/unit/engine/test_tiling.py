"""Tiles: the gradient, tile by tile, is the whole picture's, in bounded memory."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from dreamd_plugins.l2 import l2
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.ascents.ascent import AscentSettings, ascend, bands
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.dream import Dreamed, dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient, summed, sums_of
from dreamd.engine.tiles.fitting import FittedGradient
from dreamd.engine.tiles.footprint import SMALLEST_TILE, Cost, choose_tile, halved, is_out_of_memory, measure_peak
from dreamd.engine.tiles.locality import locality_of
from dreamd.engine.tiles.tiling import OverlappedGradient, TiledGradient, windows
from dreamd.errors import PluginError, UnknownNameError

MIN_SIDE = 32
CPU = torch.device("cpu")


# Networks


class Same(nn.Conv2d):
    """A convolution that pads by its input's size, more below than above, as TensorFlow's "SAME" does."""

    def forward(self, x: Tensor) -> Tensor:
        down, right = (
            max(0, (math.ceil(n / s) - 1) * s + k - n)
            for n, k, s in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        return super().forward(F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2)))


class Excite(nn.Module):
    """Squeeze and excite: every cell looks at the whole picture."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Places(nn.Module):
    """Every cell knows where it is: a not-a-number reaches no farther than in a local network."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(0, 1, x.shape[2]).view(1, 1, -1, 1)


class Hungry(nn.Module):
    """Asks the allocator for far more than there is, for pictures with both sides longer than so many pixels."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.asked: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(x.shape[2] * x.shape[3])
        if min(x.shape[2:]) > self.side:
            torch.empty(1 << 50)
        return x


def vgg_like() -> nn.Sequential:
    """Modules 0 to 10: two blocks of two convolutions, each pooled, and a convolution."""
    modules: list[nn.Module] = []
    for channels, width in ((3, 6), (6, 8)):
        modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        modules += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)]
    return nn.Sequential(*modules, nn.Conv2d(8, 10, 3, padding=1))


def same_padded() -> nn.Sequential:
    return nn.Sequential(
        Same(3, 6, 3, stride=2), nn.SiLU(), Same(6, 8, 5, stride=2), nn.SiLU(), Same(8, 8, 3, stride=2)
    )


def strided() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 7, stride=2, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(6, 8, 5, stride=3, padding=2),
    )


def unpadded() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 8, (1, 5)), nn.AvgPool2d(3, 2), nn.Tanh()
    )


def frozen(network: nn.Module) -> nn.Module:
    torch.manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return backbone_of(network).network


def backbone_of(network: nn.Module, layer: str = "0") -> Backbone:
    return Backbone(network=network, layers={layer: layer}, default_layer=layer, min_side=MIN_SIDE).frozen()


# Losses


def largest(activation: Tensor) -> Tensor:
    return activation.flatten(1).amax(1)


def contrast(activation: Tensor) -> Tensor:
    """Of the brightest and the middle neurons: nothing that adds up over tiles."""
    ordered = activation.flatten(1).sort(1).values
    return ordered[:, -40:].mean(1) - ordered[:, ordered.shape[1] // 2]


def spread_sums(activation: Tensor) -> Tensor:
    values = activation.flatten(1)
    return torch.stack([values.sum(1), values.square().sum(1), torch.full((len(values),), values.shape[1])], 1)


def spread_of(sums: Tensor) -> Tensor:
    total, squares, count = sums.unbind(1)
    return squares / count - (total / count).square()


@summed(part=spread_sums, finish=spread_of)
def spread(activation: Tensor) -> Tensor:
    return activation.flatten(1).var(1, correction=0)


def picture(height: int, width: int, batch: int = 1, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def tiled(whole: WholeGradient, x: Tensor, tile: int) -> TiledGradient:
    def look(strip: Tensor) -> list[Tensor]:
        return whole.lookout(strip)

    sides = locality_of(whole.network, whole.objective.sights(), look, MIN_SIDE).sides(look, x.shape)
    assert sides is not None
    return TiledGradient(whole.lookout, whole.objective, sides, tile, MIN_SIDE)


def assert_equal_gradients(network: nn.Module, terms: Sequence[Term], x: Tensor, tile: int) -> None:
    with WholeGradient(network, Objective(tuple(terms))) as whole:
        expected, expected_loss = whole(x)
        gradient, loss = tiled(whole, x, tile)(x)
    assert expected.abs().sum() > 0
    for own, wanted in zip(gradient, expected, strict=True):
        assert (own - wanted).norm() <= 2e-6 * wanted.norm()
    torch.testing.assert_close(loss, expected_loss)


NETWORKS = {"vgg-like": vgg_like, "same-padded": same_padded, "strided": strided, "unpadded": unpadded}
LAYERS = {"vgg-like": ("10", "3"), "same-padded": ("4", "1"), "strided": ("3", "1"), "unpadded": ("4", "0")}


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(kind: str) -> nn.Module:
    return frozen(NETWORKS[kind]())


@pytest.fixture(scope="module")
def deep(kind: str) -> str:
    return LAYERS[kind][0]


@pytest.fixture(scope="module")
def shallow(kind: str) -> str:
    return LAYERS[kind][1]


# Tiles of local networks


@pytest.mark.parametrize("loss", [l2, spread, largest, contrast])
@pytest.mark.parametrize(("height", "width", "tile"), [(96, 96, 48), (101, 143, 40), (135, 90, 64), (77, 211, 33)])
def test_the_tiled_gradient_is_the_whole_pictures(
    network: nn.Module, deep: str, loss: Callable[[Tensor], Tensor], height: int, width: int, tile: int
) -> None:
    assert_equal_gradients(network, [Term(deep, loss)], picture(height, width), tile)


@pytest.mark.parametrize("length", range(97, 109))
def test_no_length_of_a_side_makes_a_difference(network: nn.Module, deep: str, length: int) -> None:
    assert_equal_gradients(network, [Term(deep, contrast)], picture(length, 64), 32)
    assert_equal_gradients(network, [Term(deep, l2)], picture(64, length), 32)


def test_several_layers_with_weights_channels_and_losses_pull_together(
    network: nn.Module, deep: str, shallow: str
) -> None:
    terms = [
        Term(deep, l2),
        Term(shallow, contrast, 0.3, (4, 1)),
        Term(shallow, l2, -2.0),
        Term(deep, spread, 5.0, (2,)),
    ]
    assert_equal_gradients(network, terms, picture(101, 143), 40)


def test_pictures_of_a_batch_keep_their_own_norms(network: nn.Module, deep: str) -> None:
    pictures = picture(75, 110, batch=2) * torch.tensor([1.0, 30.0]).view(2, 1, 1, 1)
    for loss in (l2, contrast, spread):
        assert_equal_gradients(network, [Term(deep, loss)], pictures, 40)


def test_a_tile_larger_than_the_picture_and_one_of_a_pixel_work_too(network: nn.Module, deep: str) -> None:
    assert_equal_gradients(network, [Term(deep, l2)], picture(50, 41), 4096)
    assert_equal_gradients(network, [Term(deep, contrast)], picture(50, 41), 1)


def test_a_tiled_ascent_with_shifts_and_momentum_ends_where_the_whole_one_does(network: nn.Module, deep: str) -> None:
    x, settings = picture(90, 121), AscentSettings(iterations=4, lr=10, momentum=0.7, jitter=13)
    with WholeGradient(network, Objective((Term(deep, l2),))) as whole:
        ends = [
            ascend(x, gradient_at, settings, generators=[torch.Generator().manual_seed(3)]).x
            for gradient_at in (whole, tiled(whole, x, 40))
        ]
    assert (ends[0] - x).norm() > 0.01
    assert (ends[1] - ends[0]).norm() <= 1e-5 * (ends[0] - x).norm()


def test_bf16_tiles_differ_from_the_whole_by_no_more_than_its_rounding() -> None:
    network = frozen(vgg_like()).to(torch.bfloat16)
    x = picture(90, 121)
    with WholeGradient(network, Objective((Term("10", l2),))) as whole:
        way = FittedGradient(
            whole, memory=1, shortest=MIN_SIDE, pictures=4, generators=[torch.Generator()]
        )  # fmt: skip
        way.fit = replace(way.fit, largest_tile=48)
        gradient, _ = way(x, lambda pixels: pixels.to(torch.bfloat16))
        expected, _ = whole(x, lambda pixels: pixels.to(torch.bfloat16))
    assert way.fit.tiling is not None
    assert way.fit.tiling.startswith("48 px, halo ")
    assert (gradient - expected).norm() <= 0.03 * expected.norm()


# Declared sums


def test_one_sum_needs_one_pass_over_the_picture_and_any_other_loss_two() -> None:
    network = nn.Sequential(Hungry(1 << 40), *vgg_like())
    frozen(network)
    runs = network[0].asked  # type: ignore[union-attr]
    x = picture(96, 96)
    for loss, passes in ((l2, 1), (spread, 2), (contrast, 2)):
        with WholeGradient(network, Objective((Term("4", loss),))) as whole:
            gradient = tiled(whole, x, 48)
            gradient(x)  # finds out how many sums there are
            runs.clear()
            gradient(x)
        assert len(runs) == passes * 4


def test_a_loss_has_its_parameters_in_its_sums_too() -> None:
    from functools import partial

    def total(activation: Tensor, *, power: float) -> Tensor:
        return activation.abs().pow(power).flatten(1).sum(1)

    def root(sums: Tensor, *, power: float) -> Tensor:
        return sums.pow(1 / power)

    @summed(part=total, finish=root)
    def norm(activation: Tensor, *, power: float = 2.0) -> Tensor:
        return root(total(activation, power=power), power=power)

    assert sums_of(largest) is None
    assert_equal_gradients(frozen(vgg_like()), [Term("10", partial(norm, power=3.0))], picture(90, 70), 32)


@pytest.mark.parametrize(
    ("part", "finish", "message"),
    [
        (lambda a: a.flatten(1).sum(1), lambda sums: sums, r"sums make \[.*\] where the loss itself is \["),
        (lambda a: a.square(), lambda sums: sums, r"they must be \[1\], or \[1, K\] for K sums"),
    ],
)
def test_sums_that_do_not_make_the_loss_are_refused(
    part: Callable[[Tensor], Tensor], finish: Callable[[Tensor], Tensor], message: str
) -> None:
    loss = summed(part=part, finish=finish)(lambda activation: activation.flatten(1).norm(dim=1))
    with pytest.raises(PluginError, match=message):
        assert_equal_gradients(frozen(vgg_like()), [Term("10", loss)], picture(64, 64), 32)


def test_l2_of_nothing_but_zeros_has_no_gradient_and_no_not_a_number() -> None:
    network = frozen(vgg_like())
    nn.init.zeros_(network[3 - 1].weight)  # type: ignore[index]
    nn.init.zeros_(network[3 - 1].bias)  # type: ignore[index]
    x = picture(64, 64)
    with WholeGradient(network, Objective((Term("3", l2),))) as whole:
        gradient, loss = tiled(whole, x, 32)(x)
    assert not gradient.any()
    assert float(loss) < 1e-12


def test_l2_is_right_for_more_neurons_than_torchs_norm_can_add_up() -> None:
    activation = torch.rand(1, 1, 4000, 5000, generator=torch.Generator().manual_seed(0))
    exact = float(activation.double().square().sum().sqrt())
    assert float(l2(activation)) == pytest.approx(exact, rel=1e-5)
    small = activation[:, :, :100]
    assert torch.equal(l2(small), small.flatten(1).norm(dim=1))


def test_a_wrong_channel_is_named_in_tiles_too() -> None:
    with pytest.raises(UnknownNameError, match="no channel of layer 10 '99'"):
        assert_equal_gradients(frozen(vgg_like()), [Term("10", l2, 1.0, (99,))], picture(64, 64), 32)


# Locality


def located(network: nn.Module, modules: Sequence[str], height: int = 128, width: int = 96) -> object:
    with WholeGradient(network, Objective(tuple(Term(module, l2) for module in modules))) as whole:
        return locality_of(network, modules, whole.lookout, MIN_SIDE).sides(
            whole.lookout, torch.Size([1, 3, height, width])
        )


def test_stride_and_halo_are_the_networks_own() -> None:
    down, right = located(frozen(vgg_like()), ["3", "10"])  # type: ignore[misc]
    assert down == right
    assert [cells.stride for cells in down.layers] == [1, 4]
    # Two 3×3 convolutions see 2 pixels far; two blocks of two and a convolution 2 + 2 · 2 + 4, and a pooling's rest.
    assert down.layers[0].reach == down.layers[0].spoilt == 2
    assert 10 <= down.halo <= 12


@pytest.mark.parametrize("module", [Excite, Places])
def test_networks_that_look_at_the_whole_picture_are_not_local(module: type[nn.Module]) -> None:
    assert located(frozen(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), module(), nn.Conv2d(6, 6, 3))), ["2"]) is None


def test_activations_that_are_no_maps_are_not_local() -> None:
    network = frozen(nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert located(network, ["2"]) is None
    assert located(network, ["0"]) is not None


def test_a_network_is_probed_once() -> None:
    network = nn.Sequential(Hungry(1 << 40), *vgg_like())
    frozen(network)
    runs = network[0].asked  # type: ignore[union-attr]
    located(network, ["11"], 128, 96)
    probed = len(runs)
    located(network, ["11"], 64, 320)
    assert probed > 0
    assert len(runs) == probed


# Networks that are not local


@pytest.mark.parametrize(("length", "tile"), [(300, 64), (65, 64), (1000, 128), (130, 128), (40, 64)])
def test_windows_cover_a_side_and_their_weights_add_up_to_one(length: int, tile: int) -> None:
    places = set()
    for seed in range(8):
        total = torch.zeros(length)
        for start, weights in windows(length, tile, torch.Generator().manual_seed(seed)):
            assert start >= 0
            total[start : start + len(weights)] += weights
            places.add(start)
        torch.testing.assert_close(total, torch.ones(length))
    assert len(places) > 4 or tile >= length or length - tile < 4


def excited() -> nn.Module:
    return frozen(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Excite(), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)))


def seam(gradient: Tensor, columns: Sequence[int]) -> float:
    """How much the gradient's strength jumps before some columns, against how much it does anywhere."""
    strength = gradient.abs().mean((0, 1, 2))
    steps = (strength[1:] - strength[:-1]).abs()
    return float(steps[[column - 1 for column in columns]].mean() / steps.mean())


def unevenly_lit(height: int, width: int) -> Tensor:
    """Columns of very different contrast, so that tiles' norms differ."""
    return picture(height, width) * torch.linspace(0.05, 4, width)


def test_overlapped_tiles_of_a_network_that_is_not_local_leave_no_seams() -> None:
    x, tile = unevenly_lit(64, 512), 64
    seams = []
    with WholeGradient(excited(), Objective((Term("3", l2),))) as whole:
        cut = torch.cat([whole(part)[0] for part in x.split(tile, 3)], 3)
        for seed in range(8):
            gradient, _ = OverlappedGradient(whole, tile, [torch.Generator().manual_seed(seed)])(x)
            starts = [start for start, _ in windows(512, tile, torch.Generator().manual_seed(seed))]
            edges = [*starts[1:], *(start + tile for start in starts[:-1])]
            seams.append(seam(gradient, edges))
    assert seam(cut, range(tile, 512, tile)) > 2.0  # the measure sees the seams of tiles that do not overlap
    assert sum(seams) / len(seams) < 1.3


def test_overlapped_tiles_come_out_the_same_in_any_batch_and_again() -> None:
    x = picture(90, 130, batch=2)

    def gradient(pictures: Tensor, seeds: Sequence[int]) -> Tensor:
        with WholeGradient(excited(), Objective((Term("3", l2),))) as whole:
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            return OverlappedGradient(whole, 48, generators)(pictures)[0]

    both = gradient(x, [5, 6])
    assert torch.equal(both, gradient(x, [5, 6]))
    torch.testing.assert_close(both[1:], gradient(x[1:], [6]))
    assert not torch.equal(both[1:], gradient(x[1:], [7]))


# Memory


def test_the_measured_peak_counts_what_is_alive_at_once() -> None:
    def work() -> None:
        kept = torch.ones(1_000_000)
        for _ in range(5):
            kept = kept + torch.ones(1_000_000)

    megabytes = measure_peak(work, CPU) / 1e6
    assert 12 <= megabytes <= 20  # three tensors of 4 MB, with the slack


COST = Cost(fixed=10_000_000, pictures=4, running=1000.0, kept=100.0)


def test_a_picture_that_fits_is_not_cut_up() -> None:
    assert choose_tile(2_000_000_000, torch.Size([1, 3, 1000, 1000]), COST, 16) is None


def test_the_tile_is_the_largest_that_fits() -> None:
    shape = torch.Size([1, 3, 3000, 4000])
    sides = [choose_tile(gigabytes * 10**9, shape, COST, 16) for gigabytes in (2, 3, 4, 6)]
    assert sides == sorted(sides, key=lambda side: side or 0)
    assert sides[-1] is not None
    room = 3 * 10**9 - 700_000_000 - COST.fixed - 12_000_000 * (4 * 3 * 4 + 100)
    assert sides[1] == 512 * 1.5 or (sides[1] or 0) + 32 <= math.isqrt(room // 1000)


def test_a_budget_of_nothing_gives_the_smallest_tile() -> None:
    assert choose_tile(1, torch.Size([1, 3, 3000, 4000]), COST, 16) == SMALLEST_TILE


def test_batches_get_smaller_tiles() -> None:
    one, many = (choose_tile(3 * 10**9, torch.Size([n, 3, 2000, 2000]), COST, 16) or 9999 for n in (1, 8))
    assert many < one


def test_halving_ends_at_the_smallest() -> None:
    shape = torch.Size([1, 3, 300, 1000])
    assert halved(None, shape, 32) == 500
    assert halved(500, shape, 32) == 250
    assert halved(60, shape, 32) is None


def test_out_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(1 << 50)
    assert is_out_of_memory(real.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def test_bands_cover_an_axis_and_small_pictures_are_one() -> None:
    assert list(bands(torch.zeros(1, 3, 50, 60))) == [slice(0, 50)]
    large = torch.zeros(1).expand(1, 3, 9000, 7000)
    assert [index for band in bands(large) for index in range(9000)[band]] == list(range(9000))
    assert len(list(bands(large))) > 5


def test_pictures_too_large_to_hold_twice_are_shifted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, settings = picture(40, 52, batch=2), AscentSettings(iterations=3, lr=0.1, momentum=0.5, jitter=9)

    def end() -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        return ascend(x, lambda at: (at.cumsum(3), at.sum((1, 2, 3))), settings, generators=generators).x

    expected = end()
    monkeypatch.setattr("dreamd.engine.ascents.ascent._BAND", 500)
    assert torch.equal(end(), expected)
    assert torch.equal(x, picture(40, 52, batch=2))


# Dreams within a budget


def dreamer_of(network: nn.Module, layer: str, memory: int | None) -> Dreamer:
    return Dreamer(
        backbone=backbone_of(network, layer),
        objective=Objective((Term(layer, l2),)),
        settings=AscentSettings(iterations=2, lr=0.5, jitter=8),
        schedule=two_octaves,
        memory=memory,
    )


def two_octaves(image: Tensor, ascend: Ascend) -> list[Tensor]:
    small = ascend(image[:, :, ::2, ::2])
    return [small, ascend(image)]


def dreamed(dreamer: Dreamer, height: int = 300, width: int = 260) -> Dreamed:
    return dream(picture(height, width).sigmoid(), dreamer, seeds=[1])


def test_a_dream_within_a_small_budget_is_tiled_and_says_so() -> None:
    dreamer = dreamer_of(frozen(vgg_like()), "10", 1)
    whole, tiles = dreamed(replace(dreamer, memory=None)), dreamed(dreamer)
    assert whole.tiling is None
    assert tiles.tiling == "128 px, halo 12"
    assert (tiles.images - whole.images).abs().max() < 1e-5
    assert tiles.loss_after == pytest.approx(whole.loss_after, rel=1e-5)


def test_a_dream_that_fits_its_budget_is_the_very_same_as_without_one() -> None:
    dreamer = dreamer_of(frozen(vgg_like()), "10", 8 * 10**9)
    fitting = dreamed(dreamer)
    assert fitting.tiling is None
    assert torch.equal(fitting.images, dreamed(replace(dreamer, memory=None)).images)


def test_out_of_memory_halves_the_tiles_and_goes_on() -> None:
    network = nn.Sequential(Hungry(130), *vgg_like())
    frozen(network)
    result = dreamed(dreamer_of(network, "11", 8 * 10**9), 400, 360)
    unhindered = dreamed(dreamer_of(frozen(vgg_like()), "10", None), 400, 360)
    assert result.tiling == "100 px, halo 12, halved for lack of memory"
    assert (result.images - unhindered.images).abs().max() < 1e-5


def test_out_of_memory_at_the_smallest_tile_is_an_error() -> None:
    network = nn.Sequential(Hungry(150), *vgg_like())
    frozen(network)
    dreamer = dreamer_of(network, "11", 8 * 10**9)
    dreamed(dreamer)
    network[0].side = 10  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        dreamed(dreamer)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(activation: Tensor) -> Tensor:
        return activation.flatten(1) @ torch.ones(3)

    dreamer = replace(dreamer_of(frozen(vgg_like()), "10", 8 * 10**9), objective=Objective((Term("10", broken),)))
    with pytest.raises(RuntimeError, match=r"size mismatch|mat1|mat and vec"):
        dreamed(dreamer)


def test_a_network_that_is_not_local_dreams_in_overlapped_tiles_and_is_not_deterministic() -> None:
    dreamer = replace(
        dreamer_of(excited(), "3", 1), settings=AscentSettings(iterations=2, lr=0.5), schedule=remembering([])
    )
    seen: list[bool] = []
    result = dreamed(replace(dreamer, schedule=remembering(seen)))
    assert result.tiling == "128 px, overlap 32, shifted at random"
    assert seen == [True, False]
    assert torch.equal(result.images, dreamed(dreamer).images)


def remembering(seen: list[bool]) -> Callable[[Tensor, Ascend], list[Tensor]]:
    def schedule(image: Tensor, ascend: Ascend) -> list[Tensor]:
        before = ascend.deterministic
        result = ascend(image)
        seen.extend([before, ascend.deterministic])
        return [result]

    return schedule


def test_a_network_of_one_size_is_never_tiled() -> None:
    dreamer = dreamer_of(frozen(vgg_like()), "10", 1)
    assert dreamed(replace(dreamer, backbone=replace(dreamer.backbone, input_size=64))).tiling is None


# Real networks, and the process's memory


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "layers"), [("A", ("11", "6")), ("E", ("20",))], ids=["vgg11", "vgg19"])
def test_a_vgg_in_tiles_equals_the_whole(name: str, layers: tuple[str, ...]) -> None:
    from torchvision.models import vgg

    network = frozen(vgg.make_layers(vgg.cfgs[name]))  # without the classifier, most of whose time is random numbers
    assert_equal_gradients(network, [Term(layer, contrast) for layer in layers], picture(151, 203), 96)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_timms_asymmetric_padding_in_tiles_equals_the_whole() -> None:
    import timm

    network = frozen(timm.create_model("tf_efficientnet_lite0", pretrained=False))
    assert_equal_gradients(network, [Term("blocks.2.1", l2), Term("blocks.1.1", contrast)], picture(211, 173), 64)


IN_A_PROCESS = """
    import json, resource, sys
    import torch
    from torch import nn
    from dreamd.engine.ascents.ascent import AscentSettings
    from dreamd.engine.network.backbone import Backbone
    from dreamd.engine.dream import dream
    from dreamd.engine.dreamer import Dreamer
    from dreamd.engine.objectives.objective import Objective, Term
    from dreamd_plugins.l2 import l2

    side, memory, limit = map(int, sys.argv[1:])
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1))
    dreamer = Dreamer(
        backbone=Backbone(network=network, layers={"2": "2"}, default_layer="2").frozen(),
        objective=Objective((Term("2", l2),)),
        settings=AscentSettings(iterations=1, lr=0.01),
        schedule=lambda image, ascend: [ascend(image)],
        memory=memory,
    )
    dream(torch.rand(1, 3, 64, 64), dreamer, seeds=[0])
    if limit:
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit,) * 2)
    tiling = dream(torch.rand(1, 3, side, side), dreamer, seeds=[0]).tiling
    # Not getrusage: across exec its peak is still that of the process that started this one.
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps([tiling, int(peak.split()[1]) * 1024]))
"""


def dreamed_in_a_process(side: int, memory: int, limit: int = 0) -> tuple[str | None, int]:
    """The tiling and the peak of resident memory in bytes."""
    command = [sys.executable, "-c", textwrap.dedent(IN_A_PROCESS), *map(str, (side, memory, limit))]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=250)
    tiling, peak = json.loads(output.stdout)
    return tiling, peak


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_stays_within_its_budget() -> None:
    memory = 1_500_000_000
    tiling, peak = dreamed_in_a_process(2500, memory)  # whole, its graph alone would take 2.4 GB
    assert tiling is not None
    assert peak < memory


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_lack_of_memory_halves_the_tiles() -> None:
    tiling, _ = dreamed_in_a_process(1600, 64 * 10**9, limit=800_000_000)
    assert tiling is not None
    assert tiling.endswith("halved for lack of memory")

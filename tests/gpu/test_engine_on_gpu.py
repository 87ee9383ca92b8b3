"""The engine on a GPU: recorded gradients, waiting, memory. Needs torch and pytest alone, as a bare GPU machine has."""

from __future__ import annotations

import copy
import gc
import logging
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.ascents.ascent import AscentSettings, ascend
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dream import batch_size, dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Gradient, Objective, Prepare, Term, WholeGradient
from dreamd.engine.speed.card import depthwise, pooling, warping
from dreamd.engine.speed.card.graphs import GraphedGradient, Graphs, Recorder
from dreamd.engine.speed.card.joined import DepthwiseConv2d, PointwiseConv2d, ReluConv2d
from dreamd.engine.speed.devices import leaves_broken, moved, on_cpu
from dreamd.engine.speed.fixed import FixedConv2d
from dreamd.engine.speed.flow import Flow, flow_of
from dreamd.engine.speed.precision import Precision, arrange_network, cast, products_in
from dreamd.engine.tiles.fitting import BatchTooLargeError
from dreamd.engine.tiles.footprint import is_out_of_memory
from dreamd.engine.tiles.locality import locality_of
from dreamd.engine.tiles.tiling import OverlappedGradient, TiledGradient

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that torch can use"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature"),
]

CUDA = torch.device("cuda")
LAYER = "7"
LAST = torch.channels_last


def network() -> nn.Sequential:
    """A VGG in small: convolutions, ReLUs and poolings."""
    torch.manual_seed(0)
    modules: list[nn.Module] = []
    for channels, width in ((3, 32), (32, 64)):
        modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*modules, nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True))


def l2(activation: Tensor) -> Tensor:
    return activation.flatten(1).square().sum(1).clamp(min=1e-30).sqrt()


def to_one_scale(gradient: Tensor, progress: float) -> Tensor:
    return gradient / (gradient.flatten(1).std(1) + 1e-12).view(-1, 1, 1, 1)


def two_octaves(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    ascend.plan(2)
    small = ascend(image[:, :, ::2, ::2])
    yield small
    larger = small.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, : image.shape[2], : image.shape[3]]
    yield ascend((image + larger) / 2)


def arranged(precision: Precision) -> Backbone:
    """The network on the GPU, as a dream in that precision has it."""
    backbone = Backbone(network=network(), layers={LAYER: LAYER}, default_layer=LAYER, min_side=16).frozen()
    exact = precision is Precision.FP32
    flow = Flow() if exact else flow_of(backbone.network, 32)
    arrange_network(backbone.network, precision, CUDA, exact=exact, flow=flow)
    return backbone


def dreamer(
    precision: Precision = Precision.BF16, loss: Callable[[Tensor], Tensor] = l2, budget: int = 1 << 30
) -> Dreamer:
    exact = precision is Precision.FP32
    return Dreamer(
        backbone=arranged(precision),
        objective=Objective((Term(LAYER, loss),)),
        settings=AscentSettings(iterations=4, lr=0.05, momentum=0.5, jitter=7),
        schedule=two_octaves,
        steps=(to_one_scale,),
        precision=precision,
        exact=exact,
        device=CUDA,
        graphs=Graphs(Recorder(CUDA), device=CUDA, budget=budget),
    )


def pictures(count: int = 1, height: int = 96, width: int = 128) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def dreamed(made: Dreamer, images: Tensor) -> Tensor:
    return dream(images, made, seeds=range(len(images))).images


def graphs_of(made: Dreamer) -> Graphs:
    assert made.graphs is not None
    return made.graphs


def psnr(first: Tensor, second: Tensor) -> float:
    error = float(((first - second) ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


# Convolutions with their ReLUs and poolings


@pytest.mark.parametrize("size", [(2, 2), (6, 8), (7, 9), (1, 64), (33, 2)])
def test_pooling_behind_a_relu_is_torchs_to_the_bit_and_so_is_its_gradient(size: tuple[int, int]) -> None:
    """Values of few kinds, so that windows have several largest ones, and many that the ReLU does not let through."""
    generator = torch.Generator().manual_seed(0)
    height, width = max(2, size[0]), size[1]
    shape, pooled_shape = (3, 16, height, width), (3, 16, height // 2, width // 2)
    values = torch.randint(-2, 3, shape, generator=generator).to(CUDA, torch.bfloat16).contiguous(memory_format=LAST)
    pulled = torch.randn(pooled_shape, generator=generator).to(CUDA, torch.bfloat16).contiguous(memory_format=LAST)
    pooled = F.max_pool2d(values.requires_grad_().relu(), 2)
    (expected,) = torch.autograd.grad(pooled, values, pulled)
    x = values.detach().relu()
    assert torch.equal(pooling.pool(x), pooled)
    assert torch.equal(pooling.pull(pulled, x), expected)


def test_this_torch_compiles_the_kernels() -> None:
    assert pooling.is_to_be_had(CUDA)
    assert depthwise.is_to_be_had(CUDA)


class SameConv2d(nn.Conv2d):
    """Pads as TensorFlow does, as timm's convolutions of that kind do."""

    def forward(self, x: Tensor) -> Tensor:
        sides = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            zeros = max(0, (-(-size // stride) - 1) * stride + kernel - size)
            sides += [zeros // 2, zeros - zeros // 2]
        return F.conv2d(F.pad(x, sides), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


BLOCKS: dict[str, Callable[[], list[nn.Module]]] = {
    "whole windows, pooled": lambda: [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
    "channel by channel": lambda: [nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU6()],
    "5×5, by steps": lambda: [nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 5, stride=(2, 3), padding=2, groups=16)],
    "dilated": lambda: [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, dilation=2, groups=8, bias=False), nn.Hardtanh(-3, 4)],
    "padded as TensorFlow does": lambda: [nn.Conv2d(3, 8, 1), SameConv2d(8, 8, 3, stride=2, groups=8), nn.ReLU()],
    "of single cells": lambda: [nn.Conv2d(3, 16, 1), nn.ReLU6(), nn.Conv2d(16, 5, 1, bias=False)],
}


def whole_numbers(*shape: int, most: int = 2) -> Tensor:
    return torch.randint(-most, most + 1, shape, generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("block", BLOCKS)
def test_convolutions_on_a_card_give_torchs_values_and_gradients_to_the_bit_where_nothing_is_rounded(
    block: str,
) -> None:
    """Small whole numbers, which bf16 holds exactly, and so do all sums of them here."""
    plain = nn.Sequential(*BLOCKS[block]()).requires_grad_(False)
    for parameter in plain.parameters():
        parameter.copy_(whole_numbers(*parameter.shape, most=1))
    fast = arrange_network(
        copy.deepcopy(plain), Precision.BF16, CUDA, exact=False, flow=flow_of(copy.deepcopy(plain), 32)
    )
    assert (
        any(isinstance(module, FixedConv2d) and module.way.join is not None for module in fast)
        or block == "5×5, by steps"
    )
    x = whole_numbers(2, 3, 13, 18)
    given, there = x.clone().requires_grad_(), cast(x.to(CUDA), Precision.BF16).requires_grad_()
    expected, found = plain(given), fast(there)
    pulled = whole_numbers(*expected.shape, most=1)
    (gradient,) = torch.autograd.grad(expected, given, pulled)
    (pulled_back,) = torch.autograd.grad(found, there, pulled.to(CUDA, torch.bfloat16))
    assert expected.abs().max() < 256 > gradient.abs().max() > 0
    assert torch.equal(found.float().cpu(), expected)
    assert torch.equal(pulled_back.float().cpu(), gradient)


def test_a_network_of_a_telephone_is_as_near_to_fp32_as_plain_modules_are() -> None:
    def made() -> nn.Sequential:
        torch.manual_seed(0)
        wide = [nn.Conv2d(16, 96, 1), nn.ReLU6(), nn.Conv2d(96, 96, 5, stride=2, padding=2, groups=96), nn.ReLU6()]
        return nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU6(), *wide, nn.Conv2d(96, 24, 1)).requires_grad_(False)

    fast = arrange_network(made(), Precision.BF16, CUDA, exact=False, flow=flow_of(made(), 32))
    plain = arrange_network(made(), Precision.BF16, CUDA, exact=False)
    for of in (fast, plain):
        assert [type(of[index]) for index in (2, 4, 6)] == [PointwiseConv2d, DepthwiseConv2d, PointwiseConv2d]
    truth = values_and_gradient(made().to(CUDA), Precision.FP32, None)
    torchs = values_and_gradient(made().to(CUDA, torch.bfloat16).to(memory_format=LAST), Precision.BF16, None)
    for of in (fast, plain):
        for one, other, true in zip(values_and_gradient(of, Precision.BF16, None), torchs, truth, strict=True):
            assert (one - true).norm() <= 1.05 * (other - true).norm() < 0.2 * true.norm()


@pytest.mark.parametrize("hooked", [None, "0", "1", "2", "3"])
@pytest.mark.parametrize("precision", [Precision.BF16, Precision.TF32])
def test_joined_convolutions_are_as_near_to_fp32_as_plain_ones(precision: Precision, hooked: str | None) -> None:
    """Wherever somebody looks into the network: what a hook sees is what it would see of plain modules."""
    fast = arranged(precision).network
    plain = arrange_network(network(), precision, CUDA, exact=False)
    assert sum(isinstance(module, ReluConv2d) and module.way.join is not None for module in fast.modules()) == 3
    truth = values_and_gradient(network().to(CUDA), Precision.FP32, hooked)
    found, expected = (values_and_gradient(of, precision, hooked) for of in (fast, plain))
    for one, other, true in zip(found, expected, truth, strict=True):
        assert (one - true).norm() <= 1.05 * (other - true).norm() < 0.2 * true.norm()


def values_and_gradient(of: nn.Module, precision: Precision, hooked: str | None) -> list[Tensor]:
    """What a module gives that somebody looks at, what the network gives, and the gradient of both at the picture."""
    seen: list[Tensor] = []
    if hooked is not None:
        of.get_submodule(hooked).register_forward_hook(lambda _module, _given, gave: seen.append(gave.clone()))
    x = cast(pictures(4).to(CUDA), precision).requires_grad_()
    with products_in(precision):
        shown = [of(x), *seen]
        loss = torch.stack([activation.float().square().sum() for activation in shown]).sum()
        (gradient,) = torch.autograd.grad(loss, x)
    return [*(activation.detach().float() for activation in shown), gradient.float()]


# Recorded gradients


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("count", [1, 3])
def test_a_dream_from_recordings_is_the_dream_launched_kernel_by_kernel(precision: Precision, count: int) -> None:
    made = dreamer(precision)
    recorded = dreamed(made, pictures(count))
    assert len(graphs_of(made)) == 2
    assert psnr(recorded, dreamed(replace(made, graphs=None), pictures(count))) > 45
    assert psnr(recorded, pictures(count)) < 30


def test_the_dream_that_records_and_the_dreams_that_replay_are_the_same_to_the_bit() -> None:
    made = dreamer()
    first, second, third = (dreamed(made, pictures(2)) for _ in range(3))
    assert torch.equal(first, second)
    assert torch.equal(second, third)


def test_shapes_in_any_order_share_their_memory_without_harm() -> None:
    made = dreamer()
    sizes = [(96, 128), (64, 64), (160, 96), (96, 128), (160, 96), (64, 64)]
    for height, width in sizes:
        images = pictures(1, height, width)
        fresh = replace(made, graphs=Graphs(Recorder(CUDA), device=CUDA))
        assert torch.equal(dreamed(made, images), dreamed(fresh, images))


def test_no_more_recordings_are_kept_than_the_budget_holds_and_their_memory_comes_back() -> None:
    made = dreamer(budget=3 * (9 << 20))  # a recording is reckoned with 8 MB and its pictures
    dreamed(made, pictures())
    graphs_of(made).release()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for height in range(64, 160, 16):
        dreamed(made, pictures(1, height))
        assert len(graphs_of(made)) <= 3
    assert torch.cuda.memory_reserved() > before
    assert graphs_of(made).release()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before


def test_a_loss_that_waits_for_the_gpu_is_dreamed_without_a_recording(caplog: pytest.LogCaptureFixture) -> None:
    def waits(activation: Tensor) -> Tensor:
        return l2(activation) * (2.0 if float(activation.detach().sum()) > 0 else 1.0)

    made, other = dreamer(loss=waits), dreamer()
    expected = dreamed(replace(made, graphs=None), pictures())
    with caplog.at_level(logging.WARNING, "dreamd.engine.speed.card.graphs"):
        assert psnr(dreamed(made, pictures()), expected) > 45
    said = [record for record in caplog.records if record.name == "dreamd.engine.speed.card.graphs"]
    assert len(said) == 1
    assert len(graphs_of(made)) == 0
    dreamed(other, pictures())
    assert len(graphs_of(other)) == 2  # the failed recording left nothing behind that hinders the next


def test_a_loss_that_counts_its_calls_is_dreamed_without_a_recording() -> None:
    calls = 0

    def counting(activation: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return l2(activation) * (1.0 + 0.1 * calls)

    made = dreamer(loss=counting)
    dreamed(made, pictures())
    assert len(graphs_of(made)) == 0


def test_chosen_channels_are_recorded() -> None:
    made = dreamer()
    made = replace(made, objective=Objective((Term(LAYER, l2, channels=(3, 1, 40)),)))
    recorded = dreamed(made, pictures())
    assert len(graphs_of(made)) == 2
    assert psnr(recorded, dreamed(replace(made, graphs=None), pictures())) > 45


# The same bits each time


def rough_network() -> nn.Sequential:
    """Whatever torch's own kernels would add up in any order: maxima that overlap, averages, resizing, channels."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.MaxPool2d(3, stride=1),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.AdaptiveAvgPool2d((37, 29)),
        nn.Conv2d(64, 64, 3, padding=1),
    )


def rough(precision: Precision, input_size: int | None, *, deterministic: bool = True) -> Dreamer:
    backbone = Backbone(
        network=rough_network(), layers={"6": "6"}, default_layer="6", min_side=16, input_size=input_size
    ).frozen()
    arrange_network(backbone.network, precision, CUDA, exact=precision is Precision.FP32)
    objective = Objective((Term("6", l2, channels=(1, 5, 60)),))
    graphs = Graphs(Recorder(CUDA), device=CUDA)
    return replace(
        dreamer(precision), backbone=backbone, objective=objective, graphs=graphs, deterministic=deterministic
    )


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("input_size", [None, 112])
@pytest.mark.parametrize("count", [1, 3])
def test_dreamers_made_anew_dream_the_same_bytes_in_batches_too(
    precision: Precision, input_size: int | None, count: int
) -> None:
    first, *others = (dreamed(rough(precision, input_size), pictures(count)) for _ in range(3))
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.filterwarnings("error:.*does not have a deterministic implementation")
def test_no_operation_of_common_networks_is_left_without_an_order() -> None:
    dreamed(rough(Precision.FP32, 112), pictures())


def test_the_fastest_algorithms_dream_nearly_the_same() -> None:
    made = rough(Precision.FP32, None)
    assert psnr(dreamed(replace(made, deterministic=False), pictures()), dreamed(made, pictures())) > 40


# Faults

FAULT = """
import torch
from dreamd.engine.speed.devices import leaves_broken
x = torch.arange(3, device="cuda")
for _ in range(2):
    try:
        x[torch.tensor([7], device="cuda")].sum().item()
    except RuntimeError as error:
        print(leaves_broken(error))
"""


def test_a_failed_assertion_on_the_gpu_is_known_for_what_it_leaves_behind() -> None:
    run = subprocess.run([sys.executable, "-c", FAULT], capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.split() == ["True", "True"]


def test_memory_that_cuda_itself_does_not_have_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50, device=CUDA)
    assert is_out_of_memory(caught.value)
    assert not leaves_broken(caught.value)


# Warps


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_the_gradient_of_a_warp_is_torchs_and_the_same_each_time(
    mode: str, padding_mode: str, align_corners: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    shown, pulled = (torch.randn(2, 3, *size, generator=generator) for size in ((120, 150), (200, 190)))
    places = torch.empty(2, 200, 190, 2).uniform_(-1.4, 1.4, generator=generator)

    def taken(sample: Callable[..., Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
        x = shown.to(device).requires_grad_()
        view = sample(x, places.to(device), mode=mode, padding_mode=padding_mode, align_corners=align_corners)
        (gradient,) = torch.autograd.grad(view, x, 1e-7 * pulled.to(device))
        return view.detach(), gradient

    assert warping.is_to_be_had(CUDA)
    view, gradient = taken(warping.sample, CUDA)
    assert torch.equal(view, taken(F.grid_sample, CUDA)[0])
    expected = taken(F.grid_sample, torch.device("cpu"))[1]
    assert float((gradient.cpu() - expected).norm() / expected.norm()) < 1e-4
    assert all(torch.equal(taken(warping.sample, CUDA)[1], gradient) for _ in range(5))


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0])
def test_the_gradient_of_a_warp_tells_of_what_is_no_number(value: float) -> None:
    gradient = torch.zeros(1, 3, 6, 6, device=CUDA)
    gradient[0, 1, 2, 3] = value
    pulled = warping.pull(gradient, torch.rand(1, 6, 6, 2, device=CUDA), torch.Size((1, 3, 8, 8)), 0, 2, False)
    assert bool(pulled.isfinite().all()) is math.isfinite(value)


# Waiting


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    try:
        torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def whole(gradient: WholeGradient, made: Dreamer, x: Tensor) -> Gradient:
    return gradient


def recorded(gradient: WholeGradient, made: Dreamer, x: Tensor) -> Gradient:
    return GraphedGradient(gradient, graphs_of(made), "")


def tiled(gradient: WholeGradient, made: Dreamer, x: Tensor) -> TiledGradient:
    def look(strip: Tensor) -> list[Tensor]:
        return gradient.lookout(cast(strip.to(CUDA), made.precision))

    sides = locality_of(gradient.network, [LAYER], look, 32).sides(look, x.shape)
    assert sides is not None
    return TiledGradient(gradient.lookout, gradient.objective, sides, 64, 32)


def overlapped(gradient: WholeGradient, made: Dreamer, x: Tensor) -> OverlappedGradient:
    return OverlappedGradient(gradient, 64, [torch.Generator() for _ in x])


@pytest.mark.parametrize("way", [whole, recorded, tiled, overlapped])
def test_nothing_waits_for_the_gpu_inside_an_ascent(
    way: Callable[[WholeGradient, Dreamer, Tensor], Callable[[Tensor, Prepare], tuple[Tensor, Tensor]]],
) -> None:
    made, x = dreamer(), pictures(2).to(CUDA)
    reports: list[int] = []

    def climb() -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        return ascend(
            x,
            lambda at: gradient_at(at, lambda pixels: cast(pixels, made.precision)),
            made.settings,
            steps=made.steps,
            generators=generators,
            on_iteration=reports.append,
        ).x

    with WholeGradient(made.backbone.network, made.objective) as gradient, torch.no_grad():
        gradient_at = way(gradient, made, x)
        climb()  # measures, records, and checks the plugin
        with waiting_is_an_error():
            climb()
    assert reports == [1, 2, 3, 4] * 2


def test_the_guard_against_waiting_sees_a_wait() -> None:
    x = torch.ones(3, device=CUDA)
    with pytest.raises(RuntimeError, match="synchroniz"), waiting_is_an_error():
        float(x.sum())


def test_pictures_go_to_the_gpu_and_back_through_pinned_memory_unchanged() -> None:
    images = pictures(2)
    there = moved(images, CUDA)
    assert there.device.type == "cuda"
    assert torch.equal(on_cpu(there), images)
    assert on_cpu(there).is_pinned()
    assert moved(there, CUDA) is there


# Memory


@contextmanager
def only_so_much_memory(size: int) -> Iterator[None]:
    """The GPU has so many bytes beyond what is in use now."""
    gc.collect()  # other tests' errors hold what they had at hand
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)
    filling = filled_gaps()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + size) / total)
    try:
        yield
    finally:
        filling.clear()
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def filled_gaps() -> list[Tensor]:
    """Take what torch keeps at hand because something else lies beside it: it would be there beyond any limit."""
    filling = []
    size = 1 << 32
    while size >= 1 << 20:
        try:
            filling.append(torch.empty(size, dtype=torch.uint8, device=CUDA))
        except torch.cuda.OutOfMemoryError:
            size //= 2
    return filling


def test_out_of_memory_halves_the_tiles_and_the_dream_comes_out_the_same() -> None:
    made = replace(dreamer(Precision.FP32), memory=10**12, schedule=lambda image, ascend: [ascend(image)])
    images = pictures(1, 1500, 1600)
    dream(images, made, seeds=[0])  # the next one has its kernels
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    unhindered = dream(images, made, seeds=[0])
    assert unhindered.tiling is None
    with only_so_much_memory((torch.cuda.max_memory_allocated() - before) * 3 // 4):
        hindered = dream(images, made, seeds=[0])
    assert hindered.tiling is not None
    assert hindered.tiling.endswith("halved for lack of memory")
    assert psnr(hindered.images, unhindered.images) > 50


def test_a_batch_that_is_too_large_says_so_and_smaller_ones_go_on() -> None:
    made = replace(dreamer(Precision.FP32), memory=10**12)
    images = pictures(16, 512, 512)
    with only_so_much_memory(800_000_000):
        with pytest.raises(BatchTooLargeError, match="16 pictures"):
            dreamed(made, images)
        assert dreamed(made, images[:1]).shape == (1, 3, 512, 512)


def test_as_many_pictures_as_are_counted_fit_the_gpu() -> None:
    made = replace(dreamer(), memory=2_000_000_000)
    count = batch_size(made, 256, 256, most=64)
    assert count > 1
    gc.collect()  # other tests' errors hold what they had at hand
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    dreamed(made, pictures(count, 256, 256))
    assert torch.cuda.max_memory_allocated() - before < 2_000_000_000


def test_a_dream_leaves_no_memory_behind_but_its_recordings() -> None:
    made = dreamer()
    dreamed(made, pictures())
    before = torch.cuda.memory_allocated()
    dreamed(replace(made, settings=replace(made.settings, iterations=7)), pictures())
    assert torch.cuda.memory_allocated() == before


def test_a_dream_broken_off_on_a_gpu_ends_in_the_same_bytes(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(progress: object) -> None:
        if getattr(progress, "ascent", 0) == 2:
            raise Killed

    made = dreamer()
    with pytest.raises(Killed):
        dream(
            pictures(),
            made,
            seeds=[0],
            on_progress=kill,
            checkpoint=CheckpointFolder(tmp_path, "key", after_seconds=0),
        )
    rest = dream(pictures(), made, seeds=[0], checkpoint=CheckpointFolder(tmp_path, "key", after_seconds=0))
    assert torch.equal(rest.images, dreamed(made, pictures()))

from __future__ import annotations

import os
import subprocess
import sys
import timeit
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings, ascend
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer, Progress, arithmetic_of
from dreamd.engine.network.backbone import Backbone, Layer, without_initialisation
from dreamd.engine.network.lookout import Lookout
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.speed.precision import Precision, arrange_network, cast, fastest, products_in
from dreamd.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dreamd.engine.ascents.scheduled_ascent import Ascend

CPU = torch.device("cpu")


def tiny_network(seed: int = 0) -> nn.Sequential:
    """Three convolutions, ReLUs that work in place, a pooling: a VGG in small."""
    torch.manual_seed(seed)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 4, 3, padding=1),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(4, 6, 3, padding=1),
            relu2=nn.ReLU(inplace=True),
            conv3=nn.Conv2d(6, 8, 3, stride=2, padding=1),
            relu3=nn.ReLU(inplace=True),
        )
    )


def tiny(seed: int = 0, **fields: Any) -> Backbone:
    return Backbone(network=tiny_network(seed), **{"min_side": 4, **fields}).frozen()


def l2(activation: Tensor) -> Tensor:
    norms: Tensor = activation.flatten(1).norm(dim=1)
    return norms


def once(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    yield ascend(image)


def coarse_to_fine(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    ascend.plan(2)
    small = ascend(image[:, :, ::2, ::2])
    yield small
    yield ascend((image + small.repeat_interleave(2, 2).repeat_interleave(2, 3)) / 2)


def dreamer(backbone: Backbone | None = None, layer: str = "relu3", **changes: Any) -> Dreamer:
    settings = AscentSettings(iterations=3, lr=20)
    made = Dreamer(
        backbone=backbone or tiny(), objective=Objective((Term(layer, l2),)), settings=settings, schedule=once
    )
    return replace(made, **changes)


def pictures(count: int = 1, height: int = 24, width: int = 32, seed: int = 7) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def hooks_in(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


# Objectives and gradients


def test_the_gradient_is_autograds_of_the_plain_computation() -> None:
    x = pictures()
    plain = tiny_network()
    leaf = x.clone().requires_grad_()
    value = plain[:5](leaf).norm()
    value.backward()
    with WholeGradient(tiny().network, Objective((Term("relu2", l2),))) as gradient_at:
        gradient, loss = gradient_at(x)
    assert leaf.grad is not None
    assert torch.equal(gradient, leaf.grad)
    assert torch.equal(loss, value.detach().reshape(1))
    assert gradient.abs().max() > 0


def test_layers_weights_and_channels_enter_the_loss_as_the_recipe_says() -> None:
    network = tiny().network
    x = pictures(2)
    objective = Objective((Term("relu1", l2, weight=2.0, channels=(1, 3)), Term("relu2", l2, weight=-0.5)))
    with WholeGradient(network, objective) as gradient_at:
        _, loss = gradient_at(x)
    with torch.no_grad():
        relu1 = network[:2](x)
        relu2 = network[:5](x)
    torch.testing.assert_close(loss, 2.0 * l2(relu1[:, [1, 3]]) - 0.5 * l2(relu2))


def test_one_layer_may_serve_several_terms() -> None:
    network = tiny().network
    objective = Objective((Term("relu2", l2, channels=(0,)), Term("relu2", l2, channels=(1,))))
    with WholeGradient(network, objective) as gradient_at:
        _, loss = gradient_at(pictures())
    with torch.no_grad():
        seen = network[:5](pictures())
    torch.testing.assert_close(loss, l2(seen[:, [0]]) + l2(seen[:, [1]]))


def test_a_channel_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownNameError, match=r"no channel of layer relu1 '4'; .*0 to 3"):
        dream(pictures(), dreamer(objective=Objective((Term("relu1", l2, channels=(0, 4)),))), seeds=[0])


def test_losses_are_computed_in_float32_whatever_the_network_computes_in() -> None:
    dtypes = []

    def noting(activation: Tensor) -> Tensor:
        dtypes.append(activation.dtype)
        return l2(activation)

    Term("relu1", noting)(torch.ones(1, 2, 3, 3, dtype=torch.bfloat16))
    assert dtypes == [torch.float32]


# Looking into a network


def test_a_relu_does_not_overwrite_what_was_seen_before_it() -> None:
    backbone = tiny()
    lookout = Lookout(backbone.network, ["conv1", "relu1"])
    with torch.no_grad():
        convolved, rectified = lookout(pictures())
        expected = tiny_network().conv1(pictures())
    lookout.close()
    assert torch.equal(convolved, expected)
    assert convolved.min() < 0
    assert torch.equal(rectified, expected.clamp(min=0))


class Bomb(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("ran past the deepest layer that was asked for")


def test_the_forward_pass_stops_at_the_deepest_layer() -> None:
    network = tiny_network()
    network.add_module("bomb", Bomb())
    layers = {name: name for name, _ in network.named_children()}
    backbone = Backbone(network=network, layers=layers, default_layer="relu3", min_side=4).frozen()
    objective = Objective((Term("relu3", l2), Term("relu1", l2)))
    assert dream(pictures(), dreamer(backbone, objective=objective), seeds=[0]).loss_after[0] > 0


def test_a_network_that_swallows_exceptions_is_stopped_as_well() -> None:
    class Swallows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = tiny_network()
            self.bomb = Bomb()

        def forward(self, x: Tensor) -> Tensor:
            with suppress(Exception):
                x = self.inner(x)
            seen: Tensor = self.bomb(x)
            return seen

    lookout = Lookout(Swallows(), ["inner.relu2"])
    assert lookout(pictures())[0].shape == (1, 6, 12, 16)
    lookout.close()


def test_layers_are_the_modules_that_run_exactly_once_in_the_order_they_run() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Conv2d(4, 4, 3)
            self.first = nn.Conv2d(3, 4, 3)
            self.relu = nn.ReLU()
            self.unused = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            rectified: Tensor = self.relu(self.second(self.relu(self.first(x))))
            return rectified

    backbone = Backbone(network=Twice()).frozen()
    assert backbone.layers == {"first": "first", "second": "second"}
    assert hooks_in(backbone.network) == 0


def test_layers_go_by_name_and_by_number_from_one() -> None:
    backbone = tiny()
    assert backbone.module_name("conv2") == "conv2"
    assert backbone.module_name(1) == "conv1"
    assert backbone.module_name(7) == "relu3"


@pytest.mark.parametrize(
    ("layer", "words"),
    [(0, "1 to 7"), (8, "1 to 7"), ("rellu2", "did you mean relu2"), ("nothing-like-it", "there are conv1, relu1")],
)
def test_a_layer_that_is_not_there_is_answered_with_those_that_are(layer: str | int, words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        tiny().module_name(layer)


def test_a_network_without_a_default_layer_gets_its_deepest_one_of_stride_16() -> None:
    stages = {f"down{2**power}": nn.Conv2d(3, 3, 2, stride=2) for power in range(1, 6)}
    assert Backbone(network=nn.Sequential(OrderedDict(stages))).frozen().default_layer == "down16"


def test_a_network_that_pads_no_borders_has_a_default_layer_of_stride_16_too() -> None:
    stages = {f"down{2**power}": nn.Conv2d(3, 3, 5, stride=2) for power in range(1, 6)}
    assert Backbone(network=nn.Sequential(OrderedDict(stages))).frozen().default_layer == "down16"


# What is told of layers


class Gate(nn.Module):
    """Squeeze and excitation in small: every cell is scaled by what the whole picture holds."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


def described(network: nn.Sequential, **fields: Any) -> dict[str, Layer]:
    return {layer.name: layer for layer in Backbone(network=network, **fields).frozen().describe_layers()}


def test_stride_and_receptive_field_follow_from_kernels_strides_and_dilations() -> None:
    network = nn.Sequential(
        OrderedDict(
            a=nn.Conv2d(3, 4, 5),  # 5
            b=nn.Conv2d(4, 4, 3, stride=3),  # 5 + 2
            c=nn.Conv2d(4, 8, 3, dilation=2, groups=2),  # 7 + 4 * 3
            d=nn.AvgPool2d(2),  # 19 + 1 * 3
            e=nn.Conv2d(8, 8, (7, 1), padding="same", bias=False),  # 22 + 6 * 6
        )
    )
    layers = described(network)
    assert {name: (layer.stride, layer.receptive_field) for name, layer in layers.items()} == {
        "a": (1, 5),
        "b": (3, 7),
        "c": (3, 19),
        "d": (6, 22),
        "e": (6, 58),
    }
    assert layers["a"].shape == (4, 220, 220)
    assert layers["b"].shape == (4, 72 + 1, 72 + 1)


def test_what_sees_the_whole_picture_has_no_receptive_field() -> None:
    network = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), gate=Gate(), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
    )
    layers = described(network)
    assert (layers["conv"].stride, layers["conv"].receptive_field) == (1, 3)
    assert (layers["gate"].stride, layers["gate"].receptive_field) == (1, None)
    assert (layers["pool"].stride, layers["pool"].receptive_field) == (None, None)
    assert layers["flat"] == Layer("flat", (4,), None, None)


def test_layers_are_described_whatever_the_uninitialised_parameters_hold() -> None:
    parts = dict(tiny_network().named_children())
    network = nn.Sequential(OrderedDict(conv1=parts.pop("conv1"), norm=nn.BatchNorm2d(4), **parts))
    for parameter in network.parameters():
        nn.init.constant_(parameter, float("inf"))
    assert described(network)["relu3"].receptive_field == 3 + 1 + 4 + 4


def test_layers_of_a_network_of_one_size_have_shapes_and_strides() -> None:
    network = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 4, stride=4), flat=nn.Flatten(), head=nn.Linear(4 * 8 * 8, 5))
    )
    layers = described(network, input_size=32)
    assert layers["conv"] == Layer("conv", (4, 8, 8), 4, None)
    assert layers["head"] == Layer("head", (5,), None, None)


def test_parameters_built_without_initialisation_are_the_ones_that_are_loaded() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with without_initialisation():
        network = nn.Sequential(nn.Conv2d(3, 4, 3))
        nn.init.constant_(tensor=network[0].weight, val=5.0)
        nn.init.kaiming_normal_(network[0].weight)
        nn.init.uniform_(network[0].weight)
    assert torch.equal(torch.random.get_rng_state(), before)
    network.load_state_dict(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict())
    nn.init.constant_(network[0].weight, 5.0)
    assert bool((network[0].weight == 5).all())


# The ascent


def given(gradients: Iterable[float]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A gradient that is the same everywhere, another at each iteration; the loss is the gradient."""
    values = iter(gradients)

    def gradient_at(x: Tensor) -> tuple[Tensor, Tensor]:
        value = next(values)
        return torch.full_like(x, value), torch.full((len(x),), value)

    return gradient_at


@pytest.mark.parametrize(
    ("momentum", "expected"),
    [(0.0, 1 + 2 + 4), (1.0, 1 + (1 + 2) + (1 + 2 + 4)), (0.5, 1 + (0.5 + 2) + (0.25 + 1 + 4))],
)
def test_momentum_0_takes_each_gradient_alone_and_momentum_1_the_sum_so_far(momentum: float, expected: float) -> None:
    settings = AscentSettings(iterations=3, lr=0.5, momentum=momentum)
    end = ascend(torch.zeros(1, 3, 2, 2), given([1.0, 2.0, 4.0]), settings, generators=[torch.Generator()])
    assert torch.equal(end.x, torch.full((1, 3, 2, 2), 0.5 * expected))
    assert (end.first_loss.item(), end.last_loss.item()) == (1.0, 4.0)


def test_shifts_are_seen_by_the_network_and_undone_on_the_gradient() -> None:
    x = pictures(2)
    seen: list[Tensor] = []

    def double(shifted: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(shifted)
        return shifted.clone(), torch.ones(len(shifted))

    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    end = ascend(x, double, AscentSettings(iterations=2, lr=1.0, jitter=9), generators=generators)
    assert torch.equal(end.x, 4 * x)
    assert not torch.equal(seen[0], x)
    assert torch.equal(seen[0].sort(-1).values.sum(-1).sort(-1).values, x.sort(-1).values.sum(-1).sort(-1).values)
    moves = [[shift_between(x[picture], shown[picture]) for shown in seen] for picture in (0, 1)]
    assert len({tuple(move) for move in moves}) == 2


def shift_between(picture: Tensor, shifted: Tensor) -> tuple[int, int]:
    scale = shifted.max() / picture.max()
    for down in range(-9, 10):
        for right in range(-9, 10):
            if torch.equal(picture.roll((down, right), (1, 2)) * scale, shifted):
                return down, right
    raise AssertionError("not the same picture, shifted by at most 9 pixels")


def test_gradient_steps_run_in_order_and_are_told_the_progress() -> None:
    told: list[tuple[str, float]] = []

    def step(name: str, factor: float, summand: float) -> Callable[[Tensor, float], Tensor]:
        def apply(gradient: Tensor, progress: float) -> Tensor:
            told.append((name, progress))
            return gradient * factor + summand

        return apply

    end = ascend(
        torch.zeros(1, 3, 2, 2),
        given([1.0] * 4),
        AscentSettings(iterations=4, lr=1.0),
        steps=[step("first", 1, 1), step("second", 3, 0)],
        generators=[torch.Generator()],
    )
    assert told == [(name, share) for share in (0, 0.25, 0.5, 0.75) for name in ("first", "second")]
    assert torch.equal(end.x, torch.full_like(end.x, 4 * (1 + 1) * 3))


# The dream


def smoothed(gradient: Tensor, progress: float) -> Tensor:
    return nn.functional.avg_pool2d(gradient, 3, stride=1, padding=1)


def brought_to_one_scale(gradient: Tensor, progress: float) -> Tensor:
    return gradient / gradient.flatten(1).std(1).view(-1, 1, 1, 1)


def test_a_batch_comes_out_as_its_pictures_one_by_one() -> None:
    images = pictures(3)
    settings = AscentSettings(iterations=3, lr=0.1, jitter=5)
    made = dreamer(settings=settings, schedule=coarse_to_fine, steps=(smoothed, brought_to_one_scale))
    together = dream(images, made, seeds=[4, 5, 6])
    alone = [dream(image[None], made, seeds=[seed]) for image, seed in zip(images, (4, 5, 6), strict=True)]
    torch.testing.assert_close(together.images, torch.cat([one.images for one in alone]), rtol=0, atol=1e-5)
    assert together.loss_after == pytest.approx([one.loss_after[0] for one in alone], rel=1e-4)
    assert (together.images - images).abs().max() > 0.05


def test_the_ascent_makes_the_loss_larger() -> None:
    end = dream(pictures(), dreamer(), seeds=[0])
    assert end.loss_after[0] > end.loss_before[0] > 0


def test_a_dream_repeats_with_its_seed_and_differs_with_another() -> None:
    made = dreamer(settings=AscentSettings(iterations=3, lr=20, jitter=8))
    first, again, other = (dream(pictures(), made, seeds=[seed]).images for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_dream_neither_reads_nor_moves_the_global_random_state() -> None:
    made = dreamer(settings=AscentSettings(iterations=2, lr=20, jitter=8))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = dream(pictures(), made, seeds=[1]).images
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(dream(pictures(), made, seeds=[1]).images, first)


def test_nothing_of_the_network_changes() -> None:
    backbone = tiny()
    before = {name: value.clone() for name, value in backbone.network.state_dict().items()}
    dream(pictures(), dreamer(backbone), seeds=[0])
    after = backbone.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(parameter.requires_grad for parameter in backbone.network.parameters())
    assert all(parameter.grad is None for parameter in backbone.network.parameters())
    assert not backbone.network.training


def test_hooks_are_gone_after_a_dream() -> None:
    backbone = tiny()
    dream(pictures(), dreamer(backbone), seeds=[0])
    assert hooks_in(backbone.network) == 0


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_hooks_are_gone_after_a_dream_that_breaks_off(kind: type[BaseException]) -> None:
    backbone = tiny()
    hooks_during = []

    def break_off(progress: Progress) -> None:
        hooks_during.append(hooks_in(backbone.network))
        raise kind

    with pytest.raises(kind):
        dream(pictures(), dreamer(backbone), seeds=[0], on_progress=break_off)
    assert (hooks_during, hooks_in(backbone.network)) == ([1], 0)


def test_the_picture_that_is_given_is_left_as_it_was() -> None:
    images = pictures()
    dream(images, dreamer(), seeds=[0])
    assert torch.equal(images, pictures())


def test_results_stay_between_black_and_white() -> None:
    result = dream(pictures(), dreamer(settings=AscentSettings(iterations=2, lr=10_000)), seeds=[0]).images
    assert result.min() == 0
    assert result.max() == 1


def test_progress_runs_up_to_one() -> None:
    shares: list[Progress] = []
    dream(pictures(), dreamer(schedule=coarse_to_fine), seeds=[0], on_progress=shares.append)
    assert [(step.ascent, step.iteration) for step in shares] == [(a, i) for a in (1, 2) for i in (1, 2, 3)]
    assert {(step.ascents, step.iterations) for step in shares} == {(2, 3)}
    assert [step.share for step in shares] == pytest.approx([n / 6 for n in range(1, 7)])


def test_progress_stays_within_one_when_a_schedule_plans_too_little() -> None:
    def more_than_planned(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
        for _ in range(3):
            image = ascend(image)
            yield image

    shares: list[float] = []
    dream(
        pictures(),
        dreamer(schedule=more_than_planned),
        seeds=[0],
        on_progress=lambda progress: shares.append(progress.share),
    )
    assert shares[-1] == 1
    assert all(0 < share <= 1 for share in shares)


class AtLeast32(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < 32:
            raise RuntimeError(f"too small for this network: {list(x.shape)}")
        return x


@pytest.mark.parametrize("size", [(1, 1), (5, 100), (100, 5), (31, 33)])
def test_pictures_smaller_than_the_network_takes_keep_their_size(size: tuple[int, int]) -> None:
    network = nn.Sequential(OrderedDict(check=AtLeast32(), **dict(tiny_network().named_children())))
    images = pictures(1, *size)
    result = dream(images, dreamer(Backbone(network=network, min_side=32).frozen()), seeds=[0])
    assert result.images.shape == images.shape
    assert not torch.equal(result.images, images)


def test_a_network_of_one_size_dreams_pictures_of_others() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(flat=nn.Flatten(), head=nn.Linear(3 * 16 * 16, 5)))
    backbone = Backbone(network=network, input_size=16, min_side=4).frozen()
    images = pictures(2, 40, 24)
    end = dream(images, dreamer(backbone, "head"), seeds=[0, 0])
    assert end.images.shape == images.shape
    assert (end.images - images).abs().max() > 0.01
    assert all(after > before for before, after in zip(end.loss_before, end.loss_after, strict=True))


# Plugins that break their contract


def schedule_of(*frames: Any) -> Callable[[Tensor, Ascend], Any]:
    return lambda image, ascend: iter(frames)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (schedule_of(), r"gave nothing for pictures of shape \[1, 3, 24, 32\]"),
        (lambda image, ascend: [image[:, :, 1:]], r"gave pictures of shape \[1, 3, 23, 32\] for pictures of shape"),
        (lambda image, ascend: None, "returned a NoneType; it must yield pictures"),
        (schedule_of("a picture"), "gave a str for pictures"),
        (lambda image, ascend: [image * float("nan")], "not-a-number"),
    ],
)
def test_a_schedule_that_gives_no_picture_of_that_size_is_told_so(schedule: Any, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        dream(pictures(), dreamer(schedule=schedule), seeds=[0])


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda activation: activation.norm(), r"shape \[\] for an activation of shape \[2, 8, 6, 8\].*\[2\]"),
        (lambda activation: activation.mean((2, 3)), r"shape \[2, 8\]"),
        (lambda activation: 1.0, "returned a float"),
        (lambda activation: l2(activation.detach()), "no gradient"),
        (lambda activation: l2(activation) * float("nan"), "not-a-number"),
        (lambda activation: l2(activation) * float("inf"), "not-a-number"),
    ],
)
def test_a_loss_that_is_none_is_told_so(loss: Any, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        dream(pictures(2), dreamer(objective=Objective((Term("relu3", loss),))), seeds=[0, 0])


def test_a_gradient_step_that_divides_by_zero_is_told_so_even_where_the_schedule_rounds_to_bytes() -> None:
    def to_bytes(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
        yield ascend(image).mul(255).to(torch.uint8).float().div(255)

    def zero_by_zero(gradient: Tensor, progress: float) -> Tensor:
        return gradient * 0 / 0

    with pytest.raises(PluginError, match="not-a-number"):
        dream(pictures(), dreamer(schedule=to_bytes, steps=(zero_by_zero,)), seeds=[0])


# Precision


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, Precision.BF16), (False, Precision.FP32)])
def test_a_processor_dreams_in_bf16_if_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, expected: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    assert fastest(CPU) is expected


@pytest.mark.parametrize(("limit", "expected"), [("AVX2", Precision.FP32), ("all", Precision.BF16)])
def test_bf16_that_onednn_must_not_use_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch, limit: str, expected: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert fastest(CPU) is expected


@pytest.mark.parametrize(("major", "expected"), [(7, Precision.TF32), (8, Precision.BF16), (9, Precision.BF16)])
def test_a_card_dreams_in_bf16_if_it_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, major: int, expected: Precision
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (major, 0))
    assert fastest(torch.device("cuda")) is expected


def test_the_precision_that_is_chosen_gains_by_the_clock() -> None:
    def seconds(dtype: torch.dtype) -> float:
        convolution = nn.Conv2d(64, 64, 3, padding=1, dtype=dtype).to(memory_format=torch.channels_last)
        x = torch.ones(1, 64, 56, 56, dtype=dtype).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return min(timeit.repeat(lambda: convolution(x), number=1, repeat=40))

    gain = seconds(torch.float32) / seconds(torch.bfloat16)
    assert gain > 1.2 if fastest(CPU) is Precision.BF16 else gain < 1.2


def test_fp32_leaves_network_and_pictures_as_they_are() -> None:
    network = tiny_network()
    before = [(value.data_ptr(), value.dtype, value.stride()) for value in network.parameters()]
    assert arrange_network(network, Precision.FP32, CPU) is network
    assert [(value.data_ptr(), value.dtype, value.stride()) for value in network.parameters()] == before
    seen: list[Tensor] = []
    made = dreamer()
    made.backbone.network.conv1.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    dream(pictures(), made, seeds=[0])
    assert made.is_reference
    assert {(x.dtype, x.is_contiguous()) for x in seen} == {(torch.float32, True)}


def test_what_is_not_the_reference_runs_channels_last() -> None:
    network = arrange_network(tiny_network(), Precision.FP32, CPU, exact=False)
    weight = network.conv2.weight
    assert isinstance(weight, Tensor)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert cast(pictures(), Precision.FP32).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(cast(pictures(), Precision.FP32), pictures())


def test_gradient_steps_are_given_gradients_in_torchs_own_order_of_memory() -> None:
    seen = []

    def step(gradient: Tensor, _progress: float) -> Tensor:
        seen.append(gradient.is_contiguous())
        return gradient

    backbone = tiny()
    arrange_network(backbone.network, Precision.FP32, CPU, exact=False)
    dream(pictures(), dreamer(backbone, exact=False, steps=[step]), seeds=[0])
    assert set(seen) == {True}


@pytest.mark.parametrize(
    ("exact", "deterministic", "searched"),
    [(True, True, False), (False, True, False), (True, False, False), (False, False, True)],
)
def test_a_gpus_algorithms_are_searched_for_only_where_bits_may_differ(
    exact: bool, deterministic: bool, searched: bool
) -> None:
    made = replace(dreamer(exact=exact), device=torch.device("cuda"), deterministic=deterministic)
    with arithmetic_of(made):
        assert torch.backends.cudnn.benchmark is searched
        assert torch.backends.cudnn.deterministic is deterministic


def products() -> list[str]:
    return [torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision]


@pytest.mark.parametrize(
    ("wanted", "during"), [(Precision.FP32, "ieee"), (Precision.TF32, "tf32"), (Precision.BF16, "ieee")]
)
def test_a_gpus_products_are_exact_in_fp32_and_as_before_afterwards(wanted: Precision, during: str) -> None:
    before = products()
    with pytest.raises(RuntimeError, match="broken off"), products_in(wanted):  # noqa: PT012 (what is inside is tested)
        assert products() == [during] * 2
        raise RuntimeError("broken off")
    assert products() == before


@pytest.mark.parametrize("wanted", [Precision.BF16, Precision.TF32])
def test_other_precisions_run_channels_last_and_dream_nearly_the_same(wanted: Precision) -> None:
    backbone = tiny()
    arrange_network(backbone.network, wanted, CPU)
    weight = backbone.network.conv2.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert weight.dtype is (torch.bfloat16 if wanted is Precision.BF16 else torch.float32)
    result = dream(pictures(), dreamer(backbone, precision=wanted), seeds=[0]).images
    exact = dream(pictures(), dreamer(), seeds=[0]).images
    assert result.dtype is torch.float32
    torch.testing.assert_close(result, exact, rtol=0, atol=0.02)
    assert (exact - pictures()).abs().max() > 0.1


_LOOK_AT_MEMORY = """
import dreamd.engine, torch
activation = torch.empty(1 << 26)
maps, inside = open("/proc/self/smaps").read().splitlines(), False
for line in maps:
    if "-" in line.split()[0]:
        start, end = (int(side, 16) for side in line.split()[0].split("-"))
        inside = start <= activation.data_ptr() < end
    elif inside and line.startswith("VmFlags"):
        print("hg" in line.split())
"""
"""Prints whether the memory of a large tensor is to lie in huge pages: proc(5), VmFlags."""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(), reason="this kernel has no huge pages on demand"
)
@pytest.mark.parametrize(("set_by_user", "expected"), [(None, "True"), ("0", "False")])
def test_large_tensors_lie_in_huge_pages_unless_the_user_said_otherwise(set_by_user: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    if set_by_user is not None:
        environment["THP_MEM_ALLOC_ENABLE"] = set_by_user
    command = [sys.executable, "-c", _LOOK_AT_MEMORY]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [expected]

"""Frozen convolutions and the clamps computed with them: what can be seen, and the gradient, stay what they were."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from dreamd_plugins.l2 import l2
from timm import create_model
from timm.layers import Conv2dSame, StdConv2dSame
from torch import Tensor, nn
from torchvision import models

from dreamd.engine.network.backbone import Backbone
from dreamd.engine.network.lookout import Lookout, Sight
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.speed.fixed import join_clamps
from dreamd.engine.speed.flow import flow_of
from dreamd.engine.speed.folding import fold
from dreamd.engine.speed.frozen import FrozenConv2d, bytes_of_turned, freeze_convolutions
from dreamd.engine.speed.precision import Precision, arrange_network
from dreamd.engine.speed.straight import straight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CPU = torch.device("cpu")
LAST = torch.channels_last


def alive(network: nn.Module) -> nn.Module:
    """The network frozen, with weights and statistics under which activations neither vanish nor explode."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.3)
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return Backbone(network=network, layers={"x": "x"}, default_layer="x").frozen().network


def arranged(network: nn.Module, precision: Precision = Precision.FP32, side: int = 64) -> nn.Module:
    """A copy of the network, folded and arranged for the processor as a dream's is."""
    network = copy.deepcopy(network)
    flow = flow_of(network, side)
    fold(network, flow.pairs)
    return arrange_network(network, precision, CPU, exact=False, flow=flow)


def joined(network: nn.Module, side: int = 32) -> nn.Module:
    """A copy of the network with its convolutions frozen and its clamps joined, and nothing else."""
    network = copy.deepcopy(network)
    flow = flow_of(network, side)
    freeze_convolutions(network)
    join_clamps(network, flow)
    return network.to(memory_format=LAST)


def frozen(convolution: nn.Conv2d) -> nn.Module:
    """A copy of a convolution, frozen."""
    network = nn.Sequential(copy.deepcopy(convolution)).to(memory_format=LAST)
    freeze_convolutions(network)
    assert isinstance(network[0], FrozenConv2d)
    return network


def seen_by(network: nn.Module, sights: Sequence[Sight | str], x: Tensor) -> list[Tensor]:
    lookout = Lookout(network, sights)
    try:
        return lookout(x)
    finally:
        lookout.close()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def values_and_gradient(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    values = module(x)
    (gradient,) = torch.autograd.grad(values, x, noise(*values.shape).to(values.dtype))
    return values.detach(), gradient


# One convolution

CONVOLUTIONS = {
    "1×1": nn.Conv2d(12, 20, 1),
    "1×1 with a stride": nn.Conv2d(12, 20, 1, stride=2, bias=False),
    "1×1 padded": nn.Conv2d(12, 20, 1, padding=1),
    "3×3": nn.Conv2d(12, 20, 3, padding=1),
    "3×3 with a stride": nn.Conv2d(12, 20, 3, padding=1, stride=2),
    "3×5 by name": nn.Conv2d(12, 20, (3, 5), padding="same"),
    "4×4 by name": nn.Conv2d(12, 20, 4, padding="same"),
    "unpadded": nn.Conv2d(12, 20, 3, padding="valid"),
    "dilated": nn.Conv2d(12, 20, 3, padding=2, dilation=2),
    "in groups": nn.Conv2d(12, 24, 3, padding=1, groups=3),
    "by channel": nn.Conv2d(12, 12, 3, padding=1, groups=12),
    "by channel, dilated": nn.Conv2d(12, 12, 5, padding=4, dilation=2, groups=12),
    "by channel, unpadded": nn.Conv2d(12, 12, 5, groups=12, bias=False),
    "by channel, padded far": nn.Conv2d(12, 12, 3, padding=4, groups=12),
    "by channel with a stride": nn.Conv2d(12, 12, 5, padding=2, stride=(2, 3), groups=12),
    "by channel, two of each": nn.Conv2d(12, 24, 3, padding=1, groups=12),
    "as TensorFlow": Conv2dSame(12, 20, 3, stride=2),
    "as TensorFlow, 1×1": Conv2dSame(12, 20, 1, stride=2),
    "as TensorFlow, by channel": Conv2dSame(12, 12, 3, stride=2, groups=12),
    "as TensorFlow, by channel, 5×5": Conv2dSame(12, 12, 5, stride=2, groups=12, bias=False),
    "as TensorFlow, by channel, 3 apart": Conv2dSame(12, 12, (3, 7), stride=3, groups=12),
    "as TensorFlow, by channel, even": Conv2dSame(12, 12, 4, stride=1, groups=12),
    "of a picture": nn.Conv2d(3, 20, 3, padding=1, stride=2),
    "of a picture, 7×7": nn.Conv2d(3, 20, 7, padding=3, stride=2, bias=False),
    "of a picture, in patches": nn.Conv2d(3, 20, 4, stride=4),
    "of a picture, unlike sides": nn.Conv2d(2, 20, (3, 5), padding=(0, 4), stride=(2, 3)),
    "of a picture, as TensorFlow": Conv2dSame(3, 20, 3, stride=2),
    "of a picture, leaving cells out": nn.Conv2d(3, 20, 1, stride=2),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("size", [(16, 16), (17, 16), (15, 19), (7, 8)])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_values_and_gradients_are_those_of_the_convolution(
    name: str, precision: torch.dtype, size: tuple[int, int]
) -> None:
    plain = copy.deepcopy(CONVOLUTIONS[name]).to(precision)
    x = noise(2, plain.in_channels, *size).to(precision)
    found = values_and_gradient(frozen(plain), x)
    exact = values_and_gradient(plain.double(), x.double())
    for own, expected in zip(found, exact, strict=True):
        assert own.shape == expected.shape
        assert error(own, expected) < (1e-6 if precision is torch.float32 else 6e-3)


def test_what_does_more_than_convolve_with_zeros_around_is_left_alone() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    network = alive(
        nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), Doubled(3, 3, 1), StdConv2dSame(3, 3, 3, stride=2)
        )
    )
    freeze_convolutions(network)
    assert not any(isinstance(module, FrozenConv2d) for module in network.modules())


def test_in_bf16_torchs_own_convolutions_stay_where_onednn_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3)).bfloat16()
    monkeypatch.setattr("torch.ops.mkldnn._is_mkldnn_bf16_supported", lambda: False)
    freeze_convolutions(network)
    assert type(network[0]) is nn.Conv2d
    monkeypatch.setattr("torch.ops.mkldnn._is_mkldnn_bf16_supported", lambda: True)
    freeze_convolutions(network)
    assert type(network[0]) is FrozenConv2d


def test_other_number_formats_and_single_pictures_without_a_batch_are_convolved_as_before() -> None:
    plain = Conv2dSame(3, 4, 3, stride=2)
    fast = frozen(plain)
    torch.testing.assert_close(fast(noise(3, 8, 8)), plain(noise(3, 8, 8)))
    x = noise(1, 3, 8, 8).double()
    torch.testing.assert_close(fast.double()(x), plain.double()(x))


def test_zeros_in_front_of_a_kernel_give_what_a_padded_copy_gives_to_the_bit() -> None:
    plain = Conv2dSame(32, 32, 3, stride=2, groups=32).to(memory_format=LAST)
    x = noise(1, 32, 64, 48).contiguous(memory_format=LAST)
    assert torch.equal(frozen(plain)(x), plain(x))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_convolution_that_strides_over_a_picture_has_its_gradient_in_phases(precision: torch.dtype) -> None:
    fast = frozen(nn.Conv2d(3, 20, 3, padding=1, stride=2).to(precision))
    values_and_gradient(fast, noise(1, 3, 16, 16).to(precision))
    (kernels,) = fast[0].way.kernels.values()  # type: ignore[index,union-attr]
    assert kernels.phases is not None
    assert kernels.phases.packed is not None


def test_weights_are_brought_into_onednns_order_once_and_few_orders_are_kept() -> None:
    fast = frozen(nn.Conv2d(64, 96, 3, padding=1))
    for side in (8, 9, 16, 23, 24, 32, 40, 48, 8, 16):
        values_and_gradient(fast, noise(1, 64, side, side))
    way = fast[0].way  # type: ignore[index,union-attr]
    (kernels,) = way.kernels.values()
    assert kernels.turned is not None
    assert 1 <= len(kernels.weight.packed) <= 3
    assert 1 <= len(kernels.turned.packed) <= 3
    assert {id(window.weight) for window in way.windows.values()} <= set(map(id, kernels.weight.packed.values()))


def test_what_is_kept_for_gradients_counts_as_memory_of_the_network() -> None:
    plain = nn.Sequential(nn.Conv2d(12, 20, 3), nn.Linear(5, 5))
    assert bytes_of_turned(plain) == 0
    freeze_convolutions(plain)
    assert bytes_of_turned(plain) == 12 * 20 * 9 * 4


def test_a_copy_of_a_convolution_that_has_run_convolves_alike() -> None:
    fast, x = frozen(nn.Conv2d(12, 20, 3, padding=1)), noise(1, 12, 16, 16)
    expected = values_and_gradient(fast, x)
    for own, other in zip(values_and_gradient(copy.deepcopy(fast), x), expected, strict=True):
        assert torch.equal(own, other)


# Clamps


class Wired(nn.Module):
    """A convolution and a clamp, wired in the way of a test."""

    def __init__(self, wiring: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.clamp = nn.ReLU6()
        self.second = nn.Conv2d(8, 8, 1)
        self.third = nn.Conv2d(8, 8, 1)
        self.wiring = wiring

    def forward(self, x: Tensor) -> Tensor:
        return self.wiring(self, x)


WIRINGS: dict[str, Callable[[Wired, Tensor], Tensor]] = {
    "in a row": lambda net, x: net.second(net.clamp(net.first(x))),
    "two convolutions see it": lambda net, x: (y := net.clamp(net.first(x)), net.second(y) * net.third(y))[1],
    "added to itself": lambda net, x: (y := net.clamp(net.first(x)), net.second(y) + y)[1],
    "what is clamped is used": lambda net, x: (y := net.first(x), net.second(net.clamp(y)) * y)[1],
    "the clamp runs twice": lambda net, x: net.third(net.clamp(net.second(net.clamp(net.first(x))))),
    "of a sum": lambda net, x: (y := net.clamp(net.first(x)), net.third(net.clamp(net.second(y) + y)))[1],
    "of a view": lambda net, x: net.second(net.clamp(net.first(x)[:, :, 1:])),
    "the end": lambda net, x: net.clamp(net.first(x)),
    "the convolution runs twice": lambda net, x: (net.first(x), net.second(net.clamp(net.first(x + 1))))[1],
    "written over": lambda net, x: (y := net.first(x), y.mul_(2), net.second(net.clamp(y)))[2],
}


@pytest.mark.parametrize("name", WIRINGS)
def test_a_clamp_changes_nothing_however_a_network_is_wired(name: str) -> None:
    plain = alive(Wired(WIRINGS[name]))
    found, expected = (values_and_gradient(net, 3 * noise(2, 3, 32, 30)) for net in (joined(plain), plain))
    assert error(found[0], expected[0]) < 1e-6
    assert error(found[1], expected[1]) < 1e-5


@pytest.mark.parametrize("clamp", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-1, 0.5)])
def test_a_clamp_behind_a_convolution_is_computed_with_it(clamp: nn.Module) -> None:
    plain = alive(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), clamp, nn.Conv2d(8, 4, 1)))
    fast = joined(plain)
    assert [clamp.activation for clamp in flow_of(plain, 32).clamps] == ["1"]
    x = 3 * noise(1, 3, 32, 32)
    convolved = fast[0](x)  # type: ignore[index]
    assert torch.equal(convolved, plain[1](convolved))  # type: ignore[index]
    assert fast[1](convolved) is convolved  # type: ignore[index]
    assert not torch.equal(fast[1](-9 * convolved - 1), -9 * convolved - 1)  # type: ignore[index]
    for own, expected in zip(values_and_gradient(fast, x), values_and_gradient(plain, x), strict=True):
        assert error(own, expected) < 1e-6


class TwoPoolings(nn.Sequential):
    """Pools what a ReLU gave twice, by two modules."""

    def forward(self, x: Tensor) -> Tensor:
        seen = self[1](self[0](x))
        return torch.cat([self[2](seen), self[3](seen)], 1)


def test_a_pooling_is_known_where_it_alone_takes_what_a_clamp_gave() -> None:
    convolution, relu, pooling = (lambda: nn.Conv2d(3, 8, 3)), nn.ReLU, (lambda: nn.MaxPool2d(2))
    behind = nn.Sequential(convolution(), relu(), pooling())
    twice = nn.MaxPool2d(2)
    networks = {
        "behind it": (behind, "2"),
        "two of them": (TwoPoolings(convolution(), relu(), pooling(), pooling()), None),
        "one that runs again": (nn.Sequential(convolution(), relu(), twice, twice), None),
        "of means": (nn.Sequential(convolution(), relu(), nn.AvgPool2d(2)), None),
    }
    for name, (network, expected) in networks.items():
        (clamp,) = flow_of(network, 32).clamps
        assert clamp.pooling == expected, name


@pytest.mark.parametrize("where", ["input", "before_activation"])
def test_whoever_looks_at_what_is_clamped_sees_it(where: str) -> None:
    plain = alive(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 4, 1)))
    fast = arranged(plain)
    sight = Sight("2", where)  # type: ignore[arg-type]
    seen, expected = (seen_by(network, [sight, "3"], noise(1, 3, 32, 32)) for network in (fast, plain))
    assert expected[0].min() < 0
    for own, wanted in zip(seen, expected, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-5)


def test_a_loss_of_a_clamps_result_and_of_what_comes_after_it_has_its_whole_gradient() -> None:
    plain = alive(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6(), nn.Conv2d(8, 4, 1), nn.ReLU()))
    objective = Objective((Term("1", l2), Term("3", l2), Term("1", lambda seen: seen.flatten(1).sum(1))))
    gradients = []
    for network in (joined(plain), plain):
        with WholeGradient(network, objective) as gradient_at:
            gradients.append(gradient_at(noise(2, 3, 32, 32))[0])
    assert error(gradients[0], gradients[1]) < 1e-6


def test_a_gradient_at_a_layer_that_is_looked_at_is_not_written_over() -> None:
    kept: list[Tensor] = []

    def loss(seen: Tensor) -> Tensor:
        seen.register_hook(kept.append)
        return seen.square().sum((1, 2, 3))

    block = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6())
    plain = alive(nn.Sequential(block, nn.Conv2d(8, 4, 1), nn.ReLU()))
    for network in (joined(plain), plain):
        with WholeGradient(network, Objective((Term("0", loss), Term("2", l2)))) as gradient_at:
            gradient_at(noise(2, 3, 32, 32).contiguous(memory_format=LAST))
    assert error(kept[0], kept[1]) < 1e-6


def test_inside_straight_a_clamp_passes_on_what_is_not_a_number() -> None:
    network = joined(alive(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))))
    x = noise(1, 3, 32, 32)
    x[:, :, 5] = torch.nan
    with straight():
        rows = network(x).isnan().any(1).any(2)[0]
    assert rows.nonzero().flatten().tolist() == [4, 5, 6]


# Whole networks

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "efficientnet_lite0": lambda: create_model("tf_efficientnet_lite0"),
    "mobilenetv3": lambda: create_model("tf_mobilenetv3_small_minimal_100"),
    "mobilenetv3_large": lambda: create_model("tf_mobilenetv3_large_075"),
    "efficientnetv2": lambda: create_model("tf_efficientnetv2_b0"),
    "mixnet": lambda: create_model("tf_mixnet_s"),
    "mobilenet_v2": lambda: models.mobilenet_v2(weights=None),
    "mnasnet": lambda: models.mnasnet0_5(weights=None),
    "shufflenet": lambda: models.shufflenet_v2_x0_5(weights=None),
    "resnet18": lambda: models.resnet18(weights=None),
    "resnext": lambda: create_model("resnext50_32x4d"),
    "resnetv2": lambda: create_model("resnetv2_50"),
    "vgg11": lambda: models.vgg11(weights=None).features,
    "vgg11_bn": lambda: models.vgg11_bn(weights=None).features,
    "densenet121": lambda: models.densenet121(weights=None),
    "squeezenet": lambda: models.squeezenet1_1(weights=None),
}


def layers_of(network: nn.Module, x: Tensor) -> list[str]:
    """The modules that give a tensor once, in the order they run."""
    ran: list[str] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: ran.append(name))
        for name, module in network.named_modules()
        if name
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return [name for name in ran if ran.count(name) == 1]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (75, 65)])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_what_it_was(name: str, size: tuple[int, int]) -> None:
    plain = alive(NETWORKS[name]())
    x = noise(1, 3, *size)
    layers = [layer for layer in layers_of(plain, x) if not isinstance(plain.get_submodule(layer), nn.Conv2d)]
    wanted = layers[: len(layers) * 3 // 4]
    fast = arranged(plain)
    seen, expected = (seen_by(network, wanted, x) for network in (fast, plain))
    assert max(error(own, other) for own, other in zip(seen, expected, strict=True) if other.norm() > 0) < 1e-4
    gradients = []
    for network in (fast, plain):
        with WholeGradient(network, Objective((Term(wanted[-1], l2),))) as gradient_at:
            gradients.append(gradient_at(x))
    assert error(gradients[0][1], gradients[1][1]) < 1e-4
    assert error(gradients[0][0], gradients[1][0]) < 2e-2  # rounding turns a few ReLUs on or off


@pytest.mark.slow
def test_in_bf16_a_network_sees_what_it_saw_to_bf16s_rounding() -> None:
    plain = alive(create_model("tf_efficientnet_lite0"))
    fast = arranged(plain, Precision.BF16)
    x = noise(1, 3, 64, 75)
    (seen,), (expected,) = seen_by(fast, ["blocks.2.0"], x.bfloat16()), seen_by(plain, ["blocks.2.0"], x)
    assert error(seen, expected) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("name", "clamps"), [("efficientnet_lite0", 33), ("mobilenet_v2", 35), ("vgg11", 8)])
def test_every_clamp_behind_a_convolution_of_these_networks_is_computed_with_it(name: str, clamps: int) -> None:
    network = arranged(alive(NETWORKS[name]()))
    joins = [m.way.join for m in network.modules() if isinstance(m, FrozenConv2d) and m.way.join is not None]
    assert len(joins) == clamps
    assert all(join.is_free() for join in joins)


def test_the_reference_keeps_the_network_as_it_was_loaded() -> None:
    network = alive(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()))
    arrange_network(network, Precision.FP32, CPU, exact=True, flow=flow_of(network, 32))
    assert type(network[0]) is nn.Conv2d  # type: ignore[index]
    assert "forward" not in vars(network[1])  # type: ignore[index]
    assert not network[1].inplace  # type: ignore[index]

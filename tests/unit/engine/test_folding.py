"""Batch norms folded into convolutions: what the network sees, and the gradient, stay what they were."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
import torch
from dreamd_plugins.l2 import l2
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.network.backbone import Backbone
from dreamd.engine.network.lookout import Lookout
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.speed.flow import Pair, flow_of
from dreamd.engine.speed.folding import fold
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.recipes.builder import Builder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIDE = 32


def find_pairs(network: nn.Module, side: int) -> list[Pair]:
    return list(flow_of(network, side).pairs)


def alive(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network frozen, with statistics as training leaves them."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
        if isinstance(module, nn.BatchNorm2d):
            if module.running_mean is not None and module.running_var is not None:
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.3, 3)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.3)
    return Backbone(network=network, layers={"x": "x"}, default_layer="x").frozen().network


def block(bias: bool = True, affine: bool = True) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 6, 3, padding=1, bias=bias),
            norm1=nn.BatchNorm2d(6, affine=affine),
            relu1=nn.ReLU(inplace=True),
            conv2=nn.Conv2d(6, 6, 3, stride=2, groups=3, bias=bias),
            norm2=nn.BatchNorm2d(6, affine=affine, eps=0.1),
            relu2=nn.ReLU(inplace=True),
        )
    )


def gradients(network: nn.Module, layers: Sequence[str], x: Tensor) -> tuple[Tensor, Tensor]:
    with WholeGradient(network, Objective(tuple(Term(layer, l2) for layer in layers))) as gradient_at:
        return gradient_at(x)


def pictures(side: int = SIDE) -> Tensor:
    return torch.randn(2, 3, side, side + 9, generator=torch.Generator().manual_seed(1))


def assert_folding_changes_nothing(network: nn.Module, layers: Sequence[str], x: Tensor) -> list[Pair]:
    """In float64: in float32 rounding turns a few ReLUs on or off, which moves a gradient by more than rounding."""
    pairs = find_pairs(network, SIDE)
    network.double()
    before, loss_before = gradients(network, layers, x.double())
    fold(network, pairs)
    after, loss_after = gradients(network, layers, x.double())
    assert before.norm() > 0
    assert (after - before).norm() <= 1e-5 * before.norm()
    torch.testing.assert_close(loss_after, loss_before, rtol=1e-5, atol=0)
    return pairs


# Which pairs


def test_a_convolution_and_the_norm_behind_it_are_a_pair() -> None:
    assert find_pairs(alive(block()), SIDE) == [
        Pair("conv1", "norm1", ("conv1",)),
        Pair("conv2", "norm2", ("conv2",)),
    ]


def test_a_module_that_ends_with_a_convolution_shows_what_is_folded_too() -> None:
    network = nn.Sequential(nn.Sequential(nn.Identity(), nn.Conv2d(3, 3, 1)), nn.BatchNorm2d(3))
    assert find_pairs(alive(network), SIDE) == [Pair("0.1", "1", ("0.1", "0"))]


class Wired(nn.Module):
    """A convolution and a norm, wired in the way of a test."""

    def __init__(self, wiring: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.other = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.wiring = wiring

    def forward(self, x: Tensor) -> Tensor:
        return self.wiring(self, x)


def written_over(net: Wired, x: Tensor) -> Tensor:
    seen = net.conv(x)
    seen[:, 0] = 0
    normed: Tensor = net.norm(seen)
    return normed


def added(net: Wired, x: Tensor) -> Tensor:
    seen = net.conv(x)
    total: Tensor = net.norm(seen) + seen
    return total


def joined(net: Wired, x: Tensor) -> Tensor:
    seen = net.conv(x)
    return torch.cat([net.norm(seen), seen], 1)


@pytest.mark.parametrize(
    "wiring",
    [
        added,
        joined,
        written_over,
        lambda net, x: net.norm(F.relu(net.conv(x))),
        lambda net, x: net.conv(net.norm(x)),
        lambda net, x: net.norm(net.conv(net.conv(x))),
        lambda net, x: net.norm(net.other(net.norm(net.conv(x)))),
        lambda net, x: net.norm(F.conv2d(x, net.conv.weight * 2, padding=1)),
        lambda net, x: net.conv(x),
    ],
)
def test_what_is_used_elsewhere_or_changed_between_is_no_pair(wiring: Callable[[Wired, Tensor], Tensor]) -> None:
    assert find_pairs(alive(Wired(wiring)), SIDE) == []


def test_convolutions_that_share_their_weights_are_no_pairs() -> None:
    network = alive(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    network[2].weight = network[0].weight  # type: ignore[index]
    assert find_pairs(network, SIDE) == []


def test_a_norm_of_its_own_kind_is_left_alone() -> None:
    class Doubled(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    assert find_pairs(alive(nn.Sequential(nn.Conv2d(3, 3, 1), Doubled(3))), SIDE) == []
    assert (
        find_pairs(alive(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))), SIDE) == []
    )


# What folding changes


@pytest.mark.parametrize(("bias", "affine"), [(True, True), (False, True), (True, False)])
def test_gradients_of_all_later_layers_stay_what_they_were(bias: bool, affine: bool) -> None:
    pairs = assert_folding_changes_nothing(alive(block(bias, affine)), ["norm1", "relu1", "relu2"], pictures())
    assert len(pairs) == 2


def test_a_norms_own_output_stays_what_it_was_and_the_pair_left_out_does_too() -> None:
    network = alive(block())
    pairs = [pair for pair in find_pairs(network, SIDE) if pair.convolution != "conv1"]
    lookout = Lookout(network, ["conv1", "norm1", "conv2", "norm2"])
    with torch.no_grad():
        before = lookout(pictures())
        fold(network, pairs)
        after = lookout(pictures())
    torch.testing.assert_close(after[0], before[0])
    torch.testing.assert_close(after[1], before[1])
    torch.testing.assert_close(after[3], before[3])
    assert not torch.allclose(after[2], before[2], rtol=0.1)


def test_what_is_seen_in_float32_differs_by_rounding() -> None:
    network = alive(block())
    pairs = find_pairs(network, SIDE)
    lookout = Lookout(network, ["relu1", "relu2"])
    with torch.no_grad():
        before = lookout(pictures())
        fold(network, pairs)
        after = lookout(pictures())
    for own, wanted in zip(after, before, strict=True):
        assert (own - wanted).norm() <= 1e-5 * wanted.norm()


def test_a_folded_network_is_frozen_and_does_less() -> None:
    network = alive(block())
    fold(network, find_pairs(network, SIDE))
    assert not any(parameter.requires_grad for parameter in network.parameters())
    lookout = Lookout(network, ["conv1", "norm1"])
    with torch.no_grad():
        convolved, normed = lookout(pictures())
    assert normed is convolved


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers", "norms"),
    [
        ("efficientnet_lite0", ["blocks.4.2", "blocks.1.0.bn1.act", "blocks.0.0.bn1"], 49),
        ("resnet50", ["layer3", "layer1.0.bn3"], 53),
        ("vgg11_bn", ["27", "9"], 8),
        ("googlenet", ["inception4a"], 57),
        ("densenet121", ["features.denseblock3"], 59),
    ],
)
def test_real_networks_stay_what_they_were(name: str, layers: list[str], norms: int) -> None:
    import timm
    from torchvision import models

    if name == "efficientnet_lite0":
        network = timm.create_model(f"tf_{name}", pretrained=False)
    elif name == "googlenet":
        network = models.googlenet(weights=None, init_weights=False)
    else:
        network = models.get_model(name, weights=None)
    if name.startswith("vgg"):
        network = network.get_submodule("features")
    assert len(assert_folding_changes_nothing(alive(network), layers, pictures(64))) == norms


# Through a recipe


@pytest.fixture(scope="module")
def builder() -> Builder:
    return Builder(Plugins("dreamd.engine"), torch.device("cpu"))


def recipe(layer: str, precision: str = "auto") -> Recipe:
    fields = (f"layers={layer}", f"precision={precision}", "backbone={name: vgg11_bn, weights: random}", "seed=3")
    return resolve([*RecipeBook(None).documents_of_name("classic"), set_fields(fields)]).recipe


def is_folded(network: nn.Module, norm: str) -> bool:
    return "forward" in vars(network.get_submodule(norm))


@pytest.mark.slow
def test_a_recipe_in_fp32_gets_the_network_as_it_is_and_auto_a_folded_one(builder: Builder) -> None:
    exact, fast = (builder.build(recipe("relu3_1", precision)).dreamer for precision in ("fp32", "auto"))
    assert (exact.exact, fast.exact) == (True, False)
    assert not any(is_folded(exact.backbone.network, norm) for norm in ("1", "9"))
    assert all(is_folded(fast.backbone.network, norm) for norm in ("1", "9"))


@pytest.mark.slow
def test_a_recipe_that_looks_at_a_convolution_gets_a_network_with_nothing_folded(builder: Builder) -> None:
    layers = ("relu3_1", "conv3_1", "relu2_1")
    networks = {layer: builder.build(recipe(layer)).dreamer.backbone.network for layer in layers}
    assert networks["relu3_1"] is networks["relu2_1"]
    assert [is_folded(networks["relu3_1"], norm) for norm in ("1", "9")] == [True, True]
    assert [is_folded(networks["conv3_1"], norm) for norm in ("1", "9")] == [False, False]
    for layer in layers:
        assert builder.build(recipe(layer)).dreamer.backbone.network is networks[layer]

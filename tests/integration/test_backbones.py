"""Every network that a recipe can name: it builds, its layers are listed, its weights are known."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from dreamd.commands.demo.painting import clouds
from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.errors import PluginError, UnknownNameError, WeightsError
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.weights.sources import Download, Packaged
from dreamd.worker.recipes.backbones import build_network, load_backbone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dreamd.engine.network.backbone import Layer

VGGS = ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")

SCENES = range(970, 981)
"""ImageNet's classes of landscapes: alp, …, lakeside, …, seashore, valley, volcano."""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins("dreamd.engine")


def built(plugins: Plugins, name: str) -> Backbone:
    """The network of a name, without weights."""
    return build_network(plugins.get(Kind.BACKBONE, name), name, {})


@cache
def described(name: str) -> dict[str, Layer]:
    """The layers of a network by name; it takes seconds, so each is described once."""
    return {layer.name: layer for layer in built(Plugins("dreamd.engine"), name).describe_layers()}


def same_modules(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have modules of the same names, kinds and settings, in the same order."""
    return re.sub("inplace=True", "", str(one)) == re.sub("inplace=True", "", str(other))


def same_values(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same parameters under the same names, and see the same, to the bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    seen = torch.rand(1, 3, 75, 110, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same_outputs = torch.equal(one(seen), other(seen))
    return list(ours) == list(theirs) and same_outputs and all(torch.equal(ours[name], theirs[name]) for name in ours)


def dreams(backbone: Backbone, height: int, width: int) -> torch.Tensor:
    """An even picture dreamed for one iteration towards the default layer."""
    layer = backbone.module_name(str(backbone.default_layer))
    made = Dreamer(
        backbone=backbone,
        objective=Objective((Term(layer, lambda activation: activation.flatten(1).norm(dim=1)),)),
        settings=AscentSettings(iterations=1, lr=0.1),
        schedule=lambda image, ascend: [ascend(image)],
        steps=(lambda gradient, progress: gradient / gradient.abs().max(),),
    )
    return dream(torch.full((1, 3, height, width), 0.3), made, seeds=[0]).images


# Names and weights


def test_every_backbone_of_a_name_has_default_weights_with_a_pin(plugins: Plugins) -> None:
    names = [name for name in plugins.catalogue.names(Kind.BACKBONE) if "*" not in name]
    assert {*VGGS, "efficientnet_lite0", "resnet50", "googlenet", "inception_v3", "vit_b_16", "swin_t"} <= {*names}
    for name in names:
        source = plugins.get(Kind.BACKBONE, name).source(name)
        assert isinstance(source, Download | Packaged), name
        assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", source.sha256), name
        if isinstance(source, Download):
            assert source.url.startswith("https://download.pytorch.org/models/"), name
            assert source.sha256 in source.cache_name, name


def test_every_classifier_of_torchvision_has_its_name(plugins: Plugins) -> None:
    expected = set(torchvision.models.list_models(module=torchvision.models))
    known = {entry.name for entry in plugins.catalogue.entries if entry.plugin in ("torchvision", "vgg")}
    assert known == expected
    assert not plugins.catalogue.problems


def test_no_two_backbones_share_a_file_in_the_cache_unless_it_is_the_same(plugins: Plugins) -> None:
    sources = [
        plugins.get(Kind.BACKBONE, name).source(name)
        for name in plugins.catalogue.names(Kind.BACKBONE)
        if "*" not in name
    ]
    by_file: dict[str, set[str]] = {}
    for source in sources:
        if isinstance(source, Download):
            by_file.setdefault(source.cache_name, set()).add(source.url)
    assert all(len(urls) == 1 for urls in by_file.values())


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/resnet50.a1_in1k", "timm/convnext_tiny"])
def test_timms_models_have_weights_of_their_own_name_in_the_cache(plugins: Plugins, name: str) -> None:
    source = plugins.get(Kind.BACKBONE, name).source(name)
    assert isinstance(source, Download)
    assert source.url.startswith("https://")
    assert name.removeprefix("timm/") in source.cache_name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm/resnet19", "no timm model 'resnet19'; did you mean resnet18?"),
        ("timm/resnet50.a2_in1k_", "did you mean resnet50.a2_in1k?"),
    ],
)
def test_a_model_that_timm_does_not_know_is_answered_with_the_nearest(plugins: Plugins, name: str, said: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(said)):
        built(plugins, name)


def test_a_backbone_that_nobody_brings_is_answered_with_the_nearest(plugins: Plugins) -> None:
    with pytest.raises(UnknownNameError, match=re.escape("no backbone 'resnet5O'; did you mean resnet50?")):
        plugins.get(Kind.BACKBONE, "resnet5O")


def test_no_backbones_name_needs_torchvision_or_timm_before_it_is_built() -> None:
    code = (
        "import sys; from dreamd.plugin_host.host import Plugins; Plugins('dreamd.engine').catalogue\n"
        "print([name for name in ('torchvision', 'timm', 'torch._dynamo', 'scipy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# VGG


@pytest.mark.parametrize("name", ["vgg11", "vgg19_bn"])
def test_a_vgg_is_torchvisions_to_the_bit(plugins: Plugins, name: str) -> None:
    choice = BackboneChoice(name=name, weights="random")
    own = load_backbone(plugins.get(Kind.BACKBONE, name), choice, seed=3).backbone.network
    torch.manual_seed(3)
    theirs = torchvision.models.get_model(name, weights=None).features.eval()
    assert same_modules(own, theirs)
    assert same_values(own, theirs)


@pytest.mark.parametrize("name", VGGS)
def test_a_vgg_has_torchvisions_modules_and_weights(plugins: Plugins, name: str) -> None:
    with torch.device("meta"):
        assert same_modules(built(plugins, name).network, torchvision.models.get_model(name, weights=None).features)
    source = plugins.get(Kind.BACKBONE, name).source(name)
    assert isinstance(source, Download)
    assert source.url == torchvision.models.get_model_weights(name).DEFAULT.url


@pytest.mark.parametrize("name", VGGS)
def test_a_vggs_layers_have_the_papers_names_and_torchvisions_numbers(plugins: Plugins, name: str) -> None:
    backbone = built(plugins, name)
    assert backbone.layers is not None
    kinds = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.ReLU: "relu", nn.MaxPool2d: "pool"}
    assert isinstance(backbone.network, nn.Sequential)
    assert list(backbone.layers.values()) == [str(index) for index in range(len(backbone.network))]
    for number, (layer, module) in enumerate(zip(backbone.layers, backbone.network, strict=True), start=1):
        assert re.sub(r"[\d_]+$", "", layer) == kinds[type(module)]
        assert backbone.module_name(number) == backbone.module_name(layer) == str(number - 1)
    assert [layer for layer in backbone.layers if layer.startswith("pool")] == [f"pool{block}" for block in range(1, 6)]
    deepest_of_block_4 = [layer for layer in backbone.layers if layer.startswith("relu4_")][-1]
    assert backbone.default_layer == deepest_of_block_4


def test_the_articles_numbers_are_the_layers_it_means(plugins: Plugins) -> None:
    layers = list(built(plugins, "vgg19").layers or ())
    assert [layers[number - 1] for number in (10, 20, 30, 36)] == ["pool2", "conv4_1", "relu5_1", "relu5_4"]
    assert len(layers) == 37


def fields_by_hand(network: nn.Sequential) -> Iterator[tuple[int, int]]:
    """(stride, receptive field) after each module, from kernel sizes and strides alone."""
    stride, field = 1, 1
    for module in network:
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            kernel, step = (
                value if isinstance(value, int) else value[0] for value in (module.kernel_size, module.stride)
            )
            field += (kernel - 1) * stride
            stride *= step
        yield stride, field


@pytest.mark.parametrize("name", [pytest.param("vgg11_bn", marks=pytest.mark.slow), "vgg19"])
def test_a_vggs_strides_and_receptive_fields_follow_from_its_kernels(plugins: Plugins, name: str) -> None:
    backbone = built(plugins, name)
    assert isinstance(backbone.network, nn.Sequential)
    layers = described(name)
    assert [(layer.stride, layer.receptive_field) for layer in layers.values()] == list(
        fields_by_hand(backbone.network)
    )
    assert layers["relu4_1"].shape == (512, 28, 28)


def test_vgg19s_receptive_fields_are_the_known_ones() -> None:
    layers = {name: (layer.receptive_field, layer.stride) for name, layer in described("vgg19").items()}
    known = {"relu1_1": (3, 1), "relu2_2": (14, 2), "relu4_4": (116, 8), "relu5_4": (252, 16), "pool5": (268, 32)}
    assert {name: layers[name] for name in known} == known


def test_weights_of_a_whole_vgg_or_of_its_convolutions_are_taken(plugins: Plugins) -> None:
    backbone = built(plugins, "vgg11")
    own = backbone.network.state_dict()
    whole = {f"features.{name}": value for name, value in own.items()} | {"classifier.0.bias": torch.zeros(4096)}
    assert backbone.adapt(whole).keys() == own.keys()
    assert backbone.adapt(own).keys() == own.keys()


# The network that comes with dreamd


@pytest.fixture(scope="module")
def embedded(plugins: Plugins) -> Backbone:
    choice = BackboneChoice(name="efficientnet_lite0")
    return load_backbone(plugins.get(Kind.BACKBONE, choice.name), choice, seed=0).backbone


def scores(backbone: Backbone, seed: int) -> torch.Tensor:
    """What a classifier says of painted clouds, `[1000]`."""
    pixels = torch.from_numpy(np.asarray(clouds(320, 224, seed=seed).crop((48, 0, 272, 224))).copy())
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    with torch.no_grad():
        said: torch.Tensor = backbone.network((pixels.permute(2, 0, 1)[None].float() / 255 - mean) / std)[0]
    return said


@pytest.mark.parametrize("seed", range(4))
def test_the_embedded_network_sees_a_landscape_in_painted_clouds(embedded: Backbone, seed: int) -> None:
    best, *others = map(int, scores(embedded, seed).topk(6).indices)
    assert best in SCENES
    assert sum(index in SCENES for index in others) >= 2


def test_the_embedded_network_is_timms_to_the_bit(plugins: Plugins) -> None:
    name = "efficientnet_lite0"
    choice = BackboneChoice(name=name, weights="random")
    own = load_backbone(plugins.get(Kind.BACKBONE, name), choice, seed=3).backbone
    torch.manual_seed(3)
    theirs = Backbone(network=timm.create_model(f"tf_{name}")).frozen()
    assert list(own.layers or ()) == list(theirs.layers or ())
    assert same_values(own.network, theirs.network)


def test_the_embedded_networks_weights_fill_every_key(plugins: Plugins, embedded: Backbone) -> None:
    fresh = built(plugins, "efficientnet_lite0")
    state = embedded.network.state_dict()
    renamed = {f"other.{number}": value for number, value in enumerate(state.values())}
    adapted = fresh.adapt(renamed)
    assert list(adapted) == list(state)
    assert all(torch.equal(adapted[name], value) for name, value in state.items())
    assert fresh.adapt(state) is state


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite1", "efficientnet_lite2"])
def test_the_larger_sisters_have_the_modules_and_shapes_of_timms(plugins: Plugins, name: str) -> None:
    import timm

    backbone = built(plugins, name)
    expected = {key: value.shape for key, value in timm.create_model(f"tf_{name}").state_dict().items()}
    assert {key: value.shape for key, value in backbone.network.state_dict().items()} == expected
    assert backbone.default_layer == "blocks.4.3"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_a_classifier_takes_weights_that_tell_365_scenes_apart(plugins: Plugins, name: str) -> None:
    network = build_network(plugins.get(Kind.BACKBONE, name), name, {"num_classes": 365}).network
    last = list(network.state_dict().values())[-1]
    assert last.shape == (365,)


def test_other_weights_are_refused_by_the_embedded_network(plugins: Plugins) -> None:
    with pytest.raises(WeightsError, match="no weights of efficientnet_lite0"):
        built(plugins, "efficientnet_lite0").adapt({"a": torch.zeros(3)})


def test_the_embedded_networks_layers_of_the_presets_are_there(embedded: Backbone) -> None:
    assert embedded.default_layer == "blocks.4.2"
    assert {"blocks.3.2", "blocks.4.2", "blocks.5.3"} <= (embedded.layers or {}).keys()


# Everyone else's


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "shape", "stride", "field"),
    [
        ("alexnet", "features.0", (64, 55, 55), 4, 11),
        ("resnet18", "conv1", (64, 112, 112), 2, 7),
        ("resnet18", "layer1", (64, 56, 56), 4, 43),
        ("resnet18", "layer4", (512, 7, 7), 32, 435),
        ("resnet18", "fc", (1000,), None, None),
        ("googlenet", "conv3", (192, 56, 56), 4, 19),
        ("googlenet", "avgpool", (1024, 1, 1), None, None),
        ("inception_v3", "Conv2d_2b_3x3", (64, 109, 109), 2, 11),
        ("inception_v3", "Mixed_5b", (256, 25, 25), 8, 63),
        ("inception_v3", "fc", (1000,), None, None),
        ("mobilenet_v3_small", "features.0.0", (16, 112, 112), 2, 3),
        ("mobilenet_v3_small", "features.12", (576, 7, 7), 32, None),
        ("swin_t", "features.0.0", (96, 56, 56), 4, 4),
        ("swin_t", "features.5", (14, 14, 384), 16, None),
        ("vit_b_16", "conv_proj", (768, 14, 14), 16, None),
        ("vit_b_16", "encoder.layers.encoder_layer_6", (197, 768), None, None),
        ("timm/resnet18", "layer4", (512, 7, 7), 32, 435),
        ("timm/inception_v3", "Conv2d_2b_3x3", (64, 109, 109), 2, 11),
        ("efficientnet_lite0", "conv_stem", (32, 112, 112), 2, 3),
    ],
)
def test_layers_are_listed_with_shape_stride_and_receptive_field(
    name: str, layer: str, shape: tuple[int, ...], stride: int | None, field: int | None
) -> None:
    found = described(name)[layer]
    assert (found.shape, found.stride, found.receptive_field) == (shape, stride, field)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("alexnet", "features.11"),
        ("resnet18", "layer3"),
        ("googlenet", "inception4e"),
        ("swin_t", "features.5"),
        ("efficientnet_lite0", "blocks.4.2"),
        ("timm/resnet18", "layer3"),
    ],
)
def test_the_default_layer_sees_parts_of_things(plugins: Plugins, name: str, layer: str) -> None:
    assert built(plugins, name).default_layer == layer


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "resnet18",
        "googlenet",
        "inception_v3",
        "mobilenet_v3_small",
        "swin_t",
        "vit_b_16",
        "timm/resnet18",
        "timm/inception_v3",
        "efficientnet_lite0",
    ],
)
def test_every_family_dreams_small_and_oblong_pictures(plugins: Plugins, name: str) -> None:
    choice = BackboneChoice(name=name, weights="random")
    backbone = load_backbone(plugins.get(Kind.BACKBONE, name), choice, seed=0).backbone
    for height, width in ((20, 50), (70, 100)):
        result = dreams(backbone, height, width)
        assert result.shape == (1, 3, height, width)
        assert (result - 0.3).abs().max() > 0.004


def test_a_backbone_whose_function_fails_is_told_so_with_its_name(plugins: Plugins) -> None:
    registered = plugins.get(Kind.BACKBONE, "vgg11")
    with pytest.raises(PluginError, match="backbone 'vgg12' cannot be built"):
        build_network(registered, "vgg12", {})

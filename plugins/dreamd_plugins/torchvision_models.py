"""Every classifier of torchvision by its name: `resnet50`, `googlenet`, `vit_b_16`, ... (the VGGs are in `vgg.py`)."""

from __future__ import annotations

from typing import Any

from torchvision import models

from dreamd.api import Backbone, Download, RegisterBackbone, hookimpl

_OPTIONS: dict[str, dict[str, Any]] = {
    # What torchvision itself sets when it loads these two's weights, which were converted from TensorFlow's.
    "googlenet": {"transform_input": True, "init_weights": True},
    "inception_v3": {"transform_input": True, "init_weights": True},
}
_MIN_SIDES = {"alexnet": 63, "inception_v3": 75}
_ONE_SIZE_ONLY = ("vit_", "maxvit_")


def torchvision_model(name: str) -> Backbone:
    """torchvision's classifier of that name."""
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    size = transforms.crop_size[0] if name.startswith(_ONE_SIZE_ONLY) else None
    options = {**_OPTIONS.get(name, {}), **({"image_size": size} if name.startswith("vit_") else {})}
    return Backbone(
        network=models.get_model(name, weights=None, **options),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        input_size=size,
        min_side=_MIN_SIDES.get(name, 32),
    )


def _default_weights(name: str) -> Download:
    url = models.get_model_weights(name).DEFAULT.url
    # A few names carry ten digits.
    return Download(url=url, sha256=url.rpartition("-")[2].removesuffix(".pth")[:8])


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring every classifier that no other file brings."""
    for name in models.list_models(module=models):
        if not name.startswith("vgg"):
            register(name, torchvision_model, weights=_default_weights)

"""Every model of timm as `timm/NAME`: `timm/resnet50.a1_in1k`, `timm/convnext_tiny`, ..."""

from __future__ import annotations

import re
from typing import Any

from dreamd.api import Backbone, Download, RegisterBackbone, UnknownNameError, WeightsError, hookimpl

_PREFIX = "timm/"
_MIN_SIDES = {"inception": 75}
"""The shortest sides in pixels of networks that do not pad their borders, by what is in their names."""


def timm_model(name: str) -> Backbone:
    """timm's model of that name."""
    import timm  # here and not above: it takes seconds, and few recipes need it

    config = _config(name)
    network = timm.create_model(name.removeprefix(_PREFIX), pretrained=False)
    return Backbone(
        network=network,
        mean=tuple(config.mean),
        std=tuple(config.std),
        input_size=config.input_size[-1] if config.fixed_input_size else None,
        min_side=next((side for part, side in _MIN_SIDES.items() if part in name), 32),
        labels=lambda: _labels(config),
    )


def _labels(config: Any) -> list[str]:
    """The names of ImageNet's classes, of the part of it that the weights were trained on; none for other weights."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(config)
    return list(ImageNetInfo(subset).label_descriptions()) if subset else []


def _config(name: str) -> Any:
    """timm's own description of a model's pretrained weights."""
    from timm.models import get_pretrained_cfg, is_model, list_models

    model = name.removeprefix(_PREFIX)
    if not is_model(model):
        raise UnknownNameError("timm model", model, list_models())
    try:
        return get_pretrained_cfg(model)
    except RuntimeError as error:  # the part after the dot, which names weights
        architecture = model.partition(".")[0]
        raise UnknownNameError("timm weights", model, list_models(f"{architecture}.*", pretrained=True)) from error


def _default_weights(name: str) -> Download:
    config = _config(name)
    if config.hf_hub_id:
        file = config.hf_hub_filename or "model.safetensors"
        return Download(
            url=f"https://huggingface.co/{config.hf_hub_id}/resolve/main/{file}",
            filename=f"{config.hf_hub_id.replace('/', '--')}--{file}",
        )
    if not config.url:
        raise WeightsError(f"timm has no pretrained weights for {name}; give `weights: PATH` or `weights: random`")
    digits = re.search(r"-([0-9a-f]{8})\.pth$", config.url)
    return Download(url=config.url, sha256=digits[1] if digits else "")


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring the whole family."""
    register("timm/*", timm_model, weights=_default_weights)

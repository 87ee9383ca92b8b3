"""The backbone `own_checkpoint`: a network that you trained yourself, with the checkpoint that your training saved.

    backbone: {name: own_checkpoint, weights: my-training.pth, width: 32}

Networks and checkpoints differ; what has to be said about them is here: the network's definition, the pixels it was
trained on, its layers, and how a checkpoint's keys become the network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from dreamd.api import Backbone, RegisterBackbone, hookimpl

DREAMD_API = 1

_PREFIXES = ("module.", "model.", "backbone.")
"""What DataParallel, Lightning and others put before the names of the network's own parameters."""


def own_checkpoint(name: str, *, width: Annotated[int, Field(ge=4, le=128)] = 32) -> Backbone:
    """A plain convolutional classifier without its head.

    Args:
        width: channels of the first block; each block has twice those of the one before.
    """
    del name  # the name it was asked for, which tells the members of a family apart
    widths = [3, *(width * 2**block for block in range(4))]
    network = nn.Sequential()
    layers = {}
    for block, (before, after) in enumerate(pairwise(widths), 1):
        network.append(nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()))
        layers[f"block{block}"] = str(len(network) - 1)
        network.append(nn.MaxPool2d(2))
        layers[f"pool{block}"] = str(len(network) - 1)
    return Backbone(
        network=network,
        mean=(0.5, 0.5, 0.5),  # of the pixels that it was trained on, in [0, 1]
        std=(0.25, 0.25, 0.25),
        layers=layers,
        default_layer="block4",
        min_side=32,
        adapt=_of_the_network,
    )


def _of_the_network(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Of a checkpoint's state dict, what belongs to this network: without the prefixes and without the head."""
    plain = {_without_prefixes(key): value for key, value in state.items()}
    return {key: value for key, value in plain.items() if not key.startswith(("head.", "fc.", "classifier."))}


def _without_prefixes(key: str) -> str:
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


@hookimpl
def dreamd_backbones(register: RegisterBackbone) -> None:
    """Bring `own_checkpoint`; it has no default weights, so that a recipe must name a file."""
    register("own_checkpoint", own_checkpoint)

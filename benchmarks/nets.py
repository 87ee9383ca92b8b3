"""VGG19 as the article runs it, as a competent loop does, and in this engine. Knows torch, torchvision and the engine.

All start from a picture in [0, 1], end with one, add up the gradients and climb the L2 norm of relu5_4, so that all
make the same picture.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone
from dreamd.engine.objectives.objective import Loss, Objective, Term, summed
from dreamd.engine.speed.card.graphs import Graphs, Recorder
from dreamd.engine.speed.flow import Flow, flow_of
from dreamd.engine.speed.precision import Precision, arrange_network, fastest

LAYERS = 36
"""Modules of VGG19's `features` that the article runs: to relu5_4."""


_SIDE_OF_FLOW = 64
"""The side in pixels of the picture that shows how tensors go through a network, as in a worker."""


def vgg19_features() -> nn.Sequential:
    """The convolutional part of a VGG19 with seeded random weights, its parameters not frozen."""
    torch.manual_seed(0)
    features: nn.Sequential = models.vgg19(weights=None).eval().features
    return features


def first_modules(count: int) -> nn.Sequential:
    """The first modules of VGG19's `features` with random weights; the rest never takes any memory."""
    with torch.device("meta"):
        modules: nn.Sequential = models.vgg19(weights=None).eval().features[:count]
    modules.to_empty(device="cpu")
    torch.manual_seed(0)
    for module in modules:
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return modules


def picture(height: int, width: int, count: int = 1) -> Tensor:
    """Soft random colours, `[N, 3, H, W]` in [0, 1]."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def psnr(first: Tensor, second: Tensor) -> float:
    """How near two pictures in [0, 1] are, in dB."""
    error = float((first - second).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def likeness(decibels: float) -> str:
    """What `psnr` gave, in words."""
    return "the same picture to the bit" if decibels == math.inf else f"the same picture to {decibels:.0f} dB"


def article_loop(
    image: Tensor, modules: list[nn.Module], device: torch.device, iterations: int, lr: float = 0.2
) -> Tensor:
    """The article's ascent as written: parameters have gradients too, and none is ever cleared."""
    mean, std = _statistics(device)
    x = ((image.to(device) - mean) / std).requires_grad_(True)
    for _ in range(iterations):
        seen = x
        for module in modules[:LAYERS]:
            seen = module(seen)
        seen.norm().backward()
        assert x.grad is not None
        x.data = x.data + lr * x.grad.data
    return (x.data * std + mean).clamp(0, 1).cpu()


def competent_loop(image: Tensor, network: nn.Module, device: torch.device, iterations: int, lr: float = 0.2) -> Tensor:
    """What anyone who knows torch writes: `network` is frozen and cut off, and only the pixels have a gradient."""
    mean, std = _statistics(device)
    x = (image.to(device) - mean) / std
    velocity = torch.zeros_like(x)
    for _ in range(iterations):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(network(x).norm(), x)
        velocity += gradient
        x = x.detach() + lr * velocity
    return (x * std + mean).clamp(0, 1).cpu()


def rounded_loop(image: Tensor, network: nn.Module, device: torch.device, iterations: int, lr: float) -> Tensor:
    """The competent loop in bf16, as torch rounds by itself."""
    with torch.autocast(device.type, torch.bfloat16):
        return competent_loop(image, network, device, iterations, lr)


def trainable(features: nn.Sequential, device: torch.device) -> list[nn.Module]:
    """A copy for `article_loop`, which leaves gradients in it."""
    return list(copy.deepcopy(features).to(device))


def frozen(features: nn.Sequential, device: torch.device) -> nn.Sequential:
    """A copy for `competent_loop`."""
    return copy.deepcopy(features[:LAYERS]).requires_grad_(False).to(device)


def norm(activation: Tensor) -> Tensor:
    """The L2 norm of each picture's activation, `[N, C, H, W]` → `[N]`, as dreamd's plugin `l2` takes it of small ones.

    The plugin itself needs more than a bare GPU machine has.
    """
    norms: Tensor = activation.flatten(1).norm(dim=1)
    return norms


def _squares(activation: Tensor) -> Tensor:
    return activation.flatten(1).square().sum(1)


def _root(squares: Tensor) -> Tensor:
    return squares.clamp(min=1e-30).sqrt()


@summed(part=_squares, finish=_root)
def norm_of_parts(activation: Tensor) -> Tensor:
    """The same as `l2` takes it of large ones, so that it need not be held whole."""
    return _root(_squares(activation))


def single(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    """The schedule of one octave."""
    yield ascend(image, overwrite=True)


def dreamer(
    features: nn.Sequential,
    precision: Literal["fp32", "auto"],
    device: torch.device,
    *,
    iterations: int,
    lr: float = 0.2,
    layer: int = LAYERS,
    loss: Loss = norm,
    memory: int | None = None,
) -> Dreamer:
    """This engine on a copy of the features, to climb as the article does.

    Args:
        features: VGG19's.
        precision: `fp32`, the exact reference, or `auto`, the fastest that the device has; as in a recipe.
        device: to compute on.
        iterations: of an ascent.
        lr: its learning rate.
        layer: how many modules to run.
        loss: of the last one's activation.
        memory: bytes that the process may hold; None: never in tiles.
    """
    chosen = fastest(device) if precision == "auto" else Precision.FP32
    network = copy.deepcopy(features)
    layers = {str(index): str(index) for index in range(len(network))}
    backbone = Backbone(network=network, layers=layers, default_layer=str(layer - 1)).frozen()
    exact = precision != "auto"
    flow = Flow() if exact else flow_of(backbone.network, _SIDE_OF_FLOW)
    arrange_network(backbone.network, chosen, device, exact=exact, flow=flow)
    return Dreamer(
        backbone=backbone,
        objective=Objective((Term(str(layer - 1), loss),)),
        settings=AscentSettings(iterations=iterations, lr=lr, momentum=1.0),
        schedule=single,
        precision=chosen,
        exact=exact,
        graphs=Graphs(Recorder(device), device=device) if device.type == "cuda" else None,
        device=device,
        memory=memory,
    )


def dreamed(image: Tensor, by: Dreamer) -> Tensor:
    """A batch dreamed by this engine."""
    return dream(image.clone(), by, seeds=range(len(image))).images


def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return mean, std

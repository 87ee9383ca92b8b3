"""What a transform must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dreamd.engine.ascents.chain import Given, Transform
from dreamd.engine.ascents.chance import Random
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
    check_keeps_input,
    check_leaves_no_state,
    check_repeats,
    must,
    must_be_finite,
    must_equal,
)
from dreamd.plugin_tools.clauses.values import (
    check_defaults,
    default_values,
    naming_values,
    variations,
    with_pictures,
)

_MOST = 64
"""The largest number that is tried for a parameter; the pictures are small."""

_STEP = 1e-2
"""The step of a finite difference, in colours from 0 to 1; smaller ones drown in float32's rounding."""

_TOLERANCE = 0.02
"""The share by which a derivative may differ from the finite difference."""


def transform_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    """Return what a transform must keep."""
    entry = item.entry
    images = torch.rand(2, 3, 65, 47, generator=torch.Generator().manual_seed(0)).to(device)
    base = default_values(entry)

    def transform(values: Mapping[str, Any], image: Tensor, seeds: tuple[int, ...] = (1, 2)) -> Tensor:
        function = Transform(partial(item.function, **with_pictures(entry, values, device)), frozenset(entry.takes))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[: len(image)]]
        original, mask = image.flip(3), torch.ones_like(image[:, :1])
        return function(image, Given(Random(generators, device), original, mask, 0.3))

    def is_finite() -> None:
        for values in variations(entry, most=_MOST):
            with naming_values(values):
                for image in (images, torch.zeros_like(images), images * 3 - 1):
                    must_be_finite(transform(values, image), "what it returns")
                for image in (images[:, :, :1, :1], images[:, :, :1], images[:, :, :, :1]):
                    must_be_finite(transform(values, image), f"what it returns of {_words(image)}")

    def is_picture_by_picture() -> None:
        parts = [transform(base, images[index : index + 1], (index + 1,)) for index in range(len(images))]
        must_equal(transform(base, images), torch.cat(parts), "a batch differs from its pictures")

    yield "gives pictures, whatever its parameters allow", is_finite
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    if entry.differentiable:
        yield "has the gradient that differences show", lambda: _check_gradient(partial(transform, base), images)
    yield (
        "gives the same each time, whatever the random numbers",
        lambda: check_repeats(lambda: transform(base, images)),
    )
    yield "leaves what it is given as it is", lambda: check_keeps_input(partial(transform, base), images)
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(lambda: transform(base, images))


def _words(image: Tensor) -> str:
    height, width = image.shape[2:]
    return f"a picture of {width}x{height} pixels"


def _check_gradient(transform: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Compare the slope along a direction, as torch has it, with the difference of two pictures on it."""
    leaf = images.clone().requires_grad_()
    views = transform(leaf)
    must(views.requires_grad, "it has no gradient: it does not depend on the picture by way of torch")
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(views.shape, generator=generator).to(images.device)
    direction = torch.randn(images.shape, generator=generator).to(images.device)
    (gradient,) = torch.autograd.grad((views * weights).sum(), leaf)
    slope = float((gradient.double() * direction.double()).sum())
    ahead, behind = (transform(images + step * direction).double() for step in (_STEP, -_STEP))
    difference = float(((ahead - behind) * weights).sum()) / (2 * _STEP)
    scale = float((gradient.double() * direction.double()).square().sum().sqrt())
    must(
        abs(slope - difference) <= _TOLERANCE * (abs(difference) + scale),
        f"its gradient is off: a slope of {slope:.4g}, and a difference of {difference:.4g}",
    )

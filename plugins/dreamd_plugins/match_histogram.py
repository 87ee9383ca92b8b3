"""The transform `match_histogram`: colours spread as they are in another picture, or in the original.

Leon Gatys and others: "Preserving Color in Neural Artistic Style Transfer", 2016, have it for mean and covariance; here
each channel's whole distribution is matched, as scikit-image's `match_histograms` does.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from dreamd.api import Picture, RegisterTransform, hookimpl

_STEPS = 1024
"""The quantiles by which two distributions are compared, and the levels that values are rounded to: else a wide plain
of one colour, which differs by rounding alone, would be spread over many."""

_MOST = 1 << 22
"""Pixels. Of larger pictures every so many are looked at for the quantiles."""


def match_histogram(
    image: Tensor,
    *,
    original: Tensor,
    picture: Picture | None = None,
    amount: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> Tensor:
    """Give each channel the distribution of values that the other picture's channel has.

    Args:
        picture: the other picture; null for the original.
        amount: how far to go there; 0 leaves the colours as they are.
    """
    wanted = original if picture is None else picture.to(image.device).expand(len(image), -1, -1, -1)
    matched = torch.empty_like(image)
    for number in range(len(image)):
        for channel in range(3):
            values = (image[number, channel] * _STEPS).round_() / _STEPS
            own, other = (_quantiles(one.flatten()) for one in (values, wanted[number, channel]))
            matched[number, channel] = _looked_up(values, own, other)
    return torch.lerp(image, matched, amount)


def _quantiles(values: Tensor) -> Tensor:
    """Return the values below which each of the shares from 0 to 1 lies."""
    ordered = values[:: max(1, -(-len(values) // _MOST))].sort().values
    place = torch.linspace(0, len(ordered) - 1, _STEPS, device=values.device)
    lower = place.long()
    upper = (lower + 1).clamp(max=len(ordered) - 1)
    return torch.lerp(ordered[lower], ordered[upper], place - lower)


def _looked_up(values: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Return for each value the one at the same share of the other distribution; equal values stay equal."""
    flat = values.flatten().contiguous()
    low, high = (torch.searchsorted(own, flat, right=right) for right in (False, True))
    place = ((low + high - 1) / 2).clamp(0, _STEPS - 1)
    lower = (place.floor().long()).clamp(max=_STEPS - 2)
    gap = own[lower + 1] - own[lower]
    inside = torch.where(gap > 0, (flat - own[lower]) / gap.clamp(min=1e-12), place - lower).clamp(0, 1)
    return torch.lerp(other[lower], other[lower + 1], inside).view_as(values)


@hookimpl
def dreamd_transforms(register: RegisterTransform) -> None:
    """Bring `match_histogram`."""
    register("match_histogram", match_histogram)

"""A trial: finds what stands in the wrong place of a chain, on a small picture, before hours are dreamed with it.

Knows chains. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dreamd.engine.ascents.chain import ASKED_OF_WHOLE_PICTURES, Chain, Given, Parameterization, Transform
from dreamd.engine.ascents.chance import Random

_SHAPE = (1, 3, 40, 37)
"""The shape of the picture that is tried."""


@dataclass(frozen=True)
class Misplaced:
    """Something that cannot stand where it stands.

    Attributes:
        where: the field of the chain that it stands in: `start`, `transforms`.
        number: its number there, from 0.
        problem: what is wrong, and what to do.
    """

    where: str
    number: int
    problem: str


def find_misplaced(chain: Chain, device: torch.device) -> Misplaced | None:
    """Return the first thing of a chain that stands in the wrong place; None if nothing does.

    Args:
        chain: the chain; its functions are called.
        device: where its functions are called with pictures.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(_SHAPE, generator=generator).to(device)
    given = Given(Random([generator], device), image, torch.ones_like(image[:, :1]))
    with torch.no_grad():
        once = (_not_keeping(where, getattr(chain, where), image, given) for where in ("start", "settle", "finish"))
        found = [*once, _asking_of_views(chain.transforms, image, given), _not_last(chain.parameterization, image)]
    return next((misplaced for misplaced in found if misplaced is not None), None)


def _not_keeping(where: str, steps: Sequence[Transform], image: Tensor, given: Given) -> Misplaced | None:
    """Find a transform that makes pictures of another shape where it must keep theirs."""
    for number, step in enumerate(steps):
        made = step(image, replace(given, progress=1.0 if where == "finish" else 0.0))
        if made.shape != image.shape:
            problem = f"makes pictures of shape {list(made.shape)} of {list(image.shape)}"
            return Misplaced(where, number, f"{problem}; views of another size may only be made under `transforms`")
        image = made
    return None


def _asking_of_views(steps: Sequence[Transform], image: Tensor, given: Given) -> Misplaced | None:
    """Find a transform that asks for what only the whole picture has, behind one that makes several views."""
    asking = [number for number, step in enumerate(steps) if step.asks & ASKED_OF_WHOLE_PICTURES]
    for number, step in enumerate(steps[: max(asking, default=0)]):
        image = step(image, given)
        if len(image) > 1:
            behind = next(other for other in asking if other > number)
            problem = (
                "asks for the original or the mask, and so must stand before what makes several views of a picture"
            )
            return Misplaced("transforms", behind, f"{problem}: transforms[{number}]")
    return None


def _not_last(levels: Sequence[Parameterization], image: Tensor) -> Misplaced | None:
    """Find a parameterization whose parameters are no pictures, so that the next one cannot encode them."""
    for number, level in enumerate(levels[:-1]):
        made = level.encode(image)
        if made.shape != image.shape:
            problem = f"makes parameters of shape {list(made.shape)}, which are no pictures: it must be the last"
            return Misplaced("parameterization", number, problem)
        image = made
    return None

"""The loss `guide`: the dream is made of what the network sees in another picture.

Google's guided dreaming (Mordvintsev, Olah, Tyka, in the notebook published with "Inceptionism", 2015): each cell x of
the dream is pulled towards the cell y of the guide that it is most like already.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.api import RegisterLoss, Seen, hookimpl, summed

_CHUNK = 1 << 22
"""Products of cells that are looked at at a time: 16 MB in float32."""

_MOST_CELLS = 1280
"""Cells of the guide, evenly spread over it, that are looked at where a layer sees more.

So many does a layer of stride 16 see in 640×512 pixels. Every cell of the dream meets each of them: with all that
VGG19's relu3_1 sees in such a guide, they took five times as long as the network itself.
"""

_TINY = 1e-6
"""Keeps the cosine finite where the guide's median cell sees nothing."""

_FAINT = 0.1
"""The length below which a cell counts as faint, a share of the guide's median cell.

The gradient of a cosine is one over the length: without a bound, cells that see next to nothing would outweigh all
others, and rounding would choose where they go.
"""

By = Literal["dot", "cosine"]


def _sum(activation: Tensor, *, picture: Seen, by: By = "dot") -> Tensor:
    """Return the sum over the cells."""
    cells = activation.flatten(2)
    others = _spread(picture.flatten(2)[0]).to(activation.dtype)
    if by == "cosine":
        faint = _FAINT * others.norm(dim=0).median()
        cells = cells / cells.norm(dim=1, keepdim=True).clamp(min=faint.clamp(min=_TINY))
        others = F.normalize(others, dim=0)
    best = torch.stack([others[:, _nearest(some, others)] for some in cells.detach()])
    return (cells * best).sum((1, 2))


def _spread(cells: Tensor) -> Tensor:
    """Return no more of the cells `[C, M]` than are looked at."""
    count = cells.shape[1]
    if count <= _MOST_CELLS:
        return cells
    return cells[:, torch.linspace(0, count - 1, _MOST_CELLS, device=cells.device).round().long()]


def _as_it_is(sums: Tensor, *, picture: Seen, by: By = "dot") -> Tensor:
    del picture, by
    return sums


def _nearest(cells: Tensor, others: Tensor) -> Tensor:
    """Return for each of a picture's cells `[C, P]` the number of the guide's cell `[C, M]` of the greatest product."""
    step = max(1, _CHUNK // others.shape[1])
    starts = range(0, cells.shape[1], step)
    return torch.cat([(cells[:, start : start + step].T @ others).argmax(1) for start in starts])


@summed(part=_sum, finish=_as_it_is)
def guide(activation: Tensor, *, picture: Seen, by: By = "dot") -> Tensor:
    """The sum over the dream's cells of `max over j of x · y_j`: `[N, C, H, W]` → `[N]`.

    Its gradient at x is the nearest y itself.

    Args:
        picture: the guide; how its cells lie in it does not matter. Of more than 1280, so many are looked at, evenly
            spread.
        by: what is greatest: the dot product, or the cosine of the angle, for which strong cells count as weak ones;
            cells of less than a tenth of the guide's median length count less.
    """
    return _sum(activation, picture=picture, by=by)


@hookimpl
def dreamd_losses(register: RegisterLoss) -> None:
    """Bring `guide`."""
    register("guide", guide)

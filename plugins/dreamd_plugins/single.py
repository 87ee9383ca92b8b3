"""The schedule `single`: one ascent at the picture's own size.

What a recipe of classes wants that moves a spectrum (Olah, Mordvintsev, Schubert: "Feature Visualization", 2017): its
parameters hold every size at once, so that octaves would add nothing but time.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from dreamd.api import Ascend, RegisterSchedule, hookimpl


def single(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    """Dream the picture `[N, 3, H, W]` once, at its own size."""
    ascend.plan(1)
    yield ascend(image)


@hookimpl
def dreamd_schedules(register: RegisterSchedule) -> None:
    """Bring `single`."""
    register("single", single)

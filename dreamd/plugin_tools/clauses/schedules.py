"""What a schedule must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
    check_leaves_no_state,
    check_repeats,
    must,
)
from dreamd.plugin_tools.clauses.values import (
    check_defaults,
    default_values,
    naming_values,
    variations,
)
from dreamd.plugin_tools.tiny import tiny_dream

_ROUNDING = 5e-4
"""How far a batch may be off its pictures on the mean: an eighth of a step of 8 bit. A normalised dream of two
iterations changes a picture by several steps."""


def schedule_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    """Return what a schedule must keep."""
    entry = item.entry
    base = default_values(entry)
    pictures = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))

    def dreamed(values: Mapping[str, Any], given: Tensor, jitter: int = 0) -> Tensor:
        schedule = partial(item.function, **values)
        return tiny_dream(given, schedule=schedule, steps=[_normalise], device=device, jitter=jitter)

    def gives_pictures() -> None:
        for values in variations(entry, most=8):
            with naming_values(values):
                given = pictures[:1, :, :33, :41]
                seen = _WatchedSchedule(item.function, values)
                result = tiny_dream(given, schedule=seen, device=device)
                must(bool((result >= 0).all() and (result <= 1).all()), "its pictures leave the range 0 to 1")
                seen.check()

    def is_picture_by_picture() -> None:
        parts = [dreamed(base, pictures[index : index + 1]) for index in range(len(pictures))]
        off = float((dreamed(base, pictures) - torch.cat(parts)).abs().mean())
        # Single pixels of a schedule that works in 8 bit may be rounded to the next value.
        must(off <= _ROUNDING, f"a batch differs from its pictures: it is off by {off:.2g} on the mean")

    yield "gives pictures of the size that it was given, in the range 0 to 1", gives_pictures
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield (
        "gives the same each time, whatever the random numbers",
        lambda: check_repeats(lambda: dreamed(base, pictures[:1], 2)),
    )
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(lambda: dreamed(base, pictures[:1]))


def _normalise(gradient: Tensor) -> Tensor:
    return gradient / (gradient.flatten(1).std(1) + 1e-12).view(-1, 1, 1, 1)


class _WatchedSchedule:
    """A schedule around a plugin's own, which looks at what that one ascends."""

    def __init__(self, schedule: Callable[..., Any], values: Mapping[str, Any]) -> None:
        self._schedule = partial(schedule, **values)
        self._watched: _WatchedAscend | None = None

    def __call__(self, image: Tensor, ascend: Ascend) -> Any:
        self._watched = _WatchedAscend(ascend)
        return self._schedule(image, self._watched)

    def check(self) -> None:
        """Raise PluginError unless what was ascended were pictures, and as many as were planned."""
        assert self._watched is not None
        given, planned = self._watched.given, self._watched.planned
        must(bool(given), "it never calls `ascend`, so that nothing is dreamed")
        for low, high in given:
            inside = low >= -1e-6 and high <= 1 + 1e-6
            must(inside, f"it has values from {low:.2g} to {high:.2g} ascend; clamp them to 0 … 1")
        must(
            planned in (None, len(given)), f"it planned {planned} ascents and made {len(given)}: see `ascend.plan`"
        )  # fmt: skip


class _WatchedAscend:
    """An `Ascend` that remembers the ranges of what it was given, and how many ascents were planned."""

    def __init__(self, ascend: Ascend) -> None:
        self._ascend = ascend
        self.given: list[tuple[float, float]] = []
        self.planned: int | None = None

    @property
    def deterministic(self) -> bool:
        return self._ascend.deterministic

    def plan(self, ascents: int) -> None:
        self.planned = ascents
        self._ascend.plan(ascents)

    def __call__(self, image: Tensor, *, overwrite: bool = False) -> Tensor:
        if isinstance(image, Tensor) and image.numel():
            self.given.append((float(image.min()), float(image.max())))
        return self._ascend(image, overwrite=overwrite)

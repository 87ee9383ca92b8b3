"""What a gradient step must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dreamd.plugin_host.host import Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import supplied_to
from dreamd.plugin_tools.clauses.common import (
    Clause,
    check_leaves_no_state,
    check_repeats,
    must,
    must_be_finite,
    must_equal,
    random_tensor,
)
from dreamd.plugin_tools.clauses.values import (
    check_defaults,
    default_values,
    naming_values,
    variations,
)


def gradient_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    """Return what a gradient step must keep."""
    entry = item.entry
    gradient = random_tensor(2, 3, 33, 47, device=device)

    def step(values: Mapping[str, Any], given: Tensor, progress: float = 0.3) -> Tensor:
        supplied = {"progress": progress} if "progress" in supplied_to(item.function, Kind.GRADIENT) else {}
        result: Tensor = item.function(given.clone(), **values, **supplied)
        return result

    base = default_values(entry)

    def is_finite() -> None:
        for values in variations(entry, most=16):
            with naming_values(values):
                for given in (gradient, gradient * 1e-6, torch.zeros_like(gradient)):
                    for progress in (0.0, 0.9):
                        must_be_finite(step(values, given, progress), "what it returns")

    def is_picture_by_picture() -> None:
        parts = [step(base, gradient[index : index + 1]) for index in range(len(gradient))]
        must_equal(step(base, gradient), torch.cat(parts), "a batch differs from its pictures")

    yield "keeps shape and dtype", lambda: _check_shape(lambda given: step(base, given), device)
    yield "is finite, whatever its parameters allow", is_finite
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield "gives the same each time, whatever the random numbers", lambda: check_repeats(lambda: step(base, gradient))
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(lambda: step(base, gradient))


def _check_shape(step: Callable[[Tensor], Tensor], device: torch.device) -> None:
    for shape in ((1, 3, 32, 32), (2, 3, 33, 47)):
        given = random_tensor(*shape, device=device)
        result = step(given)  # whose shape and dtype its guard holds against the gradient's
        must(result.device.type == given.device.type, f"it moved the gradient to {result.device}")

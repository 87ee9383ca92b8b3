"""What an optimizer must keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dreamd.plugin_host.host import Registered
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
    with_pictures,
)

_SIZES = (1.0, 1e-6, 1e6, 0.0)
"""What gradients are multiplied by: some losses are in thousands, and some networks see nothing."""


class _Climb:
    """A few steps of an optimizer, with gradients that do not depend on where they lead."""

    def __init__(self, item: Registered, values: Mapping[str, Any], start: Tensor, momentum: float) -> None:
        self._step = partial(item.function, **with_pictures(item.entry, values, start.device))
        self._takes = item.entry.takes
        self._momentum = momentum
        self.parameters = start.clone()
        self.state: dict[str, Tensor] = {}

    def go(self, gradient: Tensor, progress: float = 0.3) -> Tensor:
        given = {"parameters": self.parameters, "progress": progress, "momentum": self._momentum}
        move: Tensor = self._step(gradient.clone(), self.state, **{name: given[name] for name in self._takes})
        self.parameters = self.parameters + 0.1 * move
        return move.clone()


def optimizer_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    """Return what an optimizer must keep."""
    entry = item.entry
    base = default_values(entry)
    gradients = [random_tensor(2, 3, 9, 7, device=device, seed=seed) for seed in range(4)]

    def climbed(some: Sequence[Tensor], values: Mapping[str, Any] = base, momentum: float = 0.5) -> list[Tensor]:
        climb = _Climb(item, values, torch.zeros_like(some[0]), momentum)
        return [climb.go(gradient) for gradient in some]

    def is_finite() -> None:
        for values in variations(entry, most=16):
            with naming_values(values):
                for size in _SIZES:
                    must_be_finite(torch.stack(climbed([size * one for one in gradients], values)), "its move")

    def goes_upwards() -> None:
        first = climbed(gradients[:1])[0]
        must(float((first * gradients[0]).sum()) > 0, "its first move goes against the gradient: losses are maximised")

    def is_picture_by_picture() -> None:
        parts = [climbed([one[index : index + 1] for one in gradients])[-1] for index in range(2)]
        must_equal(climbed(gradients)[-1], torch.cat(parts), "a batch differs from its pictures")

    def takes_several_shapes() -> None:
        for shape in ((1, 3, 32, 32), (2, 3, 33, 24, 2), (1, 5)):
            climbed([random_tensor(*shape, device=device)] * 2)

    yield "makes a finite move, whatever its parameters allow", is_finite
    yield "goes upwards", goes_upwards
    yield "takes parameters of any shape", takes_several_shapes
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield "goes on from what is kept of its state", lambda: _check_state(item, base, gradients)
    yield (
        "gives the same each time, whatever the random numbers",
        lambda: check_repeats(lambda: climbed(gradients)[-1]),
    )
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(lambda: climbed(gradients))


def _check_state(item: Registered, values: Mapping[str, Any], gradients: Sequence[Tensor]) -> None:
    """Have another climb go on from the state and the parameters of one."""
    climb, other = (_Climb(item, values, torch.zeros_like(gradients[0]), 0.5) for _ in range(2))
    for gradient in gradients[:-1]:
        climb.go(gradient)
    for name, value in climb.state.items():
        must(isinstance(value, Tensor), f"it keeps a {type(value).__name__} as {name!r}; only tensors can be kept")
    other.state = {name: value.clone() for name, value in climb.state.items()}
    other.parameters = climb.parameters.clone()
    same = torch.equal(climb.go(gradients[-1]), other.go(gradients[-1]))
    must(same, "with its state and its parameters another goes on differently: keep in `state` what it remembers")

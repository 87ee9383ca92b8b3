"""What a loss must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dreamd.engine.objectives.objective import Objective, Term, WholeGradient, sums_of
from dreamd.engine.objectives.references import ORIGINAL
from dreamd.engine.tiles.locality import locality_of
from dreamd.engine.tiles.tiling import TiledGradient
from dreamd.plugin_host.host import Registered
from dreamd.plugin_tools.clauses.common import (
    Clause,
    check_keeps_input,
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
from dreamd.plugin_tools.tiny import CHANNELS, tiny_backbone


def loss_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    """Return what a loss must keep."""
    entry = item.entry

    def with_values(values: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
        return _comparing(item, with_pictures(entry, values, device, channels=CHANNELS))

    loss = with_values(default_values(entry))
    activation = random_tensor(2, CHANNELS, 9, 7, device=device)

    def gives_one_value() -> None:
        for count in (1, 3):
            value = loss(random_tensor(count, CHANNELS, 9, 7, device=device))
            must(value.dtype == torch.float32, f"it returned {value.dtype} for float32; keep the dtype")
            must_be_finite(value, "its value")

    def has_gradient() -> None:
        for values in variations(entry):
            with naming_values(values):
                for picture in (activation, activation * 1e3, torch.zeros_like(activation)):
                    must_be_finite(_slope(with_values(values), picture), "its gradient")
        must(bool(_slope(loss, activation).any()), "its gradient is zero everywhere, so that nothing would be dreamed")

    def is_picture_by_picture() -> None:
        parts = [activation[index : index + 1] for index in range(len(activation))]
        must_equal(loss(activation), torch.cat([loss(part) for part in parts]), "a batch differs from its pictures")
        slopes = torch.cat([_slope(loss, part) for part in parts])
        must_equal(_slope(loss, activation), slopes, "the gradient of a batch differs from that of its pictures")

    def takes_any_order_of_memory() -> None:
        turned = activation.contiguous(memory_format=torch.channels_last)
        must_equal(loss(turned), loss(activation), "with the channels innermost in memory, it is another")
        must_equal(
            _slope(loss, turned), _slope(loss, activation), "with the channels innermost, its gradient is another"
        )

    yield "gives one value a picture", gives_one_value
    yield "has a finite gradient, whatever its parameters allow", has_gradient
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield "takes activations in any order of memory", takes_any_order_of_memory
    yield "is the same in tiles as whole", lambda: _check_tiles(loss, device)
    yield "gives the same each time, whatever the random numbers", lambda: check_repeats(lambda: loss(activation))
    yield "leaves what it is given as it is", lambda: check_keeps_input(loss, activation)
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(lambda: loss(activation))


def _comparing(item: Registered, values: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """Return a loss with its parameters, as the engine calls it; the original is another activation of that shape."""
    loss = partial(item.function, **values)
    if ORIGINAL not in item.entry.takes:
        return loss
    return lambda activation: loss(activation, original=activation.detach().flip(1) / 2 + 0.1)


def _slope(loss: Callable[[Tensor], Tensor], activation: Tensor) -> Tensor:
    leaf = activation.detach().clone().requires_grad_()
    value = loss(leaf)
    must(value.requires_grad, "it has no gradient: it does not depend on what it is given by way of torch")
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return slope


def _check_tiles(loss: Callable[[Tensor], Tensor], device: torch.device) -> None:
    if (sums := sums_of(loss)) is not None:
        cells = random_tensor(2, CHANNELS, 12, 8, device=device)
        added = sums.part(cells[:, :, :5]) + sums.part(cells[:, :, 5:])
        must_equal(
            sums.finish(added), loss(cells), "the loss of the @summed sums of two parts differs from the whole's"
        )
    backbone = tiny_backbone(device)
    objective = Objective((Term(backbone.module_name("relu2"), loss),))
    pictures = random_tensor(1, 3, 72, 56, device=device)
    # Without cuDNN a GPU convolves in full float32, and spreads no not-a-number to neighbouring cells.
    with torch.backends.cudnn.flags(enabled=False), WholeGradient(backbone.network, objective) as whole:

        def look(strip: Tensor) -> list[Tensor]:
            return whole.lookout(strip.to(device))

        sides = locality_of(backbone.network, objective.sights(), look, backbone.min_side).sides(look, pictures.shape)
        assert sides is not None  # the tiny network is local
        tiled = TiledGradient(whole.lookout, objective, sides, 24, backbone.min_side)
        (gradient, value), (expected, whole_value) = tiled(pictures), whole(pictures)
    must_equal(value, whole_value, "the loss of a picture in tiles differs from the whole picture's")
    must_equal(gradient, expected, "the gradient of a picture in tiles differs from the whole picture's")

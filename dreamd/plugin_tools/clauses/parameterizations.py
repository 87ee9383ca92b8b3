"""What a parameterization must keep."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

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


def parameterization_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    """Return what a parameterization must keep."""
    entry = item.entry
    images = torch.rand(2, 3, 33, 47, generator=torch.Generator().manual_seed(0)).to(device)
    base = default_values(entry)

    def encode(image: Tensor, values: Mapping[str, Any] = base) -> Tensor:
        given = with_pictures(entry, values, device)
        result: Tensor = item.function(image, **_taken(item.function, given))
        return result

    def decode(parameters: Tensor, image: Tensor, values: Mapping[str, Any] = base) -> Tensor:
        assert item.decode is not None
        given = with_pictures(entry, values, device)
        result: Tensor = item.decode(parameters, image.shape, **_taken(item.decode, given))
        return result

    def there_and_back(image: Tensor, values: Mapping[str, Any] = base) -> Tensor:
        return decode(encode(image, values), image, values)

    def is_finite() -> None:
        for values in variations(entry, most=16):
            with naming_values(values):
                for image in (images, images[:, :, :32, :32], torch.zeros_like(images), torch.ones_like(images)):
                    must_be_finite(encode(image, values), "what it encodes")
                    must_be_finite(there_and_back(image, values), "what it decodes")

    def comes_back() -> None:
        once = there_and_back(images)
        must_equal(
            there_and_back(once), once, "encoding what was decoded and decoding it again is another picture", 1e-3
        )

    def has_gradient() -> None:
        leaf = encode(images).detach().requires_grad_()
        image = decode(leaf, images)
        must(image.requires_grad, "decode has no gradient: it does not depend on the parameters by way of torch")
        weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).to(device)
        (gradient,) = torch.autograd.grad((image * weights).sum(), leaf)
        must_be_finite(gradient, "its gradient")
        must(bool(gradient.any()), "its gradient is zero everywhere, so that nothing would be dreamed")

    def is_picture_by_picture() -> None:
        parts = [images[index : index + 1] for index in range(len(images))]
        must_equal(encode(images), torch.cat([encode(part) for part in parts]), "a batch differs from its pictures")
        whole = torch.cat([there_and_back(part) for part in parts])
        must_equal(there_and_back(images), whole, "a decoded batch differs from its pictures")

    yield "encodes and decodes finite values, whatever its parameters allow", is_finite
    yield "decodes what it encodes, as far as it can", comes_back
    yield "has a gradient", has_gradient
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield "gives the same each time, whatever the random numbers", lambda: check_repeats(lambda: there_and_back(images))
    yield "leaves what it is given as it is", lambda: check_keeps_input(encode, images)
    yield "takes its own defaults", partial(check_defaults, entry)
    yield "leaves no state behind", lambda: check_leaves_no_state(lambda: there_and_back(images))


def _taken(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some values that a function has parameters for."""
    return {name: value for name, value in values.items() if name in inspect.signature(function).parameters}

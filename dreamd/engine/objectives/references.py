"""References: what a layer sees in another picture than the one that climbs, as a parameter of its loss.

There are three kinds. A picture of the recipe (a guide) is looked at once for each size of an ascent. The original is
looked at before each gradient, moved and changed as the picture that climbs is. A vector is no picture: it says itself
what the layer would see, in one cell.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from torch import Tensor

ORIGINAL = "original"
"""The keyword parameter by which a loss asks for what its layer sees in the original."""


class Reference:
    """What a layer sees in one picture, as it is now.

    Attributes:
        picture: `[1, 3, H, W]` in [0, 1]; None for a vector, and for the original, which each dream has its own of.
        key: equal for equal pictures and vectors.
        vector: what the layer sees in each of its channels, `[1, C, 1, 1]`; None for pictures.
        value: the chosen channels of the layer's activation, float32; None before anybody looked.
    """

    def __init__(self, picture: Tensor | None = None, key: Hashable = None, *, vector: Tensor | None = None) -> None:
        self.picture = picture
        self.key = key
        self.vector = vector
        self.value: Tensor | None = None

    @property
    def is_original(self) -> bool:
        """Whether it is the original, which differs from dream to dream."""
        return self.picture is None and self.vector is None

    def beside(self, activation: Tensor) -> Tensor:
        """Return the value for a loss of this activation."""
        if self.value is None or (self.is_original and self.value.shape != activation.shape):
            return activation.detach()  # only the memory that a gradient takes is being measured
        return self.value


@contextmanager
def showing(references: Sequence[Reference], values: Sequence[Tensor]) -> Iterator[None]:
    """Inside, references have other values."""
    before = [reference.value for reference in references]
    for reference, value in zip(references, values, strict=True):
        reference.value = value
    try:
        yield
    finally:
        for reference, value_before in zip(references, before, strict=True):
            reference.value = value_before


class Referring:
    """A loss some of whose keyword parameters are references. It is called like any other loss.

    Attributes:
        loss: the loss, its other parameters filled in.
        references: keyword parameter → reference.
    """

    def __init__(self, loss: Callable[..., Tensor], references: Mapping[str, Reference]) -> None:
        self.loss = loss
        self.references = references

    def __call__(self, activation: Tensor) -> Tensor:
        """Return the loss `[N]` of an activation `[N, C, ...]`."""
        return self.loss(activation, **self._values(activation))

    @property
    def looks_at_the_original(self) -> bool:
        """Whether one of the references is the original."""
        return any(reference.is_original for reference in self.references.values())

    @property
    def signature(self) -> Hashable:
        """Equal for equal losses with equal references."""
        function, parameters = (
            (self.loss.func, self.loss.keywords) if isinstance(self.loss, partial) else (self.loss, {})
        )
        keys = tuple((name, reference.key) for name, reference in sorted(self.references.items()))
        return function, repr(sorted(parameters.items())), keys

    def part_with(self, part: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        """Return a function of an activation that is given the references too."""
        return lambda activation: part(activation, **self._values(activation))

    def finish_with(self, finish: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        """Return a function of sums that is given the references too."""
        return lambda sums: finish(sums, **{name: reference.value for name, reference in self.references.items()})

    def _values(self, activation: Tensor) -> dict[str, Tensor]:
        return {name: reference.beside(activation) for name, reference in self.references.items()}

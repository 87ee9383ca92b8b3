"""The outset: what a dream keeps of how it began, for everything that compares with it. Knows no network.

The original at any size, the mask at any size, and the pictures of the recipe that losses look at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamd.engine.ascents.chain import Canvas, Chain, Given, Scene, changed, looks_at_the_original, resized
from dreamd.engine.ascents.chance import Random
from dreamd.engine.objectives.references import Reference, Referring
from dreamd.engine.tiles.footprint import measure_tensors

_LONGEST_SEEN = 640
"""Pixels. A picture that a loss looks at is shrunk to this side, since its cells meet every cell of the dream."""


class Outset:
    """How a dream began."""

    def __init__(
        self, chain: Chain, images: Tensor, mask: Tensor | None, *, keeps_original: bool, min_side: int
    ) -> None:
        """Keep what will be asked for.

        Args:
            chain: what is done at the start and at the end.
            images: the pictures as they came, `[N, 3, H, W]` in [0, 1].
            mask: where to dream, `[N, 1, H, W]` from 0 to 1; None for everywhere.
            keeps_original: whether something will ask for the original; a mask does so anyway.
            min_side: the shortest side in pixels that the network takes; smaller pictures are padded to it.
        """
        self._chain = chain
        self._original = images.clone() if keeps_original or mask is not None else None
        self._mask = None if mask is None else mask.to(images.device)
        self._min_side = min_side

    @property
    def has_mask(self) -> bool:
        """Whether a part of the pictures is left as it is."""
        return self._mask is not None

    def given(self, size: tuple[int, int], random: Random, progress: float = 0.0) -> Given:
        """Return what transforms may ask for at a size of pictures, height and width."""
        return Given(random, self._at(self._original, size), self._at(self._mask, size), progress)

    def started(self, images: Tensor, random: Random) -> Tensor:
        """Return the pictures that the dream starts from."""
        return self._behind_mask(self._changed(images, self._chain.start, random, 0.0), images)

    def finished(self, images: Tensor, random: Random) -> Tensor:
        """Return the dream's result, in [0, 1]; where the mask is 0, it is the original to the bit."""
        result = self._changed(images, self._chain.finish, random, 1.0)
        if self._mask is None or self._original is None:
            return result
        if self._chain.finish:
            result = torch.lerp(self._original, result, self._mask)
        return torch.where(self._mask > 0, result, self._original)

    def _changed(self, images: Tensor, steps: Sequence[object], random: Random, progress: float) -> Tensor:
        if not steps:
            return images
        given = self.given((images.shape[2], images.shape[3]), random, progress)
        return changed(images, self._chain.finish if progress else self._chain.start, given).clamp(0, 1)

    def _behind_mask(self, images: Tensor, before: Tensor) -> Tensor:
        if self._mask is None or images is before:
            return images
        return torch.lerp(before, images, self._mask)

    def _at(self, whole: Tensor | None, size: tuple[int, int]) -> Tensor | None:
        """Something of the whole pictures at another size, which may be the network's smallest."""
        if whole is None or whole.shape[2:] == size:
            return whole
        # A picture smaller than the network's smallest was padded, not enlarged: so is what goes with it.
        scale = max(own / side for own, side in zip(whole.shape[2:], size, strict=True))
        height, width = (min(side, max(1, round(own / scale))) for own, side in zip(whole.shape[2:], size, strict=True))
        if min(size) > self._min_side:
            height, width = size
        return F.pad(resized(whole, (height, width)), (0, size[1] - width, 0, size[0] - height), mode="replicate")

    def reference_at(self, reference: Reference, size: tuple[int, int]) -> Tensor | None:
        """Return the picture that a loss of the picture itself compares with, at a size of pictures."""
        return self._at(self._original if reference.picture is None else reference.picture, size)

    def seen_by(self, look: Callable[[Tensor], list[Tensor]], picture: Tensor, longest: int) -> list[Tensor]:
        """Return what the layer of each term sees in a picture of the recipe, shrunk to a longest side in pixels."""
        return look(padded(_shrunk(picture, longest), self._min_side))


class Comparisons:
    """What the losses of one climb compare with.

    Attributes:
        originals: the references of losses to the original, each with the number of its term.
    """

    def __init__(self, chain: Chain, references: Sequence[tuple[int, Reference]], outset: Outset) -> None:
        """Compare with nothing yet.

        Args:
            chain: what stands around the climb's gradient.
            references: the references of its objective's losses, each with the number of its term.
            outset: how the dream began.
        """
        self._chain = chain
        self._outset = outset
        self.originals = [(index, reference) for index, reference in references if reference.is_original]
        self._pictures = [(index, reference) for index, reference in references if reference.picture is not None]
        self._seen_at: int | None = None

    def prepare(self, size: tuple[int, int], look: Callable[[Tensor], list[Tensor]], *, anew: bool = False) -> None:
        """Have every loss know what it compares with, for an ascent of pictures of a size.

        Args:
            size: height and width.
            look: pictures `[1, 3, H, W]` in [0, 1] → what the layer of each term sees.
            anew: look again though the size is the same, because other channels are looked at.
        """
        if anew:
            self._seen_at = None
        self._see_pictures(min(_LONGEST_SEEN, max(size)), look)
        for term in self._chain.picture_terms:
            for reference in term.loss.references.values() if isinstance(term.loss, Referring) else ():
                whole = self._outset.reference_at(reference, size)
                reference.value = None if whole is None else term.chosen(whole)

    def _see_pictures(self, longest: int, look: Callable[[Tensor], list[Tensor]]) -> None:
        if self._seen_at == longest:
            return
        self._seen_at = longest
        for index, reference in self._pictures:
            assert reference.picture is not None
            reference.value = self._outset.seen_by(look, reference.picture, longest)[index]


def _shrunk(picture: Tensor, longest: int) -> Tensor:
    height, width = picture.shape[2:]
    scale = min(1.0, longest / max(height, width))
    return resized(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def padded(picture: Tensor, side: int) -> Tensor:
    """Return pictures with their edges repeated to the right and below, until no side is shorter."""
    below, right = (max(0, side - length) for length in picture.shape[2:])
    return F.pad(picture, (0, right, 0, below), mode="replicate") if below or right else picture


def keeps_original(chain: Chain, references: Sequence[tuple[int, Reference]]) -> bool:
    """Return whether a chain or a loss asks for the original."""
    return chain.asks_for_original or any(reference.is_original for _, reference in references)


def held_beside(chain: Chain, references: Sequence[tuple[int, Reference]]) -> int:
    """Return how many whole pictures, in float32, a chain holds beside those that bare pixels take.

    Measured on small pictures, by what more each pixel costs when they are larger; transforms that make views of one
    size cost the same for any picture.
    """
    kept = int(keeps_original(chain, references))
    if any(reference.is_original for _, reference in references) or any(
        map(looks_at_the_original, chain.picture_terms)
    ):
        kept += 1  # as the loss is shown it
    if chain.is_bare and not (chain.start or chain.finish):
        return kept
    per_pixel, _ = _measured(chain)
    return max(0, ceil(per_pixel / _BYTES_A_PIXEL) - _OF_BARE_PIXELS) + kept


def held_whatever_the_size(chain: Chain) -> int:
    """Return the bytes that a chain holds of a picture of any size: of the views of one size that transforms make."""
    return max(0, int(_measured(chain)[1])) if chain.transforms else 0


def _measured(chain: Chain) -> tuple[float, float]:
    """Measure the bytes that a chain holds for each pixel of a picture, and those that it holds besides."""
    per_pixel, besides = _measured_at(chain, *_MEASURED)
    if per_pixel < _MANY * _BYTES_A_PIXEL:
        return per_pixel, besides
    return _measured_at(chain, *_MEASURED_AGAIN)


def _measured_at(chain: Chain, side: int, longer: int) -> tuple[float, float]:
    small, large = (measure_tensors(partial(_once, chain, each)) for each in (side, longer))
    per_pixel = (large - small) / (longer**2 - side**2)
    return per_pixel, small - per_pixel * side**2


_MEASURED, _MEASURED_AGAIN = (64, 96), (256, 320)
"""Sides in pixels. A chain that holds very much of small pictures may work in bands, and is measured again."""

_MANY = 60
"""The pictures that are very much."""

_BYTES_A_PIXEL = 3 * 4

_OF_BARE_PIXELS = 3
"""The pictures of those measured that bare pixels take too: what moves, the gradient, and what is made of it."""


def _once(chain: Chain, side: int) -> None:
    """Take a small picture through a chain once."""
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    random = Random([torch.Generator().manual_seed(0)], x.device)
    given = Given(random, x, torch.ones_like(x[:, :1]))
    zero = torch.zeros(1, 3, 1, 1)
    scene = Scene(chain=chain, mean=zero, std=zero + 1, given=given)
    for steps in (chain.start, chain.finish):
        changed(x, steps, replace(given, progress=1.0))
    canvas = Canvas(x, scene)
    gradient, _ = canvas.gradient(_nothing, lambda view, gradient_at: gradient_at(view), 0.0)
    canvas.pulled(gradient)
    canvas.settle(0.0)


def _nothing(view: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(view), view.new_zeros(len(view))

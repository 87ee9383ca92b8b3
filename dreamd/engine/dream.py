"""A dream: a schedule of ascents over a batch of equally large pictures.

Knows the whole engine. Knows no files and no recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamd.engine.ascent import plain
from dreamd.engine.chance import Random
from dreamd.engine.checkpoint import Checkpoint
from dreamd.engine.dreamer import Dreamer, Progress, arithmetic_of, preparation
from dreamd.engine.objective import Gradient, WholeGradient
from dreamd.engine.outset import Outset, held_beside
from dreamd.engine.scheduled_ascent import Ascend, check_finite
from dreamd.engine.speed.devices import moved, on_cpu
from dreamd.engine.speed.graphs import GraphedGradient
from dreamd.engine.tiles.fitting import BatchTooLargeError, FittedGradient, cost_of
from dreamd.engine.tiles.footprint import SMALLEST_TILE, is_out_of_memory, pictures_that_fit
from dreamd.errors import PluginError

_LEAST_PIXELS = 224 * 224
"""The fewest pixels that a picture is reckoned with. A schedule may dream small ones larger, as the article's does."""


@dataclass(frozen=True)
class Dreamed:
    """What came out of a dream.

    Attributes:
        images: the pictures `[N, 3, H, W]` in [0, 1], on the CPU.
        loss_before: each picture's loss at the start of the last ascent.
        loss_after: each picture's loss at the end of the last ascent.
        tiling: how the pictures were cut up at the largest size, in words; None when they were not.
    """

    images: Tensor
    loss_before: list[float]
    loss_after: list[float]
    tiling: str | None = None


def dream(
    images: Tensor,
    dreamer: Dreamer,
    *,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    checkpoint: Checkpoint | None = None,
    on_frame: Callable[[Tensor], None] = lambda _images: None,
    mask: Tensor | None = None,
) -> Dreamed:
    """Dream a batch of pictures.

    Args:
        images: the pictures `[N, 3, H, W]`, float32 in [0, 1].
        dreamer: what to dream with.
        seeds: N seeds, of each picture's random numbers.
        on_progress: called in this thread after every iteration, and once for an ascent that had been kept. On a GPU
            it is called a little before the iteration is over there.
        checkpoint: keeps each finished ascent, and where a long one stands. A dream that was broken off goes on from
            what it kept, and ends in the same bytes.
        on_frame: called with the pictures at the start, and each time the schedule yields. They may change afterwards.
        mask: where to dream, `[N, 1, H, W]` from 0 to 1; where it is 0 the pictures stay equal to the bit. None:
            everywhere.

    Raises:
        BatchTooLargeError: memory does not suffice for so many pictures at once.
        NotANumberError: the dream came out as not-a-number.
        PluginError: the schedule yields nothing, or something of another shape.
    """
    pictures = images.shape[0]
    images_given = [images]
    del images  # unless the caller or the schedule keeps them, their memory is free for the ascent
    try:
        with arithmetic_of(dreamer):
            return _run_schedule(images_given, dreamer, seeds, on_progress, checkpoint, on_frame, mask)
    except (RuntimeError, MemoryError) as error:
        if pictures == 1 or not is_out_of_memory(error):
            raise
    # Out here what the failed attempt held is gone, so that a smaller one may succeed.
    raise BatchTooLargeError(pictures)


def _run_schedule(
    images_given: list[Tensor],
    dreamer: Dreamer,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None],
    checkpoint: Checkpoint | None,
    on_frame: Callable[[Tensor], None],
    mask: Tensor | None,
) -> Dreamed:
    """Dream the only item of a list, which is taken out of it, so that nothing here keeps its memory."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = images_given[0].shape
    with WholeGradient(dreamer.backbone.network, dreamer.objective) as whole:
        outset = _outset(dreamer, images_given[0], mask)
        gradient = _gradient_for(whole, dreamer, generators)
        ascend_once = Ascend(dreamer, gradient, generators, on_progress, checkpoint, outset)
        random = Random(generators, dreamer.device)
        with torch.no_grad():
            on_frame(images_given[0])
            given = moved(images_given.pop(), dreamer.device)
            if outset is not None:
                given = outset.started(given, random)
            frames = dreamer.schedule(given, ascend_once)
            del given
            result = _last_of(frames, shape, on_frame)
            if outset is not None:
                result = outset.finished(result, random)
    check_finite(result)
    return Dreamed(
        on_cpu(result),
        _values(ascend_once.first_loss, shape),
        _values(ascend_once.last_loss, shape),
        gradient.fit.tiling if isinstance(gradient, FittedGradient) else None,
    )


def _outset(dreamer: Dreamer, images: Tensor, mask: Tensor | None) -> Outset | None:
    """What the dream keeps of how it began; None where nothing asks for it."""
    chain, references = dreamer.chain, dreamer.objective.references()
    if chain.is_bare and not (chain.start or chain.finish or references) and mask is None:
        return None
    return Outset(chain, references, moved(images, dreamer.device), mask, min_side=dreamer.backbone.min_side)


def batch_size(dreamer: Dreamer, height: int, width: int, *, most: int) -> int:
    """Return how many pictures of a size in pixels can be dreamed together within the dreamer's memory: 1 to `most`.

    Pictures that are dreamed in tiles are dreamed alone. Call it where no dream runs: it looks into the same network,
    and the first time it takes as long as a small gradient.
    """
    if dreamer.memory is None or most == 1:
        return most
    only = dreamer.backbone.input_size
    with arithmetic_of(dreamer), WholeGradient(dreamer.backbone.network, dreamer.objective) as whole:
        side = only or max(SMALLEST_TILE, dreamer.backbone.min_side)
        cost = cost_of(whole, dreamer.device, preparation(dreamer), side, _pictures_held(dreamer))
    pixels = max(height * width, _LEAST_PIXELS)
    return max(1, min(most, pictures_that_fit(dreamer.memory, pixels, only**2 if only else pixels, cost)))


def _gradient_for(
    whole: WholeGradient, dreamer: Dreamer, generators: Sequence[torch.Generator]
) -> Gradient | FittedGradient:
    """Return a gradient that keeps within the dreamer's memory. A network that takes one size only needs no care."""
    gradient: Gradient = whole
    if dreamer.graphs is not None and not dreamer.objective.references():  # what a recording has seen would stay
        way = (dreamer.precision, dreamer.exact, dreamer.deterministic, dreamer.backbone.input_size)
        gradient = GraphedGradient(whole, dreamer.graphs, way)
    if dreamer.memory is None or dreamer.backbone.input_size is not None:
        return gradient
    return FittedGradient(
        whole,
        gradient=gradient,
        memory=dreamer.memory,
        shortest=dreamer.backbone.min_side,
        pictures=_pictures_held(dreamer),
        generators=generators,
    )


def _pictures_held(dreamer: Dreamer) -> int:
    """Count the whole pictures that are held beside a gradient.

    The one given, the ascent's, its gradient, what the schedule or a gradient step is making, what the optimizer
    remembers, and what the chain holds.
    """
    remembered = bool(dreamer.settings.momentum) if dreamer.optimizer is plain else dreamer.optimizer_pictures
    return 4 + remembered + held_beside(dreamer.chain, dreamer.objective.references())


def _last_of(frames: Iterable[Tensor], shape: torch.Size, on_frame: Callable[[Tensor], None]) -> Tensor:
    """Run a schedule; returns the last image that it yields. Raises PluginError when that is none of that shape."""
    last: object = None
    if not isinstance(frames, Iterable):
        raise PluginError(f"the schedule returned a {type(frames).__name__}; it must yield pictures")
    for last in frames:
        if isinstance(last, Tensor) and last.ndim == 4:
            on_frame(last)
    if isinstance(last, Tensor) and last.shape == shape:
        return last
    gave = f"pictures of shape {list(last.shape)}" if isinstance(last, Tensor) else f"a {type(last).__name__}"
    raise PluginError(f"the schedule gave {'nothing' if last is None else gave} for pictures of shape {list(shape)}")


def _values(loss: Tensor | None, shape: torch.Size) -> list[float]:
    """Return losses as numbers; 0 for pictures that never ascended."""
    return [0.0] * shape[0] if loss is None else loss.tolist()

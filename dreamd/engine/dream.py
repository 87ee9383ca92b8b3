"""A dream: a schedule of ascents over a batch of equally large pictures.

Knows the whole engine. Knows no files and no recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dreamd.engine.ascents.chance import Random
from dreamd.engine.ascents.climbing import Climbings, batch_limit, is_for_one, outset_of
from dreamd.engine.ascents.scheduled_ascent import Ascend, check_finite
from dreamd.engine.checkpoint import Checkpoint
from dreamd.engine.dreamer import Dreamer, Progress, arithmetic_of
from dreamd.engine.glimpse import Glimpse
from dreamd.engine.speed.devices import moved, on_cpu
from dreamd.engine.tiles.fitting import BatchTooLargeError
from dreamd.engine.tiles.footprint import is_out_of_memory
from dreamd.errors import PluginError


@dataclass(frozen=True)
class Dreamed:
    """What came out of a dream.

    Attributes:
        images: the pictures `[N, 3, H, W]` in [0, 1], on the CPU.
        loss_before: each picture's loss at the start of the last ascent.
        loss_after: each picture's loss at the end of the last ascent.
        tiling: how the pictures were cut up at the largest size, in words; None when they were not.
        ascents: how many ascents there were.
    """

    images: Tensor
    loss_before: list[float]
    loss_after: list[float]
    tiling: str | None = None
    ascents: int = 0


def dream(
    images: Tensor,
    dreamer: Dreamer,
    *,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    checkpoint: Checkpoint | None = None,
    on_frame: Callable[[Tensor], None] = lambda _images: None,
    mask: Tensor | None = None,
    original: Tensor | None = None,
    on_glimpse: Callable[[Progress, Glimpse], None] | None = None,
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
        original: what counts as the original, of the shape of `images`; None: they themselves.
        on_glimpse: called after every iteration with what shows the pictures then; not for an ascent that had been
            kept. None: nobody looks.

    Raises:
        BatchTooLargeError: memory does not suffice for so many pictures at once.
        NotANumberError: the dream came out as not-a-number.
        PluginError: the schedule yields nothing, or something of another shape.
    """
    pictures = images.shape[0]
    if pictures > 1 and is_for_one(dreamer):
        raise BatchTooLargeError(pictures)
    images_given = [images]
    del images  # unless the caller or the schedule keeps them, their memory is free for the ascent
    try:
        with arithmetic_of(dreamer):
            ascend_with = partial(Ascend, on_progress=on_progress, checkpoint=checkpoint, on_glimpse=on_glimpse)
            return _run_schedule(images_given, dreamer, seeds, ascend_with, on_frame, mask, original)
    except (RuntimeError, MemoryError) as error:
        if pictures == 1 or not is_out_of_memory(error):
            raise
    # Out here what the failed attempt held is gone, so that a smaller one may succeed.
    raise BatchTooLargeError(pictures)


def _run_schedule(
    images_given: list[Tensor],
    dreamer: Dreamer,
    seeds: Sequence[int],
    ascend_with: Callable[..., Ascend],
    on_frame: Callable[[Tensor], None],
    mask: Tensor | None,
    original: Tensor | None,
) -> Dreamed:
    """Dream the only item of a list, which is taken out of it, so that nothing here keeps its memory."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = images_given[0].shape
    outset = outset_of(dreamer, images_given[0], mask, original)
    with Climbings(dreamer, generators, outset) as climbings:
        ascend_once = ascend_with(dreamer, climbings, generators)
        random = Random(generators, dreamer.device)
        with torch.no_grad():
            on_frame(images_given[0])
            given = moved(images_given.pop(), dreamer.device)
            climbings.choose_at_start(given if original is None else original)
            if outset is not None:
                given = outset.started(given, random)
            frames = dreamer.schedule(given, ascend_once)
            del given
            result = _last_of(frames, shape, on_frame)
            if outset is not None:
                result = outset.finished(result, random)
        fit = climbings.current.fit
    check_finite(result)
    return Dreamed(
        on_cpu(result),
        _values(ascend_once.first_loss, shape),
        _values(ascend_once.last_loss, shape),
        None if fit is None else fit.tiling,
        ascend_once.ascents,
    )


def batch_size(dreamer: Dreamer, height: int, width: int, *, most: int) -> int:
    """Return how many pictures of a size in pixels can be dreamed together within the dreamer's memory: 1 to `most`.

    Pictures that are dreamed in tiles are dreamed alone. Call it where no dream runs: it looks into the same network,
    and the first time it takes as long as a small gradient.
    """
    if is_for_one(dreamer):
        return 1
    if dreamer.memory is None or most == 1:
        return most
    with arithmetic_of(dreamer):
        return max(1, min(most, batch_limit(dreamer, height, width, dreamer.memory)))


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

"""A sequence: pictures that are dreamed by one dreamer after the other, as one dream.

Knows dreams. Knows no schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from dreamd.engine.ascents.climbing import asks_for_original
from dreamd.engine.checkpoint import Checkpoint, FinishedAscent, UnfinishedAscent
from dreamd.engine.dream import Dreamed, dream
from dreamd.engine.dreamer import Dreamer, Progress
from dreamd.engine.glimpse import Glimpse


def dream_in_sequence(
    images: Tensor,
    dreamers: Sequence[Dreamer],
    *,
    seeds: Sequence[int],
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    checkpoint: Checkpoint | None = None,
    on_frame: Callable[[Tensor], None] = lambda _images: None,
    mask: Tensor | None = None,
    original: Tensor | None = None,
    on_glimpse: Callable[[Progress, Glimpse], None] | None = None,
) -> Dreamed:
    """Dream a batch of pictures by several dreamers, each of which goes on from the result of the one before.

    Every one draws its random numbers from the seeds anew, and the original is for all of them what came first. One
    alone is `dream`.

    Args:
        images: the pictures `[N, 3, H, W]`, float32 in [0, 1].
        dreamers: what to dream with, in order; at least one.
        seeds: N seeds, of each picture's random numbers.
        on_progress: as `dream` takes it; counts all parts.
        checkpoint: as there; keeps the ascents of all parts, numbered through.
        on_frame: as there.
        mask: as there.
        original: as there.
        on_glimpse: as there; its progress counts all parts.

    Returns:
        The last part's result and losses.

    Raises:
        BatchTooLargeError: memory does not suffice for so many pictures at once.
        NotANumberError: a part came out as not-a-number.
        PluginError: a plugin breaks its contract.
    """
    if original is None and len(dreamers) > 1 and (mask is not None or any(map(asks_for_original, dreamers[1:]))):
        original = images
    given = [images]
    del images  # as in `dream`: its memory is free for the first part, unless a later one asks for it
    ascents = 0
    for number, dreamer in enumerate(dreamers, 1):
        is_held_for_others = original is not None and number > 1 and not asks_for_original(dreamer)
        dreamed = dream(
            given.pop(),
            replace(dreamer, beside=dreamer.beside + is_held_for_others),
            seeds=seeds,
            on_progress=partial(_report, on_progress, number, len(dreamers)),
            checkpoint=None if checkpoint is None else _After(checkpoint, ascents),
            on_frame=on_frame,
            mask=mask,
            original=original,
            on_glimpse=None if on_glimpse is None else partial(_show, on_glimpse, number, len(dreamers)),
        )
        ascents += dreamed.ascents
        given.append(dreamed.images)
    return replace(dreamed, ascents=ascents)


def _report(on_progress: Callable[[Progress], None], part: int, parts: int, step: Progress) -> None:
    on_progress(replace(step, part=part, parts=parts))


def _show(
    on_glimpse: Callable[[Progress, Glimpse], None], part: int, parts: int, step: Progress, glimpse: Glimpse
) -> None:
    on_glimpse(replace(step, part=part, parts=parts), glimpse)


@dataclass(frozen=True)
class _After:
    """A checkpoint as a part sees it, whose ascents are counted from 1 again.

    Attributes:
        checkpoint: the whole dream's.
        ascents: how many ascents the parts before had.
    """

    checkpoint: Checkpoint
    ascents: int

    def load(self, number: int) -> FinishedAscent | None:
        """Return the part's ascent of that number."""
        kept = self.checkpoint.load(self.ascents + number)
        return None if kept is None else replace(kept, number=number)

    def keep(self, ascent: FinishedAscent) -> None:
        """Keep an ascent of the part."""
        self.checkpoint.keep(replace(ascent, number=self.ascents + ascent.number))

    def load_unfinished(self, number: int) -> UnfinishedAscent | None:
        """Return where the part's ascent of a number stood."""
        kept = self.checkpoint.load_unfinished(self.ascents + number)
        return None if kept is None else replace(kept, number=number)

    def is_due(self) -> bool:
        """Tell whether it is time to keep where the ascent stands."""
        return self.checkpoint.is_due()

    def keep_unfinished(self, ascent: UnfinishedAscent) -> None:
        """Keep where an ascent of the part stands."""
        self.checkpoint.keep_unfinished(replace(ascent, number=self.ascents + ascent.number))

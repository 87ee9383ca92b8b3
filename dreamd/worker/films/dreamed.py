"""A film that is dreamed frame by frame, each carried into the next along the motion of the film.

`start = frame + keep · reliable · warp(dream before - frame before)`: what was dreamed moves with the things that it
was dreamed into, and does not flicker. Where the motion cannot be trusted, and after a cut, a frame begins as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dreamd.engine.dream import Dreamed
from dreamd.engine.dreamer import Progress
from dreamd.engine.tiles.fitting import BatchTooLargeError
from dreamd.pictures.film import FilmWriter, Frame, Levels, as_bytes
from dreamd.pictures.picture import Picture
from dreamd.worker.films.film_dream import (
    FilmResult,
    Pace,
    Recipes,
    Watching,
    seconds_of,
    tidy_after,
    with_alpha,
    write_whole,
)
from dreamd.worker.films.keeping import FilmFolder
from dreamd.worker.films.motion import Motion, can_follow, motion_between
from dreamd.worker.films.opening import Source
from dreamd.worker.pixels import mask_of, to_image, to_levels
from dreamd.worker.recipes.builder import Built
from dreamd.worker.session import Session

_ALONE = "its frames were dreamed each for itself: pip install 'dreamd[video]' lets them follow the motion of the film"


@dataclass(frozen=True)
class _Key:
    """A frame that was dreamed, from which others go on.

    Attributes:
        frame: as it came, `[H, W, 3 or 4]`.
        dream: what it became, `[H, W, 3]`.
    """

    frame: Levels
    dream: Levels

    @property
    def change(self) -> Tensor:
        """What was dreamed into it, `[1, 3, H, W]`."""
        return to_image(self.dream) - to_image(self.frame)


@dataclass(frozen=True)
class _Group:
    """Frames that are finished together.

    Attributes:
        between: frames that are only moved.
        key: the frame that is dreamed after them; None at the end of the film.
        is_cut: whether that shows another scene than those before it.
    """

    between: list[Frame]
    key: Frame | None
    is_cut: bool


class DreamedFilm:
    """The dream of one film.

    Attributes:
        folder: what is kept of it.
    """

    def __init__(
        self, session: Session, recipes: Recipes, source: Source, folder: FilmFolder, writer: FilmWriter, together: int
    ) -> None:
        """Dream nothing yet.

        Args:
            session: what dreams.
            recipes: what frames are dreamed with.
            source: the film.
            folder: what is kept.
            writer: what the result is written by.
            together: how many frames to dream together at most, where they do not depend on each other.
        """
        self._session, self._recipes, self._source, self._writer = session, recipes, source, writer
        self.folder = folder
        self._film = recipes.anew.recipe.film
        self._follows = can_follow()
        self._together = together
        self._pace = Pace(folder, source.film.frames)
        self._losses: tuple[float, float] | None = None
        self._key: _Key | None = None
        self._known: tuple[Levels, Levels, Motion] | None = None

    def go_on(self, is_over: Callable[[], bool], watching: Watching) -> bool:
        """Dream frame after frame; returns whether all are done."""
        if self.folder.standing.whole:
            return True
        self._pace.lap()
        frames = self._frames_left()
        if not self._follows or (self._film.keep == 0 and self._film.every == 1):
            return self._go_on_alone(frames, is_over, watching)
        while (group := self._next_group(frames)) is not None:
            self._finish(group, watching)
            if is_over():
                return False
        return self._end()

    def _end(self) -> bool:
        self.folder.note_whole()
        return True

    def _frames_left(self) -> Iterator[Frame]:
        """Yield the frames after the finished ones; the last dreamed one is read again, for others go on from it."""
        standing = self.folder.standing
        if standing.frames == 0:
            self._key = None
            return self._source.frames(deep=self._writer.deep)
        timings = self.folder.timings
        first = max(0, standing.dreamed)
        deep = self._writer.deep
        frames = self._source.frames(timings[first].time, first=first, begin=timings[0].time, deep=deep)
        before = next(frames)
        if standing.dreamed >= 0:
            self._key = _Key(before.pixels, self.folder.frame(first)[:, :, :3])
        return islice(frames, standing.frames - first - 1, None)

    # Frames that go on from each other

    def _next_group(self, frames: Iterator[Frame]) -> _Group | None:
        """Read the frames up to the next that is dreamed; None at the end of the film."""
        between: list[Frame] = []
        last = None if self._key is None else self._key.frame
        for frame in frames:
            is_first = last is None
            is_cut = not is_first and self._is_cut(frame.pixels, last)
            if is_first or is_cut or len(between) == self._film.every - 1:
                return _Group(between, frame, is_cut)
            between.append(frame)
            last = frame.pixels
        return _Group(between, None, is_cut=False) if between else None

    def _is_cut(self, frame: Levels, last: Levels | None) -> bool:
        return self._film.cuts and last is not None and self._motion(frame, last).is_cut

    def _motion(self, now: Levels, other: Levels) -> Motion:
        """Return the motion between two frames; asked again for the same, it is not looked for again."""
        known = self._known
        if known is None or known[0] is not now or known[1] is not other:
            known = self._known = (now, other, motion_between(now[:, :, :3], other[:, :, :3]))
        return known[2]

    def _finish(self, group: _Group, watching: Watching) -> None:
        """Dream the last frame of a group, and move those between."""
        before = self._key
        number = self.folder.standing.frames
        finished: list[Frame] = []
        dreamed = self.folder.standing.dreamed
        if group.key is not None:
            self._key = _Key(group.key.pixels, self._dreamed(group.key, None if group.is_cut else before, watching))
            dreamed = number + len(group.between)
        for place, frame in enumerate(group.between, 1):
            after = None if group.is_cut or group.key is None else self._key
            share = place / (len(group.between) + 1)
            finished.append(with_alpha(self._moved(frame.pixels, before, after, share), frame))
        if group.key is not None and self._key is not None:
            finished.append(with_alpha(self._key.dream, group.key))
        self._keep(finished, dreamed)

    def _keep(self, finished: Sequence[Frame], dreamed: int) -> None:
        """Keep the next finished frames, of which the one of a number is the last that was dreamed."""
        self.folder.add(finished, dreamed=dreamed, seconds=self._pace.lap())
        self.folder.encode_parts(self._writer, is_end=False)
        tidy_after(len(finished), self.folder)

    def _dreamed(self, frame: Frame, before: _Key | None, watching: Watching) -> Levels:
        """Dream a frame, begun with what was dreamed before it; returns its colours."""
        carried = before is not None and self._film.keep > 0
        start = to_image(frame.pixels)
        if carried and before is not None:
            motion = self._motion(frame.pixels, before.frame)
            start = motion.carried(before.change).mul_(self._film.keep).add_(start).clamp_(0, 1)
        built = self._recipes.further if carried else self._recipes.anew
        (pixels,) = self._dream([frame], start, built, watching)
        return pixels

    def _dream(self, frames: Sequence[Frame], start: Tensor, built: Built, watching: Watching) -> list[Levels]:
        """Dream frames of which none depends on another; returns their colours."""
        mask = mask_of([_as_picture(frame) for frame in frames], built)
        key = f"{self.folder.standing.frames} {len(frames)} {int(start.view(torch.int32).sum())}"
        checkpoint = self._session.checkpoint(self.folder.checkpoint, key, built) if len(frames) == 1 else None
        result: Dreamed = self._session.dream_images(
            lambda: start.clone(),
            built,
            on_progress=partial(self._report, watching),
            mask=mask,
            original=torch.cat([to_image(frame.pixels) for frame in frames]),
            checkpoint=checkpoint,
            on_frame=watching.on_frame,
            on_glimpse=watching.on_glimpse,
        )
        self.folder.drop_checkpoint()
        self._losses = _mean(result.loss_before), _mean(result.loss_after)
        return [to_levels(image, deep=self._writer.deep) for image in result.images]

    def _report(self, watching: Watching, step: Progress) -> None:
        share, about, film = None, 0, self._source.film
        if not film.frames and (whole := film.seconds) and (timings := self.folder.timings):
            shown = float(timings[-1].time - timings[0].time)
            share = min(1.0, shown / whole)
            about = round(whole * (len(timings) - 1) / shown) if shown else 0
        watching.on_progress(self._pace.progress(step, share=share, about=about))

    def _moved(self, frame: Levels, before: _Key | None, after: _Key | None, share: float) -> Levels:
        """Return a frame with what was dreamed before and after it, each moved to where its things are now.

        Args:
            frame: the frame.
            before: the dream before it.
            after: the dream after it; None where there is none, or a cut is between.
            share: how far the frame is on the way from one to the other.
        """
        weight = torch.zeros(1)
        total = torch.zeros(1)
        for key, nearness in ((before, 1 - share), (after, share)):
            if key is not None:
                motion = motion_between(frame[:, :, :3], key.frame[:, :, :3])
                total = total + nearness * motion.carried(key.change)
                weight = weight + nearness * motion.reliable
        image = (to_image(frame) + total / weight.clamp(min=0.25)).clamp_(0, 1)
        return to_levels(image[0], deep=self._writer.deep)

    # Frames that are dreamed each for itself

    def _go_on_alone(self, frames: Iterator[Frame], is_over: Callable[[], bool], watching: Watching) -> bool:
        together = self._together
        waiting: list[Frame] = []
        while waiting := [*waiting, *islice(frames, together - len(waiting))]:
            try:
                start = torch.cat([to_image(frame.pixels) for frame in waiting[:together]])
                dreams = self._dream(waiting[:together], start, self._recipes.anew, watching)
            except BatchTooLargeError:
                if together == 1:
                    raise
                together = max(1, together // 2)
                continue
            done, waiting = waiting[: len(dreams)], waiting[len(dreams) :]
            finished = [with_alpha(dream, frame) for dream, frame in zip(dreams, done, strict=True)]
            self._keep(finished, self.folder.standing.frames + len(finished) - 1)
            if is_over():
                return False
        return self._end()

    def write(self, target: Path) -> FilmResult:
        """Write the film."""
        notes = (
            *self._source.notes,
            *(() if self._follows else (_ALONE,)),
            *write_whole(self.folder, self._writer, target),
        )
        return FilmResult(
            frames=self.folder.standing.frames,
            seconds=seconds_of(self.folder.timings),
            size=(self._source.width, self._source.height),
            notes=notes,
            losses=self._losses,
        )


def _as_picture(frame: Frame) -> Picture:
    pixels = as_bytes(frame.pixels)
    alpha = np.ascontiguousarray(pixels[:, :, 3]) if pixels.shape[2] == 4 else None
    return Picture(pixels=pixels[:, :, :3], alpha=alpha, format="PNG")


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)

"""A film that is made out of one picture: each frame is dreamed out of the one before, looked at a little closer."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dreamd.engine.ascents.chain import Given, changed
from dreamd.engine.ascents.chance import Random
from dreamd.engine.dreamer import Progress
from dreamd.pictures.film import FilmWriter, Frame, Timing
from dreamd.worker.films.film_dream import FilmResult, Pace, Recipes, Watching, seconds_of, tidy_after, write_whole
from dreamd.worker.films.keeping import FilmFolder
from dreamd.worker.pixels import to_levels
from dreamd.worker.session import Session

_RATES = 1000
"""A rate that is no whole number is told as a fraction with a divisor up to this: 29.97 is 2997 / 100."""


class MadeFilm:
    """The film out of one picture.

    Attributes:
        folder: what is kept of it.
    """

    def __init__(
        self,
        session: Session,
        recipes: Recipes,
        picture: Callable[[], Tensor],
        folder: FilmFolder,
        writer: FilmWriter,
    ) -> None:
        """Dream nothing yet.

        Args:
            session: what dreams.
            recipes: what frames are dreamed with: the first anew, the others further.
            picture: makes what the first frame is dreamed out of, `[1, 3, H, W]` in [0, 1].
            folder: what is kept.
            writer: what the result is written by.
        """
        self._session, self._recipes, self._picture, self._writer = session, recipes, picture, writer
        self.folder = folder
        self._film = recipes.anew.recipe.film
        assert self._film.frames is not None
        self._frames = self._film.frames
        self._pace = Pace(folder, self._frames)
        self._losses: tuple[float, float] | None = None

    def go_on(self, is_over: Callable[[], bool], watching: Watching) -> bool:
        """Dream frame after frame; returns whether all are done."""
        self._pace.lap()
        while (number := self.folder.standing.frames) < self._frames:
            image = self._next(number, watching)
            if number == 0:
                self.folder.keep_tensor("tone", torch.stack(_tone_of(image)))
            self.folder.keep_tensor(f"last-{number % 2}", image)  # the one before stays until this frame counts
            frame = Frame(pixels=to_levels(image[0], deep=self._writer.deep), timing=self._timing(number))
            self.folder.add([frame], dreamed=number, seconds=self._pace.lap())
            if not self._film.back:
                self.folder.encode_parts(self._writer, is_end=False)
            tidy_after(1, self.folder)
            if is_over():
                return self.folder.standing.frames >= self._frames
        return True

    def _timing(self, number: int) -> Timing:
        duration = 1 / Fraction(self._film.fps).limit_denominator(_RATES)
        return Timing(time=number * duration, duration=duration)

    def _next(self, number: int, watching: Watching) -> Tensor:
        """Dream the frame of a number, from 0; returns it as `[1, 3, H, W]` in [0, 1]."""
        start = self._picture() if number == 0 else self._stepped(number)
        built = self._recipes.anew if number == 0 else self._recipes.further
        key = f"{number} {int(start.view(torch.int32).sum())}"
        result = self._session.dream_images(
            lambda: start.clone(),
            built,
            on_progress=partial(self._report, watching),
            checkpoint=self._session.checkpoint(self.folder.checkpoint, key, built),
            on_frame=watching.on_frame,
            on_glimpse=watching.on_glimpse,
        )
        self.folder.drop_checkpoint()
        self._losses = result.loss_before[0], result.loss_after[0]
        return result.images

    def _report(self, watching: Watching, step: Progress) -> None:
        watching.on_progress(self._pace.progress(step))

    def _stepped(self, number: int) -> Tensor:
        """Return what a frame is dreamed out of: the last one, moved on, its tone held to that of the first."""
        last = self.folder.tensor(f"last-{(number - 1) % 2}")
        seed = (self._recipes.anew.recipe.seed + number) % 2**63
        random = Random([torch.Generator().manual_seed(seed)], last.device)
        given = Given(random, original=last, fps=self._film.fps)
        with torch.no_grad():
            moved = changed(last, self._recipes.anew.film_steps, given).clamp(0, 1)
        return held_to(moved, self.folder.tensor("tone"), self._film.tone)

    def write(self, target: Path) -> FilmResult:
        """Write the film."""
        if self._film.back and not self.folder.standing.whole:
            self.folder.extend_back(self._timing)
        notes = write_whole(self.folder, self._writer, target)
        first = self.folder.tensor("last-0")
        return FilmResult(
            frames=self.folder.standing.frames,
            seconds=seconds_of(self.folder.timings),
            size=(first.shape[3], first.shape[2]),
            notes=notes,
            losses=self._losses,
        )


def held_to(image: Tensor, tone: Tensor, share: float) -> Tensor:
    """Bring the mean and the contrast of each colour towards others.

    Args:
        image: `[1, 3, H, W]` in [0, 1].
        tone: mean and standard deviation, `[2, 1, 3, 1, 1]`.
        share: how far, from 0 to 1.
    """
    mean, deviation = _tone_of(image)
    held = (image - mean) / deviation.clamp(min=1e-4) * tone[1] + tone[0]
    return torch.lerp(image, held, share).clamp(0, 1)


def _tone_of(image: Tensor) -> tuple[Tensor, Tensor]:
    return image.mean((2, 3), keepdim=True), image.std((2, 3), keepdim=True)

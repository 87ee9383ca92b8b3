"""The dream of a film, as the pipeline and the command see it: it goes on for a while, and is written at its end.

What both kinds of films share: the folder, the writer, the recipes of frames, the progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import numpy as np
from torch import Tensor

from dreamd.engine.dreamer import Progress
from dreamd.engine.glimpse import Glimpse
from dreamd.errors import RecipeError, UnknownNameError
from dreamd.files.durable import opened_durably
from dreamd.messages import DreamedPage
from dreamd.pictures.film import Film, FilmPlan, FilmWriter, Frame, Levels, Timing
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Climb, Part, Recipe
from dreamd.worker.films.keeping import FilmFolder
from dreamd.worker.films.standing import KeptFolder
from dreamd.worker.machine.heap import give_back_freed_memory
from dreamd.worker.recipes.builder import Built

MADE = "mp4"
"""The format of a film that is made out of a picture, where the recipe names none."""


Unit = Literal["frame", "page"]
"""What is counted of what is dreamed in turns."""


_TIDY_FRAMES = 5
"""After so many frames what they freed is given back. Without that a film of 250 frames in 720p took 320 MB more than
the dream of one of them, in pieces that fitted nothing."""


@dataclass(frozen=True, kw_only=True)
class FilmProgress:
    """How far a film is, or a file of several pages.

    Attributes:
        step: how far the dream of its frame, or page, is.
        frame: the number of that frame, from 1.
        frames: how many there are, as far as is known, reckoned from the film's length where its file does not say it,
            as Matroska does not; 0 when nothing is known.
        unit: what is counted.
        share: the share of the film that is done, 0 to 1.
        left_seconds: how long the rest will take, by the frames so far; None before the first one is done.
    """

    step: Progress
    frame: int
    frames: int
    share: float
    left_seconds: float | None
    unit: Unit = "frame"


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Who is told of a film's dream while it goes on.

    Attributes:
        on_progress: called after every iteration.
        on_frame: called with pictures `[1, 3, H, W]`, as `dreamd.engine.dream.dream` calls it.
        on_glimpse: as there.
    """

    on_progress: Callable[[FilmProgress], None] = lambda _progress: None
    on_frame: Callable[[Tensor], None] = lambda _images: None
    on_glimpse: Callable[[Progress, Glimpse], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """What the frames of a film are dreamed with.

    Attributes:
        anew: for frames that begin anew.
        further: for frames into which a dream is carried.
    """

    anew: Built
    further: Built


class FilmDream(Protocol):
    """A film that is being dreamed, or a file of several pages."""

    @property
    def folder(self) -> KeptFolder:
        """What is kept of it."""
        ...

    def go_on(self, is_over: Callable[[], bool], watching: Watching) -> bool:
        """Dream frame after frame; returns whether all are done.

        Args:
            is_over: asked after each frame: whether others have their turn now.
            watching: who is told.
        """
        ...

    def write(self, target: Path) -> FilmResult:
        """Write the film once all frames are done."""
        ...


@dataclass(frozen=True, kw_only=True)
class FilmResult:
    """A film that was written, or a file of several pages.

    Attributes:
        frames: how many frames a film has; 0 for pages.
        seconds: how long a film lasts; 0 for pages.
        size: width and height in pixels; of pages, the first one's.
        notes: what a person should know about it.
        losses: of its dream, before and after; None where nothing was dreamed since the start of this process.
        pages: what is said of each page.
    """

    frames: int
    seconds: float
    size: tuple[int, int]
    notes: tuple[str, ...]
    losses: tuple[float | None, float | None] | None
    pages: tuple[DreamedPage, ...] = ()


class Pace:
    """Reckons how long the rest of a film takes, by its frames so far."""

    def __init__(self, folder: KeptFolder, frames: int | None) -> None:
        """Begin; `frames` is how many there are, as far as is known."""
        self._folder = folder
        self._frames = frames or 0
        self._began = time.monotonic()

    def progress(
        self, step: Progress, *, share: float | None = None, about: int = 0, unit: Unit = "frame"
    ) -> FilmProgress:
        """Return how far the film is, while the frame after the finished ones is dreamed.

        Args:
            step: how far that frame is.
            share: the share of the film that is done, where it is not that of its frames.
            about: how many frames there are then, by how long the film lasts; 0 when that is not known.
            unit: what is counted.
        """
        standing = self._folder.standing
        if share is None and self._frames:
            share = min(1.0, (standing.frames + step.share) / self._frames)
        seconds = standing.seconds + time.monotonic() - self._began
        left = None if not share or not standing.frames else seconds * (1 - share) / share
        frame = standing.frames + 1
        frames = self._frames or (about and max(frame, about))
        return FilmProgress(step=step, frame=frame, frames=frames, share=share or 0.0, left_seconds=left, unit=unit)

    def lap(self) -> float:
        """Return the seconds since the last lap, or the beginning."""
        now = time.monotonic()
        seconds, self._began = now - self._began, now
        return seconds


def recipes_of(recipe: Recipe, build: Callable[[Recipe], Built]) -> Recipes:
    """Build what the frames of a film are dreamed with. Raises as `Session.build` does."""
    return Recipes(anew=build(recipe), further=build(with_effort(recipe, recipe.film.effort)))


def with_effort(recipe: Recipe, share: float) -> Recipe:
    """Return a recipe with a share of its iterations, at least one, in each of its parts and stages."""
    parts = tuple(_lessened(_with_stages(part, share), share) for part in recipe.sequence)
    return _lessened(_with_stages(recipe, share), share).model_copy(update={"sequence": parts})


_PartOf = TypeVar("_PartOf", bound=Part)
_ClimbOf = TypeVar("_ClimbOf", bound=Climb)


def _with_stages(part: _PartOf, share: float) -> _PartOf:
    return part.model_copy(update={"stages": tuple(_lessened(stage, share) for stage in part.stages)})


def _lessened(climb: _ClimbOf, share: float) -> _ClimbOf:
    iterations = max(1, round(climb.ascent.iterations * share))
    return climb.model_copy(update={"ascent": climb.ascent.model_copy(update={"iterations": iterations})})


def extension_of(recipe: Recipe, source: str | None) -> str:
    """Return the ending of a film's result.

    Args:
        recipe: its recipe.
        source: the ending of the film that was dreamed; None for a film out of a picture.
    """
    if recipe.output.film == "same":
        return source or f".{MADE}"
    return f".{recipe.output.film}"


def check_output(plugins: Plugins, extension: str) -> None:
    """Raise RecipeError when nothing writes films of an ending."""
    if plugins.film(extension) is None:
        known = [each.removeprefix(".") for each in plugins.film_extensions()]
        error = UnknownNameError("kind of film", extension.removeprefix("."), ("same", *known))
        raise RecipeError(str(error), field=("output", "film"))


def writer_of(
    plugins: Plugins, recipe: Recipe, size: tuple[int, int], source: tuple[Film, str, str] | None
) -> FilmWriter:
    """Return what writes a film's result.

    Args:
        plugins: the engine's.
        recipe: its recipe.
        size: width and height in pixels.
        source: the film that was dreamed, the ending of its name, and the plugin that reads it; None: a picture was.

    Raises:
        RecipeError: nothing writes such films.
        PictureError: the format cannot hold it.
    """
    extension = extension_of(recipe, source[1] if source else None)
    check_output(plugins, extension)
    plugin = plugins.film(extension)
    assert plugin is not None
    assert plugin.create is not None
    film = source[0] if source else None
    loop = recipe.film.loop if recipe.film.loop is not None else film.loop if film else 0
    plan = FilmPlan(
        width=size[0],
        height=size[1],
        alpha=film is not None and film.alpha,
        extension=extension,
        loop=loop,
        quality=recipe.output.quality,
        codec=recipe.output.codec,
        pixel_format=recipe.output.pixel_format,
        metadata=recipe.output.metadata,
    )
    is_same = source is not None and source[2] == plugin.entry.plugin
    writer: FilmWriter = plugin.create(plan, getattr(film, "own", film) if is_same else None)
    return writer


def write_whole(folder: FilmFolder, writer: FilmWriter, target: Path) -> tuple[str, ...]:
    """Write a film out of its kept parts, and wait until the disk has it; returns what is to be said of it."""
    folder.encode_parts(writer, is_end=True)
    with opened_durably(target) as file:
        notes = folder.join(writer, folder.timings, file)
    return tuple(notes)


def tidy_after(count: int, folder: FilmFolder) -> None:
    """Give back what was freed, if one of the last `count` finished frames is one after which that is done."""
    frames = folder.standing.frames
    if frames // _TIDY_FRAMES > (frames - count) // _TIDY_FRAMES:
        give_back_freed_memory()


def seconds_of(timings: Sequence[Timing]) -> float:
    """Return how long frames are shown that follow each other; the last as long as it says, or as the one before it."""
    if not timings:
        return 0.0
    last = timings[-1].duration or (timings[-1].time - timings[-2].time if len(timings) > 1 else 0)
    return round(float(timings[-1].time + last - timings[0].time), 3)


def with_alpha(colours: Levels, frame: Frame) -> Frame:
    """Return a frame with other colours, and its own time and alpha."""
    if frame.pixels.shape[2] == 4:
        white = np.iinfo(colours.dtype).max // np.iinfo(frame.pixels.dtype).max
        colours = np.dstack([colours, frame.pixels[:, :, 3].astype(colours.dtype) * white])
    return replace(frame, pixels=colours)

"""A film for benchmarks, and how long its frames take: in the dream, and in all that a film adds to it.

    python -m benchmarks.filming FILM FOLDER [--device cpu] [--set FIELD=VALUE …]

Dreams a film as a worker does, and prints its `Costs` as JSON. It is a process of its own, with a worker's threads and
memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.sections import Limits
from dreamd.worker.films.film_dream import Watching
from dreamd.worker.films.opening import open_source
from dreamd.worker.films.starting import FilmJob
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import choose_device, count_threads, free_memory, use_threads
from dreamd.worker.machine.heap import keep_freed_memory
from dreamd.worker.session import Session

_Given = ParamSpec("_Given")
_Got = TypeVar("_Got")

RATE = 25
"""Frames a second."""

_STEP = (5, 2)
"""How far the camera moves each frame, to the right and down, in pixels."""

_TONE_RATE = 48_000
_TONE_SAMPLES = 1024
"""Samples a second of the film's sound, and in each of its packets."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a frame of a film took, in seconds of the clock and of the processor.

    Attributes:
        dream: of its dream.
        dream_processor: the processor's.
        own: of all else: it is decoded, followed, carried, kept and encoded.
        own_processor: the processor's.
    """

    dream: float
    dream_processor: float
    own: float
    own_processor: float


def grainy(height: int, width: int) -> NDArray[np.uint8]:
    """Return what is as hard to pack as a photograph: noise of several sizes, the coarser the stronger."""
    random = np.random.default_rng(0)
    sums = random.normal(size=(height, width, 1)).astype(np.float32).repeat(3, axis=2)
    for size in (4, 16, 64, 256):
        coarse = random.normal(size=(height // size + 2, width // size + 2, 3)).astype(np.float32) * size**0.5
        for channel in range(3):
            image = Image.fromarray(np.ascontiguousarray(coarse[..., channel]))
            sums[..., channel] += np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    levels: NDArray[np.uint8] = np.clip(128 + sums * 4, 0, 255).astype(np.uint8)
    return levels


def write_film(path: Path, width: int, height: int, frames: int) -> None:
    """Write an MP4 of a camera that moves over a picture, with a tone beside it."""
    import av

    picture = grainy(height + frames * _STEP[1], width + frames * _STEP[0])
    with av.open(path, "w") as film:
        pictures: Any = film.add_stream("libx264", rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = width, height, "yuv420p"
        pictures.options = {"preset": "veryfast", "crf": "18"}
        tone: Any = film.add_stream("aac", rate=_TONE_RATE)
        tone.layout = "mono"
        for number in range(frames):
            left, top = number * _STEP[0], number * _STEP[1]
            view = np.ascontiguousarray(picture[top : top + height, left : left + width])
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        film.mux(pictures.encode(None))
        wave = (np.sin(np.arange(frames * _TONE_RATE // RATE) / 20) * 0.3).astype(np.float32)[None]
        for start in range(0, wave.shape[1], _TONE_SAMPLES):
            piece = np.ascontiguousarray(wave[:, start : start + _TONE_SAMPLES])
            samples: Any = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = _TONE_RATE, start, Fraction(1, _TONE_RATE)
            film.mux(tone.encode(samples))
        film.mux(tone.encode(None))


@dataclass
class _Watch:
    """Adds up the seconds that a function takes, and those of the processor."""

    seconds: float = 0.0
    processor: float = 0.0

    def timing(self, function: Callable[_Given, _Got]) -> Callable[_Given, _Got]:
        """Return a function that does the same, and is counted."""

        @wraps(function)
        def counted(*arguments: _Given.args, **parameters: _Given.kwargs) -> _Got:
            begin, worked = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **parameters)
            finally:
                self.seconds += time.perf_counter() - begin
                self.processor += time.process_time() - worked

        return counted


def costs_of(film: Path, folder: Path, fields: tuple[str, ...], device: str) -> Costs:
    """Dream a film; its first frame, with which all is loaded, does not count.

    Args:
        film: the film.
        folder: where what is kept and the result lie.
        fields: what its recipe sets, over `classic`.
        device: what to dream on.
    """
    session, recipe = _opened(fields, device)
    dreams, whole = _Watch(), _Watch()
    session.dream_images = dreams.timing(session.dream_images)  # type: ignore[method-assign]
    source = open_source(session.plugins, session.bounds, film, None)
    assert source is not None
    with source:
        work = FilmJob(session=session, recipe=recipe, build=session.build, folder=folder / "kept").dreamed(source, 1)
        work.go_on(lambda: True, Watching())
        dreams.seconds = dreams.processor = 0.0
        whole.timing(work.go_on)(lambda: False, Watching())
        count = whole.timing(work.write)(folder / f"result{film.suffix}").frames - 1
    return Costs(
        dream=dreams.seconds / count,
        dream_processor=dreams.processor / count,
        own=(whole.seconds - dreams.seconds) / count,
        own_processor=(whole.processor - dreams.processor) / count,
    )


def _opened(fields: tuple[str, ...], device: str) -> tuple[Session, Recipe]:
    """Return a session with the threads and the memory of a worker, and the recipe."""
    chosen, limits = choose_device(device), Limits()
    memory = free_memory(chosen.torch)
    use_threads(count_threads())
    keep_freed_memory(memory)
    bounds = Bounds(max_pixels=limits.max_pixels, max_bytes=limits.max_bytes, memory=memory)
    recipe = resolve([*RecipeBook(None).documents_of_name("classic"), set_fields(fields)]).recipe
    return Session(Plugins("dreamd.engine"), chosen, bounds), recipe


def main() -> None:
    """Dream what the command line says, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="fields")
    given = parser.parse_args()
    print(json.dumps(asdict(costs_of(given.film, given.folder, tuple(given.fields), given.device))))


if __name__ == "__main__":
    main()

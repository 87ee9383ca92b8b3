"""Films that are dreamed by a network of two convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.films.film_dream import FilmDream, Watching
from dreamd.worker.films.opening import open_source
from dreamd.worker.films.starting import FilmJob
from dreamd.worker.session import Session


def recipe(**fields: Any) -> Recipe:
    own = {
        "backbone": {"name": "tiny", "weights": "random"},
        "layers": "low",
        "schedule": {"name": "octaves", "num_octaves": 2},
        "ascent": {"iterations": 4, "jitter": 4},
        "precision": "fp32",
    }
    return Recipe.model_validate({**own, **fields})


def job(session: Session, wanted: Recipe, folder: Path) -> FilmJob:
    return FilmJob(session=session, recipe=wanted, build=session.build, folder=folder)


def dream(session: Session, film: Path, wanted: Recipe, folder: Path, *, together: int = 1) -> bytes:
    """Dream a film in one go; returns its bytes."""
    return run(lambda: opened(session, film, wanted, folder, together), folder, lambda: False)


@contextmanager
def opened(session: Session, film: Path, wanted: Recipe, folder: Path, together: int = 1) -> Iterator[FilmDream]:
    source = open_source(session.plugins, session.bounds, film, wanted.image.max_side)
    assert source is not None
    with source:
        yield job(session, wanted, folder).dreamed(source, together)


def run(start: Callable[[], AbstractContextManager[FilmDream]], folder: Path, is_over: Callable[[], bool]) -> bytes:
    """Dream a film in as many turns as it takes, each in a process of its own as far as it knows."""
    for _ in range(1000):
        with start() as film:
            if film.go_on(is_over, Watching()):
                film.write(folder.with_suffix(".out"))
                return folder.with_suffix(".out").read_bytes()
    raise AssertionError("it never ends")

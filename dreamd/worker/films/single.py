"""One film, from file to file, in this process and without a daemon."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dreamd.errors import UsageError
from dreamd.files.durable import draft_of
from dreamd.job import new_job_id
from dreamd.messages import Sidecar
from dreamd.pictures.picture import Picture
from dreamd.settings.recipes.merging import Resolved
from dreamd.settings.recipes.recipe import Recipe
from dreamd.tree.layout import sidecar_name
from dreamd.worker.display import OpenProgress
from dreamd.worker.films.film_dream import FilmDream, FilmProgress, Watching
from dreamd.worker.films.opening import Source, open_source
from dreamd.worker.films.starting import FilmJob, result_extension
from dreamd.worker.result_names import FILMS
from dreamd.worker.session import Session

_STILLS = frozenset({".jpg", ".jpeg", ".tif", ".tiff"})
"""The endings of results that no film can have: of an animation, the first frame is then dreamed."""


def open_film(session: Session, recipe: Recipe, source: Path, target: Path) -> Source | None:
    """Open a film that is to be dreamed as a film; None for a picture, and where the result is to be one.

    Raises:
        UsageError: the result is to be a film, and what is given is a picture that the recipe makes no film of.
    """
    if recipe.film.frames is not None or target.suffix.lower() in _STILLS:
        return None
    film = open_source(session.plugins, session.bounds, source, recipe.image.max_side)
    if film is None and target.suffix.lower() in FILMS:
        raise UsageError(f"{target} is a film and {source} is none: say of how many frames, with --set film.frames=300")
    return film


def dream_film(
    session: Session, resolved: Resolved, given: Source | Picture, source: Path, target: Path, progress: OpenProgress
) -> Sidecar:
    """Dream a film, or make one out of a picture, into a file, and write its sidecar beside it.

    Raises:
        RecipeError: the recipe names what does not exist.
        PictureError: the film is broken.
    """
    start = time.perf_counter()
    resolved = _written_as(resolved, target.suffix.lower())
    with (
        tempfile.TemporaryDirectory(prefix=".dreamd-film-", dir=target.parent) as folder,
        progress(source.name) as show,
    ):

        def report(film: FilmProgress) -> None:
            of = f"/{film.frames}" if film.frames else ""
            show(film.share, f"frame {film.frame}{of}, octave {film.step.ascent}/{film.step.ascents}")

        work = FilmJob(session=session, recipe=resolved.recipe, build=session.build, folder=Path(folder) / "film")
        with resolved.locating():
            result_extension(session, resolved.recipe, None)
            dream: FilmDream = work.dreamed(given, 1) if isinstance(given, Source) else work.made(given)
        dream.go_on(lambda: False, Watching(on_progress=report))
        with draft_of(target, durable=True) as draft:
            result = dream.write(draft)
    sha256 = given.sha256() if isinstance(given, Source) else given.sha256
    seconds = time.perf_counter() - start - dream.folder.standing.seconds
    sidecar = work.sidecar(job=new_job_id(), source=source, sha256=sha256, film=dream, result=result, seconds=seconds)
    target.with_name(sidecar_name(target.name)).write_text(sidecar.text(), encoding="utf-8")
    return sidecar


def _written_as(resolved: Resolved, extension: str) -> Resolved:
    """Return the recipe with the film's format that the result's name asks for."""
    recipe = resolved.recipe
    output = recipe.output.model_copy(update={"film": extension.removeprefix(".")})
    return replace(resolved, recipe=recipe.model_copy(update={"output": output}))

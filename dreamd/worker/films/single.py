"""One film, or one file of pages, from file to file, in this process and without a daemon."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dreamd.errors import UsageError
from dreamd.files.durable import draft_of
from dreamd.job import new_job_id
from dreamd.messages import Sidecar
from dreamd.pictures.paging.pages import Pages
from dreamd.settings.recipes.merging import Resolved
from dreamd.settings.recipes.recipe import Recipe
from dreamd.tree.layout import sidecar_name
from dreamd.worker.display import OpenProgress
from dreamd.worker.films.film_dream import FilmProgress, Watching
from dreamd.worker.films.opening import Source, open_source
from dreamd.worker.films.starting import FilmJob, Given, result_extension
from dreamd.worker.result_names import FILMS
from dreamd.worker.session import Session

_WITH_PAGES = frozenset({".tif", ".tiff"})
"""The endings of results that can have several pages."""

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


def open_all_pages(session: Session, recipe: Recipe, source: Path, target: Path) -> Pages | None:
    """Open a file of several pages that are all to be dreamed; None for any other.

    Raises:
        UsageError: the result is to be of a format that holds one picture.
    """
    pages = session.pages(source, recipe)
    if pages is not None and target.suffix.lower() not in _WITH_PAGES:
        pages.close()
        raise UsageError(f"{target} holds one picture, and {source} has several: give it a name that ends in .tif")
    return pages


def dream_film(
    session: Session, resolved: Resolved, given: Given, source: Path, target: Path, progress: OpenProgress
) -> Sidecar:
    """Dream a film or pages, or make a film out of a picture, into a file, and write its sidecar beside it.

    Raises:
        RecipeError: the recipe names what does not exist.
        PictureError: the film is broken.
    """
    start = time.perf_counter()
    resolved = _written_as(resolved, target.suffix.lower(), is_film=not isinstance(given, Pages))
    with (
        tempfile.TemporaryDirectory(prefix=".dreamd-film-", dir=target.parent) as folder,
        progress(source.name) as show,
    ):

        def report(film: FilmProgress) -> None:
            of = f"/{film.frames}" if film.frames else ""
            show(film.share, f"{film.unit} {film.frame}{of}, octave {film.step.ascent}/{film.step.ascents}")

        work = FilmJob(session=session, recipe=resolved.recipe, build=session.build, folder=Path(folder) / "film")
        with resolved.locating():
            result_extension(session, resolved.recipe, given)
            dream = work.begun(given, 1)
        dream.go_on(lambda: False, Watching(on_progress=report))
        with draft_of(target, durable=True) as draft:
            result = dream.write(draft)
    seconds = time.perf_counter() - start - dream.folder.standing.seconds
    sidecar = work.sidecar(job=new_job_id(), source=source, given=given, film=dream, result=result, seconds=seconds)
    target.with_name(sidecar_name(target.name)).write_text(sidecar.text(), encoding="utf-8")
    return sidecar


def _written_as(resolved: Resolved, extension: str, *, is_film: bool) -> Resolved:
    """Return the recipe with the format that the result's name asks for."""
    recipe = resolved.recipe
    asked = {"film": extension.removeprefix(".")} if is_film else {"format": "tiff"}
    output = recipe.output.model_copy(update=asked)
    return replace(resolved, recipe=recipe.model_copy(update={"output": output}))

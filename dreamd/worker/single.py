"""One picture or film, from file to file, in this process and without a daemon: what `dreamd dream` does.

Knows recipes and pictures. Knows no command line and no inbox.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from dreamd.engine.dreamer import Progress
from dreamd.errors import UsageError
from dreamd.files.durable import draft_of
from dreamd.job import new_job_id
from dreamd.messages import Sidecar
from dreamd.pictures.formats import output_format
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import words_of_slow, write_durably
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import Resolved
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.sections import Limits
from dreamd.tree.layout import sidecar_name, steps_name
from dreamd.worker.display import OpenProgress, Show
from dreamd.worker.dream import Dream, described, write_dream
from dreamd.worker.film_strip import FilmStrip, FilmStrips
from dreamd.worker.films.single import dream_film, open_all_pages, open_film
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import choose_device, count_threads, free_memory, use_threads
from dreamd.worker.machine.heap import keep_freed_memory
from dreamd.worker.recipes.builder import Built
from dreamd.worker.result_names import NOISE, check_source, check_target, format_of
from dreamd.worker.session import Session

log = logging.getLogger(__name__)


def dream_file(
    resolved: Resolved, source: str, target: Path, *, device: str | None, plugins: Plugins, progress: OpenProgress
) -> Sidecar:
    """Dream a picture, or noise, into a file, and write its sidecar beside it.

    Args:
        resolved: the recipe.
        source: the path of the picture, `noise:WIDTHxHEIGHT`, or `noise` for the size that the recipe gives.
        target: the result's path, whose suffix chooses the format.
        device: what to dream on, as `choose_device` takes it; None: a GPU if there is one.
        plugins: the engine's.
        progress: opens the display of the progress.

    Raises:
        UsageError: the paths make no sense, or there is no such device.
        RecipeError: the recipe names what does not exist.
        PictureError: the picture cannot be read.
    """
    check_target(target)
    start = time.perf_counter()
    session = open_session(device, plugins)
    path, noise = Path(source), NOISE.fullmatch(source)
    if noise is None:
        check_source(path, target)
        if (film := open_film(session, resolved.recipe, path, target)) is not None:
            with film:
                return dream_film(session, resolved, film, path, target, progress)
        if (pages := open_all_pages(session, resolved.recipe, path, target)) is not None:
            with pages:
                return dream_film(session, resolved, pages, path, target, progress)
        picture = session.read(path, resolved.recipe)
    else:
        resolved = _sized(resolved, noise[1])
        with resolved.locating():
            picture = session.noise(resolved.recipe)
    if resolved.recipe.film.frames is not None:
        return dream_film(session, resolved, picture, path, target, progress)
    recipe, word = resolved.recipe, format_of(target)
    with progress(path.name) as show:
        strip = FilmStrip(None) if recipe.output.steps else None
        dream = dream_picture(session, picture, build(session, resolved, show), show, strip=strip)
    _remove_strip(target)
    if strip is not None:
        with draft_of(target.with_name(steps_name(target.name)), durable=True) as draft:
            write_durably(draft, strip.sheet(picture, dream.picture))
    name, _ = output_format(word, dream.picture.format)
    dream = described(dream, name, target.name)
    if slow := words_of_slow(name, dream.picture):
        log.info("%s", slow)
    with draft_of(target, durable=True) as draft:
        dream = write_dream(dream, draft, name)
    sidecar = session.sidecar(job=new_job_id(), source=path, dream=dream, seconds=time.perf_counter() - start)
    target.with_name(sidecar_name(target.name)).write_text(sidecar.text(), encoding="utf-8")
    return sidecar


def open_session(device: str | None, plugins: Plugins) -> Session:
    """Open a session that has this process for itself.

    Args:
        device: what to dream on, as `choose_device` takes it; None: a GPU if there is one.
        plugins: the engine's.

    Raises:
        UsageError: there is no such device.
    """
    chosen = choose_device(device or "auto")
    if chosen.warning:
        log.warning("%s", chosen.warning)
    use_threads(count_threads())
    limits = Limits()
    bounds = Bounds(max_pixels=limits.max_pixels, max_bytes=limits.max_bytes, memory=free_memory(chosen.torch))
    keep_freed_memory(bounds.memory)
    return Session(plugins, chosen, bounds)


def build(session: Session, resolved: Resolved, show: Show) -> Built:
    """Build what a recipe dreams with, showing how much of its weights has come.

    Raises:
        RecipeError: the recipe names what does not exist; with its file and line.
    """

    def fetched(done: int, total: int | None) -> None:
        show(done / total if total else 0, "fetching weights")

    with resolved.locating():
        return session.build(resolved.recipe, fetched)


def dream_picture(
    session: Session, picture: Picture, built: Built, show: Show, *, strip: FilmStrip | None = None
) -> Dream:
    """Dream one picture, showing how far it is, and filling a film strip. Raises as `Session.dream` does."""
    strips = FilmStrips([] if strip is None else [strip])

    def report(step: Progress) -> None:
        part = f"part {step.part}/{step.parts}, " if step.parts > 1 else ""
        words = f"{part}octave {step.ascent}/{step.ascents}, iteration {step.iteration}/{step.iterations}"
        show(step.share, words)
        strips.note(step)

    on_glimpse = None if strip is None else strips.show
    (dream,) = session.dream([picture], built, on_progress=report, on_glimpse=on_glimpse)
    return dream


def _sized(resolved: Resolved, size: str | None) -> Resolved:
    """Return the recipe with another `image.size`; None leaves it as it is. Raises UsageError for what is no size."""
    if size is None:
        return resolved
    recipe = resolved.recipe.model_dump(mode="json")
    try:
        sized = Recipe.model_validate({**recipe, "image": {**recipe["image"], "size": size}})
    except ValidationError as error:
        raise UsageError(f"noise:{size}: write noise:WIDTHxHEIGHT in pixels, such as noise:640x480") from error
    return replace(resolved, recipe=sized)


def _remove_strip(target: Path) -> None:
    """Remove the film strip of the dream that is written over: its sidecar tells whether it has one."""
    try:
        told = json.loads(target.with_name(sidecar_name(target.name)).read_bytes())
    except (FileNotFoundError, ValueError):
        return
    if isinstance(told, dict) and told.get("steps") is True:
        target.with_name(steps_name(target.name)).unlink(missing_ok=True)

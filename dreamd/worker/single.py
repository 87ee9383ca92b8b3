"""`dreamd dream`: one picture, in this process, without a daemon."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import click
import numpy as np
import torch

from dreamd.engine.dream import Progress
from dreamd.errors import RecipeError, UsageError
from dreamd.job import new_job_id
from dreamd.pictures.formats import output_format
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.config import Limits
from dreamd.settings.merging import Resolved, resolve, set_fields
from dreamd.settings.recipe_book import RecipeBook, preset_names
from dreamd.weights.digests import sha256_of
from dreamd.worker.bounds import Bounds
from dreamd.worker.device import choose_device, free_memory
from dreamd.worker.session import Dream, Session


class Show(Protocol):
    """Shows how much of something is done, 0 to 1, with a few words."""

    def __call__(self, share: float, words: str) -> None: ...


OpenProgress = Callable[[str], AbstractContextManager[Show]]
"""Opens the display of a picture's progress, under its name."""

_FORMATS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".avif": "avif",
    ".tif": "tiff",
    ".tiff": "tiff",
}
_NOISE = re.compile(r"noise:(\d{1,5})x(\d{1,5})")


def dream_one(
    source: str,
    target: Path,
    *,
    recipe_name: str | None,
    assignments: Sequence[str],
    device: str | None,
    plugin_folders: Sequence[Path],
    progress: OpenProgress,
) -> None:
    """Dream a picture, or noise, into a file, and write its sidecar beside it.

    Raises:
        UsageError: the paths make no sense, or the recipe is wrong.
        PictureError: the picture cannot be read.
    """
    _format_of(target)  # before anything that takes seconds
    resolved = _resolved(recipe_name, assignments)
    dream_by(
        resolved,
        source,
        target,
        device=device,
        plugins=Plugins("dreamd.engine", folders=plugin_folders),
        progress=progress,
    )


def dream_by(
    resolved: Resolved, source: str, target: Path, *, device: str | None, plugins: Plugins, progress: OpenProgress
) -> None:
    """Dream a picture, or noise, by a recipe. Raises as `dream_one` does."""
    word = _format_of(target)
    start = time.perf_counter()
    session = _session(choose_device(device or "auto"), plugins)
    path, recipe = Path(source), resolved.recipe
    noise = _NOISE.fullmatch(source)
    if noise is None:
        _check_source(path, target)
        picture, sha256 = session.read(path, recipe), sha256_of(path)
    else:
        picture, sha256 = _noise(int(noise[1]), int(noise[2]), recipe.seed), ""
    with progress(path.name) as show:
        dream = _dream(session, picture, resolved, show)
    _write(dream.picture, target, word, recipe.output.quality)
    sidecar = session.sidecar(
        job=new_job_id(), source=path, input_sha256=sha256, dream=dream, seconds=time.perf_counter() - start
    )
    Path(f"{target}.json").write_text(sidecar.model_dump_json(indent=1), encoding="utf-8")
    click.echo(f"{target}  ({sidecar.seconds:.1f} s, {sidecar.device}, {sidecar.precision})")


def _session(device: torch.device, plugins: Plugins) -> Session:
    limits = Limits()
    bounds = Bounds(max_pixels=limits.max_pixels, max_bytes=limits.max_bytes, memory=free_memory(device))
    return Session(plugins, device, bounds)


def _dream(session: Session, picture: Picture, resolved: Resolved, show: Show) -> Dream:
    """Dream one picture, showing how far it is."""

    def fetched(done: int, total: int | None) -> None:
        show(done / total if total else 0, "fetching weights")

    def report(step: Progress) -> None:
        words = f"octave {step.ascent}/{step.ascents}, iteration {step.iteration}/{step.iterations}"
        show(step.share, words)

    try:
        built = session.build(resolved.recipe, fetched)
    except RecipeError as error:
        raise resolved.located(error) from error
    (dream,) = session.dream([picture], built, on_progress=report)
    return dream


def _resolved(recipe_name: str | None, assignments: Sequence[str]) -> Resolved:
    """The recipe of a file, a sidecar or a preset, with the fields that were set on the command line over it."""
    name = recipe_name or "classic"
    book = RecipeBook(None)
    is_file = name not in preset_names() and Path(name).exists()
    documents = book.documents_of_file(Path(name)) if is_file else book.documents_of_name(name)
    return resolve([*documents, set_fields(assignments)])


def _format_of(target: Path) -> str:
    suffix = target.suffix.lower()
    if suffix not in _FORMATS:
        raise UsageError(f"{target}: the name must end in one of {' '.join(_FORMATS)}")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: the folder {target.parent} does not exist")
    return _FORMATS[suffix]


def _check_source(source: Path, target: Path) -> None:
    if not source.exists():
        raise UsageError(f"{source}: there is no such file")
    if target.exists() and source.samefile(target):
        raise UsageError(f"{target} is the picture itself; dreamd does not overwrite originals")


def _noise(width: int, height: int, seed: int) -> Picture:
    """Return uniform noise, the article's other start. Raises UsageError."""
    most = Limits().max_pixels
    if not 1 <= width * height <= most:
        raise UsageError(f"{width}x{height} pixels of noise cannot be: from one to {most:,} pixels can")
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Picture(pixels=pixels, alpha=None, format="PNG", exif=None, dpi=None)


def _write(picture: Picture, target: Path, word: str, quality: int) -> None:
    """Write a picture whole or not at all."""
    draft = target.with_name(f".{target.stem[:100]}.{os.getpid()}.part{target.suffix}")
    name, _ = output_format(word, picture.format)
    try:
        write_picture(picture, draft, format=name, quality=quality)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)

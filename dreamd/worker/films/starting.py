"""A film's dream put together: from a file, or from one picture; and that of a file of several pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from torch import Tensor

from dreamd.engine.dream import batch_size
from dreamd.errors import RecipeError
from dreamd.messages import Sidecar
from dreamd.pictures.paging.pages import Pages
from dreamd.pictures.picture import Picture
from dreamd.settings.recipes.recipe import Recipe
from dreamd.wording import printable
from dreamd.worker.films.dreamed import DreamedFilm
from dreamd.worker.films.film_dream import (
    FilmDream,
    FilmResult,
    Recipes,
    check_output,
    extension_of,
    recipes_of,
    writer_of,
)
from dreamd.worker.films.keeping import FilmFolder
from dreamd.worker.films.made import MadeFilm
from dreamd.worker.films.opening import Source
from dreamd.worker.pages.keeping import PageFolder
from dreamd.worker.pages.paged import ENDING, DreamedPages
from dreamd.worker.pixels import to_tensor
from dreamd.worker.recipes.builder import Built
from dreamd.worker.session import Session

_LIBRARIES = ("av", "opencv-python-headless", "pillow")
"""The packages besides dreamd's own on whose versions the bytes of a film depend."""

_LIBRARIES_OF_PAGES = ("pillow", "pillow-heif", "pyvips-binary")
"""The same for pages."""

Given = Source | Pages | Picture
"""What is dreamed in turns: a film, a file of several pages, or a picture that a film is made of."""


@dataclass(frozen=True, kw_only=True)
class FilmJob:
    """A film that is to be dreamed, or made, or a file of several pages.

    Attributes:
        session: what dreams.
        recipe: its recipe.
        build: builds what a recipe dreams with.
        folder: a folder of this film alone, in which it is kept until it is written.
    """

    session: Session
    recipe: Recipe
    build: Callable[[Recipe], Built]
    folder: Path

    def begun(self, given: Given, together: int) -> FilmDream:
        """Return the dream of whatever takes turns, which goes on where it stood.

        Args:
            given: what is dreamed.
            together: how many frames to dream together at most, where they do not depend on each other.

        Raises:
            RecipeError: the result cannot be written, or the recipe names what does not exist.
        """
        if isinstance(given, Source):
            return self.dreamed(given, together)
        return self.paged(given) if isinstance(given, Pages) else self.made(given)

    def paged(self, pages: Pages) -> DreamedPages:
        """Return the dream of a file of pages, which goes on where it stood. Raises as `Session.build` does."""
        built = self.build(self.recipe)
        key = _key(self.session.fingerprint(pages.sha256(), built), library_versions(_LIBRARIES_OF_PAGES))
        return DreamedPages(self.session, built, pages, PageFolder(self.folder, key))

    def dreamed(self, source: Source, together: int) -> DreamedFilm:
        """Return the dream of a film, which goes on where it stood.

        Args:
            source: the film.
            together: how many frames to dream together at most, where they do not depend on each other.

        Raises:
            RecipeError: nothing writes such films, or the recipe names what does not exist.
        """
        reader = (source.film, source.extension, source.reader.entry.plugin)
        size = (source.width, source.height)
        writer = writer_of(self.session.plugins, self.recipe, size, reader)
        recipes = recipes_of(self.recipe, self.build)
        together = min(batch_size(one, size[1], size[0], most=together) for one in recipes.anew.dreamers)
        return DreamedFilm(self.session, recipes, source, self._folder(recipes), writer, together)

    def made(self, picture: Picture) -> MadeFilm:
        """Return the film out of one picture, which goes on where it stood.

        Raises:
            RecipeError: nothing writes such films, there are too many frames, or the recipe names what does not exist.
        """
        frames, most = self.recipe.film.frames, self.session.bounds.max_frames
        if frames is not None and frames > most:
            raise RecipeError(f"is more than limits.max_frames allows ({most})", field=("film", "frames"))
        height, width = picture.pixels.shape[:2]
        writer = writer_of(self.session.plugins, self.recipe, (width, height), None)
        recipes = recipes_of(self.recipe, self.build)

        def image() -> Tensor:
            return to_tensor([picture])

        return MadeFilm(self.session, recipes, image, self._folder(recipes), writer)

    def _folder(self, recipes: Recipes) -> FilmFolder:
        keys = [self.session.fingerprint("a film", each) for each in (recipes.anew, recipes.further)]
        return FilmFolder(self.folder, _key(" ".join(keys), library_versions(_LIBRARIES)))

    def sidecar(
        self, *, job: str, source: Path, given: Given, film: FilmDream, result: FilmResult, seconds: float
    ) -> Sidecar:
        """Return the record of a film, or of a file of pages.

        Args:
            job: its id.
            source: the file that it was dreamed, or made, of.
            given: what was in that file.
            film: its dream.
            result: what was written.
            seconds: the time that is not counted in its frames.
        """
        built = self.build(self.recipe)
        libraries = _LIBRARIES_OF_PAGES if isinstance(given, Pages) else _LIBRARIES
        losses = result.losses or (None, None)
        return Sidecar(
            job=job,
            picture=printable(source.name),
            input_sha256=given.sha256 if isinstance(given, Picture) else given.sha256(),
            recipe=built.recipe.model_dump(mode="json"),
            versions={**self.session.versions(built), **library_versions(libraries)},
            weights_sha256=built.weights_sha256,
            pictures=built.pictures,
            device=self.session.device_name,
            precision=built.dreamer.precision,
            threads=self.session.threads() or None,
            seed=built.recipe.seed,
            size=result.size,
            tiling=None,
            seconds=round(film.folder.standing.seconds + seconds, 3),
            loss_before=losses[0],
            loss_after=losses[1],
            notes=result.notes,
            frames=None if result.pages else result.frames,
            film_seconds=None if result.pages else result.seconds,
            pages=result.pages,
        )


def _key(fingerprint: str, versions: Mapping[str, str]) -> str:
    return " ".join([fingerprint, *(f"{name} {text}" for name, text in versions.items())])


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of libraries on which the bytes of a result depend, of those that are here."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def result_extension(session: Session, recipe: Recipe, given: Given) -> str:
    """Return the ending of a result. Raises RecipeError when nothing writes such films."""
    if isinstance(given, Pages):
        return ENDING
    source = given if isinstance(given, Source) else None
    extension = extension_of(recipe, source.extension if source else None)
    check_output(session.plugins, extension)
    return extension

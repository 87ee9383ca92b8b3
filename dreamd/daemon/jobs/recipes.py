"""The recipe of a job: read from the folders' files, and checked against what the plugins bring.

Knows no job's state.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePath, PurePosixPath

from dreamd.errors import RecipeError, UnknownNameError
from dreamd.job import Job
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.recipe import Recipe, choices_of
from dreamd.settings.recipe_book import RecipeBook


class JobRecipes:
    """The recipes that jobs get, and which of them have proven to work.

    Attributes:
        catalogue: what the plugins bring; None before a worker has told.
    """

    def __init__(self, book: RecipeBook) -> None:
        self._book = book
        self._proven: set[str] = set()
        self.catalogue: Catalogue | None = None

    def use_book(self, book: RecipeBook) -> None:
        """Take the recipes from another book; nothing is proven then."""
        self._book = book
        self._proven.clear()

    def use_catalogue(self, catalogue: Catalogue) -> None:
        """Check recipes against other plugins from now on; nothing is proven then."""
        self.catalogue = catalogue
        self._proven.clear()

    def for_folder(self, folder: PurePosixPath) -> str:
        """Return the recipe of a folder as it is now, as JSON. Raises RecipeError, with file and line."""
        resolved = self._book.for_folder(folder)
        if self.catalogue is not None:
            resolved.check(self.catalogue)
        return resolved.json

    def is_readable(self, recipe: str) -> bool:
        """Whether a job's recipe, which the journal remembers, is one that this version understands."""
        return _read(recipe) is not None

    def likely(self, job: Job) -> str:
        """Return the recipe that a job most likely had, which the journal does not know; "" when nobody can tell."""
        try:
            return self._book.for_folder(job.folder).json
        except RecipeError:
            return ""

    def locate(self, folder: PurePosixPath, error: RecipeError) -> RecipeError:
        """Return the error with the file and line of its field, in the recipe of a folder."""
        try:
            return self._book.for_folder(folder).located(error)
        except RecipeError:
            return error  # the recipe changed meanwhile and is broken in another way; that shows when it is looked at

    def prove(self, recipe: str) -> bool:
        """Take note that a recipe's plugins work; return whether that is news."""
        is_news = recipe not in self._proven
        self._proven.add(recipe)
        return is_news

    def is_proven(self, recipe: str) -> bool:
        """Whether a picture has come out by this recipe since its plugins were loaded."""
        return recipe in self._proven

    def suspects(self, recipe: str) -> str:
        """Name the plugins that may be behind the end of a worker, which cannot say any more; not dreamd's own."""
        used: dict[str, str] = {}
        known = _read(recipe)
        for kind, choice, _ in choices_of(known) if known else ():
            with suppress(UnknownNameError):
                entry = (self.catalogue or Catalogue()).find(kind, choice.name)
                used.update({} if entry.own else {entry.plugin: f"{entry.plugin} ({entry.origin})"})
        return f"; its recipe uses the plugin {' and '.join(used.values())}" if used else ""


def result_stem(job: Job) -> str:
    """Name a result, without its extension, as the job's recipe wants it; as the picture when none is known."""
    recipe = _read(job.recipe)
    if recipe is None:
        return PurePath(job.name).stem
    return recipe.output.name.format(
        stem=PurePath(job.name).stem,
        job=job.id,
        backbone=recipe.backbone.name.replace("/", "-"),
        loss=recipe.loss.name,
        schedule=recipe.schedule.name,
        seed=recipe.seed,
    )


def _read(recipe: str) -> Recipe | None:
    """Read a recipe that the journal remembers; None when there is none, or another version of dreamd wrote it.

    The journal is only the memory: what cannot be read is as good as forgotten, and the folder's recipe counts.
    """
    try:
        return Recipe.from_json(recipe) if recipe else None
    except RecipeError:
        return None

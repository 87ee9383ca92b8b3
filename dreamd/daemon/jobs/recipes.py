"""The recipe of a job: read from the folders' files and its own, and checked against what the plugins bring.

Knows no job's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath

from dreamd.errors import RecipeError, UnknownNameError
from dreamd.files.names import split_name
from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.recipes.checking import choices_of
from dreamd.settings.recipes.merging import Resolved
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook


class JobRecipes:
    """The recipes that jobs get, and which of them have proven to work.

    Attributes:
        catalogue: what the plugins bring; None before a worker has told.
    """

    def __init__(self, book: RecipeBook, work_path: Callable[[Job], Path]) -> None:
        """Begin with nothing proven.

        Args:
            book: the recipes of the inbox's folders.
            work_path: returns where a job's file waits, once it is claimed.
        """
        self._book = book
        self._work_path = work_path
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

    def for_job(self, job: Job) -> str:
        """Return the recipe of a job as its files are now, as JSON. Raises RecipeError, with file and line."""
        try:
            resolved = self._resolve(job)
            if self.catalogue is not None:
                resolved.check(self.catalogue)
        except RecipeError as error:
            raise self._with_advice(job, error) from error.__cause__
        return resolved.json

    def is_readable(self, recipe: str) -> bool:
        """Whether a job's recipe, which the journal remembers, is one that this version understands."""
        return _read(recipe) is not None

    def likely(self, job: Job) -> str:
        """Return the recipe that a job most likely had, which the journal does not know; "" when nobody can tell."""
        try:
            return self._resolve(job).json
        except RecipeError:
            return ""

    def locate(self, job: Job, error: RecipeError) -> RecipeError:
        """Return the error with the file and line of its field, in the recipe of a job."""
        try:
            return self._with_advice(job, self._resolve(job).located(error))
        except RecipeError:
            return error  # the recipe changed meanwhile and is broken in another way; that shows when it is looked at

    def is_own_fault(self, job: Job) -> bool:
        """Whether a job is held for its own dream file, and not for the recipe of its folder."""
        file = self._book.path_of(job.path)
        return job.hold == "recipe" and is_dream_file(job.name) and (job.reason or "").startswith(f"{file}:")

    def _with_advice(self, job: Job, error: RecipeError) -> RecipeError:
        """Return the error; for one in a job's own dream file, which lies in work by now, with how to mend it."""
        is_own = is_dream_file(job.name) and error.file == self._book.path_of(job.path)
        if not is_own or isinstance(error.__cause__, OSError):  # what cannot be read goes on without being mended
            return error
        problem = f"{error.problem}; put the mended file there again, by the same name"
        return RecipeError(problem, file=error.file, line=error.line, field=error.field)

    def _resolve(self, job: Job) -> Resolved:
        """Return a job's recipe: its folder's, and over it that of a dream file. Raises RecipeError."""
        if is_dream_file(job.name):
            return self._book.for_dream_file(job.path, lies_at=self._work_path(job))
        return self._book.for_folder(job.folder)

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


def by_recipe(jobs: Iterable[Job]) -> list[list[Job]]:
    """Group jobs whose recipe is read from the same files: those of a folder, and each dream file for itself."""
    groups: dict[tuple[PurePosixPath, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.folder, job.id if is_dream_file(job.name) else ""), []).append(job)
    return list(groups.values())


def result_stem(job: Job) -> str:
    """Name a result, without its extension, as the job's recipe wants it; as the picture when none is known."""
    recipe = _read(job.recipe)
    if recipe is None:
        return _stem(job.name)
    return recipe.output.name.format(
        stem=_stem(job.name),
        job=job.id,
        backbone=_joined(dream.backbone.name.replace("/", "-") for _, dream in recipe.dreams),
        loss=_joined(climb.loss.name for _, dream in recipe.dreams for _, climb in dream.climbs),
        schedule=_joined(dream.schedule.name for _, dream in recipe.dreams),
        seed=recipe.seed,
    )


def _stem(name: str) -> str:
    return split_name(name)[0] if is_dream_file(name) else PurePath(name).stem


def _joined(names: Iterable[str]) -> str:
    """Return the names of a recipe's parts and stages as one, each once."""
    return "+".join(dict.fromkeys(names))


def _read(recipe: str) -> Recipe | None:
    """Read a recipe that the journal remembers; None when there is none, or another version of dreamd wrote it.

    The journal is only the memory: what cannot be read is as good as forgotten, and the folder's recipe counts.
    """
    try:
        return Recipe.from_json(recipe) if recipe else None
    except RecipeError:
        return None

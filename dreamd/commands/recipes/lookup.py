"""The recipe that a person names on the command line, and everything that can be wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.commands.plugins.known_engine import KnownEngine
from dreamd.errors import RecipeError, UsageError, within
from dreamd.files.names import DREAM_SUFFIXES
from dreamd.files.problems import os_errors_explained
from dreamd.inbox.dream_files import is_dream_file
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.settings.recipes.merging import Resolved, from_sidecar, with_paths_below
from dreamd.settings.recipes.recipe_book import RecipeBook, preset_names, recipe_file
from dreamd.settings.sections import Limits
from dreamd.settings.yamlfile import Document, document_of_text
from dreamd.wording import printable

if TYPE_CHECKING:
    from dreamd.settings.config import Config


def book_of(config: Config | None) -> RecipeBook:
    """Return the config's recipes; without a config, the presets."""
    return config.recipe_book() if config else RecipeBook(None)


def recipe_files(folder: Path) -> list[Path]:
    """Find every recipe file in a folder and below it, and the dream files that wait there; not dreamd's own."""
    names = (*RECIPE_FILES, *(f"*{suffix}" for suffix in DREAM_SUFFIXES))
    found = (file for name in names for file in folder.rglob(name))
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def find_recipe(name: str, config: Config | None) -> Resolved:
    """Find the recipe of a file, of a folder, picture or dream file in the inbox, or of a name.

    Raises:
        UsageError: there is no such recipe.
        RecipeError: the recipe is wrong.
    """
    book = book_of(config)
    path = Path(name).absolute()
    if not path.exists():
        if "/" in name or path.suffix:
            raise UsageError(f"{name}: there is no such file or folder")
        return book.for_name(name)
    folder = path if path.is_dir() else path.parent
    if config is not None and (folder == config.inbox or config.inbox in folder.parents):
        inside = PurePosixPath(path.relative_to(config.inbox))
        if is_dream_file(path.name) and not path.is_dir():
            return book.for_dream_file(inside)
        return book.for_folder(inside if path.is_dir() else inside.parent)
    file = recipe_file(path) if path.is_dir() else path
    if file is None:
        raise UsageError(f"{name}: has no recipe.yaml, and is no folder of an inbox (give its --config)")
    if file.suffix not in (".yaml", ".yml", ".json"):
        raise UsageError(f"{name}: is no recipe, and no picture in an inbox (give its --config)")
    return book.for_file(file)


def documents_of(name: str, book: RecipeBook) -> list[Document]:
    """Return the documents of a recipe: of a file, of a sidecar, of a picture that carries one, or of a name.

    Raises:
        UsageError: there is no such recipe, or the picture carries none.
        RecipeError: the recipe is wrong.
    """
    from dreamd.pictures.descriptions.recipe import may_hold_recipe  # on demand: it imports Pillow

    path = Path(name)
    if name in preset_names() or not path.exists():
        return book.documents_of_name(name)
    with os_errors_explained("read", path):
        if path.is_file() and may_hold_recipe(path):
            return [_carried(path)]
    return book.documents_of_file(path)


def _carried(picture: Path) -> Document:
    """Return the recipe that a picture carries: anybody's text, taken as data and checked as a recipe file is."""
    from dreamd.pictures.descriptions.recipe import read_recipe

    text = read_recipe(picture, max_bytes=int(Limits().max_bytes))
    if text is None:
        raise UsageError(f"{printable(str(picture))}: carries no recipe; dreamd writes one with output.embed: true")
    carried = from_sidecar(document_of_text(text, picture, RecipeError))
    return with_paths_below(picture.absolute().parent, replace(carried, lines={}))  # lines of a text that nobody sees


def check_whole(resolved: Resolved, engine: KnownEngine) -> None:
    """Check a recipe's names, parameters and layers, and whether its file of weights is there.

    Where the layers are not known yet, the network is built without its weights.

    Raises:
        RecipeError: the recipe is wrong; the error knows its file and line.
    """
    resolved.check(engine.catalogue)
    with resolved.locating():
        for place, dream in resolved.recipe.dreams:
            with within(place):
                if any(climb.layers is not None for _, climb in dream.climbs):
                    engine.check_layers(dream)
                file = dream.backbone.weights
                if file not in ("default", "random") and not Path(file).is_file():
                    raise RecipeError(f"there is no file {printable(file)}", field=("backbone", "weights"))

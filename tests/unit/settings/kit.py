"""Recipes as texts: what the tests of the settings make them with."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, settings

from dreamd.errors import RecipeError
from dreamd.settings.recipes.merging import resolve
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document, parse_document

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may be busy with something else."""

ROOT = PurePosixPath()


def write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def document(text: str, name: str = "recipe.yaml") -> Document:
    return parse_document(text, name, RecipeError)


def resolved(*texts: str) -> Recipe:
    """The recipe of files that lie over one another, the first at the bottom."""
    return resolve([document(text) for text in texts]).recipe


def refusal(*texts: str) -> str:
    with pytest.raises(RecipeError) as caught:
        resolved(*texts)
    return str(caught.value)


def refusal_in(book: RecipeBook, folder: PurePosixPath = ROOT) -> str:
    with pytest.raises(RecipeError) as caught:
        book.for_folder(folder)
    return str(caught.value)

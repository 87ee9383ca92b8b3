"""Folders of recipes: where a picture with a recipe of its own is put, below the folder that it is for.

Such a folder's name ends with the digest of its recipe, so that pictures of one recipe share it. Reads files.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dreamd.errors import RecipeError, UsageError
from dreamd.files.names import parts_of
from dreamd.files.nofollow import opened_file
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.json_text import to_json
from dreamd.settings.yamlfile import MAX_BYTES, document_of_text

_DIGEST_DIGITS = 10
"""The digits of a recipe's digest in the name of its folder."""

_OF_RECIPE = re.compile(rf"-[0-9a-f]{{{_DIGEST_DIGITS}}}$")
"""The end of the name of a recipe's folder."""

_NAME = re.compile(r"[^\s:{}\[\]#,]+")
"""A text that is a recipe's name, and no recipe."""

_LONGEST_NAME = 40
"""The most characters of a recipe's name in the name of its folder."""


@dataclass(frozen=True)
class RecipeFolder:
    """Where pictures of one recipe are put.

    Attributes:
        folder: its path in the inbox.
        text: its recipe.
    """

    folder: str
    text: str

    @classmethod
    def of(cls, folder: str, recipe: str, called: str = "") -> RecipeFolder:
        """Name the folder below another, for a recipe's name or its fields as JSON or YAML.

        Args:
            folder: the folder above.
            recipe: the name, or the fields.
            called: what the folder's name begins with; "" for the recipe's name, if it has one.

        Raises:
            RecipeError: the fields cannot be read.
            UsageError: there are none.
        """
        if not recipe.strip():
            raise UsageError("recipe: is empty; leave it out where the folder's own recipe shall count")
        name, text = recipe if is_recipe_name(recipe) else "", text_of(recipe)
        if not name:
            document_of_text(text, "the recipe", RecipeError)
        digest = _digest(text.encode("utf-8", "surrogatepass"))
        called = re.sub(r"[^\w-]+", "-", called or name or "recipe", flags=re.ASCII)[:_LONGEST_NAME].strip("-")
        called = called or "recipe"
        return cls(str(PurePosixPath(*parts_of(folder), f"{called}-{digest}")), text)


def is_recipe_name(text: str) -> bool:
    """Tell whether a text is a recipe's name, and not the fields of one."""
    return _NAME.fullmatch(text) is not None


def text_of(recipe: str) -> str:
    """Return the text of a recipe that is given by its name or as text."""
    return f"extends: {to_json(recipe, for_people=True)}\n" if is_recipe_name(recipe) else recipe


def home_of(inbox: Path, folder: str) -> str:
    """Return the folder above, where a folder of the inbox is one that a recipe was given; else the folder itself.

    It is a person's folder as soon as somebody changes its recipe.
    """
    above, name = PurePosixPath(folder).parent, PurePosixPath(folder).name
    if not _OF_RECIPE.search(name):
        return folder
    try:
        with opened_file(inbox, PurePosixPath(folder, RECIPE_FILES[0])) as file:
            digest = _digest(file.read(MAX_BYTES + 1))
    except OSError:
        return folder
    return str(above) if name.endswith(f"-{digest}") else folder


def _digest(recipe: bytes) -> str:
    return hashlib.sha256(recipe).hexdigest()[:_DIGEST_DIGITS]

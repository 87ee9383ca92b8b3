"""With which recipes a picture is dreamed again: some by name, one as text, or one field over values.

Knows recipes. Knows no job and no picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from dreamd.errors import UsageError
from dreamd.files.names import parts_of
from dreamd.page.posting.recipe_folders import is_recipe_name, text_of
from dreamd.page.recipes.editor import Recipes
from dreamd.settings.recipes.recipe_text import recipe_text
from dreamd.settings.recipes.sweeping import parse_axis, recipe_with

MOST_AT_ONCE = 24
"""The most dreams that one request asks for: more can hardly be compared, and each is a copy of the picture."""

SMALL_SIDE = 512
"""The longest side in pixels of a dream that is made small, to be looked at only."""

_LONGEST_LABEL = 80
"""The most characters of a label."""

_NOWHERE = "recipe"
"""What errors call the folder that a recipe would have; nothing is written there."""


@dataclass(frozen=True)
class Wish:
    """One dream that is asked for.

    Attributes:
        label: what it is called beside the others.
        recipe: the name of a preset or named recipe, or a recipe's text.
        called: what its folder's name begins with; "" for the recipe's name, if it has one.
    """

    label: str
    recipe: str
    called: str = ""


class Wishes:
    """Makes wishes for a picture of one folder. Reads files: call it from a thread."""

    def __init__(self, recipes: Recipes, folder: str, *, is_small: bool) -> None:
        """Wish nothing yet.

        Args:
            recipes: the recipes of the tree.
            folder: the folder whose recipe others go over.
            is_small: whether the dreams are made small, to be looked at only.
        """
        self._recipes = recipes
        self._folder = PurePosixPath(*parts_of(folder))
        self._is_small = is_small

    def named(self, names: Sequence[str], text: str | None) -> list[Wish]:
        """Return a wish for each recipe's name, and one for a recipe's text where there is one.

        Raises:
            UsageError: there is nothing to do or too much, or a name is none.
            RecipeError: a recipe is wrong.
        """
        for name in names:
            if not is_recipe_name(name):
                raise UsageError(f"{name!r} is no recipe's name")
        wishes = [Wish(name, name, name) for name in dict.fromkeys(names)]
        if text is not None:
            wishes.append(Wish("edited", text, "edited"))
        _check_number(len(wishes))
        return [replace(wish, recipe=self._with(wish.recipe, {})) for wish in wishes] if self._is_small else wishes

    def swept(self, base: str, axis: str) -> list[Wish]:
        """Return a wish for each value of a field, over a recipe.

        Args:
            base: the recipe's name, or its text.
            axis: `FIELD=V1,V2,…`.

        Raises:
            UsageError: the axis is none, or has too many values.
            RecipeError: the recipe, the field or a value is wrong.
        """
        parsed = parse_axis(axis)
        _check_number(len(parsed.values))
        return [
            Wish(value[:_LONGEST_LABEL], self._with(base, {parsed.field: value}), f"{parsed.field}-{value}")
            for value in parsed.values
        ]

    def _with(self, recipe: str, values: dict[str, str]) -> str:
        """Return the text of a recipe with some fields set, made small where it is to be."""
        text = text_of(recipe)
        book = self._recipes.book()
        documents = book.documents_of_draft(self._folder / _NOWHERE, text)
        common = book.resolve(documents)
        side = common.recipe.image.max_side
        if self._is_small and (side is None or side > SMALL_SIDE):
            values = {"image.max_side": str(SMALL_SIDE), **values}
        return recipe_text(recipe_with(documents, common, values, book).recipe)


def _check_number(number: int) -> None:
    if number == 0:
        raise UsageError("choose at least one recipe")
    if number > MOST_AT_ONCE:
        raise UsageError(f"these are {number} dreams; choose at most {MOST_AT_ONCE} at once")

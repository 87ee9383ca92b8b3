"""Sweeps: the plan of a sheet with a dream for every combination of the axes' values. Knows no plugins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from dreamd.errors import UsageError
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.recipes.sweeping import Axis, recipe_with
from dreamd.settings.yamlfile import Document
from dreamd.sheets.plan import Cell, Plan

MOST_CELLS = 2000
"""The most dreams of a sheet: more can neither be waited for nor looked at."""


def plan_sweep(base: Sequence[Document], axes: Sequence[Axis], book: RecipeBook | None = None) -> Plan:
    """Plan a dream for each combination of the axes' values.

    Args:
        base: the recipe that the values go over.
        axes: the axes, at least one.
        book: where the parts of a sequence are looked up by name; None: among the presets.

    Raises:
        UsageError: a field is given twice, or there are too many combinations.
        RecipeError: the recipe, a field or a value is wrong.
    """
    fields = [axis.field for axis in axes]
    for field in fields:
        if fields.count(field) > 1:
            raise UsageError(f"{field} is given twice; write all its values behind one {field}=")
    count = prod(len(axis.values) for axis in axes)
    if count > MOST_CELLS:
        raise UsageError(f"these are {count:,} dreams; a sheet has at most {MOST_CELLS:,}")
    book = book or RecipeBook(None)
    common = book.resolve(base)
    cells = [
        Cell(values=values, recipe=recipe_with(base, common, dict(zip(fields, values, strict=True)), book))
        for values in product(*(axis.values for axis in axes))
    ]
    *down, across = fields
    title = f"{', '.join(down)} down, {across} across" if down else across
    return Plan(kind="sweep", title=title, base=common.recipe.to_json(), axes=tuple(axes), cells=cells)

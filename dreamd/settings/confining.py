"""Where the files of weights may lie that a recipe in the inbox names.

Whoever may drop pictures may write such a recipe. So its paths are judged as text alone: what is said of a path outside
of the folders is the same whether anything is there or not, and no link on the way is followed. Knows no file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dreamd.errors import FieldPath, RecipeError
from dreamd.settings.recipes.merging import NO_PATHS_OF_WEIGHTS
from dreamd.settings.yamlfile import Document


def confined(document: Document, folders: Sequence[Path]) -> Document:
    """Return a document whose weights lie in the folders; their paths come without `..`.

    Args:
        document: it, with absolute paths.
        folders: where files of weights may lie.

    Raises:
        RecipeError: a path leads elsewhere; with file and line.
    """
    return Document(document.file, _confined(document, folders, document.data, ()), document.lines)


def _confined(document: Document, folders: Sequence[Path], recipe: dict[str, Any], place: FieldPath) -> dict[str, Any]:
    """Return a recipe, or a part of its sequence that stands at a place, with its weights in the folders."""
    found = dict(recipe)
    backbone, parts = recipe.get("backbone"), recipe.get("sequence")
    if isinstance(backbone, dict) and isinstance(weights := backbone.get("weights"), str):
        field = (*place, "backbone", "weights")
        found["backbone"] = {**backbone, "weights": _allowed(document, folders, weights, field)}
    if isinstance(parts, list):
        found["sequence"] = [
            _confined(document, folders, part, (*place, "sequence", index)) if isinstance(part, dict) else part
            for index, part in enumerate(parts)
        ]
    return found


def _allowed(document: Document, folders: Sequence[Path], weights: str, field: FieldPath) -> str:
    if weights in ("", *NO_PATHS_OF_WEIGHTS):
        return weights
    path = Path(os.path.normpath(weights))
    if not any(path.is_relative_to(os.path.normpath(folder)) for folder in folders):
        where = " or ".join(map(str, folders)) or "no folder at all"
        problem = (
            f"weights that a recipe in the inbox names must lie in {where}; move the file there, name it in a named "
            "recipe, or add its folder to weights.folders in dreamd's config"
        )
        raise RecipeError(problem, file=document.file, line=document.line(field), field=field)
    return str(path)

"""From partial recipes to whole ones: stages and parts of a sequence, which go over what stands beside them.

A stage or a part is merged by the same rules as a file over those that it inherits from: what it does not say is as in
the files beneath it. Knows documents. Knows no models' values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dreamd.errors import FieldPath, RecipeError
from dreamd.settings.recipes.layering import Origin, Origins, merged
from dreamd.settings.recipes.recipe import Climb, Part
from dreamd.settings.yamlfile import Document


def expanded(documents: Sequence[Document], parts: Sequence[Sequence[Document]]) -> tuple[dict[str, Any], Origins]:
    """Merge documents, the later over the earlier, and make every stage and every part whole.

    Args:
        documents: the recipe's.
        parts: for each part of its sequence, what that extends and then the part itself, as `sequence_parts` gives it.

    Returns:
        The recipe's values, and the origin of each. Of a recipe with a sequence, only what is the whole's; a part has
        inherited the rest.

    Raises:
        RecipeError: a part is a sequence itself.
    """
    data, origins = merged(documents)
    if not parts:
        return _with_stages(data, origins, documents)
    whole = {key: value for key, value in data.items() if key not in Part.model_fields}
    own: Origins = {path: origin for path, origin in origins.items() if path[0] in whole}
    below = [_without(document, "sequence") for document in documents]
    whole["sequence"] = []
    for index, layers in enumerate(parts):
        _check_is_no_sequence(layers, ("sequence", index))
        part, inner = expanded([*below, *(_without(document, "sequence") for document in layers)], ())
        said = {key for key in layers[-1].data if key != "extends"}
        whole["sequence"].append(_chosen(part, {*Part.model_fields, *said}))
        own.update(_inside(("sequence", index), inner))
    return whole, own


def sequence_parts(documents: Iterable[Document]) -> list[Document]:
    """Return the parts of the sequence that documents come to, each as a document of its own.

    A part that is only a name extends that recipe.

    Raises:
        RecipeError: a part is neither a name nor a mapping.
    """
    holders = [document for document in documents if "sequence" in document.data]
    if not holders or not isinstance(parts := holders[-1].data["sequence"], list):
        return []
    return [_part_document(holders[-1], index, part) for index, part in enumerate(parts)]


def _part_document(holder: Document, index: int, part: object) -> Document:
    place: FieldPath = ("sequence", index)
    line = holder.line(place)
    if isinstance(part, str):
        return Document(holder.file, {"extends": part}, {} if line is None else {(): line})
    if not isinstance(part, dict):
        raise RecipeError("must be a recipe's name or a mapping of fields", file=holder.file, line=line, field=place)
    return Document(holder.file, part, {path[2:]: line for path, line in holder.lines.items() if path[:2] == place})


def _check_is_no_sequence(layers: Sequence[Document], place: FieldPath) -> None:
    """Refuse a part that comes to a sequence itself, which could go on for ever. Raises RecipeError."""
    said = [document for document in layers if "sequence" in document.data]
    if said and said[-1].data["sequence"]:
        problem, part = "is a sequence itself, which no part of a sequence can be", layers[-1]
        raise RecipeError(problem, file=part.file, line=part.line(("extends",)), field=place)


def _with_stages(
    data: dict[str, Any], origins: Origins, documents: Sequence[Document]
) -> tuple[dict[str, Any], Origins]:
    stages = data.get("stages")
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        return data, origins  # which the model refuses
    below = [_without(document, "stages") for document in documents]
    whole = []
    for index, partial in enumerate(stages):
        place: FieldPath = ("stages", index)
        stage, inner = merged([*below, _stage_document(partial, origins, place)])
        whole.append(_chosen(stage, {*Climb.model_fields, *partial}))
        origins.update(_inside(place, inner))
    return {**data, "stages": whole}, origins


def _stage_document(partial: Mapping[str, Any], origins: Origins, place: FieldPath) -> Document:
    """Return a stage as a document of the file that says it."""
    lines = {path[2:]: origin.line for path, origin in origins.items() if path[:2] == place and origin.line is not None}
    holder = origins.get(place) or origins[place[:1]]
    return Document(holder.file, dict(partial), lines)


def _chosen(data: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key in set(keys)}


def _inside(place: FieldPath, origins: Origins) -> Iterator[tuple[FieldPath, Origin]]:
    """Return the origins of something that stands in a field of the whole."""
    return (((*place, *path), origin) for path, origin in origins.items())


def _without(document: Document, key: str) -> Document:
    if key not in document.data:
        return document
    data = {name: value for name, value in document.data.items() if name != key}
    return Document(document.file, data, document.lines)

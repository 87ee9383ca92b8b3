"""What is wrong with a recipe in view of the plugins there are. Knows no files."""

from __future__ import annotations

from collections.abc import Iterator

from dreamd.errors import FieldPath, RecipeError, UnknownNameError
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.recipe import STEPS, Climb, Recipe
from dreamd.settings.recipes.values.choices import PluginChoice

Choice = tuple[Kind, PluginChoice, FieldPath]
"""A plugin that a recipe chooses, with its kind and the field that chooses it."""


def check_recipe(recipe: Recipe, catalogue: Catalogue) -> None:
    """Check a recipe's names and parameters against what the plugins bring.

    Raises:
        RecipeError: a name or parameter is unknown, or a value is not what its parameter takes; with its field.
    """
    _check_pages(recipe)
    older = is_before_optimizers(catalogue)
    for kind, choice, field in choices_of(recipe):
        if kind is Kind.OPTIMIZER and older:
            continue
        try:
            entry = catalogue.find(kind, choice.name)
        except UnknownNameError as error:
            raise RecipeError(str(error), field=field) from error
        entry.check(choice.parameters, field)
        if field[-2:-1] == ("transforms",) and not entry.differentiable:
            problem = f"transform {choice.name!r} has no gradient; it may stand under start, settle or finish"
            raise RecipeError(problem, field=field)
    for place, climb in _climbs_of(recipe):
        if not older:
            _check_ascent(climb, catalogue, place)
        if climb.layers is not None and all(layer.is_picture for layer in climb.layers):
            raise RecipeError("needs a layer of the network beside the picture", field=(*place, "layers"))


_OF_PAGES = ("same", "tiff")
"""The formats of a result that may have several pages; `same` writes them as TIFF."""


def _check_pages(recipe: Recipe) -> None:
    """Check that what comes of all pages of a file can be written. Raises RecipeError."""
    if recipe.image.pages == "first":
        return
    if recipe.output.format not in _OF_PAGES:
        problem = f"{recipe.output.format} holds one picture, and image.pages is all: give tiff, or same"
        raise RecipeError(problem, field=("output", "format"))
    if recipe.film.frames is not None:
        raise RecipeError("film.frames makes a film out of one picture: give first", field=("image", "pages"))


def is_before_optimizers(catalogue: Catalogue) -> bool:
    """Return whether an older dreamd kept the catalogue, which cannot say what moves: a worker soon sends a new one."""
    return not any(catalogue.names(kind) for kind in (Kind.OPTIMIZER, Kind.PARAMETERIZATION, Kind.TRANSFORM))


def _check_ascent(climb: Climb, catalogue: Catalogue, place: FieldPath) -> None:
    """Check that the optimizer goes with the rest of a climb. Raises RecipeError."""
    ascent = climb.ascent
    entry = catalogue.find(Kind.OPTIMIZER, ascent.optimizer.name)
    if ascent.momentum and "momentum" not in entry.takes:
        raise RecipeError(
            f"is not for the optimizer {entry.name!r}; leave it out", field=(*place, "ascent", "momentum")
        )
    if entry.steady and ascent.jitter:
        raise RecipeError(f"the optimizer {entry.name!r} learns nothing from a picture that shifts; give 0",
                          field=(*place, "ascent", "jitter"))  # fmt: skip
    if entry.steady and climb.transforms:
        raise RecipeError(f"the optimizer {entry.name!r} learns nothing from a picture that changes; give none",
                          field=(*place, "transforms"))  # fmt: skip


def choices_of(recipe: Recipe) -> list[Choice]:
    """Return every plugin that a recipe chooses, also those that only its stages inherit."""
    whole = [
        choice
        for place, dream in recipe.dreams
        for choice in (
            (Kind.BACKBONE, dream.backbone, (*place, "backbone")),
            (Kind.SCHEDULE, dream.schedule, (*place, "schedule")),
        )
    ]
    if recipe.film.frames is not None:
        whole += [(Kind.TRANSFORM, step, ("film", "step", index)) for index, step in enumerate(recipe.film.step)]
    return [*whole, *(choice for place, climb in _climbs_of(recipe) for choice in _choices_of_climb(climb, place))]


def _climbs_of(recipe: Recipe) -> Iterator[tuple[FieldPath, Climb]]:
    """Yield whatever says how to climb: each dream of the recipe, and each stage of it."""
    for place, dream in recipe.dreams:
        yield place, dream
        yield from (((*place, "stages", index), stage) for index, stage in enumerate(dream.stages))


def _choices_of_climb(climb: Climb, place: FieldPath) -> Iterator[Choice]:
    yield Kind.LOSS, climb.loss, (*place, "loss")
    for index, layer in enumerate(climb.layers or ()):
        if layer.loss is not None:
            yield Kind.LOSS, layer.loss, (*place, "layers", index, "loss")
    yield Kind.OPTIMIZER, climb.ascent.optimizer, (*place, "ascent", "optimizer")
    for field, kind in STEPS.items():
        yield from ((kind, step, (*place, field, index)) for index, step in enumerate(climb.steps(field)))

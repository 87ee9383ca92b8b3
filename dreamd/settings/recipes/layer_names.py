"""Whether a backbone has the layers that a recipe names. Knows names. Knows no networks."""

from __future__ import annotations

from collections.abc import Collection

from dreamd.errors import FieldPath, RecipeError, UnknownLayerError
from dreamd.settings.recipes.recipe import Part


def check_layer_names(dream: Part, layers: Collection[str]) -> None:
    """Check that a backbone has every layer that a dream looks at in any of its stages.

    Args:
        dream: the dream.
        layers: the names of the backbone's layers, in the order they run.

    Raises:
        RecipeError: one does not exist; with its field.
    """
    for place, climb in dream.climbs:
        for index, layer in enumerate(climb.layers or ()):
            if not (layer.is_picture or _has(layers, layer.name)):
                error = UnknownLayerError(layer.name, layers)
                raise wrong_layer(dream.backbone.name, error, (*place, "layers", index)) from error


def wrong_layer(backbone: str, error: UnknownLayerError, field: FieldPath) -> RecipeError:
    """Return the error of a recipe whose field names a layer that its backbone does not have."""
    return RecipeError(f"{backbone}: {error} (`dreamd layers {backbone}` lists them)", field=field)


def _has(layers: Collection[str], layer: str | int) -> bool:
    return 1 <= layer <= len(layers) if isinstance(layer, int) else layer in layers

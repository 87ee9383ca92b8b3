"""From a recipe's layer to what of it is looked at: labels become channels, and what the network has not is refused.

Knows recipes and networks. Knows no pictures and no plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dreamd.engine.network.backbone import Backbone
from dreamd.engine.network.lookout import Lookout, Where
from dreamd.engine.objectives.objective import Term
from dreamd.engine.objectives.references import Referring
from dreamd.engine.objectives.targets import CENTER, Choice, Place
from dreamd.errors import DreamdError, FieldPath, RecipeError, UnknownNameError, UsageError
from dreamd.settings.recipes.labels import channels_of
from dreamd.settings.recipes.recipe import BackboneChoice, LayerChoice
from dreamd.settings.recipes.values.channels import ChannelChoice

_PROBE_SIDE = 64
"""The side in pixels of the picture that shows what shape a layer's activation has."""


@dataclass(frozen=True)
class Aim:
    """A recipe's layer, and where it stands.

    Attributes:
        layer: the layer as the recipe says it.
        field: its field.
        loss_field: the field of its loss, which may be the recipe's own.
        backbone: the recipe's choice of a network.
    """

    layer: LayerChoice
    field: FieldPath
    loss_field: FieldPath
    backbone: BackboneChoice


def aimed(term: Term, aim: Aim, backbone: Backbone) -> Term:
    """Return a term of a layer with what of it the recipe looks at.

    The network is run on a small picture where something depends on what the layer gives.

    Args:
        term: the layer's module, its loss and its weight.
        aim: the layer.
        backbone: the network, on its device.

    Raises:
        RecipeError: the network has no such channels, labels, cells or activation; with the field that asks for them.
    """
    layer = aim.layer
    place = CENTER if layer.center else None if layer.place is None else Place(*layer.place)
    where: Where = "before_activation" if layer.activation == "before" else "output"
    term = replace(term, place=place, where=where)
    if layer.channels is None and place is None and where == "output" and not isinstance(term.loss, Referring):
        return term
    with _at((*aim.field, "activation")):
        shape = _shape_of(term, backbone)
    if place is not None and len(shape) != 4:
        problem = f"layer {layer.name} gives no map of the picture, so that no cell of it lies at a place"
        raise RecipeError(problem, field=(*aim.field, "center" if layer.center else "place"))
    term = replace(term, channels=_channels(aim, shape[1], backbone))
    _check_vectors(term, aim, shape[1])
    _check_loss(term, aim, shape)
    return term


def _shape_of(term: Term, backbone: Backbone) -> torch.Size:
    """Return the shape of what a term looks at, for a small picture. Raises UsageError."""
    side = backbone.input_size or max(backbone.min_side, _PROBE_SIDE)
    like = next(backbone.network.parameters(), torch.empty(0))
    lookout = Lookout(backbone.network, [term.sight])
    try:
        with torch.no_grad():
            return lookout(torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device))[0].shape
    finally:
        lookout.close()


@contextmanager
def _at(field: FieldPath) -> Iterator[None]:
    """Inside, give a field to what is said of the recipe."""
    try:
        yield
    except RecipeError as error:
        if error.field:
            raise
        raise RecipeError(error.problem, field=field) from error
    except UsageError as error:
        raise RecipeError(str(error), field=field) from error


def _channels(aim: Aim, count: int, backbone: Backbone) -> tuple[int, ...] | Choice | None:
    """Return the channels of a layer that has so many."""
    wanted, field = aim.layer.channels, (*aim.field, "channels")
    if wanted is None:
        return None
    if isinstance(wanted, ChannelChoice):
        if wanted.count > count:
            problem = f"layer {aim.layer.name} has {count} channels"
            raise RecipeError(f"{wanted.count}: {problem}", field=(*field, wanted.by))
        return Choice(wanted.by, wanted.count, each_ascent=wanted.when == "octave")
    numbers: dict[int, None] = {}
    for index, channel in enumerate(wanted):
        named = _labelled(aim, channel, (*field, index), count, backbone) if isinstance(channel, str) else (channel,)
        if isinstance(channel, int) and channel >= count:
            problem = f"layer {aim.layer.name} has {count} channels, from 0 to {count - 1}"
            raise RecipeError(f"{channel}: {problem}", field=(*field, index))
        numbers |= dict.fromkeys(named)
    return tuple(numbers)


def _labelled(aim: Aim, label: str, field: FieldPath, count: int, backbone: Backbone) -> tuple[int, ...]:
    """Return the channels that bear a label."""
    name, labels = aim.backbone.name, backbone.class_labels()
    if not labels:
        raise RecipeError(f"{label!r}: backbone {name} has no labels; give channels by number, from 0", field=field)
    if len(labels) != count:
        raise RecipeError(
            f"{label!r}: the labels of {name} are of {len(labels)} classes, and layer {aim.layer.name} has {count} "
            f"channels; name the layer with the classes' scores (`dreamd layers {name}`)",
            field=field,
        )
    try:
        return channels_of(label, labels)
    except UnknownNameError as error:
        problem = f"{error} (`dreamd layers {name} --labels WORD` finds them)"
        raise RecipeError(problem, field=field) from error


def _check_vectors(term: Term, aim: Aim, count: int) -> None:
    """Refuse a vector of another length than the layer has channels."""
    for parameter, reference in term.loss.references.items() if isinstance(term.loss, Referring) else ():
        length = count if reference.vector is None else reference.vector.shape[1]
        if length != count:
            problem = f"holds {length} numbers, and layer {aim.layer.name} has {count} channels"
            raise RecipeError(problem, field=(*aim.loss_field, parameter))


def check_loss_alone(loss: Callable[[Tensor], Tensor], field: FieldPath) -> None:
    """Have a loss that compares with nothing say so itself, if it must. Raises RecipeError with its field."""
    with _at(field), torch.no_grad():
        _is_same(loss, torch.ones(1, 2, 2, 2))


def _check_loss(term: Term, aim: Aim, shape: torch.Size) -> None:
    """Refuse a loss that cannot be taken of the layer, or that does not know a class's score from its negative."""
    width = shape[1] if term.channels is None else len(_listed(term.channels))
    if len(shape) not in (2, 4):
        return
    cells = 1 if len(shape) == 2 or term.place is not None else 2
    with _at(aim.loss_field), torch.no_grad():
        values = torch.randn(1, width, cells, cells, generator=torch.Generator().manual_seed(0))
        same = _is_same(term.loss, values)
    if same and len(shape) == 2 and isinstance(term.channels, tuple):
        raise RecipeError(
            f"is the same for a class's score and for its negative, so it may lower the score; give layer "
            f"{aim.layer.name} `loss: mean`",
            field=aim.loss_field,
        )


def _is_same(loss: Callable[[Tensor], Tensor], values: Tensor) -> bool:
    """Tell whether a loss is the same for values and their negatives. Raises RecipeError of the loss itself."""
    try:
        return torch.equal(loss(values), loss(-values))
    except RecipeError:
        raise
    except (DreamdError, RuntimeError):
        return False  # what is wrong with it is told by the dream, with real values


def _listed(channels: tuple[int, ...] | Choice) -> range:
    return range(channels.count if isinstance(channels, Choice) else len(channels))

"""What memory a dream is reckoned with: at least what each first-party plugin makes it hold, and not far more.

A dream is run whole, with a gradient that costs nothing, and all tensors alive at once are counted. Bands are smaller
here, so that small pictures show what large ones take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dreamd.engine.ascents import climbing
from dreamd.engine.dream import dream
from dreamd.engine.tiles.footprint import measure_tensors
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.recipes.builder import Builder

PLUGINS = Plugins("dreamd.engine")

BARE = ("backbone.name=efficientnet_lite0", "layers=blocks.1.0", "ascent.iterations=2", "gradient=[]")
BARE += ("schedule=single", "ascent.jitter=0", "precision=fp32")

FULL = ("schedule=octaves", "gradient=[smooth,natural,normalize]", "parameterization=[bounded,decorrelated,fourier]")
FULL += ("transforms=[turn,noise]", "ascent.optimizer=adam", "settle=[clamp]", "finish=[original_colors]")

SIDES = (128, 192)
"""Heights in pixels, of pictures twice as wide."""


PLACES = {
    Kind.GRADIENT: ("gradient=[{}]",),
    Kind.SCHEDULE: ("schedule={}",),
    Kind.PARAMETERIZATION: ("parameterization=[{}]",),
    Kind.OPTIMIZER: ("ascent.optimizer={}",),
    Kind.TRANSFORM: ("settle=[{}]", "finish=[{}]"),
}
"""The fields that a plugin stands in, at once."""

OF_ONE_SIZE = ("article", "crops")
"""What makes pictures of one size of any picture: what they take besides is reckoned apart."""


WITH_PARAMETERS = {"lbfgs": "{name: lbfgs, history: 1}"}
"""What fills the memory that is reckoned only after many iterations, with less of it."""


class NoGradient:
    """A gradient that takes no memory but its own."""

    fit = None

    def __call__(self, x: Tensor, prepare: object = None) -> tuple[Tensor, Tensor]:
        del prepare
        return torch.full_like(x, 0.01), x.new_zeros(len(x))


@pytest.fixture(autouse=True)
def small_bands_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(climbing, "_gradient_for", lambda *_: NoGradient())
    for band in ("dreamd.engine.ascents.ascent._BAND", "dreamd_plugins.laplacian._BAND"):
        monkeypatch.setattr(band, 1 << 12)
    monkeypatch.setattr("dreamd_plugins.smooth._BANDS", {"cpu": 1 << 12})


@pytest.fixture(scope="module")
def builder() -> Builder:
    return Builder(PLUGINS, torch.device("cpu"), 4_000_000_000)


def counted_and_held(builder: Builder, fields: Sequence[str]) -> tuple[int, float]:
    """How many pictures a dream is reckoned with, and how many more it holds of a picture that has one more of them."""
    recipe = resolve([*RecipeBook(None).documents_of_name("classic"), set_fields((*BARE, *fields))]).recipe
    dreamer = replace(builder.build(recipe).dreamer, memory=None)

    def held(side: int) -> tuple[int, int]:
        given = [torch.rand(1, 3, side, 2 * side)]
        values = given[0].nbytes
        return measure_tensors(lambda: dream(given.pop().clone(), dreamer, seeds=[0])), values

    (least, small), (most, large) = (held(side) for side in SIDES)
    return climbing._pictures_held(dreamer), (most - least) / (large - small)


def recipes() -> Iterator[tuple[str, ...]]:
    """A recipe for each first-party plugin that makes or changes whole pictures, in each place where it may stand."""
    for entry in PLUGINS.catalogue.entries:
        if entry.own and entry.name not in OF_ONE_SIZE and not any(each.required for each in entry.parameters):
            name = WITH_PARAMETERS.get(entry.name, entry.name)
            if entry.kind in PLACES:
                yield tuple(field.format(name) for field in PLACES[entry.kind])
            if entry.differentiable:
                yield (f"transforms=[{entry.name}]",)
    yield ("transforms=[crops]",)


@pytest.mark.parametrize("fields", [(), ("ascent.momentum=0.5",), ("ascent.jitter=8",), FULL, *recipes()], ids=str)
def test_a_dream_is_reckoned_with_the_pictures_that_it_holds(builder: Builder, fields: tuple[str, ...]) -> None:
    counted, held = counted_and_held(builder, fields)
    assert held <= counted <= 1.5 * held + 5

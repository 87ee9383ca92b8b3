"""Glimpses of a dream that goes on: right, small, and without a trace in the result."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.ascents.chain import Chain, Parameterization
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer, Progress
from dreamd.engine.glimpse import Glimpse, reduced
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.sequence import dream_in_sequence


def dreamer(*parameterizations: Parameterization) -> Dreamer:
    torch.manual_seed(0)
    layers = OrderedDict(one=nn.Conv2d(3, 4, 3, padding=1))
    network = Backbone(network=nn.Sequential(layers), min_side=32).frozen()
    return Dreamer(
        backbone=network,
        objective=Objective((Term("one", lambda seen: seen.square().flatten(1).sum(1)),)),
        settings=AscentSettings(iterations=3, lr=0.01, jitter=2),
        schedule=lambda image, ascend: [ascend(image)],
        chain=Chain(parameterization=parameterizations),
    )


def pictures() -> Tensor:
    return torch.rand(2, 3, 20, 40, generator=torch.Generator().manual_seed(1))


BOUNDED = Parameterization(
    encode=lambda image: torch.logit(image.clamp(0.01, 0.99)),
    decode=lambda parameters, shape: torch.sigmoid(parameters),
)


@pytest.mark.parametrize("chain", [(), (BOUNDED,)], ids=["pixels", "parameters"])
def test_a_glimpse_shows_the_pictures_after_each_iteration_and_changes_nothing(chain: tuple[Parameterization]) -> None:
    seen: list[tuple[int, Tensor]] = []

    def look(progress: Progress, glimpse: Glimpse) -> None:
        seen.append((progress.iteration, glimpse(40)))

    watched = dream(pictures(), dreamer(*chain), seeds=[1, 2], on_glimpse=look)
    assert torch.equal(watched.images, dream(pictures(), dreamer(*chain), seeds=[1, 2]).images)
    assert [iteration for iteration, _ in seen] == [1, 2, 3]
    assert seen[0][1].shape == (2, 3, 20, 40)  # without what is added for the network's least side
    assert torch.allclose(seen[-1][1], watched.images, atol=1e-6)
    assert not torch.allclose(seen[0][1], seen[1][1], atol=1e-6)


def test_a_glimpse_is_no_larger_than_asked_for() -> None:
    sizes: list[tuple[int, ...]] = []
    dream(pictures(), dreamer(), seeds=[1, 2], on_glimpse=lambda _, glimpse: sizes.append(tuple(glimpse(10).shape)))
    assert set(sizes) == {(2, 3, 5, 10)}
    assert reduced(torch.rand(1, 3, 4000, 10), 16).shape == (1, 3, 16, 1)


def test_a_sequence_shows_which_part_it_is() -> None:
    parts: list[tuple[int, int]] = []
    dream_in_sequence(
        pictures(), [dreamer(), dreamer()], seeds=[1, 2], on_glimpse=lambda at, _: parts.append((at.part, at.parts))
    )
    assert parts == [(1, 2)] * 3 + [(2, 2)] * 3

"""What plugins mean, beside rivals: the loss asked for rises and no other, and gradients are those of differences."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from dreamd_plugins import fourier, phase
from dreamd_plugins.direction import direction
from dreamd_plugins.guide import guide
from dreamd_plugins.l1 import l1
from dreamd_plugins.l2 import l2
from dreamd_plugins.max import maximum
from dreamd_plugins.mean import mean
from dreamd_plugins.mean_square import mean_square
from torch import Tensor, nn

from dreamd.api import Backbone, Random
from dreamd.engine.ascents.ascent import AscentSettings, Midway, ascend
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.objectives.references import Reference, Referring
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

PLUGINS = Plugins("dreamd.engine", only={"l2"})

OWN = [entry for entry in PLUGINS.catalogue.entries if entry.own]


def names(kind: Kind, fits: Callable[[Any], bool] = lambda entry: True) -> list[str]:
    return sorted(entry.name for entry in OWN if entry.kind is kind and fits(entry))


def picture(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# Rivals


def orthogonal() -> Backbone:
    """Each cell is a pixel seen from three directions at right angles."""
    network = nn.Conv2d(3, 3, 1, bias=False)
    turned, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))
    with torch.no_grad():
        network.weight.copy_(turned.view(3, 3, 1, 1))
    return Backbone(network=nn.Sequential(network), layers={"seen": "0"}, default_layer="seen").frozen()


def seen_in(backbone: Backbone, image: Tensor) -> Tensor:
    means, stds = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    return backbone.network((image - means) / stds)


def dreamed_towards(image: Tensor, backbone: Backbone, *terms: Term, lr: float = 1.0) -> Tensor:
    """A dream of a few steps that clips nothing."""
    made = Dreamer(
        backbone=backbone,
        objective=Objective(terms),
        settings=AscentSettings(iterations=5, lr=lr),
        schedule=lambda image, ascend: [ascend(image)],
    )
    result = dream(image.clone(), made, seeds=[0]).images
    assert float(result.min()) > 0
    assert float(result.max()) < 1
    return result


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_the_channel_that_is_asked_for_moves_and_its_rivals_do_not(channel, weight):
    backbone, image = orthogonal(), 0.3 + 0.4 * picture(1, 3, 20, 20)
    result = dreamed_towards(image, backbone, Term("0", mean, weight, (channel,)), lr=20)
    moved = (seen_in(backbone, result) - seen_in(backbone, image)).mean((0, 2, 3))
    assert float(moved[channel] * weight) > 0.05
    assert all(abs(float(moved[other])) < 1e-5 for other in {0, 1, 2} - {channel})


def test_two_losses_of_two_channels_move_both_and_the_third_stays():
    backbone, image = orthogonal(), 0.3 + 0.4 * picture(1, 3, 20, 20)
    terms = Term("0", mean, 1.0, (0,)), Term("0", mean, -0.5, (2,))
    result = dreamed_towards(image, backbone, *terms, lr=20)
    first, second, third = (seen_in(backbone, result) - seen_in(backbone, image)).mean((0, 2, 3)).tolist()
    assert first == pytest.approx(-2 * third, rel=1e-3)
    assert abs(second) < 1e-5


def test_the_strongest_neuron_alone_rises_by_max():
    backbone, image = orthogonal(), 0.3 + 0.4 * picture(1, 3, 20, 20)
    before = seen_in(backbone, image)
    moved = seen_in(backbone, dreamed_towards(image, backbone, Term("0", maximum), lr=0.02)) - before
    rises = moved.abs() > 1e-5
    assert int(rises.sum()) == 1
    assert bool(rises.flatten()[before.argmax()])


@pytest.mark.parametrize("loss", [guide, direction])
def test_the_picture_that_is_asked_for_is_come_nearer_to_and_its_rival_is_not(loss):
    backbone, image = orthogonal(), 0.4 + 0.2 * picture(1, 3, 20, 20)
    red, blue = (seen_in(backbone, torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 8, 8))
                 for colour in ([0.9, 0.1, 0.1], [0.1, 0.1, 0.9]))  # fmt: skip
    wanted = Referring(loss, {"picture": Reference(torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1).expand(1, 3, 8, 8))})
    wanted.references["picture"].value = red
    result = dreamed_towards(image, backbone, Term("0", wanted), lr=1e-3 if loss is guide else 1)
    before, after = (seen_in(backbone, one) for one in (image, result))
    assert float(loss(after, picture=red)) > float(loss(before, picture=red))
    assert float(loss(after, picture=blue)) < float(loss(before, picture=blue))


@pytest.mark.parametrize("wanted", [mean, mean_square, l1, l2, maximum])
def test_no_rivals_gradient_raises_a_loss_as_much_as_its_own(wanted):
    """Steps of one length: the steepest way up is the loss's own."""
    activation = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))

    def rise(by: Callable[[Tensor], Tensor]) -> float:
        leaf = activation.clone().requires_grad_()
        (slope,) = torch.autograd.grad(by(leaf).sum(), leaf)
        return float(wanted(activation + 1e-2 * slope / slope.norm()) - wanted(activation))

    rivals = {mean, l1, l2, maximum} if wanted is not mean_square else {mean, l1, maximum}  # l2 goes its very way
    for rival in rivals - {wanted, *([mean_square] if wanted is l2 else [])}:
        assert 0 < rise(wanted) > rise(rival)


# Differences


def numbers_of(seed: int) -> Random:
    return Random([torch.Generator().manual_seed(seed)], torch.device("cpu"))


def transformed(name: str, image: Tensor) -> Tensor:
    """What a transform makes of a picture, by the same random numbers each time."""
    registered = PLUGINS.get(Kind.TRANSFORM, name)
    given = {"random": numbers_of(3), "progress": 0.5, "mask": None, "fps": 30.0,
             "original": picture(*image.shape, seed=9).to(image.dtype)}  # fmt: skip
    return registered.function(image, **{asked: given[asked] for asked in registered.entry.takes})


@pytest.mark.parametrize("name", names(Kind.TRANSFORM, lambda entry: entry.differentiable))
@pytest.mark.parametrize("size", [(9, 8), (7, 10)])
def test_the_gradient_through_a_transform_is_that_of_differences(name, size):
    """Several views of a picture too: their gradients add up in it."""
    image = picture(1, 3, *size).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: transformed(name, x), (image,), eps=1e-6, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("name", names(Kind.PARAMETERIZATION))
@pytest.mark.parametrize("size", [(9, 8), (7, 10)])
def test_the_gradient_through_a_parameterization_is_that_of_differences(name, size):
    registered = PLUGINS.get(Kind.PARAMETERIZATION, name)
    assert registered.decode is not None
    image = 0.2 + 0.6 * picture(1, 3, *size)
    dtype, step, close = (torch.float, 1e-3, 5e-2) if name == "cppn" else (torch.double, 1e-6, 1e-4)
    parameters = registered.function(image)
    parameters = parameters + 0.05 * torch.randn(parameters.shape, generator=torch.Generator().manual_seed(3))
    parameters = parameters.to(dtype).requires_grad_()
    weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    (slope,) = torch.autograd.grad((registered.decode(parameters, image.shape) * weights).sum(), parameters)
    way = torch.randn(parameters.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    with torch.no_grad():
        ahead, behind = (
            (registered.decode(parameters + sign * step * way, image.shape) * weights).sum() for sign in (1, -1)
        )
    assert float((slope * way).sum()) == pytest.approx(float((ahead - behind) / (2 * step)), rel=close, abs=close)


# Spectra of every width


@pytest.mark.parametrize("width", range(1, 10))
@pytest.mark.parametrize("height", [1, 2, 7, 8])
def test_a_spectrum_gives_the_narrowest_pictures_back(height, width):
    image = picture(2, 3, height, width)
    back = fourier.decode(fourier.encode(image), image.shape)
    torch.testing.assert_close(back, image, atol=1e-6, rtol=0)
    assert phase.decode(phase.encode(image), image.shape).isfinite().all()


# The rate's end


@pytest.mark.parametrize("end", [0.0, 0.5, 3.0])
def test_the_last_steps_go_towards_the_rate_at_the_end(end):
    """By a gradient of ones each step is as long as the rate."""
    places: list[float] = [0.0]

    def remember(midway: Midway) -> None:
        places.append(float(midway.parameters.mean()))

    ended = ascend(
        torch.zeros(1, 3, 4, 4),
        lambda x: (torch.ones_like(x), torch.zeros(1)),
        AscentSettings(iterations=16, lr=1.0, lr_end=end),
        generators=[torch.Generator()],
        on_midway=remember,
    )
    places.append(float(ended.x.mean()))
    steps = [after - before for before, after in pairwise(places)]
    assert steps[:13] == pytest.approx([1.0] * 13)
    assert steps[13:] == pytest.approx([1 + (end - 1) * share for share in (0.25, 0.5, 0.75)])

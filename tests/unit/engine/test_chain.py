"""The chain around the gradient: parameters, transforms, losses of the picture, masks, references, resumption."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from dreamd_plugins.laplacian import laplacian
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.engine.ascents.ascent import AscentSettings, At, plain
from dreamd.engine.ascents.chain import Chain, Parameterization, Transform
from dreamd.engine.ascents.chance import Random
from dreamd.engine.ascents.outset import held_beside, held_whatever_the_size
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.checkpoint import CheckpointFolder, UnfinishedAscent
from dreamd.engine.dream import Dreamed, dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.objectives.references import ORIGINAL, Reference, Referring
from dreamd.engine.tiles.fitting import BatchTooLargeError
from dreamd.engine.tiles.footprint import measure_peak
from dreamd.errors import PluginError

KEY = "a picture and a recipe"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads that wait for each other on a busy machine take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network() -> Backbone:
    torch.manual_seed(0)
    modules = OrderedDict(one=nn.Conv2d(3, 6, 3, padding=1), relu=nn.ReLU(), two=nn.Conv2d(6, 8, 3, 2, padding=1))
    return Backbone(network=nn.Sequential(modules), min_side=32).frozen()


def mean_square(activation: Tensor) -> Tensor:
    return activation.flatten(1).square().sum(1) / 10


def once(image: Tensor, ascend: Ascend) -> list[Tensor]:
    return [ascend(image)]


def halves(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    """Two ascents, the first of a smaller picture."""
    small = torch.nn.functional.interpolate(image, scale_factor=0.75, mode="bilinear")
    yield ascend(small)
    yield ascend(image)


def dreamer(**changes: Any) -> Dreamer:
    made = Dreamer(
        backbone=network(),
        objective=Objective((Term("two", mean_square),)),
        settings=AscentSettings(iterations=4, lr=0.5, jitter=3),
        schedule=once,
    )
    return replace(made, **changes)


def pictures(count: int = 1, height: int = 48, width: int = 40) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def dreamed(made: Dreamer, images: Tensor, **options: Any) -> Dreamed:
    return dream(images.clone(), made, seeds=list(range(len(images))), **options)


def sigmoid() -> Parameterization:
    def decode(parameters: Tensor, shape: torch.Size) -> Tensor:
        assert parameters.shape == shape
        return torch.sigmoid(parameters)

    return Parameterization(lambda image: torch.logit(image.clamp(0.02, 0.98)), decode)


def spectrum() -> Parameterization:
    def encode(image: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft2(image, norm="ortho"))

    def decode(parameters: Tensor, shape: torch.Size) -> Tensor:
        return torch.fft.irfft2(torch.view_as_complex(parameters), s=tuple(shape[2:]), norm="ortho")

    return Parameterization(encode, decode)


def lighter(image: Tensor, *, random: Random) -> Tensor:
    return image * random.uniform(0.8, 1.2, 1, 1, 1)


def four_views(image: Tensor) -> Tensor:
    """Each picture's four corners, behind each other."""
    corners = [image[:, :, i : i + 32, j : j + 28] for i in (0, 3) for j in (0, 2)]
    return torch.stack(corners, 1).flatten(0, 1)


LIGHTER = Transform(lighter, frozenset({"random"}))

CHAINS = {
    "pixels": Chain(transforms=(LIGHTER,)),
    "sigmoid": Chain(parameterization=(sigmoid(),)),
    "spectrum": Chain(parameterization=(sigmoid(), spectrum()), transforms=(LIGHTER,)),
    "views": Chain(transforms=(Transform(four_views), LIGHTER)),
    "settled": Chain(settle=(Transform(lambda image: image.clamp(0.2, 0.8)),), start=(LIGHTER,), finish=(LIGHTER,)),
    "picture": Chain(picture_terms=(Term("picture", lambda image: -image.flatten(1).square().sum(1)),)),
}


@pytest.fixture(params=CHAINS, ids=str)
def chain(request: pytest.FixtureRequest) -> Chain:
    return CHAINS[request.param]


# The climb


def test_a_chain_of_nothing_is_the_bare_ascent_to_the_bit():
    bare = dreamed(dreamer(), pictures())
    with_nothing = dreamed(dreamer(chain=Chain(finish=(Transform(lambda image: image),))), pictures())
    assert torch.equal(bare.images, with_nothing.images)


def test_every_chain_climbs(chain):
    made = dreamer(chain=chain, settings=AscentSettings(iterations=20, lr=0.5))
    result = dreamed(replace(made, schedule=once), pictures())
    assert result.images.isfinite().all()
    assert result.images.shape == pictures().shape
    if not chain.picture_terms and not chain.settle:
        assert result.loss_after[0] > result.loss_before[0]


def test_every_chain_gives_the_same_in_a_batch(chain):
    images = pictures(3)
    together = dream(images.clone(), dreamer(chain=chain), seeds=[0, 1, 2]).images
    alone = [dream(images[i : i + 1].clone(), dreamer(chain=chain), seeds=[i]).images for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=0)


def test_every_chain_gives_the_same_in_tiles(chain):
    made = dreamer(chain=chain, schedule=halves, settings=AscentSettings(iterations=3, lr=0.5, jitter=5))
    images = pictures(1, 200, 170)
    whole, tiled = dreamed(made, images), dreamed(replace(made, memory=1), images)
    torch.testing.assert_close(tiled.images, whole.images, atol=2e-4, rtol=0)


def test_parameters_move_by_the_gradient_that_the_chain_rule_gives():
    made = dreamer(chain=Chain(parameterization=(sigmoid(),)), settings=AscentSettings(iterations=1, lr=0.7))
    image = pictures()
    result = dreamed(made, image).images
    leaf = torch.logit(image.clamp(0.02, 0.98)).requires_grad_()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (made.backbone.mean, made.backbone.std))
    loss = mean_square(made.backbone.network((torch.sigmoid(leaf) - mean) / std))
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    torch.testing.assert_close(result, torch.sigmoid(leaf + 0.7 * gradient).detach(), atol=1e-6, rtol=0)


def test_what_makes_no_pictures_is_the_last_parameterization():
    made = dreamer(chain=Chain(parameterization=(spectrum(), sigmoid())))
    with pytest.raises(PluginError, match=r"parameterization\[0\] made parameters .* it must be the last"):
        dreamed(made, pictures())


def test_the_views_of_a_picture_count_as_their_mean():
    made = dreamer(chain=Chain(transforms=(Transform(four_views),)), settings=AscentSettings(iterations=1, lr=0.7))
    image = pictures()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (made.backbone.mean, made.backbone.std))
    leaf = ((image - mean) / std).requires_grad_()
    losses = mean_square(made.backbone.network(four_views(leaf)))
    (gradient,) = torch.autograd.grad(losses.mean(), leaf)
    expected = ((leaf + 0.7 * gradient).detach() * std + mean).clamp(0, 1)
    result = dreamed(made, image)
    torch.testing.assert_close(result.images, expected, atol=1e-6, rtol=0)
    assert result.loss_before == pytest.approx([float(losses.detach().mean())])


def test_the_rate_goes_to_its_end_in_a_straight_line_over_the_last_quarter():
    settings = AscentSettings(iterations=8, lr=1.0, lr_end=0.2)
    assert [settings.rate(i / 8) for i in range(8)] == pytest.approx([1, 1, 1, 1, 1, 1, 1, 0.6])
    assert [replace(settings, lr_end=None).rate(i / 8) for i in range(8)] == [1.0] * 8


def test_what_a_transform_returns_must_be_views_of_every_picture():
    made = dreamer(chain=Chain(transforms=(Transform(lambda image: image[:, :1]),)))
    with pytest.raises(PluginError, match=r"views of shape \[1, 1, 48, 40\]"):
        dreamed(made, pictures())


def test_a_transform_keeps_the_shape_where_it_makes_no_views():
    made = dreamer(chain=Chain(finish=(Transform(four_views),)))
    with pytest.raises(PluginError, match="only under `transforms`"):
        dreamed(made, pictures())


# The picture's own losses


def total_variation(image: Tensor) -> Tensor:
    down, right = (image.diff(dim=axis).abs().flatten(1).sum(1) for axis in (2, 3))
    return down + right


def test_total_variation_sees_the_picture_before_the_shift():
    """Of a ramp from 0 to 1 over 145 columns the seam of a circular shift would be one more edge of 1."""
    ramp = torch.linspace(0, 1, 145).expand(1, 3, 48, 145).contiguous()
    seen: list[float] = []

    def looking(image: Tensor) -> Tensor:
        seen.append(float(total_variation(image.detach()).squeeze()))
        return 0 * image.flatten(1).sum(1)

    made = dreamer(chain=Chain(picture_terms=(Term("picture", looking),)),
                   settings=AscentSettings(iterations=3, lr=0.0, jitter=40))  # fmt: skip
    dreamed(made, ramp)
    assert seen == pytest.approx([3 * 48.0] * 3, rel=1e-4)
    assert float(total_variation(ramp.roll(40, 3))) == pytest.approx(2 * 3 * 48, rel=0.02)


def test_a_loss_of_the_picture_is_compared_with_the_original_at_the_ascents_size():
    reference = Reference(key=ORIGINAL)
    shapes: list[tuple[torch.Size, torch.Size]] = []

    def near(image: Tensor, *, original: Tensor) -> Tensor:
        shapes.append((image.shape, original.shape))
        return -(image - original).square().flatten(1).sum(1)

    made = dreamer(
        schedule=halves, chain=Chain(picture_terms=(Term("picture", Referring(near, {ORIGINAL: reference})),))
    )
    dreamed(made, pictures())
    assert all(image == original for image, original in shapes)
    assert len({image for image, _ in shapes}) == 2


@pytest.mark.parametrize("key", [ORIGINAL, "picture"])
def test_a_loss_of_some_of_the_pictures_channels_is_compared_with_the_same(key):
    seen: list[Tensor] = []

    def like(image: Tensor, **compared: Tensor) -> Tensor:
        seen.append(compared[key])
        return (image * compared[key]).flatten(1).sum(1)

    reference = Reference(key=key) if key == ORIGINAL else Reference(pictures(), key)
    term = Term("picture", Referring(like, {key: reference}), 1.0, (2, 0))
    dreamed(dreamer(chain=Chain(picture_terms=(term,))), pictures())
    assert torch.equal(seen[0], pictures()[:, [2, 0]])


def test_staying_near_holds_the_dream_back():
    def near(image: Tensor, *, original: Tensor) -> Tensor:
        return -(image - original).square().flatten(1).sum(1)

    settings = AscentSettings(iterations=12, lr=0.2)
    held = Chain(picture_terms=(Term("picture", Referring(near, {ORIGINAL: Reference(key=ORIGINAL)}), 20.0),))
    image = pictures()
    free = (dreamed(dreamer(settings=settings), image).images - image).norm()
    assert (dreamed(dreamer(settings=settings, chain=held), image).images - image).norm() < 0.5 * free


# Masks


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_what_is_masked_out_is_equal_to_the_bit(chain, momentum):
    image = pictures(2)
    mask = torch.zeros(2, 1, 48, 40)
    mask[:, :, 10:30, 5:25] = 1
    mask[:, :, 30:33, 5:25] = 0.5
    blurring = [lambda gradient, progress: torch.nn.functional.avg_pool2d(gradient, 9, 1, 4)]
    made = dreamer(chain=chain, steps=blurring, settings=AscentSettings(iterations=5, lr=2.0, momentum=momentum))
    result = dreamed(replace(made, schedule=halves), image, mask=mask).images
    outside = (mask == 0).expand_as(image)
    assert torch.equal(result[outside], image[outside])
    assert (result - image)[~outside].abs().mean() > 1e-4


def test_the_network_sees_the_picture_with_what_is_masked_out_as_it_was():
    image = pictures()
    seen: list[Tensor] = []

    def remembering(view: Tensor) -> Tensor:
        seen.append(view.detach().clone())
        return view

    mask = torch.zeros(1, 1, 48, 40)
    mask[:, :, :24] = 1
    dreamed(dreamer(chain=Chain(transforms=(Transform(remembering),))), image, mask=mask)
    for view in seen[-4:]:
        torch.testing.assert_close(view[:, :, 24:], image[:, :, 24:], atol=1e-6, rtol=0)


# What a layer sees in another picture


def test_a_guide_is_looked_at_once_a_size_by_its_own_layer():
    guide = torch.rand(1, 3, 300, 200, generator=torch.Generator().manual_seed(5))
    reference = Reference(guide, "sha256")
    seen: list[Tensor] = []

    def like(activation: Tensor, *, picture: Tensor) -> Tensor:
        seen.append(picture)
        return (activation.mean((2, 3)) * picture.mean((2, 3))).sum(1)

    loss = Referring(like, {"picture": reference})
    made = dreamer(objective=Objective((Term("two", loss, 1.0, (1, 4, 5)),)), schedule=halves)
    dreamed(made, pictures())
    assert len({id(value) for value in seen}) == 2
    assert {tuple(value.shape) for value in seen} == {(1, 3, 18, 16), (1, 3, 24, 16)}
    assert all(not value.requires_grad for value in seen)


def test_the_original_is_seen_moved_and_transformed_as_the_picture_is():
    """At the first iteration the picture is the original still, whatever was drawn at random."""
    differences: list[float] = []

    def compare(activation: Tensor, *, original: Tensor) -> Tensor:
        differences.append(float((activation - original).detach().abs().max()))
        return mean_square(activation)

    loss = Referring(compare, {ORIGINAL: Reference(key=ORIGINAL)})
    made = dreamer(
        objective=Objective((Term("two", loss),)),
        chain=Chain(transforms=(LIGHTER, Transform(four_views))),
        settings=AscentSettings(iterations=2, lr=0.5, jitter=7),
    )
    dreamed(made, pictures(2))
    assert differences[:4] == [0.0] * 4  # four views
    assert min(differences[4:8]) > 0


def test_the_original_is_seen_in_tiles_too():
    def along(activation: Tensor, *, original: Tensor) -> Tensor:
        return (activation * original).flatten(1).sum(1) / 1000

    def made(**changes: Any) -> Dreamer:
        loss = Referring(along, {ORIGINAL: Reference(key=ORIGINAL)})
        return dreamer(objective=Objective((Term("two", loss),)), **changes)

    images = pictures(1, 200, 170)
    whole, tiled = dreamed(made(), images), dreamed(made(memory=1), images)
    torch.testing.assert_close(tiled.images, whole.images, atol=2e-4, rtol=0)
    with pytest.raises(BatchTooLargeError):
        dreamed(made(memory=1), pictures(2, 200, 170))


# Resumption


class Remembering:
    """An optimizer with a state of two tensors and a count."""

    def __call__(self, gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
        if not state:
            state |= {"steps": torch.zeros(()), "mean": torch.zeros_like(gradient)}
        state["steps"] += 1
        state["mean"] = 0.8 * state["mean"] + gradient + 0.001 * at.parameters
        return state["mean"] / state["steps"].sqrt()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("iteration", [1, 2, 5])
@pytest.mark.parametrize("memory", [None, 1])
def test_a_single_long_ascent_goes_on_from_the_iteration_where_it_was_killed(tmp_path, chain, iteration, memory):
    made = dreamer(chain=chain, optimizer=Remembering(), settings=AscentSettings(iterations=6, lr=0.3, jitter=4))
    made = replace(made, memory=memory)
    whole = dreamed(made, pictures(1, 140, 100))

    def die(progress: Any) -> None:
        if progress.iteration == iteration:
            raise Killed

    folder = CheckpointFolder(tmp_path, KEY, after_seconds=0)
    with pytest.raises(Killed):
        dreamed(made, pictures(1, 140, 100), checkpoint=folder, on_progress=die)
    iterations: list[int] = []
    resumed = dreamed(
        made,
        pictures(1, 140, 100),
        checkpoint=CheckpointFolder(tmp_path, KEY, after_seconds=0),
        on_progress=lambda progress: iterations.append(progress.iteration),
    )
    assert iterations[0] == max(1, iteration)
    assert torch.equal(resumed.images, whole.images)
    assert (resumed.loss_before, resumed.loss_after) == (whole.loss_before, whole.loss_after)


def reordered(image: Tensor) -> Tensor:
    """The same pictures with the colours of a pixel beside each other in memory, as some of torch's functions return
    them."""
    return image.contiguous(memory_format=torch.channels_last)


def sliced(image: Tensor) -> Tensor:
    """The same pictures as a part of larger ones."""
    height, width = image.shape[2:]
    return torch.nn.functional.pad(image, (0, 3, 0, 5))[:, :, :height, :width]


class Strange:
    """An optimizer whose state lies in another order, and is added up in the order in which it lies."""

    def __init__(self, order: Callable[[Tensor], Tensor]) -> None:
        self._order = order

    def __call__(self, gradient: Tensor, state: dict[str, Tensor], at: At) -> Tensor:
        if not state:
            state["sum"] = self._order(torch.zeros_like(gradient))
        state["sum"] = self._order(state["sum"] + gradient + at.parameters)
        return gradient * state["sum"].mean((2, 3), keepdim=True)


STRANGE: dict[str, Callable[[Callable[[Tensor], Tensor]], dict[str, Any]]] = {
    "settle": lambda order: {"chain": Chain(settle=(Transform(order),))},
    "parameters": lambda order: {
        "chain": Chain(parameterization=(Parameterization(order, lambda parameters, shape: order(parameters)),))
    },
    "transforms": lambda order: {"chain": Chain(transforms=(Transform(order),))},
    "steps": lambda order: {"steps": [lambda gradient, progress: order(gradient)]},
    "optimizer": lambda order: {"optimizer": Strange(order)},
    "start": lambda order: {"chain": Chain(start=(Transform(order),))},
    "schedule": lambda order: {"schedule": lambda image, ascend: [ascend(order(ascend(order(image))))]},
    "finish": lambda order: {
        "chain": Chain(finish=(Transform(order), Transform(lambda image: image - image.mean((2, 3), keepdim=True))))
    },
}
"""What plugins may hand over in another order of memory, by what they are."""


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("order", [reordered, sliced], ids=lambda order: order.__name__)
@pytest.mark.parametrize("kind", STRANGE)
def test_a_dream_goes_on_in_the_same_bytes_in_whatever_order_plugins_have_its_memory(tmp_path, kind, order, momentum):
    made = dreamer(settings=AscentSettings(iterations=3, lr=0.3, jitter=4, momentum=momentum), **STRANGE[kind](order))
    reports: list[Any] = []
    whole = dreamed(made, pictures(1, 61, 45), on_progress=reports.append)

    for number in range(1, len(reports) + 1):
        left = [None] * number

        def die(progress: Any, left: list[None] = left) -> None:
            left.pop()
            if not left:
                raise Killed

        folder = tmp_path / str(number)
        with pytest.raises(Killed):
            dreamed(made, pictures(1, 61, 45), checkpoint=CheckpointFolder(folder, KEY, after_seconds=0),
                    on_progress=die)  # fmt: skip
        resumed = dreamed(made, pictures(1, 61, 45), checkpoint=CheckpointFolder(folder, KEY, after_seconds=0))
        assert torch.equal(resumed.images, whole.images), number
        assert (resumed.loss_before, resumed.loss_after) == (whole.loss_before, whole.loss_after), number


def test_where_an_ascent_stands_is_written_no_more_often_than_asked(tmp_path):
    now = CheckpointFolder(tmp_path, KEY, after_seconds=3600)
    assert not now.is_due()
    dreamed(dreamer(), pictures(), checkpoint=now)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [b"", b"rubbish", None])
def test_a_damaged_file_of_an_unfinished_ascent_is_ignored(tmp_path, change):
    folder = CheckpointFolder(tmp_path, KEY, after_seconds=0)
    state = UnfinishedAscent(number=1, given=0, iteration=1, parameters=torch.zeros(1, 3), state={"a": torch.ones(2)},
                             first_loss=torch.zeros(1), generators=torch.zeros(1, 8, dtype=torch.uint8))  # fmt: skip
    folder.keep_unfinished(state)
    kept = folder.load_unfinished(1)
    assert kept is not None
    assert torch.equal(kept.state["a"], torch.ones(2))
    assert CheckpointFolder(tmp_path, "another", after_seconds=0).load_unfinished(1) is None
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if change is None else change)
    assert folder.load_unfinished(1) is None


# Memory


def test_the_step_laplacian_makes_few_copies_and_is_the_same_in_bands(monkeypatch):
    gradient = torch.randn(2, 3, 131, 97, generator=torch.Generator().manual_seed(0))
    whole = laplacian(gradient.clone())
    monkeypatch.setattr("dreamd_plugins.laplacian._BAND", 3000)
    assert torch.equal(laplacian(gradient.clone()), whole)
    large = torch.zeros(1, 3, 256, 256)
    assert measure_peak(lambda: laplacian(large), large.device) < 4 * 4 * large.numel()  # times the factor of 1.5


def test_what_a_chain_holds_is_measured_and_counts():
    assert held_beside(Chain(), []) == 0
    assert held_beside(CHAINS["sigmoid"], []) >= 2
    assert held_beside(CHAINS["spectrum"], []) > held_beside(CHAINS["sigmoid"], [])
    assert held_beside(Chain(finish=(Transform(lambda image, original: image, frozenset({"original"})),)), []) >= 2


def views_of(side: int) -> Chain:
    """Four views of each picture, of one size."""

    def views(image: Tensor) -> Tensor:
        return F.interpolate(image, (side, side)).repeat_interleave(4, 0)

    return Chain(transforms=(Transform(views),))


def test_views_of_one_size_are_counted_in_memory_whatever_the_pictures_size():
    one = 4 * 3 * 256 * 256 * 4
    assert held_whatever_the_size(views_of(256)) > 2 * one
    assert held_whatever_the_size(views_of(64)) < one
    assert held_whatever_the_size(Chain(transforms=(Transform(lambda image: image * 0.5),))) < 100_000
    assert held_whatever_the_size(CHAINS["sigmoid"]) == 0


def test_views_of_a_large_picture_are_fitted_into_what_it_leaves():
    """Views of 160 pixels fit whole beside a small picture, and not beside a large one in the same memory."""

    def middle(image: Tensor) -> Tensor:
        return image[:, :, :160, :160]

    made = dreamer(chain=Chain(transforms=(Transform(middle),)), memory=800_000_000,
                   settings=AscentSettings(iterations=1, lr=0.5))  # fmt: skip
    assert dreamed(made, pictures(1, 200, 200)).tiling is None
    assert dreamed(made, pictures(1, 1500, 1400)).tiling is not None


def test_a_generator_a_picture():
    both = Random([torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)], torch.device("cpu"))
    alone = Random([torch.Generator().manual_seed(2)], torch.device("cpu"))
    assert torch.equal(both.normal(3, 4)[1:], alone.normal(3, 4))
    assert torch.equal(both.uniform(2, 3, 5)[1:], alone.uniform(2, 3, 5))
    assert both.integers(-3, 3, 4)[1:] == alone.integers(-3, 3, 4)


def test_plain_is_the_sum_of_the_gradients():
    state: dict[str, Tensor] = {}
    for expected in (1.0, 1.5, 1.75):
        assert float(plain(torch.ones(1), state, At(torch.zeros(1), 0.0, 0.5))) == expected
    assert math.isclose(float(plain(torch.ones(1), {}, At(torch.zeros(1), 0.0, 0.0))), 1.0)

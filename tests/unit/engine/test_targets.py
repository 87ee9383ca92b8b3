"""Targets: the channels, cells, places and scores that a recipe asks for are those that grow."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dream import Dreamed, batch_size, dream
from dreamd.engine.dreamer import Climb, Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.objectives.references import Reference, Referring
from dreamd.engine.objectives.targets import CENTER, Choice, Place
from dreamd.engine.tiles.fitting import BatchTooLargeError, FittedGradient
from dreamd.errors import PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dreamd.engine.ascents.scheduled_ascent import Ascend


def mean(activation: Tensor) -> Tensor:
    return activation.flatten(1).mean(1)


def squares(activation: Tensor) -> Tensor:
    return activation.flatten(1).square().sum(1)


class Excite(nn.Module):
    """Squeeze and excite: every cell looks at the whole picture."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


def classifier(*between: nn.Module) -> Backbone:
    """A network as classifiers are: maps, an activation, the mean over the cells, scores."""
    torch.manual_seed(0)
    modules = OrderedDict(
        one=nn.Conv2d(3, 6, 3, stride=2, padding=1),
        relu=nn.ReLU(inplace=True),
        **{f"between{index}": module for index, module in enumerate(between)},
        two=nn.Conv2d(6, 8, 3, stride=2, padding=1),
        act=nn.ReLU(inplace=True),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        hidden=nn.Linear(8, 8),
        bend=nn.Hardswish(),
        scores=nn.Linear(8, 5),
    )
    return Backbone(network=nn.Sequential(modules), min_side=32).frozen()


def once(image: Tensor, ascend: Ascend) -> list[Tensor]:
    return [ascend(image)]


def halves(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
    """Two ascents, the first of a smaller picture."""
    yield ascend(nn.functional.interpolate(image, scale_factor=0.75, mode="bilinear"))
    yield ascend(image)


def to_one(gradient: Tensor, progress: float) -> Tensor:
    del progress
    return gradient / (gradient.std((1, 2, 3), keepdim=True) + 1e-12)


def dreamer(*terms: Term, backbone: Backbone | None = None, **changes: Any) -> Dreamer:
    made = Dreamer(
        backbone=backbone or classifier(),
        objective=Objective(terms),
        settings=AscentSettings(iterations=4, lr=0.1, jitter=3),
        schedule=halves,
        steps=(to_one,),
    )
    return replace(made, **changes)


def pictures(count: int = 1, height: int = 72, width: int = 64) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def dreamed(made: Dreamer, images: Tensor, seeds: Sequence[int] | None = None, **options: Any) -> Dreamed:
    return dream(images.clone(), made, seeds=seeds or list(range(len(images))), **options)


def activation(backbone: Backbone, layer: str, images: Tensor) -> Tensor:
    mean_of, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    with WholeGradient(backbone.network, Objective((Term(layer, mean),))) as whole:
        return whole.lookout((images - mean_of) / std)[0].detach()


# Chosen channels


def test_the_strongest_and_the_weakest_are_those_of_the_greatest_and_least_mean() -> None:
    strengths = torch.tensor([[1.0, 5.0, -7.0, 3.0], [9.0, 0.0, 1.0, 0.0]])
    shown = torch.arange(2 * 4.0).view(2, 4, 1, 1)
    for by, expected in {"strongest": [[1, 3], [4, 6]], "weakest": [[0, 2], [5, 7]]}.items():
        choice = Choice(by, 2)  # type: ignore[arg-type]
        choice.choose(strengths, (0, 0))
        assert choice.of(shown).flatten(1).tolist() == expected


def test_random_channels_are_drawn_by_the_pictures_seed() -> None:
    def drawn(*seeds: int) -> Tensor:
        choice = Choice("random", 3)
        choice.choose(torch.zeros(len(seeds), 64), seeds)
        return choice.of(torch.arange(64.0).expand(len(seeds), 64)[..., None, None]).flatten(1)

    assert torch.equal(drawn(7, 8), torch.cat([drawn(7), drawn(8)]))
    assert not torch.equal(drawn(7), drawn(8))
    assert len(drawn(7).unique()) == 3


def test_more_channels_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(UsageError, match="strongest: 9 of 8 channels cannot be chosen"):
        dreamed(dreamer(Term("two", mean, channels=Choice("strongest", 9))), pictures())


def test_the_chosen_channels_alone_are_dreamed() -> None:
    backbone, images = classifier(), pictures()
    order = activation(backbone, "two", images).mean((0, 2, 3)).argsort().tolist()
    for by, wanted in {"strongest": order[-2:], "weakest": order[:2]}.items():
        chosen = dreamed(dreamer(Term("two", mean, channels=Choice(by, 2))), images)  # type: ignore[arg-type]
        named = dreamed(dreamer(Term("two", mean, channels=tuple(sorted(wanted)))), images)
        assert torch.equal(chosen.images, named.images)
        assert chosen.loss_after[0] > chosen.loss_before[0]


@pytest.mark.parametrize("each_ascent", [False, True])
@pytest.mark.parametrize("by", ["strongest", "weakest", "random"])
def test_pictures_of_a_batch_have_their_own_channels_as_they_have_alone(by: Any, each_ascent: bool) -> None:
    images = pictures(3)
    images[1] = images[1].flip(0) * 0.3

    def made() -> Dreamer:
        return dreamer(Term("two", mean, channels=Choice(by, 1, each_ascent=each_ascent)))

    together = dreamed(made(), images, [4, 5, 6]).images
    alone = torch.cat([dreamed(made(), images[index : index + 1], [4 + index]).images for index in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_channels_are_chosen_once_in_the_picture_as_it_came_or_anew_for_each_ascent() -> None:
    backbone = classifier()
    strongest = Choice("strongest", 1), Choice("strongest", 1, each_ascent=True)
    chosen: list[list[int]] = [[], []]

    red, blue = (pictures() * torch.tensor(colour).view(1, 3, 1, 1) for colour in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))

    def two_pictures(image: Tensor, ascend: Ascend) -> list[Tensor]:
        return [ascend(image), ascend(blue)]

    for number, choice in enumerate(strongest):

        def note(cells: Tensor, number: int = number, choice: Choice = choice) -> Tensor:
            every = torch.arange(6.0).view(1, 6, 1, 1)
            chosen[number].append(int(choice.of(every)))
            return mean(cells)

        dreamed(dreamer(Term("one", note, channels=choice), backbone=backbone, schedule=two_pictures), red)
    first, last = (
        int(activation(backbone, "one", each).mean((0, 2, 3)).argmax()) for each in (red, blue)
    )  # fmt: skip
    assert first != last
    assert chosen == [[first] * 8, [first] * 4 + [last] * 4]


def test_a_later_climb_too_chooses_once_in_the_picture_as_it_came() -> None:
    backbone, choice, chosen = classifier(), Choice("strongest", 1), []
    red, blue = (pictures() * torch.tensor(colour).view(1, 3, 1, 1) for colour in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))

    def note(cells: Tensor) -> Tensor:
        chosen.append(int(choice.of(torch.arange(6.0).view(1, 6, 1, 1))))
        return mean(cells)

    made = dreamer(Term("two", mean), backbone=backbone, schedule=lambda image, ascend: [ascend(image), ascend(blue)])
    later = Climb(objective=Objective((Term("one", note, channels=choice),)), settings=made.settings)
    dreamed(replace(made, later=(later,)), red)
    assert set(chosen) == {int(activation(backbone, "one", red).mean((0, 2, 3)).argmax())}


def test_random_channels_of_two_layers_and_two_ascents_differ() -> None:
    seen: list[list[int]] = []
    choices = [Choice("random", 4, each_ascent=True) for _ in range(2)]

    def note(cells: Tensor) -> Tensor:
        seen.append(
            [int(channel) for choice in choices for channel in choice.of(torch.arange(8.0).view(1, 8)).flatten()]
        )
        return mean(cells)

    made = dreamer(*(Term("two", note, channels=choice) for choice in choices))
    dreamed(made, pictures())
    assert len({tuple(each[:4]) for each in seen} | {tuple(each[4:]) for each in seen}) == 4


def test_a_recording_reads_the_channels_that_were_chosen_last() -> None:
    choice, shown = Choice("strongest", 1), torch.arange(4.0).view(1, 4, 1, 1)
    choice.choose(torch.tensor([[0.0, 1.0, 0.0, 0.0]]), (0,))
    read = choice._chosen[1, shown.device]
    choice.choose(torch.tensor([[0.0, 0.0, 0.0, 1.0]]), (0,))
    assert read.tolist() == [[3]]
    choice.choose(torch.zeros(2, 4), (0, 0))
    choice.choose(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), (0,))
    assert read.tolist() == [[0]]


@pytest.mark.parametrize("by", ["strongest", "random"])
@pytest.mark.parametrize("memory", [None, 1])
def test_a_dream_that_was_killed_goes_on_with_the_same_channels(tmp_path: Path, by: Any, memory: int | None) -> None:
    class KilledError(BaseException):
        pass

    def made() -> Dreamer:
        terms = (Term("two", mean, channels=Choice(by, 2, each_ascent=True)),
                 Term("act", mean, channels=Choice(by, 2)))  # fmt: skip
        return dreamer(*terms, memory=memory, settings=AscentSettings(iterations=6, lr=0.1, jitter=3))

    def kill(progress: Any) -> None:
        if (progress.ascent, progress.iteration) == (2, 4):
            raise KilledError

    images = pictures(1, 200, 170)
    expected = dreamed(made(), images).images
    with pytest.raises(KilledError):
        dreamed(made(), images, checkpoint=CheckpointFolder(tmp_path, "key", after_seconds=0), on_progress=kill)
    resumed: list[int] = []
    again = dreamed(
        made(),
        images,
        checkpoint=CheckpointFolder(tmp_path, "key", after_seconds=0),
        on_progress=lambda progress: resumed.append(progress.iteration),
    )
    assert torch.equal(again.images, expected)
    assert len(resumed) < 6


def test_chosen_channels_that_meet_a_recipes_picture_are_dreamed_alone() -> None:
    loss = Referring(lambda cells, *, picture: (cells - picture.mean()).flatten(1).mean(1),
                     {"picture": Reference(pictures(1, 40, 40), "key")})  # fmt: skip
    made = dreamer(Term("two", loss, channels=Choice("strongest", 2)))
    assert batch_size(made, 64, 64, most=8) == 1
    with pytest.raises(BatchTooLargeError):
        dreamed(made, pictures(2))
    assert dreamed(made, pictures()).images.isfinite().all()


# Places


@pytest.mark.parametrize(
    ("place", "cell"), [(Place(0, 0), (0, 0)), (Place(1, 1), (4, 6)), (CENTER, (2, 3)), (Place(0.99, 0.5), (2, 6))]
)
def test_a_place_is_the_cell_that_lies_there(place: Place, cell: tuple[int, int]) -> None:
    assert place.cell(5, 7) == cell


def test_only_the_cell_at_the_place_is_dreamed() -> None:
    images = pictures(1, 64, 64)
    still = AscentSettings(iterations=2, lr=0.1)
    result = dreamed(dreamer(Term("two", mean, place=Place(0.25, 0.75)), schedule=once, settings=still), images).images
    changed = (result - images).abs().sum((0, 1)) > 1e-5
    rows, columns = changed.nonzero().T
    assert rows.min() >= 48 - 8
    assert rows.max() <= 48 + 8
    assert columns.min() >= 16 - 8
    assert columns.max() <= 16 + 8


def test_a_place_in_what_is_no_map_is_refused() -> None:
    tokens = nn.Sequential(OrderedDict(patches=nn.Conv2d(3, 4, 8, 8), flat=nn.Flatten(2)))
    with pytest.raises(UsageError, match="flat is no map"):
        dreamed(dreamer(Term("flat", mean, place=CENTER), backbone=Backbone(network=tokens).frozen()), pictures())


# Before the activation


def test_before_the_activation_a_neuron_that_is_off_is_dreamed_all_the_same() -> None:
    backbone, images = classifier(), pictures()
    off = int(activation(backbone, "act", images).mean((0, 2, 3)).argmin())
    backbone.network.get_submodule("two").bias.data[off] -= 100.0  # type: ignore[union-attr, operator]
    after, before = (
        dreamed(dreamer(Term("act", mean, channels=(off,), where=where), backbone=backbone), images)
        for where in ("output", "before_activation")
    )
    torch.testing.assert_close(after.images, images, atol=1e-6, rtol=0)
    assert after.loss_before == [0.0]
    assert before.loss_before[0] < -50
    assert before.loss_after[0] > before.loss_before[0]


# Scores of classes


def lowest_class(backbone: Backbone, images: Tensor) -> int:
    return int(activation(backbone, "scores", images).mean(0).argmin())


@pytest.mark.parametrize("count", [1, 3])
def test_a_class_rises_from_a_score_below_zero(count: int) -> None:
    backbone, images = classifier(), pictures(count)
    lowest = lowest_class(backbone, images)
    backbone.network.get_submodule("scores").bias.data[lowest] -= 1.0  # type: ignore[union-attr, operator]
    settings = AscentSettings(iterations=20, lr=0.1)
    result = dreamed(
        dreamer(Term("scores", mean, channels=(lowest,)), backbone=backbone, settings=settings, schedule=once), images
    )
    assert max(result.loss_before) < 0
    before, after = (activation(backbone, "scores", each)[:, lowest] for each in (images, result.images))
    assert (after > before + 0.01).all()


def test_every_loss_is_given_the_scores_as_a_map_of_one_cell() -> None:
    shapes: list[list[int]] = []

    def note(cells: Tensor) -> Tensor:
        shapes.append(list(cells.shape))
        return mean(cells)

    dreamed(dreamer(Term("scores", note, channels=(1, 4))), pictures(2))
    assert {tuple(shape) for shape in shapes} == {(2, 2, 1, 1)}


# In tiles


def fitted(whole: WholeGradient, tile: int) -> FittedGradient:
    way = FittedGradient(whole, memory=1, shortest=32, pictures=4, generators=[torch.Generator().manual_seed(0)])
    way.fit = replace(way.fit, largest_tile=tile)
    return way


def chosen_by(objective: Objective, gradient: WholeGradient | FittedGradient, x: Tensor) -> None:
    for ascent in (0, 1):
        objective.choose(lambda: gradient.strengths(x), [3], ascent)


TERMS: dict[str, Callable[[], tuple[Term, ...]]] = {
    "place": lambda: (Term("act", squares, place=Place(0.3, 0.9)),),
    "places of two layers": lambda: (Term("one", mean, place=Place(0.3, 0.9)), Term("act", squares, 0.1, place=CENTER)),
    "one score": lambda: (Term("scores", mean, channels=(3,)),),
    "scores beside a map": lambda: (
        Term("scores", mean, 2.0, (0, 4)), Term("two", squares, -0.01, (2,)), Term("one", mean, place=CENTER)
    ),
    "before the scores' activation": lambda: (Term("bend", squares, where="before_activation"),),
    "the pool itself": lambda: (Term("pool", squares),),
    "before an activation": lambda: (Term("act", squares, 1.0, (1, 2), where="before_activation"),),
    "strongest": lambda: (Term("two", mean, channels=Choice("strongest", 2)),),
    "strongest at a place": lambda: (Term("two", mean, channels=Choice("strongest", 2), place=Place(0.8, 0.2)),),
    "strongest classes, and weakest of a map": lambda: (
        Term("scores", mean, channels=Choice("strongest", 2)),
        Term("one", mean, 0.5, Choice("weakest", 1, each_ascent=True)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TERMS)
def test_in_tiles_a_target_has_the_gradient_of_the_whole_picture(name: str) -> None:
    objective, x = Objective(TERMS[name]()), pictures(1, 203, 171) * 4 - 2
    with WholeGradient(classifier().network, objective) as whole:
        chosen_by(objective, whole, x)
        expected, expected_loss = whole(x)
        strengths = whole.strengths(x)
        tiled = fitted(whole, 64)
        chosen_by(objective, tiled, x)
        gradient, loss = tiled(x)
        torch.testing.assert_close(tiled.strengths(x), strengths)
        torch.testing.assert_close(tiled.seen(x), whole.seen(x), rtol=1e-4, atol=1e-5)
    assert tiled.fit.tiling is not None
    assert "halo" in tiled.fit.tiling
    assert expected.abs().sum() > 0
    assert (gradient - expected).norm() <= 2e-6 * expected.norm()
    torch.testing.assert_close(loss, expected_loss)


def test_scores_in_bf16_tiles_differ_by_no_more_than_its_rounding() -> None:
    objective, x = Objective((Term("scores", mean, channels=(3,)),)), pictures(1, 203, 171) * 4 - 2

    def prepare(pixels: Tensor) -> Tensor:
        return pixels.to(torch.bfloat16)

    with WholeGradient(classifier().network.to(torch.bfloat16), objective) as whole:
        expected, _ = whole(x, prepare)
        tiled = fitted(whole, 64)
        gradient, _ = tiled(x, prepare)
    assert "halo" in str(tiled.fit.tiling)
    assert (gradient - expected).norm() <= 0.05 * expected.norm()


def test_a_network_that_is_not_local_before_its_pool_is_taken_in_overlapped_tiles() -> None:
    objective, x = Objective((Term("scores", mean, channels=(3,)),)), pictures(1, 203, 171)
    with WholeGradient(classifier(Excite()).network, objective) as whole:
        tiled = fitted(whole, 64)
        tiled(x)
    assert "overlap" in str(tiled.fit.tiling)


def test_a_place_in_overlapped_tiles_is_refused() -> None:
    objective = Objective((Term("two", mean, place=CENTER),))
    with (
        WholeGradient(classifier(Excite()).network, objective) as whole,
        pytest.raises(PluginError, match=r"a single place .* give image.max_side"),
    ):
        fitted(whole, 64)(pictures(1, 203, 171))


def test_a_batch_in_tiles_with_channels_of_its_own_is_refused() -> None:
    objective = Objective((Term("two", mean, channels=Choice("strongest", 1)),))
    with WholeGradient(classifier().network, objective) as whole, pytest.raises(BatchTooLargeError):
        fitted(whole, 64)(pictures(2, 203, 171))


def test_tiles_that_hold_nothing_wanted_are_not_looked_at() -> None:
    backbone, x = classifier(), pictures(1, 512, 512)
    looked: list[int] = []
    objective = Objective((Term("two", mean, place=CENTER),))
    with WholeGradient(backbone.network, objective) as whole:
        tiled = fitted(whole, 64)
        tiled(x)
        hook = backbone.network.register_forward_pre_hook(lambda _module, _inputs: looked.append(1))
        tiled(x)
        hook.remove()
    assert len(looked) <= 2

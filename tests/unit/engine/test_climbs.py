"""Dreams whose ascents climb by turns: another layer, other settings, and whole dreams one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from dreamd_plugins.article import article
from dreamd_plugins.l2 import l2
from dreamd_plugins.mean import mean
from dreamd_plugins.octaves import octaves
from dreamd_plugins.single import single
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.ascents.chain import Chain, Transform
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dream import Dreamed, batch_size, dream
from dreamd.engine.dreamer import Climb, Dreamer, Progress
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.objectives.references import ORIGINAL, Reference, Referring
from dreamd.engine.sequence import dream_in_sequence


class Sum(nn.Module):
    """Adds up the cells of the whole picture, so that a change of one is seen by all."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


def network(seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    modules = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU(), Sum()]
    return Backbone(network=nn.Sequential(*modules), min_side=8).frozen()


def climb(module: str = "2", *, iterations: int = 2, jitter: int = 0, loss: Any = l2, **changes: Any) -> Climb:
    settings = AscentSettings(iterations=iterations, lr=2.0, momentum=0.5, jitter=jitter)
    return Climb(objective=Objective((Term(module, loss),)), settings=settings, **changes)


def dreamer(*climbs: Climb, schedule: Any = None, **changes: Any) -> Dreamer:
    first, *later = climbs
    made = Dreamer(
        backbone=network(),
        objective=first.objective,
        settings=first.settings,
        chain=first.chain,
        ascents=first.ascents,
        later=later,
        schedule=schedule or partial(octaves, num_octaves=4, octave_scale=1.2),
    )
    return replace(made, **changes)


def pictures(count: int = 2, height: int = 60, width: int = 70) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(5))


def again_and_again(image: Tensor, ascend: Ascend, times: int = 5) -> Iterator[Tensor]:
    """Ascends what it ascended, at one size."""
    ascend.plan(times)
    for _ in range(times):
        image = ascend(image)
        yield image


class Killed(BaseException):
    """Stands for the end of the process."""


class Log:
    """What a dream reported, and a kill before one of its ascents, or behind one of its iterations."""

    def __init__(self, kill_at: tuple[int, int, int] | None = None) -> None:
        self.seen: list[Progress] = []
        self._kill_at = kill_at

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)
        if (progress.part, progress.ascent, progress.iteration) == self._kill_at:
            raise Killed

    @property
    def places(self) -> list[tuple[int, int, int]]:
        return [(step.part, step.ascent, step.iteration) for step in self.seen]


# Climbs


def test_each_ascent_climbs_what_its_turn_says_and_the_last_goes_on() -> None:
    turns = [climb("2"), climb("4", iterations=3, ascents=2), climb("2", loss=mean)]
    made = dreamer(*turns, schedule=again_and_again)
    result = dream(pictures(), made, seeds=[1, 2])
    expected = pictures()
    for turn in (turns[0], turns[1], turns[1], turns[2], turns[2]):
        by_hand = dream(expected, dreamer(turn, schedule=single), seeds=[1, 2])
        expected = by_hand.images
    assert torch.equal(result.images, expected)
    assert (result.loss_before, result.loss_after) == (by_hand.loss_before, by_hand.loss_after)
    assert result.ascents == 5


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_layer_sees_more_of_itself_in_its_own_ascent(turn: int) -> None:
    modules = ("2", "4", "0")
    frames: list[Tensor] = []
    dream(
        pictures(1),
        dreamer(*map(climb, modules), schedule=partial(again_and_again, times=3)),
        seeds=[1],
        on_frame=lambda image: frames.append(image.clone()),
    )
    backbone = network()
    means, stds = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))

    def seen_in(image: Tensor) -> float:
        activation = (image - means) / stds
        for module in list(backbone.network.children())[: int(modules[turn]) + 1]:
            activation = module(activation)
        return float(l2(activation))

    assert seen_in(frames[turn + 1]) > seen_in(frames[turn]) + 0.1


def test_progress_counts_the_iterations_of_the_ascent_that_runs() -> None:
    log = Log()
    made = dreamer(climb(iterations=1), climb(iterations=3), schedule=partial(again_and_again, times=2))
    dream(pictures(), made, seeds=[1, 2], on_progress=log)
    assert [(step.ascent, step.iteration, step.iterations) for step in log.seen] == [
        (1, 1, 1), (2, 1, 3), (2, 2, 3), (2, 3, 3)
    ]  # fmt: skip
    assert [step.share for step in log.seen] == pytest.approx([1 / 2, 4 / 6, 5 / 6, 1])


def test_fewer_octaves_than_turns_dream_the_first_ones() -> None:
    made = dreamer(climb("2"), climb("4"), climb("0"), schedule=partial(again_and_again, times=2))
    two = dreamer(climb("2"), climb("4"), schedule=partial(again_and_again, times=2))
    assert torch.equal(
        dream(pictures(), made, seeds=[1, 2]).images, dream(pictures(), two, seeds=[1, 2]).images
    )  # fmt: skip


def test_equal_pictures_are_ascended_again_until_the_last_turn_is_reached() -> None:
    grey = torch.full((1, 3, 9, 9), 0.5)
    for later, repeated in (((), False), ((climb("2", iterations=1),), True)):
        still = [
            replace(turn, settings=AscentSettings(iterations=1, lr=0.0)) for turn in (climb("2", ascents=6), *later)
        ]
        log = Log()
        dream(
            grey, dreamer(*still, schedule=partial(article, num_octaves=9, octave_scale=2)), seeds=[1], on_progress=log
        )
        assert (log.seen[-1].ascent > 6) == repeated


def guided(others: Tensor) -> Referring:
    def towards(activation: Tensor, *, picture: Tensor) -> Tensor:
        return (activation * picture.mean((2, 3), keepdim=True)).flatten(1).sum(1)

    return Referring(towards, {"picture": Reference(others, "others")})


def near_original() -> Referring:
    def near(activation: Tensor, *, original: Tensor) -> Tensor:
        return -(activation - original).square().flatten(1).sum(1)

    return Referring(near, {ORIGINAL: Reference(key=ORIGINAL)})


def all_kinds(memory: int | None = None) -> Dreamer:
    """Climbs with shifts, with a picture to look at, with the original, and with a transform that draws."""
    noise = Transform(lambda image, random: image + 0.01 * random.normal(1, *image.shape[2:]), frozenset({"random"}))
    other = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(9))
    turns = [climb("2", jitter=5), climb("2", loss=guided(other)), climb("4", chain=Chain(transforms=(noise,)))]
    turns.append(climb("2", loss=near_original()))
    return dreamer(*(turns if memory is None else [climb("2", jitter=5), climb("0"), climb("2")]), memory=memory)


KINDS = {"whole": all_kinds, "tiles": partial(all_kinds, memory=1)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_dreamed_as_each_of_its_pictures_alone(kind: str) -> None:
    made, images = KINDS[kind](), pictures(2, 150, 140) if kind == "tiles" else pictures()
    alone = [dream(image[None].clone(), made, seeds=[seed]).images for image, seed in zip(images, (1, 2), strict=True)]
    torch.testing.assert_close(dream(images, made, seeds=[1, 2]).images, torch.cat(alone), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dream_killed_in_any_turn_ends_in_the_same_bytes(kind: str, tmp_path: Path) -> None:
    made, size = KINDS[kind](), (150, 140) if kind == "tiles" else (60, 70)
    log = Log()
    whole = dream(pictures(1, *size), made, seeds=[1], on_progress=log)
    assert {step.ascent for step in log.seen} == {1, 2, 3, 4}
    for place in log.places[:-1]:
        folder = tmp_path / "-".join(map(str, place))
        with pytest.raises(Killed):
            dream(pictures(1, *size), made, seeds=[1], on_progress=Log(place), checkpoint=kept_in(folder))
        rest = Log()
        result = dream(pictures(1, *size), made, seeds=[1], on_progress=rest, checkpoint=kept_in(folder))
        assert torch.equal(result.images, whole.images)
        assert (result.loss_before, result.loss_after) == (whole.loss_before, whole.loss_after)
        assert result.tiling == whole.tiling
        assert len(rest.seen) < len(log.seen) or place == log.places[0]


def kept_in(folder: Path) -> CheckpointFolder:
    return CheckpointFolder(folder, "a picture and a recipe", after_seconds=0.0)


def test_what_the_first_turn_found_out_about_memory_binds_the_next(tmp_path: Path) -> None:
    made = dreamer(climb("2"), climb("0"), memory=1)
    dream(pictures(1, 150, 140), made, seeds=[1], checkpoint=kept_in(tmp_path))
    plenty = replace(made, memory=8 * 10**9)
    taken_up = dream(pictures(1, 150, 140), plenty, seeds=[1], checkpoint=kept_in(tmp_path))
    assert taken_up.tiling == "128 px, halo 1"
    (tmp_path / "ascent-00002.npz").unlink()
    assert dream(pictures(1, 150, 140), plenty, seeds=[1], checkpoint=kept_in(tmp_path)).tiling == taken_up.tiling


def test_as_many_pictures_go_together_as_the_hungriest_turn_allows() -> None:
    lean, hungry = climb("0"), climb("1")
    layers = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 64, 3, padding=1))
    wide = Backbone(network=layers, min_side=8).frozen()
    sizes = [
        batch_size(dreamer(*turns, backbone=wide, memory=2 * 10**9), 512, 512, most=1000)
        for turns in ((lean,), (hungry,), (lean, hungry), (hungry, lean))
    ]
    assert sizes[0] > sizes[1]
    assert sizes[1] == sizes[2] == sizes[3]


# Sequences


def a_sequence() -> list[Dreamer]:
    """Two networks, the second part with two turns and with something to say about the original."""
    half = Transform(lambda image, original: (image + original) / 2, frozenset({"original"}))
    first = dreamer(climb("2", jitter=7), schedule=partial(octaves, num_octaves=2, octave_scale=1.4))
    second = dreamer(climb("4"), climb("2"), schedule=partial(octaves, num_octaves=3, octave_scale=1.2))
    return [first, replace(second, backbone=network(3), chain=Chain(finish=(half,)))]


def dreamed(made: list[Dreamer], log: Log | None = None, folder: Path | None = None, **options: Any) -> Dreamed:
    checkpoint = None if folder is None else kept_in(folder)
    return dream_in_sequence(pictures(), made, seeds=[1, 2], on_progress=log or Log(), checkpoint=checkpoint, **options)


def test_a_sequence_is_one_dream_after_the_other_with_the_first_pictures_as_original() -> None:
    first, second = a_sequence()
    before = dream(pictures(), first, seeds=[1, 2])
    after = dream(before.images, second, seeds=[1, 2], original=pictures())
    result = dreamed([first, second])
    assert torch.equal(result.images, after.images)
    assert (result.loss_before, result.loss_after) == (after.loss_before, after.loss_after)
    assert result.ascents == 5
    assert not torch.equal(result.images, dream(before.images, second, seeds=[1, 2]).images)


def test_one_part_alone_is_its_dream() -> None:
    first, _ = a_sequence()
    assert torch.equal(dreamed([first]).images, dream(pictures(), first, seeds=[1, 2]).images)


def test_progress_counts_all_parts_and_never_falls() -> None:
    log = Log()
    dreamed(a_sequence(), log)
    shares = [step.share for step in log.seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert {(step.part, step.parts, step.ascent) for step in log.seen} == {
        (1, 2, 1), (1, 2, 2), (2, 2, 1), (2, 2, 2), (2, 2, 3)
    }  # fmt: skip


def test_a_sequence_killed_in_any_part_ends_in_the_same_bytes(tmp_path: Path) -> None:
    made, log = a_sequence(), Log()
    whole = dreamed(made, log)
    for place in log.places[:-1]:
        folder = tmp_path / "-".join(map(str, place))
        with pytest.raises(Killed):
            dreamed(made, Log(place), folder)
        rest = Log()
        result = dreamed(made, rest, folder)
        assert torch.equal(result.images, whole.images)
        assert (result.loss_before, result.loss_after) == (whole.loss_before, whole.loss_after)
        assert len(rest.seen) < len(log.seen) or place == log.places[0]


def test_what_a_mask_leaves_out_is_equal_to_the_bit_after_every_part() -> None:
    mask = torch.zeros(2, 1, 60, 70)
    mask[:, :, :, 35:] = 1
    result = dreamed(a_sequence(), mask=mask)
    assert torch.equal(result.images[..., :35], pictures()[..., :35])
    assert not torch.equal(result.images[..., 35:], pictures()[..., 35:])


def test_an_original_that_only_a_later_part_asks_for_is_counted_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    first, asking = a_sequence()
    held: list[int] = []

    def noted(images: Tensor, dreamer: Dreamer, **options: Any) -> Dreamed:
        held.append(dreamer.beside)
        return dream(images, dreamer, **options)

    monkeypatch.setattr("dreamd.engine.sequence.dream", noted)
    dreamed([first, first, asking])
    dreamed([first, first])
    assert held == [0, 1, 0, 0, 0]  # the first part is given the original itself, and the last one's own counts
    roomy = replace(first, memory=2 * 10**9)
    assert batch_size(replace(roomy, beside=9), 512, 512, most=1000) < batch_size(roomy, 512, 512, most=1000)

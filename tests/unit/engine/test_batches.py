"""Pictures dreamed together: each comes out as it would alone, in as much memory as there is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from dreamd_plugins.article import article
from dreamd_plugins.l2 import l2
from dreamd_plugins.normalize import normalize
from dreamd_plugins.octaves import octaves
from dreamd_plugins.smooth import smooth
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.dream import batch_size, dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.tiles.fitting import BatchTooLargeError, FittedGradient
from dreamd.engine.tiles.footprint import pictures_that_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads that wait for each other on a busy machine take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SEEDS = (4, 5, 6)
NEAR = 1e-4
"""Of a picture's range: rounding, carried through the ascents."""


class Excite(nn.Module):
    """Squeeze and excite: every cell looks at the whole picture."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Hungry(nn.Module):
    """Asks the allocator for far more than there is, for more pixels than so many at once."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) * x.shape[2] * x.shape[3] > self.pixels:
            torch.empty(1 << 50)
        return x


def backbone(*between: nn.Module, **fields: Any) -> Backbone:
    torch.manual_seed(0)
    modules = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), *between, nn.Conv2d(6, 8, 3, stride=2, padding=1)]
    made = Backbone(network=nn.Sequential(*modules), **{"min_side": 32, **fields})
    return replace(made, layers={"deep": str(len(modules) - 1)}, default_layer="deep").frozen()


def dreamer(made: Backbone | None = None, **changes: Any) -> Dreamer:
    made = made or backbone()
    plain = Dreamer(
        backbone=made,
        objective=Objective((Term(made.module_name("deep"), l2),)),
        settings=AscentSettings(iterations=3, lr=0.1, momentum=0.5, jitter=9),
        schedule=partial(octaves, num_octaves=2, octave_scale=1.4),
        steps=(partial(normalize_step, by="std"),),
    )
    return replace(plain, **changes)


def normalize_step(gradient: Tensor, progress: float, *, by: Any) -> Tensor:
    return normalize(gradient, by=by)


def smooth_step(gradient: Tensor, progress: float) -> Tensor:
    return smooth(gradient, progress=progress, sigma=0.5)


def pictures(height: int = 60, width: int = 70) -> Tensor:
    """Three of very different contrast, so that a norm over the batch would show."""
    noise = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(7))
    return 0.5 + (noise - 0.5) * torch.tensor([1.0, 0.3, 0.05]).view(3, 1, 1, 1)


def assert_as_alone(made: Dreamer, images: Tensor) -> None:
    together = dream(images, made, seeds=SEEDS)
    for index, seed in enumerate(SEEDS):
        alone = dream(images[index : index + 1], made, seeds=[seed])
        assert (together.images[index] - alone.images[0]).abs().max() <= NEAR
        assert (alone.images[0] - images[index]).abs().max() > 0.02
        assert together.loss_before[index] == pytest.approx(alone.loss_before[0], rel=1e-4)
        assert together.loss_after[index] == pytest.approx(alone.loss_after[0], rel=1e-4)
        assert together.tiling == alone.tiling


# Each as alone


@pytest.mark.parametrize(
    "steps",
    [
        (partial(normalize_step, by="std"),),
        (partial(normalize_step, by="mean_abs"),),
        (partial(normalize_step, by="max"),),
        (smooth_step, partial(normalize_step, by="std")),
    ],
)
def test_every_gradient_step_treats_a_picture_as_it_does_alone(steps: tuple[Any, ...]) -> None:
    assert_as_alone(dreamer(steps=steps), pictures())


def test_the_bare_gradient_is_each_pictures_own() -> None:
    assert_as_alone(dreamer(steps=(), settings=AscentSettings(iterations=3, lr=30.0, jitter=9)), pictures())


def test_the_articles_way_gives_each_picture_the_bytes_that_it_gets_alone() -> None:
    settings = AscentSettings(iterations=2, lr=20.0, momentum=1.0)
    made = dreamer(schedule=partial(article, num_octaves=3, octave_scale=2.0), settings=settings, steps=())
    together = dream(pictures(), made, seeds=SEEDS).images
    for image, own in zip(pictures(), together, strict=True):
        alone = dream(image[None], made, seeds=[0]).images[0]
        off = (own - alone).abs()
        # Where rounding falls across the article's cut to 8 bit, a value is one off; and no norm is shared.
        assert off.max() <= 1.01 / 255
        assert (off > 1e-6).float().mean() < 0.01


def test_pictures_of_a_batch_keep_their_own_shifts_in_overlapped_tiles() -> None:
    made = dreamer(backbone(Excite()), memory=1)
    images = pictures(150, 170)
    assert dream(images, made, seeds=SEEDS).tiling == "128 px, overlap 32, shifted at random"
    assert_as_alone(made, images)


def test_pictures_of_a_batch_in_tiles_are_looked_at_one_by_one() -> None:
    network = backbone(Hungry(10**9))
    made = dreamer(network, memory=1, schedule=partial(octaves, num_octaves=1))
    assert_as_alone(made, pictures(150, 170))
    seen = network.network[2].seen  # type: ignore[index]
    seen.clear()
    dream(pictures(150, 170), made, seeds=SEEDS)
    assert set(seen) == {1}


def test_networks_of_one_size_treat_a_picture_as_they_do_alone() -> None:
    assert_as_alone(dreamer(backbone(input_size=48)), pictures())


# How many fit


def budget(made: Dreamer, count: float, height: int = 300, width: int = 300) -> int:
    """Bytes for so many pictures."""
    low, high = 1, 10**12
    while low < high:
        middle = (low + high) // 2
        fits = batch_size(replace(made, memory=middle), height, width, most=10**6) >= count
        low, high = (low, middle) if fits else (middle + 1, high)
    return low


def test_as_many_pictures_are_dreamed_together_as_fit() -> None:
    made = dreamer()
    for count in (2, 5):
        memory = budget(made, count)
        assert batch_size(replace(made, memory=memory), 300, 300, most=100) == count
        assert batch_size(replace(made, memory=memory - 1), 300, 300, most=100) == count - 1
        assert batch_size(replace(made, memory=memory), 300, 300, most=1) == 1
        assert batch_size(replace(made, memory=2 * memory), 300, 300, most=count) == count


def test_so_many_are_in_fact_taken_whole_and_one_more_is_too_many() -> None:
    made = dreamer()
    made = replace(made, memory=budget(made, 2))
    images = pictures(300, 300)
    assert dream(images[:2], made, seeds=SEEDS[:2]).tiling is None
    with pytest.raises(BatchTooLargeError, match="3 pictures"):
        dream(images, made, seeds=SEEDS)


def test_a_picture_that_needs_tiles_is_dreamed_alone() -> None:
    assert batch_size(dreamer(memory=1), 300, 300, most=8) == 1


def test_without_a_limit_to_memory_as_many_as_wanted_go_together() -> None:
    assert batch_size(dreamer(memory=None), 3000, 3000, most=8) == 8


def test_thumbnails_count_as_large_as_a_schedule_may_make_them() -> None:
    made = dreamer(memory=10**9)
    assert batch_size(made, 10, 10, most=10**6) == batch_size(made, 224, 224, most=10**6)
    assert batch_size(made, 10, 10, most=10**6) > batch_size(made, 448, 448, most=10**6)


def test_of_a_network_of_one_size_it_counts_what_the_network_sees() -> None:
    small, large = (dreamer(backbone(input_size=size), memory=2 * 10**9) for size in (48, 480))
    assert batch_size(small, 300, 300, most=10**6) > 2 * batch_size(large, 300, 300, most=10**6)


def test_counting_leaves_the_network_as_it_was() -> None:
    made = dreamer(memory=10**9)
    batch_size(made, 300, 300, most=8)
    assert not any(module._forward_hooks for module in made.backbone.network.modules())


# When it was too many all the same


@pytest.mark.parametrize("memory", [None, 8 * 10**9])
@pytest.mark.parametrize("input_size", [None, 150])
def test_out_of_memory_in_a_batch_says_so_and_one_picture_alone_goes_on(
    memory: int | None, input_size: int | None
) -> None:
    images = pictures(150, 170)
    made = dreamer(backbone(Hungry(2 * 150 * 170), input_size=input_size), memory=memory)
    with pytest.raises(BatchTooLargeError, match="there is no memory for 3 pictures at once"):
        dream(images, made, seeds=SEEDS)
    two = dream(images[:2], made, seeds=SEEDS[:2])
    assert two.tiling is None


def test_an_error_that_is_none_of_memory_is_not_taken_for_one_in_a_batch() -> None:
    def broken(activation: Tensor) -> Tensor:
        return activation.flatten(1) @ torch.ones(3)

    made = dreamer()
    made = replace(made, objective=Objective((Term(made.backbone.module_name("deep"), broken),)))
    with pytest.raises(RuntimeError, match=r"size mismatch|mat1|mat and vec"):
        dream(pictures(), made, seeds=SEEDS)


def test_a_failed_batch_leaves_none_of_its_tensors_behind() -> None:
    import gc
    import weakref

    images = pictures()
    held: list[weakref.ref[Tensor]] = []

    def noted(gradient: Tensor, progress: float) -> Tensor:
        held.append(weakref.ref(gradient))
        torch.empty(1 << 50)
        return gradient

    gc.disable()  # what is left to the collector is not free when the next attempt begins
    try:
        with pytest.raises(BatchTooLargeError) as raised:
            dream(images, dreamer(steps=(noted,)), seeds=SEEDS)
        del raised
        assert [reference() for reference in held] == [None]
    finally:
        gc.enable()


def test_a_batch_that_would_be_cut_otherwise_than_its_pictures_is_refused() -> None:
    """Tiles of another size would give pictures of a network that is not local another dream."""
    made = backbone(Excite())
    x = torch.randn(3, 3, 400, 400)

    def refused(memory: int) -> bool:
        with WholeGradient(made.network, Objective((Term(made.module_name("deep"), l2),))) as whole:
            generators = [torch.Generator() for _ in SEEDS]
            way = FittedGradient(whole, memory=memory, shortest=32, pictures=4, generators=generators)
            try:
                way(x)
            except BatchTooLargeError:
                return True
            alone = FittedGradient(whole, memory=memory, shortest=32, pictures=4, generators=generators[:1])
            alone(x[:1])
            assert alone.fit.tiling == way.fit.tiling
            return False

    answers = {refused(memory) for memory in range(700_000_000, 760_000_000, 6_000_000)}
    assert answers == {True, False}


def test_the_number_that_fits_follows_from_the_cost() -> None:
    from dreamd.engine.tiles.footprint import Cost

    cost = Cost(fixed=10**8, pictures=4, running=100.0, kept=0.0)
    each = 1000 * (4 * 12 + 100)
    for count in (0, 1, 7):
        memory = 700_000_000 + 10**8 + count * each
        assert pictures_that_fit(memory, 1000, 1000, cost) == count
        assert pictures_that_fit(memory + each - 1, 1000, 1000, cost) == count
    assert pictures_that_fit(0, 1000, 1000, cost) == 0


def test_schedules_that_take_pictures_apart_still_get_the_batch() -> None:
    seen: list[int] = []

    def schedule(image: Tensor, ascend: Callable[[Tensor], Tensor]) -> list[Tensor]:
        seen.append(len(image))
        return [ascend(image)]

    dream(pictures(), dreamer(schedule=schedule, memory=8 * 10**9), seeds=SEEDS)
    assert seen == [3]

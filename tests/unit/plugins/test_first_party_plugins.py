from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from dreamd_plugins.article import article
from dreamd_plugins.l2 import l2
from dreamd_plugins.normalize import normalize
from dreamd_plugins.octaves import octaves
from dreamd_plugins.rescale import rescale
from dreamd_plugins.single import single
from dreamd_plugins.smooth import smooth
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.api import Backbone
from dreamd.commands.demo.painting import clouds
from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.errors import RecipeError
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

Schedule = Any
"""A schedule as a test calls it, with a recorder in place of an ascent."""


def random_gradient(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 20, 30, generator=torch.Generator().manual_seed(0))


def impulse(size: int = 41) -> Tensor:
    gradient = torch.zeros(1, 3, size, size)
    gradient[:, :, size // 2, size // 2] = 1
    return gradient


def width(blurred: Tensor) -> float:
    """The standard deviation in pixels of where an impulse has spread to, along one side."""
    along = blurred[0, 0].sum(0)
    distance = torch.arange(len(along)) - len(along) // 2
    return float((along * distance**2).sum() / along.sum()) ** 0.5


# l2


def test_l2_is_the_norm_of_each_pictures_whole_activation() -> None:
    activation = torch.arange(24.0).reshape(2, 3, 2, 2)
    expected = [float(np.sqrt((part.numpy() ** 2).sum())) for part in activation]
    assert l2(activation).tolist() == pytest.approx(expected)


def test_l2_takes_the_activations_of_heads_too() -> None:
    assert l2(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist() == [5.0, 2.0]


def test_l2_of_a_layer_that_sees_nothing_has_a_gradient_of_zero() -> None:
    activation = torch.zeros(1, 2, 3, 3, requires_grad=True)
    l2(activation).sum().backward()
    assert activation.grad is not None
    assert torch.equal(activation.grad, torch.zeros(1, 2, 3, 3))


# smooth


def test_smooth_leaves_a_constant_gradient_as_it_is() -> None:
    constant = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1).expand(2, 3, 9, 12)
    torch.testing.assert_close(smooth(constant, progress=0.5, sigma=2.0), constant)


def test_smooth_spreads_an_impulse_alike_on_all_sides_and_loses_nothing_of_it() -> None:
    blurred = smooth(impulse(), progress=0.0, sigma=1.0)
    assert blurred.sum((2, 3)).tolist()[0] == pytest.approx([1.0] * 3, abs=1e-4)
    assert 0 < blurred.max() < 1
    for turned in (blurred.flip(2), blurred.flip(3), blurred.transpose(2, 3)):
        torch.testing.assert_close(blurred, turned)


def test_smooth_is_the_mean_of_three_gaussians() -> None:
    blurred = smooth(impulse(101), progress=0.0, sigma=4.0)
    variances = [(factor * 4.0) ** 2 for factor in (0.5, 1.0, 2.0)]
    assert width(blurred) == pytest.approx((sum(variances) / 3) ** 0.5, rel=0.03)


def test_smooth_grows_wider_over_an_ascent() -> None:
    start, middle, end = (smooth(impulse(), progress=share, sigma=1.0, growth=2.0) for share in (0.0, 0.5, 1.0))
    assert width(start) < width(middle) < width(end)
    torch.testing.assert_close(middle, smooth(impulse(), progress=0.0, sigma=2.0))
    torch.testing.assert_close(smooth(impulse(), progress=0.9, growth=0.0), smooth(impulse(), progress=0.0, growth=0.0))


def test_smooth_keeps_channels_and_pictures_apart() -> None:
    gradient = torch.zeros(2, 3, 9, 9)
    gradient[1, 2, 4, 4] = 1
    blurred = smooth(gradient, progress=0.0)
    assert (blurred[1, 2] > 0).sum() > 1
    blurred[1, 2] = 0
    assert not blurred.any()


@pytest.mark.parametrize("middle", [0.5, 1.0, 1.5, 3.9])
@pytest.mark.parametrize("size", [(64, 97), (33, 32), (7, 40), (1, 5)])
def test_smooth_adds_up_in_the_order_of_two_plain_convolutions_to_the_bit(size: tuple[int, int], middle: float) -> None:
    gradient = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    blurs = []
    for sigma in (middle / 2, middle, 2 * middle):
        radius = max(1, math.ceil(3 * sigma))
        distance = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-(distance**2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).expand(3, 1, -1)
        padded = F.pad(gradient, (radius,) * 4, mode="replicate")
        blurs.append(F.conv2d(F.conv2d(padded, kernel.unsqueeze(2), groups=3), kernel.unsqueeze(3), groups=3))
    assert torch.equal(smooth(gradient, progress=0.0, sigma=middle), (blurs[0] + blurs[1] + blurs[2]) / 3)


def test_smooth_in_bands_and_pieces_is_smooth_in_one_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = torch.randn(2, 3, 90, 301, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("dreamd_plugins.smooth._BANDS", {"cpu": 1 << 22})
    whole = smooth(gradient.clone(), progress=0.5)
    for band, piece in ((1 << 14, 1 << 12), (1 << 16, 1 << 18), (1 << 22, 1 << 13)):
        monkeypatch.setattr("dreamd_plugins.smooth._BANDS", {"cpu": band})
        monkeypatch.setattr("dreamd_plugins.smooth._PIECE", piece)
        assert torch.equal(smooth(gradient.clone(), progress=0.5), whole)


def test_smooth_takes_gradients_smaller_than_its_kernel() -> None:
    assert smooth(torch.ones(1, 3, 1, 2), progress=0.0, sigma=30.0).shape == (1, 3, 1, 2)


# normalize


MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "std": lambda gradient: gradient.flatten(1).std(1),
    "mean_abs": lambda gradient: gradient.flatten(1).abs().mean(1),
    "max": lambda gradient: gradient.flatten(1).abs().amax(1),
}


@pytest.mark.parametrize("by", ["std", "mean_abs", "max"])
def test_normalize_brings_each_picture_to_one_by_its_own_measure(by: str) -> None:
    gradient = random_gradient() * torch.tensor([1e-6, 50.0]).view(2, 1, 1, 1)
    result = normalize(gradient, by=by)  # type: ignore[arg-type]
    torch.testing.assert_close(MEASURES[by](result), torch.ones(2), rtol=1e-4, atol=0)
    torch.testing.assert_close(result * MEASURES[by](gradient).view(2, 1, 1, 1), gradient, rtol=1e-4, atol=0)


def test_normalize_goes_by_the_standard_deviation_when_nothing_is_said() -> None:
    assert torch.equal(normalize(random_gradient()), normalize(random_gradient(), by="std"))


@pytest.mark.parametrize("by", ["std", "mean_abs", "max"])
def test_normalize_leaves_a_gradient_of_zeros_at_zero(by: str) -> None:
    assert not normalize(torch.zeros(1, 3, 4, 4), by=by).any()  # type: ignore[arg-type]


# octaves


class Recorder:
    """What a schedule sees of an ascent: adds a constant, and remembers what it was given."""

    deterministic = True

    def __init__(self, rise: Callable[[Tensor], Tensor] = lambda image: image) -> None:
        self.rise = rise
        self.seen: list[Tensor] = []
        self.planned: list[int] = []

    def plan(self, ascents: int) -> None:
        self.planned.append(ascents)

    def __call__(self, image: Tensor, *, overwrite: bool = False) -> Tensor:
        self.seen.append(image.clone())
        return self.rise(image).clamp(0, 1)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(image.shape[2], image.shape[3]) for image in self.seen]


def checkerboard(height: int = 90, width: int = 130) -> Tensor:
    """Black and white with hard edges, where resampling overshoots most."""
    cells = (torch.arange(height)[:, None] // 7 + torch.arange(width)[None] // 7) % 2
    return cells.float().expand(1, 3, -1, -1)


def test_octaves_grow_from_coarse_to_the_pictures_own_size() -> None:
    recorder = Recorder()
    frames = list(octaves(torch.rand(2, 3, 160, 240), recorder, num_octaves=4, octave_scale=1.5))  # type: ignore[arg-type]
    assert recorder.sizes == [(47, 71), (71, 107), (107, 160), (160, 240)]
    assert [tuple(frame.shape[2:]) for frame in frames] == recorder.sizes
    assert recorder.planned == [4]


@pytest.mark.parametrize("size", [(1, 1), (5, 100), (31, 31), (40, 40)])
def test_octaves_too_small_to_show_a_network_anything_are_left_out(size: tuple[int, int]) -> None:
    recorder = Recorder()
    list(octaves(torch.rand(1, 3, *size), recorder, num_octaves=8, octave_scale=1.4))  # type: ignore[arg-type]
    assert recorder.sizes == [size]
    assert recorder.planned == [1]


def test_octaves_give_a_picture_back_when_nothing_is_dreamed() -> None:
    image = checkerboard()
    *_, result = octaves(image, Recorder(), num_octaves=4)  # type: ignore[arg-type]
    assert (result - image).abs().max() <= 1 / 255


def test_octaves_carry_up_what_was_dreamed_coarsely() -> None:
    def dream_small_only(image: Tensor) -> Tensor:
        return image + 0.25 if image.shape[2] < 70 else image

    image = torch.full((1, 3, 120, 160), 0.5)
    *_, result = octaves(image, Recorder(dream_small_only), num_octaves=3)  # type: ignore[arg-type]
    torch.testing.assert_close(result, image + 0.25)


def test_octaves_keep_the_pictures_fine_detail_under_what_was_dreamed() -> None:
    noise = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.2
    *_, result = octaves(noise, Recorder(lambda image: image + 0.05), num_octaves=3)  # type: ignore[arg-type]
    torch.testing.assert_close(result, noise + 3 * 0.05, rtol=0, atol=1e-4)


def test_an_octaves_input_stays_a_picture() -> None:
    recorder = Recorder(lambda image: image * 2)
    list(octaves(checkerboard(), recorder, num_octaves=4))  # type: ignore[arg-type]
    assert all(seen.min() >= 0 and seen.max() <= 1 for seen in recorder.seen)


def identity_backbone() -> Backbone:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    return Backbone(network=network, min_side=4).frozen()


@pytest.mark.parametrize("size", [(64, 64), (50, 75)])
def test_a_dream_over_octaves_with_no_step_at_all_is_the_picture(size: tuple[int, int]) -> None:
    image = checkerboard(*size)
    made = Dreamer(
        backbone=identity_backbone(),
        objective=Objective((Term("1", l2),)),
        settings=AscentSettings(iterations=1, lr=0.0),
        schedule=octaves,
    )
    assert (dream(image, made, seeds=[0]).images - image).abs().max() <= 1 / 255


@pytest.mark.parametrize("schedule", [octaves, rescale])
@pytest.mark.parametrize(("height", "width"), [(768, 1024), (517, 389)])
def test_many_octaves_of_a_small_ratio_have_the_fields_sizes(schedule: Schedule, height: int, width: int) -> None:
    recorder = Recorder()
    list(schedule(torch.rand(1, 3, height, width), recorder, num_octaves=12, octave_scale=1.4))
    exponents = range(-11, 1)  # pytorch-deepdream's `get_new_shape`
    sizes = [(round(height * 1.4**power), round(width * 1.4**power)) for power in exponents]
    assert recorder.sizes == [size for size in sizes if min(size) >= 32]
    assert recorder.planned == [len(recorder.sizes)]


@pytest.mark.parametrize("schedule", [octaves, rescale])
@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (60, 120, [(32, 64), (50, 100), (60, 120)]),
        (100, 50, [(64, 32), (100, 50)]),  # its own size is asked for, and comes once
        (64, 20, [(64, 20)]),  # smaller ones would be too narrow
    ],
)
def test_sizes_are_longest_sides_before_the_pictures_own(
    schedule: Schedule, height: int, width: int, expected: list[tuple[int, int]]
) -> None:
    recorder = Recorder()
    frames = list(schedule(torch.rand(1, 3, height, width), recorder, num_octaves=1, sizes=[100, 64, 4000]))
    assert recorder.sizes == expected
    assert frames[-1].shape == (1, 3, height, width)


@pytest.mark.parametrize("schedule", ["octaves", "rescale"])
@pytest.mark.parametrize(
    ("sizes", "problem"),
    [([], "of at least 1 entries"), ([16], "a whole number ≥ 32"), ([64, 64], "a list"), ([64.5], "a whole number")],
)
def test_sizes_that_make_no_sense_are_refused(schedule: str, sizes: list[float], problem: str) -> None:
    entry = Plugins("dreamd.engine").catalogue.find(Kind.SCHEDULE, schedule)
    with pytest.raises(RecipeError, match=problem):
        entry.check({"sizes": sizes}, ("schedule",))
    entry.check({"sizes": [256, 384, 512]}, ("schedule",))


# rescale and single


def test_rescale_is_the_plain_loop_that_enlarges_what_it_dreamed() -> None:
    def brighter(image: Tensor) -> Tensor:
        return image * 0.9 + 0.05

    image = checkerboard()
    *_, result = rescale(image, Recorder(brighter), num_octaves=3, octave_scale=1.5)  # type: ignore[arg-type]
    dreamed = image
    for power in (-2, -1, 0):
        size = (round(90 * 1.5**power), round(130 * 1.5**power))
        if dreamed.shape[2:] != size:
            dreamed = F.interpolate(dreamed, size, mode="bicubic", antialias=True).clamp(0, 1)
        dreamed = brighter(dreamed)
    assert torch.equal(result, dreamed)


def test_single_ascends_once_at_the_pictures_own_size() -> None:
    recorder, image = Recorder(lambda image: image + 0.1), checkerboard()
    before = image.clone()
    (result,) = single(image, recorder)  # type: ignore[arg-type]
    assert (recorder.sizes, recorder.planned) == ([(90, 130)], [1])
    assert torch.equal(result, (before + 0.1).clamp(0, 1))
    assert torch.equal(image, before)


# article


def test_the_article_ascends_224_pixels_square_and_keeps_the_pictures_size() -> None:
    recorder = Recorder()
    *_, result = article(torch.rand(2, 3, 60, 90), recorder, num_octaves=2, octave_scale=2)  # type: ignore[arg-type]
    assert recorder.sizes == [(224, 224)] * 3
    assert result.shape == (2, 3, 60, 90)


def test_the_article_ascends_equal_levels_once_and_tells_the_progress_bar() -> None:
    recorder = Recorder()
    list(article(torch.full((1, 3, 8, 8), 0.5), recorder, num_octaves=9, octave_scale=2))  # type: ignore[arg-type]
    sizes_of_levels = 4  # 8, 4, 2, 1: an even grey dreams as itself, so each size is ascended once
    assert len(recorder.seen) == sizes_of_levels
    assert (recorder.planned[0], recorder.planned[-1]) == (10, sizes_of_levels)


def test_the_article_ascends_every_level_when_ascents_are_random() -> None:
    recorder = Recorder()
    recorder.deterministic = False
    list(article(torch.full((1, 3, 8, 8), 0.5), recorder, num_octaves=9, octave_scale=2))  # type: ignore[arg-type]
    assert len(recorder.seen) == 10


def test_the_article_tells_batches_apart_by_all_their_pictures() -> None:
    images = torch.stack([torch.full((3, 8, 8), 0.5), clouds_of(8, 8)])
    together = list(article(images, Recorder(halved), num_octaves=3))[-1]  # type: ignore[arg-type]
    alone = [list(article(image[None], Recorder(halved), num_octaves=3))[-1] for image in images]  # type: ignore[arg-type]
    assert torch.equal(together, torch.cat(alone))


def halved(image: Tensor) -> Tensor:
    return image / 2


def clouds_of(width: int, height: int) -> Tensor:
    pixels = np.asarray(clouds(64, 64).resize((width, height)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div(255)


# The demo's picture


def test_the_painted_clouds_are_the_same_each_time_and_others_for_another_seed() -> None:
    first, again, other = (np.asarray(clouds(96, 64, seed=seed)) for seed in (0, 0, 1))
    assert first.shape == (64, 96, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (640, 5), (33, 257)])
def test_clouds_are_painted_in_any_size(size: tuple[int, int]) -> None:
    assert clouds(*size).size == size


def test_the_painted_sky_is_brighter_than_the_hills_below_and_full_of_detail() -> None:
    picture = torch.from_numpy(np.asarray(clouds(320, 200)).copy()).float()
    assert picture[:100].mean() > picture[-20:].mean() + 30
    grey = picture[:120].mean(2)[None, None]
    assert (grey - F.avg_pool2d(grey, 9, 1, 4)).std() > 3

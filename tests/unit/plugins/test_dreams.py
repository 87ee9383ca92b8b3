"""The first-party losses, transforms, parameterizations, optimizers and gradient steps, each trap with its value."""

from __future__ import annotations

import pytest
import torch
from dreamd_plugins import bounded, cppn, decorrelated, fourier, phase, pyramid
from dreamd_plugins.adam import adam
from dreamd_plugins.blend import blend
from dreamd_plugins.blur_distance import blur_distance
from dreamd_plugins.boundary import boundary
from dreamd_plugins.calm import calm
from dreamd_plugins.caricature import caricature
from dreamd_plugins.clip import clip
from dreamd_plugins.crops import crops
from dreamd_plugins.direction import direction
from dreamd_plugins.guide import guide
from dreamd_plugins.l1 import l1
from dreamd_plugins.l2 import l2
from dreamd_plugins.laplacian import laplacian
from dreamd_plugins.lbfgs import lbfgs
from dreamd_plugins.magnify import magnify
from dreamd_plugins.match_histogram import match_histogram
from dreamd_plugins.max import maximum
from dreamd_plugins.mean import mean
from dreamd_plugins.mean_square import mean_square
from dreamd_plugins.natural import natural
from dreamd_plugins.noise import noise
from dreamd_plugins.noise_start import noise_start
from dreamd_plugins.original_colors import original_colors
from dreamd_plugins.stay_near import stay_near
from dreamd_plugins.stretch import stretch
from dreamd_plugins.total_variation import total_variation
from dreamd_plugins.turn import turn
from torch import Tensor, nn
from torch.nn import functional as F

from dreamd.api import Backbone, Random
from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer
from dreamd.engine.objectives.objective import Objective, Term


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def picture(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def random(*seeds: int) -> Random:
    return Random([torch.Generator().manual_seed(seed) for seed in seeds], torch.device("cpu"))


def slope(loss, activation: Tensor) -> Tensor:
    leaf = activation.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf).sum(), leaf)
    return gradient


# Losses


class Scores(nn.Module):
    """A classifier of three classes: the mean of the cells, and a matrix."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.scores = nn.Linear(8, 3)
        with torch.no_grad():
            self.scores.bias.copy_(torch.tensor([-3.0, 0.0, 3.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.features(x).relu().mean((2, 3)))


@pytest.mark.parametrize(("loss", "rises"), [(mean, True), (l2, False)])
def test_a_class_rises_from_below_zero_by_its_mean_and_falls_by_its_norm(loss, rises):
    backbone = Backbone(network=Scores(), layers={"scores": "scores"}, default_layer="scores").frozen()
    made = Dreamer(
        backbone=backbone,
        objective=Objective((Term("scores", loss, 1.0, (0,)),)),
        settings=AscentSettings(iterations=40, lr=300.0),
        schedule=lambda image, ascend: [ascend(image)],
    )
    image = picture(1, 3, 32, 32)

    def score(of: Tensor) -> float:
        means, stds = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
        return float(backbone.network((of - means) / stds)[0, 0])

    before, after = score(image), score(dream(image.clone(), made, seeds=[0]).images)
    assert before < 0
    assert (after > before + 0.05) if rises else (after < before - 0.05)


def test_means_and_norms():
    activation = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]])
    assert mean(activation).tolist() == [0.5]
    assert mean_square(activation).tolist() == [3.5]
    assert l1(activation).tolist() == [6.0]
    assert maximum(activation).tolist() == [3.0]
    assert slope(maximum, activation).tolist() == [[[[0.0, 0.0]], [[1.0, 0.0]]]]


@pytest.mark.parametrize("cells", [7, 1280])
def test_the_gradient_of_the_guide_is_the_guides_nearest_cell(cells, monkeypatch):
    activation, others = numbers(2, 5, 9, 4), numbers(1, 5, 1, cells, seed=1)
    product = torch.einsum("nchw,cm->nhwm", activation, others[0, :, 0])
    expected = others[0, :, 0][:, product.argmax(3)].transpose(0, 1)
    gradient = slope(lambda x: guide(x, picture=others), activation)
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(guide(activation, picture=others), product.amax(3).sum((1, 2)), rtol=1e-5, atol=1e-4)
    shuffled = others[..., torch.randperm(cells, generator=torch.Generator().manual_seed(2))]
    assert torch.equal(slope(lambda x: guide(x, picture=shuffled), activation), gradient)
    monkeypatch.setattr("dreamd_plugins.guide._CHUNK", 50)
    assert torch.equal(slope(lambda x: guide(x, picture=others), activation), gradient)


def test_of_a_large_guide_a_thousand_cells_all_over_it_are_looked_at():
    """A cell (2t, -1) is most like the (p, p²) whose p is nearest to t."""
    places = torch.arange(10_000, dtype=torch.double)
    others = torch.stack([places, places**2]).view(1, 2, 1, -1)
    cells = torch.stack([2 * places, -torch.ones_like(places)]).view(1, 2, 1, -1)
    nearest = slope(lambda x: guide(x, picture=others), cells)[0, 0, 0]
    assert nearest.unique().numel() == 1280
    assert float((nearest - places).abs().max()) <= 4


def test_the_guides_cosine_finds_the_angle_and_not_the_strength():
    activation = torch.tensor([1.0, 0.2]).view(1, 2, 1, 1)
    strong, alike = torch.tensor([0.0, 50.0]), torch.tensor([0.1, 0.02])
    others = torch.stack([strong, alike], 1).view(1, 2, 1, 2)
    assert float(guide(activation, picture=others)) == pytest.approx(10.0)
    assert float(guide(activation, picture=others, by="cosine")) == pytest.approx(1.0)


@pytest.mark.parametrize("strength", [1e-6, 1e-3, 0.05])
def test_a_cell_that_sees_next_to_nothing_is_not_pulled_harder_by_the_guides_cosine(strength):
    others = numbers(1, 5, 3, 4, seed=1)
    faint = F.normalize(numbers(1, 5, 1, 1), dim=1) * strength
    lengths = others.flatten(2).norm(dim=1).median()
    gradient = slope(lambda x: guide(x, picture=others, by="cosine"), faint)
    assert float(gradient.norm()) <= 10 / float(lengths) * 1.001
    blind = slope(lambda x: guide(x, picture=torch.zeros(1, 5, 3, 4), by="cosine"), faint)
    assert torch.equal(blind, torch.zeros_like(blind))


def test_the_direction_is_the_mean_of_the_other_pictures_cells():
    other = numbers(1, 6, 5, 4, seed=3)
    unit = other.mean((2, 3))[0] / other.mean((2, 3)).norm()
    along = (3 * unit).view(1, 6, 1, 1).expand(1, 6, 2, 2)
    assert float(direction(along, picture=other)) == pytest.approx(3.0, rel=1e-4)
    assert float(direction(along, picture=other, power=0)) == pytest.approx(3.0, rel=1e-4)
    assert float(direction(-along, picture=other)) == pytest.approx(-0.03, rel=1e-3)


def test_a_caricature_begins_along_the_original():
    original = numbers(2, 4, 3, 3)
    gradient = slope(lambda x: caricature(x, original=original, power=0), original)
    torch.testing.assert_close(gradient, original)
    assert caricature(2 * original, original=original).tolist() == pytest.approx(
        (2 * original.square().flatten(1).sum(1)).tolist(), rel=1e-4
    )


def test_total_variation_is_the_sum_of_the_edges():
    ramp = torch.arange(145.0).expand(1, 1, 1, 145)
    assert total_variation(ramp).tolist() == [144.0]
    assert total_variation(ramp.roll(1, 3)).tolist() == [287.0]  # what a circular shift would add


def test_what_holds_the_picture_back_pulls_to_where_it_should_be():
    image, original = picture(1, 3, 60, 60), picture(1, 3, 60, 60, seed=1)
    torch.testing.assert_close(slope(lambda x: stay_near(x, original=original), image), image - original)
    flat = torch.full((1, 3, 60, 60), 0.3)
    assert float(blur_distance(flat)) == pytest.approx(0, abs=1e-6)
    assert float(blur_distance(image)) > 1
    frame = slope(lambda x: boundary(x, width=10, level=0.5), image)
    assert not frame[:, :, 10:-10, 10:-10].any()
    torch.testing.assert_close(frame[:, :, :10], 2 * (image - 0.5)[:, :, :10])


# Parameterizations


@pytest.mark.parametrize("size", [(101, 97), (64, 48), (33, 32), (32, 33)])
def test_a_spectrum_gives_the_picture_back_at_odd_sizes_too(size):
    image = picture(2, 3, *size)
    for decay in (0.0, 1.25, 2.0):
        back = fourier.decode(fourier.encode(image, decay=decay), image.shape, decay=decay)
        torch.testing.assert_close(back, image, atol=1e-6, rtol=0)


def test_a_spectrums_large_shapes_move_farther():
    image = torch.zeros(1, 1, 64, 64)
    parameters = fourier.encode(image)
    moved = [parameters.clone() for _ in range(2)]
    moved[0][0, 0, 1, 1, 0] = 1
    moved[1][0, 0, 20, 20, 0] = 1
    coarse, fine = (fourier.decode(one, image.shape).std() for one in moved)
    assert coarse / fine == pytest.approx(20**1.25, rel=1e-3)


@pytest.mark.parametrize("size", [(101, 97), (64, 48), (5, 3), (1, 9)])
def test_a_pyramid_gives_the_picture_back_at_any_size(size):
    image = picture(2, 3, *size)
    for levels, power in ((1, 0.5), (5, 0.0), (12, 2.0)):
        parameters = pyramid.encode(image, levels=levels, power=power)
        back = pyramid.decode(parameters, image.shape, levels=levels, power=power)
        torch.testing.assert_close(back, image, atol=1e-5, rtol=0)


def test_a_pyramids_large_shapes_move_farther_and_wider():
    image = torch.zeros(1, 1, 64, 64)
    parameters = pyramid.encode(image, levels=4, power=1.0)
    moved = [parameters.clone() for _ in range(2)]
    moved[0][0, -1] = 1  # the last cell of 8 pixels
    moved[1][0, 0] = 1  # the first pixel
    coarse, fine = (pyramid.decode(one, image.shape, levels=4, power=1.0) for one in moved)
    assert float(coarse.max()) == pytest.approx(8)
    assert int((fine != 0).sum()) == 1
    assert int((coarse > 4).sum()) > 30


def test_a_painting_network_paints_the_same_at_any_size_and_each_picture_by_itself():
    small, large = torch.Size([2, 3, 30, 40]), torch.Size([2, 3, 150, 200])  # every fifth place is the same in both
    parameters = cppn.encode(torch.zeros(small), layers=2)
    parameters[1] += 0.1 * numbers(parameters.shape[1])
    painted = cppn.decode(parameters, small, layers=2)
    shrunk = torch.nn.functional.interpolate(cppn.decode(parameters, large, layers=2), (30, 40), mode="area")
    assert float((painted - shrunk).abs().mean() / painted.std()) < 0.05
    torch.testing.assert_close(painted[1:], cppn.decode(parameters[1:], torch.Size([1, 3, 30, 40]), layers=2))


def test_a_painting_network_learns_a_picture_by_its_weights():
    wanted = picture(1, 3, 16, 24) * 2 - 1
    parameters = cppn.encode(wanted, layers=3, width=16).requires_grad_()
    optimizer = torch.optim.Adam([parameters], 0.02)
    far = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (cppn.decode(parameters, wanted.shape, layers=3, width=16) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        far.append(float(loss.detach()))
    assert far[-1] < 0.5 * far[0]


def test_colours_come_back_from_what_encodes_them():
    image = picture(2, 3, 20, 30)
    torch.testing.assert_close(decorrelated.decode(decorrelated.encode(image), image.shape), image, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        bounded.decode(bounded.encode(image), image.shape), image.clamp(0.02, 0.98), atol=1e-6, rtol=0
    )
    grey = decorrelated.decode(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1), image.shape).flatten()
    assert float(grey.max() / grey.min()) < 1.1  # the first direction is light


def test_phases_alone_move_and_the_magnitudes_stay():
    image = picture(2, 3, 45, 37)
    parameters = phase.encode(image)
    for moved in (parameters, parameters + numbers(*parameters.shape)):
        decoded = phase.decode(moved, image.shape, contrast=2.0)
        torch.testing.assert_close(decoded.std((1, 2, 3)), torch.tensor([2.0, 2.0]), atol=1e-3, rtol=0)
        assert float(decoded.mean((2, 3)).abs().max()) < 1e-5
    same = phase.decode(parameters, image.shape)
    torch.testing.assert_close(phase.encode(same)[..., 1:], parameters[..., 1:], atol=2e-3, rtol=0)


# Optimizers


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])
def test_adam_is_torchs_adam_step_by_step(betas):
    ours, theirs = numbers(2, 3, 5, 4), nn.Parameter(numbers(2, 3, 5, 4))
    reference = torch.optim.Adam([theirs], lr=0.05, betas=betas, maximize=True)
    state: dict[str, Tensor] = {}
    for step in range(30):
        gradient = numbers(2, 3, 5, 4, seed=step + 1) * (10.0 ** (step % 5 - 2))
        ours = ours + 0.05 * adam(gradient.clone(), state, beta1=betas[0], beta2=betas[1])
        theirs.grad = gradient
        reference.step()
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("unknowns", [3, 6, 12])
def test_lbfgs_is_done_with_a_quadratic_of_n_unknowns_in_n_and_three_steps(unknowns):
    """Two pictures, of different curvature, each with its own history."""
    best = numbers(2, unknowns, seed=1)
    matrices = []
    for seed, spread in ((2, 3.0), (3, 10.0)):
        turned, _ = torch.linalg.qr(numbers(unknowns, unknowns, seed=seed))
        matrices.append(turned @ torch.diag(torch.linspace(1, spread, unknowns)) @ turned.T)
    curvature = torch.stack(matrices)
    at, state = torch.zeros(2, unknowns), {}
    for _ in range(unknowns + 3):
        gradient = torch.einsum("nij,nj->ni", curvature, best - at)
        at = at + lbfgs(gradient, state, parameters=at, history=unknowns + 3)
    torch.testing.assert_close(at, best, atol=2e-3, rtol=0)


def test_lbfgs_climbs_where_the_loss_is_not_curved_downwards():
    at, state = torch.full((1, 4), 0.1), {}
    for _ in range(5):
        before = at
        at = at + 0.1 * lbfgs(2 * at, state, parameters=at)
        assert float(at.norm()) > float(before.norm())


# Gradient steps


@pytest.mark.parametrize("size", [(128, 128), (101, 97), (20, 9), (5, 5)])
def test_the_laplacian_without_normalising_is_the_gradient_itself(size):
    gradient = numbers(2, 3, *size)
    torch.testing.assert_close(laplacian(gradient, normalize=False), gradient, atol=1e-6, rtol=0)
    off = (laplacian(gradient, normalize=False) - gradient).square().mean().sqrt() / gradient.square().mean().sqrt()
    assert float(off) < 2e-7


def test_the_laplacian_makes_large_shapes_as_strong_as_fine_grain():
    down = torch.arange(128.0)
    coarse = torch.sin(down * 2 * torch.pi / 32).view(1, 1, 128, 1).expand(1, 3, 128, 128)
    fine = torch.sin(down * 2 * torch.pi / 3).view(1, 1, 1, 128).expand(1, 3, 128, 128)

    def share(gradient: Tensor) -> float:
        spectrum = torch.fft.rfft2(gradient[0, 0])
        return float(spectrum[4, 0].abs() / spectrum[0].abs()[30:].max())

    mixed = 0.01 * coarse + fine
    assert share(mixed) == pytest.approx(0.01, rel=0.3)
    assert share(laplacian(mixed)) > 0.3


def test_natural_keeps_grey_and_pales_colours():
    grey, red = torch.ones(1, 3, 2, 2), torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    torch.testing.assert_close(natural(red, amount=0), red)
    mixed = natural(red, amount=0.7).flatten()
    assert mixed[0] > mixed[1] > 0.4
    assert mixed[1] > mixed[2] > 0
    light = natural(grey).mean((2, 3))[0]
    assert float(light.max() / light.min()) < 1.3
    assert float(light.mean()) > 2  # what all three share climbs fastest


def test_clip_cuts_off_what_is_largest():
    gradient = numbers(1, 3, 40, 40)
    gradient[0, 0, 3, 3] = 1000
    clipped = clip(gradient, limit=2)
    assert float(clipped.max()) == pytest.approx(2 * float(gradient.std()), rel=1e-4)
    assert torch.equal(clipped[0, 1], gradient[0, 1])


# Transforms


def test_a_turn_of_nothing_is_the_picture():
    image = picture(2, 3, 41, 30)
    same = turn(image, random=random(1, 2), degrees=0, scale=(1, 1))
    torch.testing.assert_close(same, image, atol=1e-5, rtol=0)
    both = turn(image.expand(2, 3, 41, 30), random=random(1, 2), degrees=0, scale=(1, 1), flip=True)
    for one, whole in zip(both, image.expand(2, 3, 41, 30), strict=True):
        assert min(float((one - wanted).abs().max()) for wanted in (whole, whole.flip(2))) < 1e-5


def test_half_a_turn_turns_the_picture_over():
    image = picture(1, 3, 40, 40)

    class Always(Random):
        def uniform(self, low: float, high: float, *shape: int) -> Tensor:
            return torch.full((1, *shape), high)

    over = turn(image, random=Always([], torch.device("cpu")), degrees=180, scale=(1, 1))
    torch.testing.assert_close(over, image.flip(2, 3), atol=1e-4, rtol=0)


def test_magnify_moves_evenly_about_the_true_centre():
    down, right = torch.meshgrid(torch.linspace(-1, 1, 61), torch.linspace(-1, 1, 80), indexing="ij")
    image = (0.5 + 0.2 * torch.stack([down, right, down + right])).unsqueeze(0)
    closer = magnify(image, closer=1.03)
    expected = 0.5 + (image - 0.5) / 1.03
    torch.testing.assert_close(closer[:, :, 4:-4, 4:-4], expected[:, :, 4:-4, 4:-4], atol=1e-3, rtol=0)
    twice = magnify(magnify(image, closer=1.03**0.5), closer=1.03**0.5)
    torch.testing.assert_close(twice[:, :, 4:-4, 4:-4], closer[:, :, 4:-4, 4:-4], atol=2e-3, rtol=0)


def test_crops_are_parts_of_the_picture_those_of_one_behind_each_other():
    images = torch.stack([torch.full((3, 50, 70), 0.2), torch.full((3, 50, 70), 0.8)])
    views = crops(images, random=random(1, 2), count=3, size=32)
    assert views.shape == (6, 3, 32, 32)
    assert views.mean((1, 2, 3)).tolist() == pytest.approx([0.2] * 3 + [0.8] * 3)
    down = torch.linspace(0, 1, 400).view(1, 1, 400, 1).expand(1, 3, 400, 500)
    parts = crops(down, random=random(3), count=8, size=100, box=(0.25, 0.25))
    heights = parts[:, 0].amax((1, 2)) - parts[:, 0].amin((1, 2))
    assert heights.tolist() == pytest.approx([0.25] * 8, abs=0.01)


def test_noise_falls_to_its_end():
    grey = torch.full((1, 3, 100, 100), 0.5)
    widths = [float(noise(grey, random=random(1), progress=p, sigma=0.1, end=0.02).std()) for p in (0.0, 0.5, 1.0)]
    assert widths == pytest.approx([0.1, 0.06, 0.02], rel=0.02)


def test_original_colours_are_kept_within_a_two_hundred_and_fifty_fifth():
    original, dreamed = picture(1, 3, 64, 64), picture(1, 3, 64, 64, seed=1)
    result = original_colors(dreamed, original=original)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert float(result.min()) > -1 / 255
    assert float(result.max()) < 1 + 1 / 255
    assert float(((result - dreamed) * luma).sum(1).abs().max()) < 1 / 255
    colour, wanted = (image - (image * luma).sum(1, keepdim=True) for image in (result, original))
    cosine = torch.nn.functional.cosine_similarity(colour, wanted, dim=1)
    assert float(cosine[wanted.norm(dim=1) > 0.1].min()) > 0.9 or float(colour.norm(dim=1).min()) < 0.05
    free = (colour - wanted).abs().amax(1) < 1 / 255
    assert float(free.float().mean()) > 0.3  # where there is room, the colours are the very same
    torch.testing.assert_close(original_colors(original, original=original), original, atol=1e-5, rtol=0)


def test_a_histogram_is_matched():
    image, other = picture(1, 3, 80, 80) ** 2, 0.3 + 0.4 * picture(1, 3, 60, 90, seed=1)
    matched = match_histogram(image, original=image, picture=other)
    for share in (0.01, 0.25, 0.5, 0.75, 0.99):
        ours, theirs = (one.flatten().quantile(share) for one in (matched, other))
        assert float(ours) == pytest.approx(float(theirs), abs=0.01)
    order = image[0, 0].flatten().argsort()
    assert bool((matched[0, 0].flatten()[order].diff() >= 0).all())
    torch.testing.assert_close(match_histogram(image, original=image), image, atol=1e-3, rtol=0)


def test_what_differs_by_rounding_alone_is_not_spread_over_the_histogram():
    flat = torch.zeros(1, 3, 50, 50)
    flat[:, :, 25:] = 0.8
    other = picture(1, 3, 50, 50)
    hair = flat + 1e-7 * numbers(1, 3, 50, 50)
    off = match_histogram(hair, original=hair, picture=other) - match_histogram(flat, original=flat, picture=other)
    assert float(off.abs().max()) < 1e-3


def test_stretch_clips_a_percentile_at_either_end_and_keeps_grey_grey():
    image = 0.4 + 0.2 * picture(1, 1, 100, 100).expand(1, 3, 100, 100)
    stretched = stretch(image, percentile=1)
    assert float((stretched == 0).float().mean()) == pytest.approx(0.01, abs=0.002)
    assert float((stretched == 1).float().mean()) == pytest.approx(0.01, abs=0.002)
    assert torch.equal(stretched[:, 0], stretched[:, 1])


def test_noise_begins_in_the_pictures_colours():
    image = torch.stack([0.6 + 0.1 * picture(64, 96), 0.3 * picture(64, 96, seed=1), torch.full((64, 96), 0.5)])[None]
    started = noise_start(image, random=random(7))
    torch.testing.assert_close(started.mean((2, 3)), image.mean((2, 3)), atol=0.02, rtol=0)
    torch.testing.assert_close(started.std((2, 3)), image.std((2, 3)), atol=0.02, rtol=0)
    assert torch.equal(blend(started, original=image, amount=1.0), image)
    assert not torch.equal(started, noise_start(image, random=random(8)))


def test_noise_for_a_single_pixel_is_its_own_colour():
    pixel = picture(1, 1)[None].expand(1, 3, 1, 1)
    torch.testing.assert_close(noise_start(pixel, random=random(7)), pixel)


def test_calm_keeps_what_is_flat_of_the_original_and_what_is_lively_of_the_dream():
    stripes = torch.tensor([0.3, 0.7]).repeat(32).expand(1, 3, 64, 64)  # their standard deviation is 0.2
    original = torch.cat([torch.full((1, 3, 64, 64), 0.5), stripes], 3)
    dream = torch.rand(original.shape, generator=torch.Generator().manual_seed(1))
    result = calm(dream, original=original, contrast=0.1)
    torch.testing.assert_close(result[..., :40], original[..., :40], atol=1e-4, rtol=0)
    torch.testing.assert_close(result[..., 80:], dream[..., 80:])
    half = calm(dream, original=original, contrast=0.4)[..., 90:110]
    torch.testing.assert_close(half, torch.lerp(original, dream, 0.5)[..., 90:110], atol=0.01, rtol=0)
    torch.testing.assert_close(calm(dream, original=original, amount=0), dream)

"""What only a GPU can show: its precisions, its agreement with the processor, that it repeats itself."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from torch import Tensor

from dreamd.engine.ascents.ascent import ascend
from dreamd.engine.ascents.chance import Random
from dreamd.engine.ascents.climbing import Climbing, outset_of
from dreamd.engine.dream import dream
from dreamd.engine.objectives.objective import WholeGradient
from dreamd.engine.speed.precision import Precision, cast, fastest, products_in
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.machine.device import choose_device
from dreamd.worker.recipes.builder import Builder

if TYPE_CHECKING:
    from dreamd.engine.dreamer import Dreamer

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that torch can use"),
    pytest.mark.timeout(300),
]

RANDOM = "backbone.weights=random"

LR = 20.0
"""Random weights hardly move a picture at the article's own 0.2."""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins("dreamd.engine")


@pytest.fixture(scope="module")
def gpu(plugins: Plugins) -> Builder:
    return Builder(plugins, torch.device("cuda"))


@pytest.fixture(scope="module")
def processor(plugins: Plugins) -> Builder:
    return Builder(plugins, torch.device("cpu"))


def recipe(preset: str, precision: str, *fields: str) -> Recipe:
    document = set_fields([f"precision={precision}", *fields])
    return resolve([*RecipeBook(None).documents_of_name(preset), document]).recipe


def article(precision: str) -> Recipe:
    fields = ("layers=10", f"ascent.lr={LR}", "ascent.iterations=4", "schedule.num_octaves=1")
    return recipe("article", precision, "backbone.weights=random", *fields)


def pictures(count: int = 1, height: int = 96, width: int = 128) -> Tensor:
    pixels = torch.randint(0, 256, (count, 3, height, width), generator=torch.Generator().manual_seed(0))
    return pixels.float().div(255)


def dreamed(dreamer: Dreamer, images: Tensor) -> Tensor:
    return dream(images, dreamer, seeds=range(len(images))).images


def psnr(first: Tensor, second: Tensor) -> float:
    error = float(((first - second) ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def test_a_gpu_is_chosen_by_itself_and_by_name() -> None:
    assert choose_device("auto").torch == torch.device("cuda", 0)
    assert choose_device("auto:99").torch == torch.device("cpu")
    assert choose_device("cuda").torch.type == "cuda"
    assert choose_device("cuda:3", is_alone=True).label == "cuda:3"


def test_the_fastest_precision_of_a_gpu_is_not_fp32() -> None:
    assert fastest(torch.device("cuda")) in (Precision.BF16, Precision.TF32)


def test_fp32_products_are_exact_and_tf32_ones_are_not() -> None:
    left, right = (
        torch.randn(512, 512, device="cuda", generator=torch.Generator("cuda").manual_seed(seed)) for seed in (0, 1)
    )
    exact = left.double() @ right.double()

    def error(precision: Precision) -> float:
        with products_in(precision):
            return float(((left @ right) - exact).norm() / exact.norm())

    assert error(Precision.FP32) < 1e-6
    if torch.cuda.get_device_capability()[0] >= 8:
        assert error(Precision.TF32) > 1e-5


def test_a_gpu_dreams_in_fp32_what_the_processor_dreams(gpu: Builder, processor: Builder) -> None:
    there = dreamed(gpu.build(article("fp32")).dreamer, pictures())
    here = dreamed(processor.build(article("fp32")).dreamer, pictures())
    assert there.device.type == "cpu"
    assert psnr(there, here) > 40
    assert psnr(here, pictures()) < 25


@pytest.mark.parametrize("precision", ["auto", "tf32"])
def test_fast_precisions_stay_near_fp32(gpu: Builder, precision: str) -> None:
    fast = dreamed(gpu.build(article(precision)).dreamer, pictures())
    assert psnr(fast, dreamed(gpu.build(article("fp32")).dreamer, pictures())) >= 27


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_gpu_gives_the_same_bytes_again(gpu: Builder, precision: str) -> None:
    dreamer = gpu.build(recipe("animals", precision, "ascent.iterations=3", "schedule.num_octaves=2")).dreamer
    assert torch.equal(dreamed(dreamer, pictures()), dreamed(dreamer, pictures()))


def test_a_batch_on_a_gpu_is_its_pictures_one_by_one(gpu: Builder) -> None:
    built = gpu.build(recipe("animals", "fp32", "ascent.iterations=2", "schedule.num_octaves=2", "ascent.jitter=0"))
    images = pictures(2)
    together = dreamed(built.dreamer, images)
    for image, alone in zip(together, images, strict=True):
        assert psnr(image, dreamed(built.dreamer, alone[None])[0]) > 40


def test_a_dream_leaves_no_memory_behind(gpu: Builder) -> None:
    dreamer = gpu.build(recipe("animals", "fp32", "ascent.iterations=2", "schedule.num_octaves=1")).dreamer
    longer = replace(dreamer, settings=replace(dreamer.settings, iterations=4))
    for made in (dreamer, longer):  # each has kernels of its own for its gradient steps, some hundred of which are kept
        dreamed(made, pictures())
    before = torch.cuda.memory_allocated()
    for made in (longer, dreamer, longer):
        dreamed(made, pictures())
    assert torch.cuda.memory_allocated() == before


@pytest.mark.parametrize("preset", ["animals", "classic"])
def test_the_first_party_steps_and_losses_never_wait_for_the_gpu(gpu: Builder, preset: str) -> None:
    """The whole dream in a mode where a wait is an error, but for the waits that end an ascent."""
    dreamer = gpu.build(recipe(preset, "auto", "ascent.iterations=2", "schedule.num_octaves=1", RANDOM)).dreamer
    steps = dreamer.steps
    images = pictures().to("cuda")
    with WholeGradient(dreamer.backbone.network, dreamer.objective) as gradient, torch.no_grad():
        generators = [torch.Generator()]

        def climb() -> None:
            ascend(images, lambda x: gradient(x, prepare), dreamer.settings, steps=steps, generators=generators)

        def prepare(x: Tensor) -> Tensor:
            return cast(x, dreamer.precision)

        climb()
        torch.cuda.set_sync_debug_mode("error")
        try:
            climb()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("preset", ["animals", "classic", "article"])
def test_every_preset_is_recorded(gpu: Builder, preset: str) -> None:
    dreamer = gpu.build(recipe(preset, "auto", "ascent.iterations=2", "schedule.num_octaves=1", RANDOM)).dreamer
    assert dreamer.graphs is not None
    dreamer.graphs.release()
    recorded = dreamed(dreamer, pictures())
    assert len(dreamer.graphs) > 0
    assert psnr(recorded, dreamed(replace(dreamer, graphs=None), pictures())) > 35


CHAIN = (
    "parameterization=[bounded, decorrelated, fourier]",
    "transforms=[jitter, turn, noise, blur, calm, {name: crops, count: 2}]",
    "settle=[magnify, original_colors, clamp]",
)
"""What stands around the gradient, one of nearly each kind, by names that a recipe has for it."""


def climbing_of(dreamer: Dreamer, images: Tensor) -> Climbing:
    """A climb made ready, its channels chosen."""
    generators = [torch.Generator() for _ in images]
    return Climbing(dreamer, dreamer.climbs[0], generators, outset_of(dreamer, images, None, None))


def climbed(dreamer: Dreamer, climbing: Climbing, images: Tensor) -> Tensor:
    """Pictures after an ascent around which everything stands that the recipe names."""
    x = (images - climbing.mean) / climbing.std
    generators = [torch.Generator() for _ in images]
    scene = climbing.scene(x.shape, Random(generators, x.device))
    settings = replace(dreamer.settings, iterations=2)
    return ascend(x, climbing.gradient, settings, steps=dreamer.steps, generators=generators, scene=scene).x


def test_the_first_party_chain_never_waits_for_the_gpu(gpu: Builder) -> None:
    dreamer = gpu.build(recipe("animals", "auto", "schedule.num_octaves=1", RANDOM, *CHAIN)).dreamer
    images = pictures().to("cuda")
    with closing(climbing_of(dreamer, images)) as climbing:
        climbed(dreamer, climbing, images)
        torch.cuda.set_sync_debug_mode("error")
        try:
            climbed(dreamer, climbing, images)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "chain", [CHAIN, ("parameterization=[pyramid]",), ("transforms=[magnify]",)], ids=lambda each: each[0]
)
def test_what_stands_around_the_gradient_gives_the_same_bytes_again(gpu: Builder, chain: tuple[str, ...]) -> None:
    """torch warns of an operation that has no deterministic kernel, and warnings are errors here."""
    dreamer = gpu.build(
        recipe("animals", "auto", "ascent.iterations=3", "schedule.num_octaves=2", RANDOM, *chain)
    ).dreamer
    assert torch.equal(dreamed(dreamer, pictures()), dreamed(dreamer, pictures()))


@pytest.mark.parametrize("loss", ["guide", "caricature"])
def test_a_loss_that_compares_is_recorded_and_gives_what_it_gives_without(
    gpu: Builder, tmp_path: Path, loss: str
) -> None:
    fields = ["loss=caricature"]
    if loss == "guide":
        saved = tmp_path / "guide.png"
        Image.fromarray(pictures(height=80)[0].permute(1, 2, 0).mul(255).byte().numpy()).save(saved)
        fields = [f"loss={{name: guide, picture: {saved}}}"]
    fields += ["ascent.iterations=3", "schedule.num_octaves=2", RANDOM]
    dreamer = gpu.build(recipe("animals", "auto", *fields)).dreamer
    assert dreamer.graphs is not None
    dreamer.graphs.release()
    recorded = dreamed(dreamer, pictures())
    assert len(dreamer.graphs) > 0
    assert psnr(recorded, dreamed(replace(dreamer, graphs=None), pictures())) > 35

"""Recipes of all kinds of plugins, dreamed: finite, the right size, the same in a batch; pictures that recipes name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dreamd.errors import RecipeError
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipe import Recipe
from dreamd.worker.bounds import Bounds
from dreamd.worker.device import Device
from dreamd.worker.recipe_pictures import RecipePictures
from dreamd.worker.session import Dream, Session

NETWORK = """
from torch import nn
from dreamd.api import Backbone, hookimpl

def tiny(name):
    low, high = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
    network = nn.Sequential(low, nn.ReLU(), high, nn.ReLU())
    return Backbone(network=network, layers={"low": "1", "high": "3"}, default_layer="high", min_side=16)

@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads that wait for each other on a busy machine take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    folder.chmod(0o755)
    (folder / "tiny.py").write_text(NETWORK, encoding="utf-8")
    (folder / "tiny.py").chmod(0o644)
    pixels = np.random.default_rng(1).integers(0, 256, (30, 44, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "other.png")
    Image.fromarray(np.uint8([[0, 0, 255, 255]])).save(folder / "mask.png")
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    plugins = Plugins("dreamd.engine", folders=[folder], only={"tiny"})
    bounds = Bounds(max_pixels=100_000, max_bytes=1_000_000, memory=4_000_000_000, picture_folders=(folder,))
    return Session(plugins, Device(torch=torch.device("cpu"), label="cpu"), bounds)


def picture(seed: int = 0, alpha: bool = False) -> Picture:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (40, 37, 3), np.uint8)
    opaque = np.where(np.arange(37) < 20, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    return Picture(pixels=pixels, alpha=opaque if alpha else None, format="PNG")


def dreams_of(session: Session, pictures: list[Picture], **fields: Any) -> list[Dream]:
    recipe = Recipe.model_validate(
        {
            "backbone": {"name": "tiny", "weights": "random"},
            "schedule": {"name": "octaves", "num_octaves": 2},
            "precision": "fp32",
            **fields,
        }
    )
    return session.dream(pictures, session.build(recipe), on_progress=lambda _progress: None)


def steps(*choices: object) -> st.SearchStrategy[list[object]]:
    return st.lists(st.sampled_from(choices), max_size=2)


def recipes(other: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any recipe out of all plugins, with a word or two of parameters."""
    loss = st.sampled_from(
        ["l2", "mean", "mean_square", "l1", "max", "caricature", {"name": "guide", "picture": other},
         {"name": "guide", "picture": other, "by": "cosine"}, {"name": "direction", "picture": other}]
    )  # fmt: skip
    of_picture = st.sampled_from(["total_variation", "stay_near", "blur_distance", {"name": "boundary", "width": 5}])
    layers = st.tuples(loss, loss, of_picture).map(
        lambda three: [{"name": "low", "loss": three[0], "channels": [0, 2]}, {"name": "high", "loss": three[1]},
                       {"name": "picture", "loss": three[2], "weight": -0.001}]
    )  # fmt: skip
    moving = ["jitter", "turn", {"name": "turn", "flip": True, "shift": 3}, "noise", {"name": "noise", "end": 0.0},
              {"name": "crops", "count": 2, "size": 32}, "blur", {"name": "magnify", "degrees": 5}]  # fmt: skip
    once = ["original_colors", {"name": "match_histogram", "picture": other}, "match_histogram", "blend", "stretch",
            "noise_start", "clamp", "magnify", "blur"]  # fmt: skip
    optimizer = st.sampled_from(["plain", "adam", "lbfgs"])
    return st.builds(
        lambda layers, levels, transforms, start, settle, finish, gradient, optimizer, jitter: {
            "layers": layers,
            "parameterization": levels,
            "transforms": [] if optimizer == "lbfgs" else transforms,
            "start": start,
            "settle": settle,
            "finish": finish,
            "gradient": gradient,
            "ascent": {"iterations": 2, "lr": 0.05, "lr_end": 0.01, "optimizer": optimizer,
                       "jitter": 0 if optimizer == "lbfgs" else jitter},
        },
        layers,
        st.sampled_from([[], ["bounded"], ["bounded", "decorrelated"], ["bounded", "decorrelated", "fourier"],
                         ["fourier"], ["bounded", "phase"]]),
        steps(*moving),
        steps(*once),
        steps("clamp", "blur", "blend"),
        steps(*once),
        steps("smooth", "normalize", "laplacian", "natural", "clip"),
        optimizer,
        st.integers(0, 9),
    )  # fmt: skip


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_recipe_out_of_all_plugins_gives_a_picture_the_same_in_a_batch(session, folder, data):
    recipe = data.draw(recipes(str(folder / "other.png")))
    pictures = [picture(1), picture(2)]
    together = dreams_of(session, pictures, **recipe)
    for one, dream in zip(pictures, together, strict=True):
        assert dream.picture.pixels.shape == one.pixels.shape
        (alone,) = dreams_of(session, [one], **recipe)
        if recipe["ascent"]["optimizer"] == "plain":  # the others make a whole step of a gradient of rounding alone
            off = np.abs(alone.picture.pixels.astype(int) - dream.picture.pixels.astype(int))
            assert (off > 3).mean() < 0.05  # another order of sums turns a nearest cell or a maximum now and then
        (again,) = dreams_of(session, [one], **recipe)
        assert np.array_equal(again.picture.pixels, alone.picture.pixels)


def test_a_mask_of_alpha_leaves_what_is_clear_as_it_was(session):
    given_picture = picture(alpha=True)
    (dream,) = dreams_of(session, [given_picture], image={"mask": "alpha"}, finish=["stretch"],
                         parameterization=["bounded", "fourier"], ascent={"lr": 0.5, "optimizer": "adam"})  # fmt: skip
    assert np.array_equal(dream.picture.pixels[:, :20], given_picture.pixels[:, :20])
    assert not np.array_equal(dream.picture.pixels[:, 20:], given_picture.pixels[:, 20:])
    (whole,) = dreams_of(session, [picture()], image={"mask": "alpha"})
    assert not np.array_equal(whole.picture.pixels[:, :20], given_picture.pixels[:, :20])


def test_a_mask_is_a_grey_picture_of_any_size(session, folder):
    (dream,) = dreams_of(session, [picture()], image={"mask": str(folder / "mask.png")}, ascent={"lr": 0.5})
    changed = (dream.picture.pixels != picture().pixels).any((0, 2))
    assert not changed[:12].any()
    assert changed[26:].all()


def test_the_sidecar_and_the_checkpoint_know_the_pictures_that_a_recipe_names(session, folder, tmp_path):
    named = tmp_path_in(folder) / "guide.png"
    Image.fromarray(picture(5).pixels).save(named)
    fields = {"loss": {"name": "guide", "picture": str(named)}}
    (dream,) = dreams_of(session, [picture()], **fields)
    sidecar = session.sidecar(job="a", source=Path("a.png"), dream=dream, seconds=1.0)
    (path,) = sidecar.pictures
    assert path == str(named)
    Image.fromarray(picture(6).pixels).save(named)
    (other,) = dreams_of(session, [picture()], **fields)
    assert not np.array_equal(other.picture.pixels, dream.picture.pixels)
    changed = session.sidecar(job="a", source=Path("a.png"), dream=other, seconds=1.0)
    assert changed.pictures[path] != sidecar.pictures[path]


def tmp_path_in(folder: Path) -> Path:
    inner = folder / "named"
    inner.mkdir(exist_ok=True)
    return inner


@pytest.mark.parametrize("where", ["outside.png", "link.png", "linked/other.png"])
def test_a_picture_outside_of_its_folders_is_refused_with_the_field_that_names_it(folder, tmp_path, where):
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.fromarray(picture().pixels).save(outside / "other.png")
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.png").write_bytes((outside / "other.png").read_bytes())
    (inside / "link.png").symlink_to(outside / "other.png")
    (inside / "linked").symlink_to(outside)
    bounds = Bounds(max_pixels=100_000, max_bytes=1_000_000, memory=1, picture_folders=(inside,))
    path = tmp_path / where if where == "outside.png" else inside / where
    with pytest.raises(RecipeError) as caught:
        RecipePictures(bounds).load(str(path), ("loss", "picture"))
    assert caught.value.field == ("loss", "picture")


@pytest.mark.parametrize("text", [None, b"", b"no picture"])
def test_a_picture_that_cannot_be_read_holds_the_recipe(session, folder, text):
    file = folder / "broken.png"
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(RecipeError) as caught:
        dreams_of(session, [picture()], loss={"name": "guide", "picture": str(file)})
    assert caught.value.field == ("loss", "picture")

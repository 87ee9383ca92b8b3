"""Recipes that say what of a layer is to grow, against the networks they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from dreamd.engine.objectives.objective import Term
from dreamd.engine.objectives.targets import CENTER, Choice, Place
from dreamd.errors import RecipeError
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device
from dreamd.worker.session import Session

NETWORK = """
from torch import nn
from dreamd.api import Backbone, hookimpl

LABELS = ["peacock", "crane", "sea anemone", "crane", "volcano"]

def tiny(name):
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    layers = {"low": "1", "conv": "2", "high": "3", "scores": "6"}
    return Backbone(network=network, layers=layers, default_layer="high", min_side=16,
                    labels=(lambda: LABELS) if name == "tiny" else None)

@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)
    register("nameless", tiny)
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    folder.chmod(0o755)
    (folder / "tiny.py").write_text(NETWORK, encoding="utf-8")
    (folder / "tiny.py").chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    plugins = Plugins("dreamd.engine", folders=[folder], only={"tiny"})
    bounds = Bounds(max_pixels=100_000, max_bytes=1_000_000, memory=4_000_000_000, picture_folders=(folder,))
    return Session(plugins, Device(torch=torch.device("cpu"), label="cpu"), bounds)


def recipe(*layers: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "backbone": {"name": "tiny", "weights": "random"},
            "schedule": {"name": "octaves", "num_octaves": 2},
            "precision": "fp32",
            "loss": "mean",
            **({"layers": list(layers)} if layers else {}),
            **fields,
        }
    )


def terms(session: Session, *layers: dict[str, Any], **fields: Any) -> tuple[Term, ...]:
    return session.build(recipe(*layers, **fields)).dreamer.objective.terms


def problem_of(session: Session, *layers: dict[str, Any], **fields: Any) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        terms(session, *layers, **fields)
    return caught.value


# Labels


def test_labels_and_numbers_become_channels(session: Session) -> None:
    (term,) = terms(session, {"name": "scores", "channels": ["Volcano", "sea_anemone", 0, 4]})
    assert term.channels == (4, 2, 0)


def test_a_label_that_several_channels_bear_means_all_of_them(session: Session) -> None:
    (term,) = terms(session, {"name": "scores", "channels": ["crane"]})
    assert term.channels == (1, 3)


def test_a_misspelt_label_is_refused_with_the_nearest_and_its_field(session: Session) -> None:
    error = problem_of(session, {"name": "low"}, {"name": "scores", "channels": [1, "peacok"]})
    assert error.field == ("layers", 1, "channels", 1)
    assert "no label 'peacok'; did you mean peacock? (`dreamd layers tiny --labels WORD` finds them)" in error.problem


def test_a_label_on_a_layer_that_is_not_the_scores_is_refused(session: Session) -> None:
    error = problem_of(session, {"name": "high", "channels": ["peacock"]})
    assert error.field == ("layers", 0, "channels", 0)
    assert "the labels of tiny are of 5 classes, and layer high has 8 channels" in error.problem


def test_a_label_of_a_network_without_labels_is_refused(session: Session) -> None:
    error = problem_of(
        session, {"name": "scores", "channels": ["peacock"]}, backbone={"name": "nameless", "weights": "random"}
    )
    assert "backbone nameless has no labels; give channels by number" in error.problem


def test_labels_of_the_embedded_network_and_of_torchvisions_and_timms_are_those_of_imagenet() -> None:
    from dreamd_plugins.efficientnet_lite0 import efficientnet_lite
    from dreamd_plugins.timm_models import timm_model
    from dreamd_plugins.torchvision_models import torchvision_model

    for backbone in (efficientnet_lite("efficientnet_lite0"), torchvision_model("resnet18")):
        labels = backbone.class_labels()
        assert (len(labels), labels[84], labels[108]) == (1000, "peacock", "sea anemone")
    labels = timm_model("timm/resnet18").class_labels()
    assert (len(labels), labels[84], labels[0]) == (1000, "peacock", "tench, Tinca tinca")


# Numbers, choices, places


def test_a_channel_that_is_not_there_is_refused_before_the_dream(session: Session) -> None:
    error = problem_of(session, {"name": "high", "channels": [3, 8]})
    assert (error.field, error.problem) == (
        ("layers", 0, "channels", 1), "8: layer high has 8 channels, from 0 to 7"
    )  # fmt: skip


def test_choices_reach_the_engine(session: Session) -> None:
    once, anew = terms(
        session,
        {"name": "high", "channels": {"strongest": 3}},
        {"name": "low", "channels": {"random": 2, "when": "octave"}, "weight": -0.5},
    )
    assert isinstance(once.channels, Choice)
    assert isinstance(anew.channels, Choice)
    assert once.channels.key == ("strongest", 3, False)
    assert anew.channels.key == ("random", 2, True)
    assert anew.weight == -0.5


def test_more_channels_than_a_layer_has_are_refused(session: Session) -> None:
    error = problem_of(session, {"name": "high", "channels": {"weakest": 9}})
    assert (error.field, error.problem) == (("layers", 0, "channels", "weakest"), "9: layer high has 8 channels")


def test_places_reach_the_engine_and_scores_have_none(session: Session) -> None:
    center, place = terms(session, {"name": "high", "center": True}, {"name": "low", "place": [0.25, 1]})
    assert (center.place, place.place) == (CENTER, Place(0.25, 1.0))
    error = problem_of(session, {"name": "scores", "center": True})
    assert error.field == ("layers", 0, "center")
    assert "layer scores gives no map of the picture" in error.problem


def test_before_the_activation_reaches_the_engine_and_needs_one(session: Session) -> None:
    (term,) = terms(session, {"name": "high", "activation": "before"})
    assert term.sight.where == "before_activation"
    error = problem_of(session, {"name": "low"}, {"name": "conv", "activation": "before"})
    assert error.field == ("layers", 1, "activation")
    assert "no activation function at the end of module '2'" in error.problem


# Scores


@pytest.mark.parametrize("loss", ["l2", "l1", "mean_square"])
def test_a_loss_without_a_sign_is_refused_for_a_class(session: Session, loss: str) -> None:
    error = problem_of(session, {"name": "scores", "channels": ["peacock"]}, loss=loss)
    assert error.field == ("loss",)
    assert "may lower the score; give layer scores `loss: mean`" in error.problem
    error = problem_of(session, {"name": "scores", "channels": [0], "loss": loss})
    assert error.field == ("layers", 0, "loss")


def test_a_loss_without_a_sign_may_be_of_all_scores_and_of_maps(session: Session) -> None:
    assert len(terms(session, {"name": "scores"}, {"name": "high", "channels": [0]}, loss="l2")) == 2


# Vectors


def vector(folder: Path, name: str, values: Any) -> str:
    path = folder / name
    values = np.asarray(values, np.float32)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".safetensors":
        save_file({"direction": values}, path)
    else:
        path.write_text("\n".join(map(str, values.tolist())), encoding="utf-8")
    return str(path)


def towards(path: str, **fields: Any) -> dict[str, Any]:
    return {"name": "high", "loss": {"name": "direction", "vector": path}, **fields}


@pytest.mark.parametrize("name", ["one.npy", "one.safetensors", "one.txt"])
def test_a_vector_is_read_from_files_of_three_kinds(session: Session, folder: Path, name: str) -> None:
    built = session.build(recipe(towards(vector(folder, name, [0, 0, 0, 2, 0, 0, 0, 0]))))
    (reference,) = [reference for _, reference in built.dreamer.objective.references()]
    assert reference.vector is not None
    assert reference.vector.flatten().tolist() == [0, 0, 0, 2, 0, 0, 0, 0]
    assert len(built.pictures[str(folder / name)]) == 64


def dreamed(session: Session, *layers: dict[str, Any], count: int = 1, **fields: Any) -> list[Any]:
    pictures = [
        Picture(pixels=np.random.default_rng(seed).integers(0, 256, (40, 37, 3), np.uint8), alpha=None, format="PNG")
        for seed in range(count)
    ]
    return session.dream(pictures, session.build(recipe(*layers, **fields)), on_progress=lambda _progress: None)


def test_the_direction_of_one_channel_is_that_channel(session: Session, folder: Path) -> None:
    path = vector(folder, "one.npy", [0, 0, 0, 1, 0, 0, 0, 0])
    power = {"name": "high", "loss": {"name": "direction", "vector": path, "power": 0}, "activation": "before"}
    (along,) = dreamed(session, power)
    (channel,) = dreamed(session, {"name": "high", "channels": [3], "activation": "before"})
    assert along.loss_before == pytest.approx(channel.loss_before, rel=1e-4)
    assert np.abs(along.picture.pixels.astype(int) - channel.picture.pixels).max() <= 1


def test_a_vector_is_seen_by_the_chosen_channels(session: Session, folder: Path) -> None:
    path = vector(folder, "one.npy", [5, 0, 0, 1, 0, 0, 0, 0])
    power = {"name": "direction", "vector": path, "power": 0}
    (along,) = dreamed(session, {"name": "high", "loss": power, "channels": [2, 3]})
    (channel,) = dreamed(session, {"name": "high", "channels": [3]})
    assert along.loss_before == pytest.approx(channel.loss_before, rel=1e-4)
    (chosen,) = dreamed(session, {"name": "high", "loss": power, "channels": {"strongest": 8}})
    assert np.isfinite(chosen.loss_after)


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("short.npy", [1.0, 2.0], "holds 2 numbers, and layer high has 8 channels"),
        ("zero.npy", [0.0] * 8, "holds .* numbers that are not all zero"),
        ("nan.npy", [np.nan] * 8, "holds .* finite numbers"),
        ("square.npy", [[1.0, 2.0], [3.0, 4.0]], r"holds \[2, 2\] numbers; a vector is one row"),
    ],
)
def test_another_vector_is_refused_with_its_field(
    session: Session, folder: Path, name: str, values: Any, problem: str
) -> None:
    error = problem_of(session, towards(vector(folder, name, values)))
    assert error.field == ("layers", 0, "loss", "vector")
    with pytest.raises(RecipeError, match=problem):
        raise error


@pytest.mark.parametrize("name", ["words.txt", "torn.npy", "torn.safetensors"])
def test_a_file_that_holds_no_numbers_is_refused(session: Session, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"no numbers at all")
    error = problem_of(session, towards(str(folder / name)))
    assert error.field == ("layers", 0, "loss", "vector")
    assert f"{name}: holds no vector" in error.problem


def test_a_vector_outside_of_the_folders_for_pictures_is_refused(session: Session, tmp_path: Path) -> None:
    error = problem_of(session, towards(vector(tmp_path, "one.npy", [1.0] * 8)))
    assert "vectors that a recipe names must lie in" in error.problem


def test_a_link_that_goes_round_in_a_circle_is_a_path_that_cannot_be_read(session: Session, folder: Path) -> None:
    (folder / "round").symlink_to("round")
    error = problem_of(session, towards(str(folder / "round" / "one.npy")))
    assert (error.field, "cannot be read" in error.problem) == (("layers", 0, "loss", "vector"), True)


def test_a_direction_needs_a_picture_or_a_vector(session: Session, folder: Path) -> None:
    error = problem_of(session, {"name": "high", "loss": {"name": "direction"}})
    assert (error.field, error.problem) == (
        ("layers", 0, "loss"), "the loss 'direction' needs a picture or a vector, one of them"
    )  # fmt: skip


# All together


def test_every_layer_has_its_own_target_in_a_batch_as_alone(session: Session, folder: Path) -> None:
    layers = (
        {"name": "scores", "channels": ["peacock", 4], "loss": "mean", "weight": 0.5},
        {"name": "high", "channels": {"strongest": 2, "when": "octave"}, "activation": "before", "weight": -0.2},
        {"name": "low", "channels": {"random": 3}, "loss": "l2", "place": [0.2, 0.9]},
        {"name": "high", "loss": {"name": "direction", "vector": vector(folder, "one.npy", range(8))}},
        {"name": "conv", "center": True, "loss": "mean_square"},
    )
    together = dreamed(session, *layers, count=3)
    alone = dreamed(session, *layers)[0]
    assert all(np.isfinite(dream.loss_after) for dream in together)
    assert np.abs(together[0].picture.pixels.astype(int) - alone.picture.pixels).max() <= 1

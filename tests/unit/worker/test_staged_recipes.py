"""Recipes with stages and sequences, built and dreamed: each octave by its own stage, each part by its own network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dreamer import Progress
from dreamd.engine.objectives.objective import Objective
from dreamd.engine.objectives.references import Referring
from dreamd.errors import RecipeError, WeightsError
from dreamd.messages import Sidecar
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.yamlfile import parse_document
from dreamd.worker.dream import Dream
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device
from dreamd.worker.recipes.builder import Built
from dreamd.worker.session import Session
from tests.unit.worker.test_chain_recipes import folder as folder
from tests.unit.worker.test_chain_recipes import one_thread as one_thread

BASE = """
backbone: {name: tiny, weights: random}
schedule: {name: octaves, num_octaves: 4, octave_scale: 1.2}
ascent: {iterations: 2, jitter: 5}
precision: fp32
"""

STAGED = f"""{BASE}
stages:
  - {{layers: low, gradient: [normalize]}}
  - layers: [high, {{name: picture, loss: total_variation, weight: -0.001}}]
    ascent: {{iterations: 3, momentum: 0.5}}
  - {{loss: {{name: guide, picture: OTHER}}, parameterization: [bounded], ascent: {{optimizer: adam}}}}
"""

SEQUENCE = f"""{BASE}
sequence:
  - {{layers: low, stages: [{{}}, {{layers: high, transforms: [noise]}}]}}
  - backbone: {{name: folded, weights: random}}
    schedule: {{name: rescale, num_octaves: 2}}
    loss: {{name: guide, picture: OTHER}}
    finish: [blend]
"""

FOLDED = """
from torch import nn
from dreamd.api import Backbone, hookimpl

def folded(name):
    network = nn.Sequential()
    for number, (before, after) in enumerate(((3, 4), (4, 6), (6, 6))):
        network.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
        network.append(nn.BatchNorm2d(after))
    layers = {"first": "0", "second": "2", "third": "4", "end": "5"}
    return Backbone(network=network, layers=layers, default_layer="end", min_side=16)

@hookimpl
def dreamd_backbones(register):
    register("folded", folded)
"""


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    (folder / "folded.py").write_text(FOLDED, encoding="utf-8")
    (folder / "folded.py").chmod(0o644)
    plugins = Plugins("dreamd.engine", folders=[folder], only={"tiny", "folded"})
    bounds = Bounds(max_pixels=100_000, max_bytes=1_000_000, memory=4_000_000_000, picture_folders=(folder,))
    return Session(plugins, Device(torch=torch.device("cpu"), label="cpu"), bounds)


def recipe_of(text: str, folder: Path) -> Recipe:
    text = text.replace("OTHER", str(folder / "other.png"))
    return RecipeBook(None).resolve([parse_document(text, "recipe.yaml", RecipeError)]).recipe


def built_of(session: Session, text: str, folder: Path) -> Built:
    return session.build(recipe_of(text, folder))


def picture(seed: int = 0, side: int = 40) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 7, 3), np.uint8)
    return Picture(pixels=pixels, alpha=None, format="PNG")


class Killed(BaseException):
    """Stands for the end of the process."""


class Log:
    def __init__(self, kill_at: int | None = None) -> None:
        self.seen: list[Progress] = []
        self._kill_at = kill_at

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)
        if len(self.seen) == self._kill_at:
            raise Killed


def dreams_of(session: Session, built: Built, *pictures: Picture, **options: Any) -> list[Dream]:
    return session.dream(list(pictures), built, **{"on_progress": Log(), **options})


# Building


def modules_of(objective: Objective) -> list[str]:
    return [term.module for term in objective.terms]


def test_each_stage_becomes_a_climb_with_its_own_layers_and_steps(session: Session, folder: Path) -> None:
    dreamer = built_of(session, STAGED, folder).dreamer
    first, second, third = dreamer.climbs
    assert [modules_of(climb.objective) for climb in dreamer.climbs] == [["1"], ["3"], ["3"]]
    assert [climb.settings.iterations for climb in dreamer.climbs] == [2, 3, 2]
    assert [len(climb.steps) for climb in dreamer.climbs] == [1, 2, 2]
    assert [len(climb.chain.picture_terms) for climb in dreamer.climbs] == [0, 1, 0]
    assert [len(climb.chain.parameterization) for climb in dreamer.climbs] == [0, 0, 1]
    assert (first.optimizer_pictures, second.optimizer_pictures, third.optimizer_pictures) == (0, 1, 4)
    assert isinstance(third.objective.terms[0].loss, Referring)
    assert [climb.ascents for climb in dreamer.climbs] == [1, 1, 1]


def test_nothing_is_folded_where_any_stage_looks_into_what_would_be(session: Session, folder: Path) -> None:
    text = "backbone: {name: folded, weights: random}\nprecision: auto\nLAYERS\n"

    def norms(layers: str) -> int:
        network = built_of(session, text.replace("LAYERS", layers), folder).dreamer.backbone.network
        return sum(
            isinstance(module, torch.nn.BatchNorm2d) and "forward" not in vars(module) for module in network.modules()
        )

    assert norms("layers: end") == 0
    assert norms("stages: [{layers: end}, {layers: first}]") == 3
    assert norms("layers: second") == 3
    assert norms("layers: first\nstages: [{layers: end}]") == 0  # nobody looks into it


def test_a_network_is_loaded_twice_at_most_whatever_is_looked_at(session: Session, folder: Path) -> None:
    text = "backbone: {name: folded, weights: random}\nprecision: auto\nseed: 5\n"
    networks = [
        built_of(session, f"{text}layers: {layer}\n", folder).dreamer.backbone.network
        for layer in ("first", "second", "end", "first", "end", "second")
    ]
    assert len({id(network) for network in networks}) == 2


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("stages: [{}, {layers: [high, deep]}]", ("stages", 1, "layers", 1)),
        ("stages: [{loss: {name: guide, picture: /etc/passwd}}]", ("stages", 0, "loss", "picture")),
        ("sequence: [{}, {layers: deep}]", ("sequence", 1, "layers", 0)),
        ("sequence: [{}, {stages: [{layers: deep}]}]", ("sequence", 1, "stages", 0, "layers", 0)),
        ("sequence: [{loss: {name: guide, picture: /etc/passwd}}]", ("sequence", 0, "loss", "picture")),
    ],
)
def test_what_is_wrong_in_a_stage_or_part_is_told_with_its_field(
    session: Session, folder: Path, text: str, field: tuple[str | int, ...]
) -> None:
    with pytest.raises(RecipeError) as caught:
        built_of(session, f"{BASE}{text}\n", folder)
    assert caught.value.field == field


def test_missing_weights_of_any_part_hold_the_job_before_it_begins(session: Session, folder: Path) -> None:
    with pytest.raises(WeightsError, match="folded has no default weights"):
        built_of(session, f"{BASE}sequence: [{{}}, {{backbone: {{name: folded}}}}]\n", folder)


def test_networks_of_other_parts_are_counted_in_what_a_part_may_hold(session: Session, folder: Path) -> None:
    alone = built_of(session, BASE, folder).dreamer.memory
    in_sequence = [dreamer.memory for dreamer in built_of(session, SEQUENCE, folder).dreamers]
    assert alone is not None
    assert all(memory is not None and memory < alone for memory in in_sequence)
    same = built_of(session, f"{BASE}sequence: [{{}}, {{layers: low}}]\n", folder).dreamers
    assert [dreamer.memory for dreamer in same] == [alone, alone]


# Dreaming

KINDS = {"stages": STAGED, "sequence": SEQUENCE}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_dreamed_as_each_picture_alone(session: Session, folder: Path, kind: str) -> None:
    built = built_of(session, KINDS[kind], folder)
    together = dreams_of(session, built, picture(1), picture(2))
    for one, dream in zip((picture(1), picture(2)), together, strict=True):
        (alone,) = dreams_of(session, built, one)
        assert np.abs(alone.picture.pixels.astype(int) - dream.picture.pixels).max() <= 1
        assert not np.array_equal(dream.picture.pixels, one.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dream_killed_in_any_stage_or_part_ends_in_the_same_bytes(
    session: Session, folder: Path, tmp_path: Path, kind: str
) -> None:
    built, log = built_of(session, KINDS[kind], folder), Log()
    (whole,) = dreams_of(session, built, picture(), on_progress=log)
    for step in range(1, len(log.seen)):
        key = session.fingerprint(picture().sha256, built)
        kept = [CheckpointFolder(tmp_path / str(step), key, after_seconds=0.0) for _ in range(2)]
        with pytest.raises(Killed):
            dreams_of(session, built, picture(), on_progress=Log(step), checkpoint=kept[0])
        rest = Log()
        (again,) = dreams_of(session, built, picture(), on_progress=rest, checkpoint=kept[1])
        assert np.array_equal(again.picture.pixels, whole.picture.pixels)
        assert (again.loss_before, again.loss_after) == (whole.loss_before, whole.loss_after)
        assert len(rest.seen) < len(log.seen) or step == 1


@pytest.mark.parametrize("kind", KINDS)
def test_who_looks_after_every_iteration_changes_no_bit(session: Session, folder: Path, kind: str) -> None:
    built = built_of(session, KINDS[kind], folder)
    (unseen,) = dreams_of(session, built, picture())
    glimpses: list[Tensor] = []
    (seen,) = dreams_of(session, built, picture(), on_glimpse=lambda _step, glimpse: glimpses.append(glimpse(16)))
    assert glimpses
    assert seen.picture.pixels.tobytes() == unseen.picture.pixels.tobytes()


def test_previews_show_every_part_and_progress_counts_them(session: Session, folder: Path) -> None:
    log, frames = Log(), list[Tensor]()
    dreams_of(session, built_of(session, KINDS["sequence"], folder), picture(), on_progress=log,
              on_frame=lambda image: frames.append(image.clone()))  # fmt: skip
    assert {(step.part, step.parts) for step in log.seen} == {(1, 2), (2, 2)}
    shares = [step.share for step in log.seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(frames) > 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_sidecar_tells_all_that_was_dreamed_with_and_dreams_it_again(
    session: Session, folder: Path, tmp_path: Path, kind: str
) -> None:
    (dream,) = dreams_of(session, built_of(session, KINDS[kind], folder), picture())
    sidecar = session.sidecar(job="01h", source=Path("a.png"), dream=dream, seconds=1.0)
    assert {"guide", "l2", "plain", "smooth", "tiny"} <= sidecar.versions.keys()
    assert list(sidecar.pictures) == [str(folder / "other.png")]
    assert sidecar.weights_sha256 == (None if kind == "stages" else (None, None))
    file = tmp_path / "out.png.json"
    file.write_text(sidecar.text(), encoding="utf-8")
    assert Sidecar.model_validate_json(sidecar.text()) == sidecar
    again = RecipeBook(None).for_file(file).recipe
    assert again == dream.built.recipe
    (repeated,) = dreams_of(session, session.build(again), picture())
    assert np.array_equal(repeated.picture.pixels, dream.picture.pixels)

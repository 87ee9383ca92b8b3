"""A dream that comes out as not-a-number, or wrong, names the plugin whose doing it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dreamd.engine.speed.card.graphs import Compute, Graphs, Inputs
from dreamd.errors import NotANumberError, PluginError
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.machine.device import Device
from dreamd.worker.recipes.builder import Builder, Built
from dreamd.worker.session import Session

CPU = Device(torch=torch.device("cpu"), label="cpu")

FILE = '''
import torch
from dreamd.api import hookimpl
from dreamd.plugin_tools.tiny import tiny_network


def zero_over_zero(activation):
    """NaN."""
    mean = activation.flatten(1).mean(1)
    return mean * 0 / (mean * 0)


def steep(activation):
    """Finite, with an infinite slope."""
    return (activation.flatten(1).mean(1) * 0).sqrt()


def plain(activation):
    """Well."""
    return activation.flatten(1).mean(1)


def divide(gradient):
    """Inf."""
    return gradient / 0


def stay(gradient):
    """Well."""
    return gradient


def last(image, ascend):
    """The last picture is wrong."""
    yield ascend(image) * torch.inf


@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny_network)


@hookimpl
def dreamd_losses(register):
    for loss in (zero_over_zero, steep, plain):
        register(loss.__name__, loss)


@hookimpl
def dreamd_gradients(register):
    register("divide", divide)
    register("stay", stay)


@hookimpl
def dreamd_schedules(register):
    register("last", last)
'''


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("plugins")
    folder.chmod(0o755)
    (folder / "culprit.py").write_text(FILE, encoding="utf-8")
    (folder / "culprit.py").chmod(0o644)
    plugins = Plugins("dreamd.engine", folders=[folder], only={"culprit"})
    return Session(plugins, CPU, Bounds(max_pixels=10_000, max_bytes=10_000, memory=2_000_000_000))


def dream_of(session: Session, **fields: Any) -> None:
    recipe = Recipe.model_validate(
        {
            "backbone": {"name": "tiny", "weights": "random"},
            "loss": "plain",
            "gradient": ["stay"],
            "schedule": {"name": "octaves", "num_octaves": 1},
            "ascent": {"iterations": 2, "lr": 0.05},
            "precision": "fp32",
            **fields,
        }
    )
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    picture = Picture(pixels=pixels, alpha=None, format="PNG")
    session.dream([picture], session.build(recipe), on_progress=lambda _progress: None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"loss": "zero_over_zero"}, "loss 'zero_over_zero' of plugin 'culprit' is not-a-number or infinite"),
        ({"loss": "steep"}, "the gradient of loss 'steep' of plugin 'culprit' is not-a-number or infinite"),
        ({"gradient": ["stay", "divide"]}, "gradient 'divide' of plugin 'culprit' is not-a-number or infinite"),
        ({"schedule": "last"}, "schedule 'last' of plugin 'culprit' is not-a-number or infinite"),
    ],
)
def test_whose_doing_a_not_a_number_is_is_found_out(session: Session, fields: Any, reason: str) -> None:
    with pytest.raises(PluginError) as caught:
        dream_of(session, **fields)
    assert str(caught.value).startswith(reason)


def test_where_no_plugin_is_at_fault_none_is_named(session: Session) -> None:
    with pytest.raises(NotANumberError, match=r"or ascent\.lr is far too large") as caught:
        dream_of(session, ascent={"iterations": 4, "lr": 3e38}, gradient=[{"name": "normalize"}])
    assert "of plugin" not in str(caught.value)


def test_also_a_dream_from_recordings_is_looked_at_in_the_plugins_own_code(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording is replayed without the loss's own code, which is where the look is."""

    def record(compute: Compute, inputs: Inputs) -> Compute:
        gradient, loss = compute(*inputs)
        return lambda *_inputs: (gradient, loss)

    real = Session.build

    def build(self: Session, recipe: Recipe) -> Built:
        built = real(self, recipe)
        return replace(built, dreamer=replace(built.dreamer, graphs=Graphs(record)))

    monkeypatch.setattr(Session, "build", build)
    with pytest.raises(PluginError, match="loss 'zero_over_zero' of plugin 'culprit' is not-a-number"):
        dream_of(session, loss="zero_over_zero")


def test_what_is_well_is_dreamed_once(session: Session) -> None:
    dream_of(session)


def test_a_missing_backbone_says_why_its_plugin_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "mine.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    (tmp_path / "mine.py").chmod(0o644)
    plugins = Plugins("dreamd.engine", folders=[tmp_path])
    with pytest.raises(Exception, match=r"\(not loaded: mine: ModuleNotFoundError: No module named 'nothing_of"):
        Builder(plugins, torch.device("cpu")).build(Recipe.model_validate({"loss": "mine"}))

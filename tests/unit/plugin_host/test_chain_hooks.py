"""Parameterizations, optimizers, transforms, and pictures as parameters: what `register` takes and refuses."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import torch

from dreamd.errors import PluginError
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

FILE = """
import torch
from dreamd.api import Picture, Random, Seen, hookimpl

def encode(image, *, power: float = 2.0):
    return image ** power

def decode(parameters, shape, *, power: float = 2.0, least: float = 0.0):
    return parameters.clamp(least) ** (1 / power)

def other(parameters, shape, *, power: float = 3.0):
    return parameters

def step(gradient, state, *, momentum, parameters, kept: float = 0.5):
    return gradient

def turn(image, *, random, original, picture: Picture | None = None, amount: float = 1.0):
    return image

def guide(activation, *, picture: Seen, original=None):
    return activation.flatten(1).sum(1)

def misnamed(activation, *, guide: Seen):
    return activation.flatten(1).sum(1)

def blind(image, *, picture: Seen):
    return image

def wide(image):
    return image[:, :2]

def odd(image):
    return torch.cat([image, image[:1]])
"""


def load(tmp_path: Path, *lines: str) -> Plugins:
    tmp_path.chmod(0o755)
    file = tmp_path / "mine.py"
    file.write_text(FILE + "\n".join(dedent(line) for line in lines), encoding="utf-8")
    file.chmod(0o644)
    return Plugins("dreamd.engine", folders=[tmp_path], only={"mine"})


def hook(name: str, line: str) -> str:
    return f"\n@hookimpl\ndef {name}(register):\n    {line}\n"


def refusal(tmp_path: Path, name: str, line: str) -> str:
    (problem,) = [one for one in load(tmp_path, hook(name, line)).catalogue.problems if one.plugin == "mine"]
    return problem.reason


def test_a_parameterization_has_the_parameters_of_both_its_functions(tmp_path):
    plugins = load(tmp_path, hook("dreamd_parameterizations", 'register("mine", encode, decode)'))
    registered = plugins.get(Kind.PARAMETERIZATION, "mine")
    assert [parameter.name for parameter in registered.entry.parameters] == ["power", "least"]
    assert registered.decode is not None
    image = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(registered.decode(registered.function(image), image.shape), image)
    with pytest.raises(PluginError, match=r"decoded parameters as a tensor of shape \[1, 3, 4, 5\]"):
        registered.decode(image[:1], image.shape)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('register("mine", encode)', "parameterization 'mine': None cannot be called"),
        ('register("mine", encode, 3)', "parameterization 'mine': 3 cannot be called"),
        ('register("mine", encode, other)', "parameter 'power' is another for encode than for decode"),
        ('register("mine", encode, decode, pictures=3)', "register takes no 'pictures'"),
    ],
)
def test_a_parameterization_that_cannot_be_is_refused(tmp_path, line, reason):
    assert reason in refusal(tmp_path, "dreamd_parameterizations", line)


def test_an_optimizer_says_what_it_takes_and_what_it_costs(tmp_path):
    plugins = load(tmp_path, hook("dreamd_optimizers", 'register("mine", step, pictures=lambda: 7, steady=True)'))
    registered = plugins.get(Kind.OPTIMIZER, "mine")
    assert registered.entry.takes == ("momentum", "parameters")
    assert registered.entry.steady
    assert callable(registered.pictures)
    assert [parameter.name for parameter in registered.entry.parameters] == ["kept"]


def test_a_transform_says_whether_it_has_a_gradient_and_what_it_takes(tmp_path):
    plugins = load(tmp_path, hook("dreamd_transforms", 'register("mine", turn, differentiable=True)'))
    entry = plugins.get(Kind.TRANSFORM, "mine").entry
    assert (entry.differentiable, entry.takes) == (True, ("original", "random"))
    assert [(parameter.name, parameter.file) for parameter in entry.parameters] == [
        ("picture", "picture"),
        ("amount", None),
    ]
    assert entry.parameters[0].type == "the path of a picture or null"


@pytest.mark.parametrize(
    ("function", "reason"),
    [("wide", r"returned a tensor of shape \[2, 2, 8, 8\]"), ("odd", "returned 3 views of 2 pictures")],
)
def test_a_transform_that_returns_no_pictures_is_named(tmp_path, function, reason):
    plugins = load(tmp_path, hook("dreamd_transforms", f'register("mine", {function})'))
    with pytest.raises(PluginError, match=f"transform 'mine' of plugin 'mine' {reason}"):
        plugins.get(Kind.TRANSFORM, "mine").function(torch.rand(2, 3, 8, 8))


def test_what_a_loss_sees_in_a_picture_is_a_path_in_the_recipe(tmp_path):
    entry = load(tmp_path, hook("dreamd_losses", 'register("mine", guide)')).get(Kind.LOSS, "mine").entry
    assert entry.takes == ("original",)
    assert [(parameter.name, parameter.file, parameter.required) for parameter in entry.parameters] == [
        ("picture", "seen", True)
    ]


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("dreamd_losses", 'register("mine", misnamed)', "call it `picture`, or `guide_picture`"),
        ("dreamd_transforms", 'register("mine", blind)', "only a loss has a layer that sees; use Picture"),
    ],
)
def test_a_picture_that_cannot_be_is_refused(tmp_path, name, line, reason):
    assert reason in refusal(tmp_path, name, line)

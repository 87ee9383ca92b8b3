"""Lines between the daemon and a worker: whatever a name or a reason holds, and nothing that is no message."""

from __future__ import annotations

import inspect
import json
import math
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dreamd.errors import DreamdError
from dreamd.messages import (
    Advanced,
    Batch,
    Done,
    MissingWeights,
    NotDone,
    Order,
    Ready,
    Settings,
    Sidecar,
    Unable,
    Writing,
    from_worker,
    read_settings,
    spoken_files,
)
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import Parameter
from dreamd.settings.recipes.recipe import Recipe

names = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name)


def sidecar(**changes: object) -> Sidecar:
    values = {
        "job": "j",
        "picture": "cat.png",
        "input_sha256": "",
        "recipe": {"seed": 0},
        "versions": {},
        "weights_sha256": None,
        "device": "cpu",
        "precision": "fp32",
        "seed": 0,
        "size": (3, 2),
        "tiling": None,
        "seconds": 0.5,
        "loss_before": 1.0,
        "loss_after": 2.0,
    }
    return Sidecar.model_validate({**values, **changes})


MESSAGES = [
    Ready(
        device="cpu",
        device_name="a processor",
        precision="fp32",
        catalogue=Catalogue(
            entries=(
                Entry(
                    kind=Kind.LOSS,
                    name="l2",
                    plugin="l2",
                    origin="x",
                    parameters=(Parameter(name="p", schema_={"type": "number"}, required=False, default=2.0),),
                ),
            )
        ),
    ),
    Advanced(job="j", ascent=1, ascents=4, iteration=2, iterations=10, share=0.1),
    Writing(job="j", words="writing avif"),
    NotDone(
        job="j",
        hold="weights",
        final=False,
        reason="they are not here",
        weights=MissingWeights(backbone="far", url="http://h/w.pth", sha256="", filename="", size=3),
    ),
    Done(job="j", file="result.png", sidecar=sidecar()),
    NotDone(job="j", hold="recipe", final=False, reason="no layer 'x'", field=("layers", 0)),
    Unable(reason="there is no such device"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_what_a_worker_says_arrives_as_it_was(message: Ready | Advanced | Done | NotDone | Unable | Writing) -> None:
    assert from_worker(message.line()) == message


@given(names, names)
def test_any_name_of_a_file_arrives_in_one_line(name: bytes, folder: bytes) -> None:
    order = Order(job="j", source=Path(os.fsdecode(b"/in/" + name)), folder=Path(os.fsdecode(b"/out/" + folder)))
    line = Batch(recipe="{}", orders=(order,)).line()
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert Batch.model_validate_json(line).orders == (order,)


def test_settings_take_folders_of_any_name() -> None:
    settings = Settings(
        device="cpu", plugin_folders=(Path("/a/b\udcff\n"),), disable=("x",), max_pixels=1, max_bytes=1, memory=None
    )
    assert Settings.model_validate_json(settings.line()) == settings


def test_a_reason_may_quote_a_name_that_is_no_text() -> None:
    line = NotDone(job="j", hold=None, final=True, reason="cannot read b\udcff.png\nat all").line()
    said = from_worker(line)
    assert isinstance(said, NotDone)
    assert said.reason == "cannot read b\\udcff.png\nat all"
    assert line.count(b"\n") == 1


def test_what_is_no_text_in_a_plugin_or_a_sidecar_is_said_with_escapes() -> None:
    entry = Entry(kind=Kind.LOSS, name="odd", plugin="caf\udce9", origin="/plugins/caf\udce9.py", doc="half: \ud800")
    ready = Ready(device="cpu", device_name="x", precision="fp32", catalogue=Catalogue(entries=(entry,)))
    said = from_worker(ready.line())
    assert isinstance(said, Ready)
    assert said.catalogue.entries[0].plugin == "caf\\udce9"
    assert said.catalogue.entries[0].doc == "half: \\ud800"
    assert json.loads(sidecar(recipe={"weights": "caf\udce9"}).text().encode())["recipe"] == {"weights": "caf\\udce9"}


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan])
def test_a_loss_without_bounds_is_said_as_none(loss: float) -> None:
    """JSON has no infinity: what a worker sends must be read again, and a sidecar by anybody."""
    said = from_worker(Done(job="j", file="result.png", sidecar=sidecar(loss_after=loss)).line())
    assert isinstance(said, Done)
    assert said.sidecar.loss_after is None
    json.loads(said.sidecar.model_dump_json(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"hello\n",
        b"{}\n",
        b"null\n",
        b"[]\n",
        b'{"type": "ready"}\n',
        b'{"type": "surprise", "job": "j"}\n',
        b'{"type": "not_done", "job": "j", "hold": "boredom", "final": true, "reason": "x"}\n',
        b'{"type": "unable", "reason": "r", "more": 3}\n',
        b'{"type": "unable", "reason": "r"',
        b'{"type": "unable", "reason": "\xff"}\n',
        b"\x00\xff\xfe",
        b"[" * 100_000,
        pickle.dumps({"type": "unable", "reason": "x"}),
    ],
)
def test_anything_else_is_no_message(line: bytes) -> None:
    with pytest.raises(ValidationError):
        from_worker(line)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_to_be_refused(line: bytes) -> None:
    with pytest.raises(ValidationError):
        from_worker(line)


def test_a_path_must_be_text() -> None:
    with pytest.raises(ValidationError):
        Order.model_validate_json('{"job": "j", "source": 3, "folder": "/x"}')


def test_a_worker_of_another_version_does_not_begin() -> None:
    """It is started from the disk, where another version may lie by then; its daemon's pictures wait."""
    settings = Settings(device="cpu", plugin_folders=(), disable=(), max_pixels=1, max_bytes=1, memory=None)
    assert read_settings(settings.line()) == settings
    other = settings.model_copy(update={"protocol": "of another day"}).line()
    for line in (other, settings.line().replace(b"max_bytes", b"most_bytes"), b"{}", b""):
        with pytest.raises(DreamdError, match="restart the daemon"):
            read_settings(line)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield a model, and every model that its fields hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    below = getattr(annotation, "model_fields", {}).values()
    for inner in (*get_args(annotation), *(field.annotation for field in below)):
        yield from _models(inner)


def test_the_protocol_is_named_by_every_file_that_says_what_a_recipe_holds():
    files = {Path(inspect.getfile(model)) for model in _models(Recipe)}
    assert {file.name for file in files} >= {"recipe.py", "choices.py", "film.py", "channels.py"}
    assert files <= {*spoken_files()}

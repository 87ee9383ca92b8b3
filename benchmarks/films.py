"""A film of ten seconds in 720p: a worker's memory, and what it costs beside the dreams of its frames."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.filming import RATE, Costs, grainy, write_film
from benchmarks.plan import BenchmarkError, Plan, run_process
from benchmarks.report import Row, Table, at_most
from benchmarks.workers import peak_bytes, worker_command, worker_settings
from dreamd.messages import Batch, Order
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook

_WIDTH, _HEIGHT = 1280, 720

_SECONDS = 10
"""How long the film is whose memory is measured."""

_MOST_MORE = 300_000_000
"""Bytes that a film may take beyond the dream of one of its frames."""

_MOST_OWN = 0.10
"""The share of a frame's dream that all else of a film may take."""

_MANY, _FEW = 50, 4
"""Frames by which a film's own cost is measured, and those of which VGG19 dreams, which takes long."""

_EMBEDDED = ("backbone=efficientnet_lite0", "layers=blocks.4.2")
_VGG19 = ("backbone.name=vgg19", "backbone.weights=random")

_AS_CARRIED = ("ascent.iterations=2", "film.effort=1")
"""Two iterations in each of four octaves: what `classic` gives to a frame into which a dream is carried."""

_LEAST = ("ascent.iterations=1", "schedule.num_octaves=1")
"""The shortest dream. Its memory is that of a longer one."""


def run(plan: Plan) -> Iterator[Table]:
    """A table of bytes and, for each device, one of seconds."""
    width, height = (320, 180) if plan.quick else (_WIDTH, _HEIGHT)
    with tempfile.TemporaryDirectory(prefix="dreamd-benchmark-") as name:
        folder = Path(name)
        yield _memory(plan, folder, width, height)
        for device in plan.devices:
            yield _seconds(plan, folder, width, height, str(device))


# Memory


def _memory(plan: Plan, folder: Path, width: int, height: int) -> Table:
    """The peaks of a worker that dreams one frame, and of one that dreams the film."""
    picture, film = folder / "frame.png", folder / "film.mp4"
    frames = 1 * RATE if plan.quick else _SECONDS * RATE
    Image.fromarray(grainy(height, width)).save(picture)
    write_film(film, width, height, frames)
    plan.say("a worker that dreams one frame")
    alone = _peak_of_worker(picture, folder)
    plan.say(f"a worker that dreams {frames} frames")
    whole = _peak_of_worker(film, folder)
    more = whole - alone
    words = f"{_MOST_MORE / 1e6:.0f} MB more"
    bar = None if plan.quick else at_most(_MOST_MORE, more, words)
    return Table(
        benchmark="films",
        title=f"peak memory of a worker, efficientnet_lite0, {width}×{height}, cpu",
        unit="MB",
        better="less",
        against="one frame",
        rows=[
            Row(what="one frame, as a picture", value=alone / 1e6, ratio=1.0),
            Row(
                what=f"a film of {frames / RATE:g} s, {frames} frames",
                value=whole / 1e6,
                ratio=alone / whole,
                bar=bar,
                note=f"{more / 1e6:+.0f} MB",
            ),
        ],
    )


def _peak_of_worker(source: Path, folder: Path) -> int:
    """Have a worker dream a picture or a film, as the daemon would; returns its peak in bytes.

    Raises:
        BenchmarkError: nothing came out.
    """
    recipe = resolve([*RecipeBook(None).documents_of_name("classic"), set_fields((*_EMBEDDED, *_LEAST))]).json
    with tempfile.TemporaryDirectory(dir=folder) as name:
        results = Path(name)
        order = Order(job="job", source=source, folder=results, checkpoint=results / "kept")
        turn = Batch(recipe=recipe, orders=(order,)).line()
        pipe = subprocess.PIPE
        with subprocess.Popen(worker_command(), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as worker:
            assert worker.stdin is not None
            worker.stdin.write(worker_settings().line())
            last = _last_word(worker, turn)
            peak = peak_bytes(worker.pid)
            worker.communicate()
        if last["type"] != "done":
            raise BenchmarkError(f"a worker made nothing of {source.name}: {last.get('reason', 'it ended')}")
        return peak


def _last_word(worker: subprocess.Popen[bytes], turn: bytes) -> dict[str, Any]:
    """Give a worker turns until it has done its job, or cannot; returns what it says then."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(turn)
    worker.stdin.flush()
    for line in worker.stdout:
        said: dict[str, Any] = json.loads(line)
        if said["type"] == "yielded":
            worker.stdin.write(turn)
            worker.stdin.flush()
        if said["type"] in ("done", "not_done", "unable"):
            return said
    return {"type": "ended"}


# Seconds


def _seconds(plan: Plan, folder: Path, width: int, height: int, device: str) -> Table:
    """What a frame takes in the dream of VGG19 and of the embedded network, and what a film adds to it."""
    many, few = (folder / f"{count}.mp4" for count in (_MANY, _FEW))
    for film, count in ((many, _MANY), (few, _FEW)):
        write_film(film, width, height, 8 if plan.quick and count == _MANY else count)
    plan.say(f"a film's own cost, {device}")
    embedded = _costs(many, folder, _EMBEDDED, device)
    plan.say(f"VGG19's dream of a frame, {device}")
    vgg19 = _costs(few, folder, _VGG19, device)
    share, processor = embedded.own / vgg19.dream, embedded.own_processor / vgg19.dream_processor
    note = f"{share:.1%} of VGG19's dream, {processor:.1%} ({embedded.own_processor:.2f} s) of the processor's seconds"
    bar = None if plan.quick else at_most(_MOST_OWN, share, f"{_MOST_OWN:.0%} of VGG19's dream")
    beside = f"beside it a film's own cost is {embedded.own / embedded.dream:.0%}"
    return Table(
        benchmark="films",
        title=f"a carried frame of {width}×{height} by `classic`: 4 octaves of 2 iterations, {device}",
        unit="s",
        better="less",
        against="VGG19's dream",
        rows=[
            Row(what="VGG19's dream, random weights", value=vgg19.dream, ratio=1.0, note=f"of {_FEW - 1} frames"),
            Row(
                what="what a film adds: decode, flow, keep, encode",
                value=embedded.own,
                ratio=vgg19.dream / embedded.own,
                bar=bar,
                note=note,
            ),
            Row(
                what="the embedded network's dream",
                value=embedded.dream,
                ratio=vgg19.dream / embedded.dream,
                note=beside,
            ),
        ],
    )


def _costs(film: Path, folder: Path, fields: tuple[str, ...], device: str) -> Costs:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        sets = [word for field in (*fields, *_AS_CARRIED) for word in ("--set", field)]
        return Costs(
            **json.loads(run_process(["-m", "benchmarks.filming", str(film), name, "--device", device, *sets]))
        )

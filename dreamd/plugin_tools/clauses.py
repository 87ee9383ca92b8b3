"""The clauses of the contract: for each kind of thing that a plugin brings, what it must keep.

A clause that is not kept raises PluginError with what is wrong, or lets the plugin's own error out.
"""

from __future__ import annotations

import inspect
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from dreamd.engine.backbone import Backbone
from dreamd.engine.dream import Ascend
from dreamd.engine.locality import locality_of
from dreamd.engine.objective import Objective, Term, WholeGradient, sums_of
from dreamd.engine.tiling import TiledGradient
from dreamd.errors import PictureError, PluginError, RecipeError
from dreamd.executors.executor import Executor, ExecutorContext
from dreamd.job import Job, JobState, new_job_id
from dreamd.pictures.reading import read_picture
from dreamd.plugin_host.blame import describe_error
from dreamd.plugin_host.catalogue import Entry
from dreamd.plugin_host.host import Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_host.parameters import supplied_to
from dreamd.plugin_tools.tiny import mean_square, tiny_backbone, tiny_dream
from dreamd.settings.config import load_config
from dreamd.settings.recipe import BackboneChoice
from dreamd.weights import cache
from dreamd.worker.backbones import load_backbone

Clause = tuple[str, Callable[[], None]]
"""What is checked, in words that follow the thing's name, and how."""

_MAX_BYTES = 512_000_000


def clauses_of(item: Registered, name: str, device: torch.device, samples: Sequence[Path]) -> Iterator[Clause]:
    """The clauses for one thing that a plugin brings.

    Args:
        item: the thing.
        name: its name, or one of its family's.
        device: what to check on.
        samples: picture files, for a decoder.
    """
    yield "is documented, with every parameter", partial(_is_documented, item.entry)
    by_kind: dict[Kind, Callable[[], Iterator[Clause]]] = {
        Kind.LOSS: lambda: _loss_clauses(item, device),
        Kind.GRADIENT: lambda: _gradient_clauses(item, device),
        Kind.SCHEDULE: lambda: _schedule_clauses(item, device),
        Kind.BACKBONE: lambda: _backbone_clauses(item, name, device),
        Kind.DECODER: lambda: _decoder_clauses(item, samples),
        Kind.EXECUTOR: lambda: _executor_clauses(item),
        Kind.NOTIFY: lambda: _notify_clauses(item),
    }
    yield from by_kind[item.entry.kind]()


def _is_documented(entry: Entry) -> None:
    must(bool(entry.doc.strip()), "has no docstring: its first line is what `dreamd plugins list` shows")
    for parameter in entry.parameters:
        must(
            bool(parameter.doc),
            f"parameter {parameter.name!r} has no line in the docstring: below `Args:`, `{parameter.name}: what it is`",
        )


def must(is_so: bool, otherwise: str) -> None:
    """Raise PluginError with what is wrong, unless it is so."""
    if not is_so:
        raise PluginError(otherwise)


def _must_equal(result: Tensor, expected: Tensor, otherwise: str, tolerance: float = 1e-4) -> None:
    """Equal but for the order of sums: to a share of the largest value, and a hair."""
    must(result.shape == expected.shape, f"{otherwise}: shape {list(result.shape)}, not {list(expected.shape)}")
    off = float((result.double() - expected.double()).abs().max()) if result.numel() else 0.0
    scale = float(expected.double().abs().max()) if expected.numel() else 0.0
    must(off <= 1e-5 + tolerance * scale, f"{otherwise}: it is off by {off:.2g}, of values up to {scale:.2g}")


def _must_be_finite(value: Tensor, what: str) -> None:
    must(bool(value.isfinite().all()), f"{what} is not-a-number or infinite")


def default_values(entry: Entry) -> dict[str, Any]:
    """Values for the parameters that have no default. Raises PluginError when none can be guessed."""
    return {p.name: _candidates(entry, p.name)[0] for p in entry.parameters if p.required}


def _variations(entry: Entry, *, most: float = float("inf")) -> Iterator[dict[str, Any]]:
    """Its parameters' values one by one: the default, every choice, and both ends of what is allowed."""
    base = default_values(entry)
    yield base
    for parameter in entry.parameters:
        for value in _candidates(entry, parameter.name):
            is_small = isinstance(value, bool) or not isinstance(value, int | float) or abs(value) <= most
            if is_small and (parameter.required or value != parameter.default):
                yield {**base, parameter.name: value}


_TYPICAL: dict[str, Any] = {"number": 1.0, "integer": 1, "boolean": True, "string": "a", "array": [], "object": {}}


def _candidates(entry: Entry, name: str) -> list[Any]:
    (parameter,) = (one for one in entry.parameters if one.name == name)
    options = parameter.schema_.get("anyOf", [parameter.schema_])
    values = [] if parameter.required else [parameter.default]
    for option in options:
        values += option.get("enum", [option["const"]] if "const" in option else [])
        values += [option[end] for end in ("minimum", "maximum") if end in option]
        values += [option[end] + step for end, step in _OPEN_ENDS if end in option]
        values += [True, False] if option.get("type") == "boolean" else []
        values += [_TYPICAL[option["type"]]] if parameter.required and option.get("type") in _TYPICAL else []
    right = [value for value in values if _is_allowed(entry, name, value)]
    must(bool(right), f"parameter {name!r} needs a default")
    return right


_OPEN_ENDS = (
    ("exclusiveMinimum", 0.01),
    ("exclusiveMinimum", 1),
    ("exclusiveMaximum", -0.01),
    ("exclusiveMaximum", -1),
)


def _is_allowed(entry: Entry, name: str, value: object) -> bool:
    (parameter,) = (one for one in entry.parameters if one.name == name)
    try:
        entry.model_copy(update={"parameters": (parameter,)}).check({name: value}, ())
    except RecipeError:
        return False
    return True


def _defaults_are_allowed(entry: Entry) -> None:
    for parameter in entry.parameters:
        if not parameter.required:
            must(
                _is_allowed(entry, parameter.name, parameter.default),
                f"parameter {parameter.name!r}: its own default {parameter.default!r} is not {parameter.type}",
            )


@contextmanager
def _told_with(values: Mapping[str, Any]) -> Iterator[None]:
    """Inside, what goes wrong is told with the parameters' values."""
    try:
        yield
    except Exception as error:  # of a plugin: it may be anything
        given = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise PluginError(f"{describe_error(error)}{f', with {given}' if given else ''}") from error


_STATE: dict[str, Callable[[], object]] = {
    "torch's random numbers": lambda: torch.get_rng_state().tolist(),
    "Python's random numbers": random.getstate,
    "NumPy's random numbers": lambda: str(np.random.get_state()),
    "whether torch takes gradients": torch.is_grad_enabled,
    "torch's default dtype": torch.get_default_dtype,
    "torch's number of threads": torch.get_num_threads,
    "torch's deterministic mode": torch.are_deterministic_algorithms_enabled,
    "cuDNN's settings": lambda: (torch.backends.cudnn.benchmark, torch.backends.cudnn.enabled),
    "the environment variables": lambda: dict(os.environ),
    "the current folder": Path.cwd,
    "Python's import path": lambda: list(sys.path),
    "the signal handlers": lambda: [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)],
}


def _leaves_no_state(work: Callable[[], object]) -> None:
    work()  # once before: what is imported or cached on first use is nobody's fault
    before = {what: look() for what, look in _STATE.items()}
    work()
    for what, look in _STATE.items():
        must(look() == before[what], f"it changes {what}, which others use as well")


def _random(*shape: int, device: torch.device, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


# Losses


def _loss_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    entry, function = item.entry, item.function
    loss = partial(function, **default_values(entry))
    activation = _random(2, 6, 9, 7, device=device)

    def gives_one_value() -> None:
        for count in (1, 3):
            value = loss(_random(count, 6, 9, 7, device=device))
            must(value.dtype == torch.float32, f"it returned {value.dtype} for float32; keep the dtype")
            _must_be_finite(value, "its value")

    def has_gradient() -> None:
        for values in _variations(entry):
            with _told_with(values):
                for picture in (activation, activation * 1e3, torch.zeros_like(activation)):
                    _must_be_finite(_slope(partial(function, **values), picture), "its gradient")
        must(bool(_slope(loss, activation).any()), "its gradient is zero everywhere, so that nothing would be dreamed")

    def is_picture_by_picture() -> None:
        parts = [activation[index : index + 1] for index in range(len(activation))]
        _must_equal(loss(activation), torch.cat([loss(part) for part in parts]), "a batch differs from its pictures")
        slopes = torch.cat([_slope(loss, part) for part in parts])
        _must_equal(_slope(loss, activation), slopes, "the gradient of a batch differs from that of its pictures")

    def takes_any_order_of_memory() -> None:
        turned = activation.contiguous(memory_format=torch.channels_last)
        _must_equal(loss(turned), loss(activation), "with the channels innermost in memory, it is another")
        _must_equal(
            _slope(loss, turned), _slope(loss, activation), "with the channels innermost, its gradient is another"
        )

    yield "gives one value a picture", gives_one_value
    yield "has a finite gradient, whatever its parameters allow", has_gradient
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield "takes activations in any order of memory", takes_any_order_of_memory
    yield "is the same in tiles as whole", lambda: _is_whole_in_tiles(loss, device)
    yield "gives the same each time, whatever the random numbers", lambda: _repeats(lambda: loss(activation))
    yield "leaves what it is given as it is", lambda: _keeps(loss, activation)
    yield "takes its own defaults", partial(_defaults_are_allowed, entry)
    yield "leaves no state behind", lambda: _leaves_no_state(lambda: loss(activation))


def _slope(loss: Callable[[Tensor], Tensor], activation: Tensor) -> Tensor:
    leaf = activation.detach().clone().requires_grad_()
    value = loss(leaf)
    must(value.requires_grad, "it has no gradient: it does not depend on what it is given by way of torch")
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return slope


def _is_whole_in_tiles(loss: Callable[[Tensor], Tensor], device: torch.device) -> None:
    if (sums := sums_of(loss)) is not None:
        cells = _random(2, 6, 12, 8, device=device)
        added = sums.part(cells[:, :, :5]) + sums.part(cells[:, :, 5:])
        _must_equal(
            sums.finish(added), loss(cells), "the loss of the @summed sums of two parts differs from the whole's"
        )
    backbone = tiny_backbone(device)
    objective = Objective((Term(backbone.module_name("relu2"), loss),))
    pictures = _random(1, 3, 72, 56, device=device)
    # Without cuDNN a GPU convolves in full float32, and spreads no not-a-number to neighbouring cells.
    with torch.backends.cudnn.flags(enabled=False), WholeGradient(backbone.network, objective) as whole:

        def look(strip: Tensor) -> list[Tensor]:
            return whole.lookout(strip.to(device))

        sides = locality_of(backbone.network, objective.modules(), look, backbone.min_side).sides(look, pictures.shape)
        assert sides is not None  # the tiny network is local
        tiled = TiledGradient(whole.lookout, objective, sides, 24, backbone.min_side)
        (gradient, value), (expected, whole_value) = tiled(pictures), whole(pictures)
    _must_equal(value, whole_value, "the loss of a picture in tiles differs from the whole picture's")
    _must_equal(gradient, expected, "the gradient of a picture in tiles differs from the whole picture's")


def _repeats(work: Callable[[], Tensor]) -> None:
    results = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            results.append(work().clone())
    must(torch.equal(results[0], results[1]), "the same call gave another result the second time")
    why = "it draws from torch's global random numbers: the same recipe would dream something else each time"
    must(torch.equal(results[0], results[2]), why)


def _keeps(function: Callable[[Tensor], object], given: Tensor) -> None:
    kept = given.clone()
    function(given)
    must(torch.equal(given, kept), "it changes what it is given, which is not its own: work on a copy")


# Gradient steps


def _gradient_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    entry = item.entry
    gradient = _random(2, 3, 33, 47, device=device)

    def step(values: Mapping[str, Any], given: Tensor, progress: float = 0.3) -> Tensor:
        supplied = {"progress": progress} if "progress" in supplied_to(item.function) else {}
        result: Tensor = item.function(given.clone(), **values, **supplied)
        return result

    base = default_values(entry)

    def is_finite() -> None:
        for values in _variations(entry, most=16):
            with _told_with(values):
                for given in (gradient, gradient * 1e-6, torch.zeros_like(gradient)):
                    for progress in (0.0, 0.9):
                        _must_be_finite(step(values, given, progress), "what it returns")

    def is_picture_by_picture() -> None:
        parts = [step(base, gradient[index : index + 1]) for index in range(len(gradient))]
        _must_equal(step(base, gradient), torch.cat(parts), "a batch differs from its pictures")

    yield "keeps shape and dtype", lambda: _keeps_shape(lambda given: step(base, given), device)
    yield "is finite, whatever its parameters allow", is_finite
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield "gives the same each time, whatever the random numbers", lambda: _repeats(lambda: step(base, gradient))
    yield "takes its own defaults", partial(_defaults_are_allowed, entry)
    yield "leaves no state behind", lambda: _leaves_no_state(lambda: step(base, gradient))


def _keeps_shape(step: Callable[[Tensor], Tensor], device: torch.device) -> None:
    for shape in ((1, 3, 32, 32), (2, 3, 33, 47)):
        given = _random(*shape, device=device)
        result = step(given)  # whose shape and dtype its guard holds against the gradient's
        must(result.device.type == given.device.type, f"it moved the gradient to {result.device}")


# Schedules


def _schedule_clauses(item: Registered, device: torch.device) -> Iterator[Clause]:
    entry = item.entry
    base = default_values(entry)
    pictures = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))

    def dreamed(values: Mapping[str, Any], given: Tensor, jitter: int = 0) -> Tensor:
        schedule = partial(item.function, **values)
        return tiny_dream(given, schedule=schedule, steps=[_normalised], device=device, jitter=jitter)

    def gives_pictures() -> None:
        for values in _variations(entry, most=8):
            with _told_with(values):
                given = pictures[:1, :, :33, :41]
                seen = _Recorder(item.function, values)
                result = tiny_dream(given, schedule=seen, device=device)
                must(bool((result >= 0).all() and (result <= 1).all()), "its pictures leave the range 0 to 1")
                seen.check()

    def is_picture_by_picture() -> None:
        parts = [dreamed(base, pictures[index : index + 1]) for index in range(len(pictures))]
        off = float((dreamed(base, pictures) - torch.cat(parts)).abs().mean())
        # Single pixels of a schedule that works in 8 bit may be rounded to the next value.
        must(off <= _ROUNDING, f"a batch differs from its pictures: it is off by {off:.2g} on the mean")

    yield "gives pictures of the size that it was given, in the range 0 to 1", gives_pictures
    yield "takes a batch as its pictures one by one", is_picture_by_picture
    yield (
        "gives the same each time, whatever the random numbers",
        lambda: _repeats(lambda: dreamed(base, pictures[:1], 2)),
    )
    yield "takes its own defaults", partial(_defaults_are_allowed, entry)
    yield "leaves no state behind", lambda: _leaves_no_state(lambda: dreamed(base, pictures[:1]))


_ROUNDING = 5e-4
"""An eighth of a step of 8 bit; a normalised dream of two iterations changes a picture by several steps."""


def _normalised(gradient: Tensor) -> Tensor:
    return gradient / (gradient.flatten(1).std(1) + 1e-12).view(-1, 1, 1, 1)


class _Recorder:
    """A schedule that looks at what the schedule below it ascends."""

    def __init__(self, schedule: Callable[..., Any], values: Mapping[str, Any]) -> None:
        self._schedule = partial(schedule, **values)
        self._watched: _WatchedAscend | None = None

    def __call__(self, image: Tensor, ascend: Ascend) -> Any:
        self._watched = _WatchedAscend(ascend)
        return self._schedule(image, self._watched)

    def check(self) -> None:
        """What was ascended were pictures, and as many as were planned."""
        assert self._watched is not None
        given, planned = self._watched.given, self._watched.planned
        must(bool(given), "it never calls `ascend`, so that nothing is dreamed")
        for low, high in given:
            inside = low >= -1e-6 and high <= 1 + 1e-6
            must(inside, f"it has values from {low:.2g} to {high:.2g} ascend; clamp them to 0 … 1")
        must(
            planned in (None, len(given)), f"it planned {planned} ascents and made {len(given)}: see `ascend.plan`"
        )  # fmt: skip


class _WatchedAscend:
    """An `Ascend` that remembers the ranges of what it was given, and how many ascents were planned."""

    def __init__(self, ascend: Ascend) -> None:
        self._ascend = ascend
        self.given: list[tuple[float, float]] = []
        self.planned: int | None = None

    @property
    def deterministic(self) -> bool:
        return self._ascend.deterministic

    def plan(self, ascents: int) -> None:
        self.planned = ascents
        self._ascend.plan(ascents)

    def __call__(self, image: Tensor, *, overwrite: bool = False) -> Tensor:
        if isinstance(image, Tensor) and image.numel():
            self.given.append((float(image.min()), float(image.max())))
        return self._ascend(image, overwrite=overwrite)


# Backbones


def _backbone_clauses(item: Registered, name: str, device: torch.device) -> Iterator[Clause]:
    entry = item.entry

    def built(values: Mapping[str, Any] | None = None) -> Backbone:
        choice = BackboneChoice(name=name, weights="random", **(default_values(entry) if values is None else values))
        with torch.random.fork_rng(devices=[]):
            backbone = load_backbone(item, choice, 0).backbone
        backbone.network.to(device)
        return backbone

    def dreams() -> None:
        for values in _variations(entry, most=256):
            with _told_with(values):
                _check_dreams(built(values), device)

    def repeats() -> None:
        first, second = (built().network.state_dict() for _ in range(2))
        must(first.keys() == second.keys(), "it builds other networks each time")
        same = all(torch.equal(value, second[key]) for key, value in first.items())
        must(same, "with the same seed it has other random weights: draw them from torch's random numbers alone")

    def takes_batches() -> None:
        backbone = built()
        side = backbone.input_size or max(backbone.min_side, 32)
        pictures = _random(2, 3, side, side, device=device)
        with _gradient_of(backbone) as gradient:
            parts = torch.cat([gradient(pictures[index : index + 1])[0] for index in range(2)])
            _must_equal(gradient(pictures)[0], parts, "the gradient of a batch differs from that of its pictures", 1e-2)

    yield "lists layers that run, its default among them", lambda: _lists_its_layers(built())
    yield "dreams finitely at its smallest size", dreams
    yield "has the same random weights for the same seed", repeats
    yield "takes a batch as its pictures one by one", takes_batches
    yield "loads its default weights, where they are here", lambda: _loads_its_weights(item, name)
    yield "takes its own defaults", partial(_defaults_are_allowed, entry)
    yield "leaves no state behind", lambda: _leaves_no_state(built)


def _lists_its_layers(backbone: Backbone) -> None:
    default = str(backbone.default_layer)
    must(default in (backbone.layers or {}), f"its default layer {default!r} is none of its layers")
    for layer, module in (backbone.layers or {}).items():
        try:
            backbone.network.get_submodule(module)
        except AttributeError as error:
            raise PluginError(f"layer {layer!r}: the network has no module {module!r}") from error


def _check_dreams(backbone: Backbone, device: torch.device) -> None:
    side = backbone.input_size or backbone.min_side
    x = _random(1, 3, side, side, device=device)
    with _gradient_of(backbone) as gradient:
        try:
            (activation,) = gradient.lookout(x)
        except KeyError as error:
            raise PluginError(f"its default layer {backbone.default_layer!r} does not run") from error
        _must_be_finite(activation, f"what layer {backbone.default_layer!r} gives")
        _must_be_finite(gradient(x)[0], "its gradient at the picture")
    frozen = not any(parameter.requires_grad for parameter in backbone.network.parameters())
    must(frozen, "its network changes: parameters take gradients although it is frozen")


def _gradient_of(backbone: Backbone) -> WholeGradient:
    """Of the mean square of what its default layer sees."""
    module = backbone.module_name(str(backbone.default_layer))
    return WholeGradient(backbone.network, Objective((Term(module, mean_square),)))


def _loads_its_weights(item: Registered, name: str) -> None:
    source = item.source(name)
    if source is None or cache.find(source).state not in ("cached", "packaged"):
        return
    load_backbone(item, BackboneChoice(name=name, **default_values(item.entry)), 0)


# Decoders


def _decoder_clauses(item: Registered, samples: Sequence[Path]) -> Iterator[Clause]:
    noise = np.random.default_rng(0).bytes(4096)

    def refuses_rubbish() -> None:
        rubbish = [noise, b"this is a text and no picture", b"II*\0" + noise, *(f.read_bytes()[:200] for f in samples)]
        for data in rubbish:
            _decode_broken(item.function, data)

    def decodes(file: Path) -> None:
        read_picture(file, max_pixels=200_000_000, max_bytes=_MAX_BYTES, decode=item.function)

    def repeats(file: Path) -> None:
        first, second = (
            read_picture(file, max_pixels=200_000_000, max_bytes=_MAX_BYTES, decode=item.function) for _ in range(2)
        )
        must(np.array_equal(first.pixels, second.pixels), "it decodes the same file to other pixels the second time")

    yield "refuses broken files with a PictureError", refuses_rubbish
    for file in samples:
        yield f"decodes {file.name}", partial(decodes, file)
        yield f"asks check_size before it decodes {file.name}", partial(_asks_first, item.function, file)
        yield f"decodes {file.name} the same each time", partial(repeats, file)
        yield f"leaves no state behind after {file.name}", partial(_leaves_no_state, partial(decodes, file))


def _decode_broken(decode: Callable[..., Any], data: bytes) -> None:
    try:
        decode(io.BytesIO(data), lambda _width, _height: None)
    except PictureError:
        return
    raise PluginError("it takes a file that is no picture for one; raise dreamd.api.PictureError")


def _asks_first(decode: Callable[[BinaryIO, Callable[[int, int], None]], Any], file: Path) -> None:
    def refuse(width: int, height: int) -> None:
        raise PictureError(f"{width} x {height} is too large")

    try:
        with file.open("rb") as opened:
            decode(opened, refuse)
    except PictureError:
        return
    raise PluginError("it never asks check_size(width, height), so that limits.max_pixels would not hold")


# The daemon's


def _executor_clauses(item: Registered) -> Iterator[Clause]:
    def is_executor() -> None:
        with tempfile.TemporaryDirectory(prefix="dreamd-check-") as folder:
            config = Path(folder) / "config.yaml"
            config.write_text("workers: {devices: [cpu]}\n", encoding="utf-8")
            made = item.function(ExecutorContext(config=load_config(config), notify=lambda _event: None))
        wanted = [name for name in vars(Executor) if not name.startswith("_")]
        missing = [name for name in wanted if not callable(getattr(made, name, None))]
        must(not missing, f"it has no {', '.join(missing)}: see dreamd.api.Executor")
        must(isinstance(made.free(), int), "free() gives no whole number")
        made.next_deadline()
        list(made.workers())

    yield "makes what dreamd.api.Executor describes", is_executor


def _notify_clauses(item: Registered) -> Iterator[Clause]:
    def takes_every_job() -> None:
        takes_job = bool(inspect.signature(item.function).parameters)
        for state in JobState:
            job = Job(
                id=new_job_id(), folder=PurePosixPath("holiday"), name="cat.jpg", state=state, claimed_at=time.time()
            )
            if state in (JobState.HELD, JobState.FAILED):
                job = replace(job, reason="this is a check of the plugin")
            item.function(*([job] if takes_job else []))

    yield "takes a job in every state", takes_every_job

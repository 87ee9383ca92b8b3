"""A worker: a process of its own that decodes, dreams and encodes pictures on one device.

Takes one line of JSON a batch on its standard input and answers with lines on its standard output (`messages.py`). It
ends when its input ends, and dies with the daemon. Whatever it prints goes to the log instead.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torchvision

from dreamd import __version__
from dreamd.build import Built, OnFetch, Workshop
from dreamd.engine.dream import Dreamed, Progress, dream
from dreamd.engine.precision import fastest
from dreamd.errors import DreamdError, PictureError, RecipeError, UsageError, hold_cause, printable
from dreamd.imageio import Picture, output_format, read_picture, shrunk, write_picture
from dreamd.lifeline import die_with_parent
from dreamd.messages import Advanced, Done, Dream, Fetching, NotDone, Order, Ready, Said, Settings, Sidecar, Unable
from dreamd.plugins import Plugins
from dreamd.preview import Previews
from dreamd.recipe import Recipe
from dreamd.weights import sha256_of

log = logging.getLogger(__name__)

_PROGRESS_SECONDS = 0.2
"""Between two messages of progress: often enough for a bar, seldom enough to cost nothing."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a picture may cost: its pixels, the bytes of its file, and the bytes that its dream may hold."""

    max_pixels: int
    max_bytes: int
    memory: int


class Studio:
    """Dreams files on one device. What a worker and `dreamd dream` have in common."""

    def __init__(self, plugins: Plugins, device: torch.device, limits: Limits) -> None:
        self._workshop = Workshop(plugins, device, limits.memory)
        self._limits = limits
        self.device = device

    def build(self, recipe: Recipe, on_fetch: OnFetch | None = None) -> Built:
        """What the recipe dreams with; raises as `Workshop.build` does."""
        return self._workshop.build(recipe, on_fetch)

    def read(self, source: Path, recipe: Recipe) -> Picture:
        """The picture of a file, shrunk as the recipe wants it. Raises PictureError."""
        picture = read_picture(source, max_pixels=self._limits.max_pixels, max_bytes=self._limits.max_bytes)
        return shrunk(picture, recipe.image.max_side)

    def dream(
        self,
        picture: Picture,
        recipe: Recipe,
        built: Built,
        on_progress: Callable[[Progress], None],
        on_frame: Callable[[torch.Tensor], None] = lambda _images: None,
    ) -> tuple[Picture, Dreamed]:
        """The dreamed picture, with the original's alpha channel, EXIF and resolution."""
        dreamed = dream(
            _to_tensor(picture), built.dreamer, seeds=[recipe.seed], on_progress=on_progress, on_frame=on_frame
        )
        pixels = dreamed.images[0].mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return replace(picture, pixels=pixels), dreamed

    def sidecar(
        self,
        *,
        job: str,
        source: Path,
        recipe: Recipe,
        built: Built,
        picture: Picture,
        dreamed: Dreamed,
        seconds: float,
    ) -> Sidecar:
        """The record of a dream."""
        height, width = picture.pixels.shape[:2]
        return Sidecar(
            job=job,
            picture=printable(source.name),
            input_sha256=sha256_of(source) if source.is_file() else "",
            recipe=recipe.model_dump(mode="json"),
            versions={**versions(), **built.plugins},
            weights_sha256=built.weights_sha256,
            device=str(self.device),
            precision=built.dreamer.precision,
            seed=recipe.seed,
            size=(width, height),
            tiling=dreamed.tiling,
            seconds=round(seconds, 3),
            loss_before=dreamed.loss_before[0],
            loss_after=dreamed.loss_after[0],
        )


def versions() -> dict[str, str]:
    """The versions that decide over a dream's bits."""
    return {"dreamd": __version__, "torch": torch.__version__, "torchvision": torchvision.__version__}


def choose_device(wanted: str) -> torch.device:
    """The device of `cpu`, `cuda`, `cuda:1`, or `auto:1`: the second GPU if there is one and else the processor.

    Raises:
        UsageError: there is no such device.
    """
    if wanted.startswith("auto"):
        index = int(wanted.partition(":")[2] or 0)
        has_it = torch.cuda.is_available() and index < torch.cuda.device_count()
        return torch.device("cuda", index) if has_it else torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        there_are = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise UsageError(f"device {wanted!r} cannot be used here; there is {' and '.join(there_are)}") from error
    return device


def free_memory(device: torch.device) -> int:
    """Most of the bytes that are free on a device now; a part is left to others."""
    if device.type == "cuda":
        return int(0.9 * torch.cuda.mem_get_info(device)[0])
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(0.8 * 1024 * int(lines["MemAvailable"].split()[0]))


def device_name(device: torch.device) -> str:
    """A device's name for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def _to_tensor(picture: Picture) -> torch.Tensor:
    """A picture as `[1, 3, H, W]`, float32 in [0, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture.pixels))
    return pixels.permute(2, 0, 1).unsqueeze(0).contiguous().float().div(255)


class Worker:
    """The loop of a worker process."""

    def __init__(self, settings: Settings, output: BinaryIO) -> None:
        self._output = output
        plugins = Plugins("dreamd.engine", folders=settings.plugin_folders, disable=settings.disable)
        device = choose_device(settings.device)
        memory = settings.memory or free_memory(device)
        limits = Limits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes, memory=memory)
        self._studio = Studio(plugins, device, limits)
        self._catalogue = plugins.catalogue
        self._previews = Previews(settings.previews)

    def run(self, commands: BinaryIO) -> None:
        """Say that it is ready, then dream batch after batch until the input ends."""
        device = self._studio.device
        precision = fastest(device)
        log.info("%s (%s): fastest precision is %s", device, device_name(device), precision)
        self._send(
            Ready(
                device=str(device),
                device_name=device_name(device),
                precision=precision,
                versions=versions(),
                catalogue=self._catalogue,
            )
        )
        for line in commands:
            batch = Dream.model_validate_json(line)
            for order in batch.orders:
                self._send(self._carried_out(order, Recipe.from_json(batch.recipe)))

    def _carried_out(self, order: Order, recipe: Recipe) -> Done | NotDone:
        try:
            return self._dreamed(order, recipe)
        except DreamdError as error:
            return NotDone(
                job=order.job,
                hold=hold_cause(error),
                final=isinstance(error, PictureError),
                reason=error.problem if isinstance(error, RecipeError) else str(error),
                field=error.field if isinstance(error, RecipeError) else (),
            )
        except Exception as error:
            log.exception("job %s", order.job)
            return NotDone(job=order.job, hold=None, final=False, reason=f"{type(error).__name__}: {error}")

    def _dreamed(self, order: Order, recipe: Recipe) -> Done:
        start = time.perf_counter()
        source = self._studio.read(order.source, recipe)
        built = self._studio.build(recipe, self._fetch_reporter(order.job))
        show = partial(self._previews.show, [order.job])
        try:
            picture, dreamed = self._studio.dream(source, recipe, built, self._progress_reporter(order.job), show)
        finally:
            self._previews.drop([order.job])
        name, extension = output_format(recipe.output.format, picture.format)
        target = order.folder / f"result{extension}"
        write_picture(picture, target, format=name, quality=recipe.output.quality)
        sidecar = self._studio.sidecar(
            job=order.job,
            source=order.source,
            recipe=recipe,
            built=built,
            picture=picture,
            dreamed=dreamed,
            seconds=time.perf_counter() - start,
        )
        return Done(job=order.job, file=target.name, sidecar=sidecar)

    def _progress_reporter(self, job: str) -> Callable[[Progress], None]:
        due = Throttle(_PROGRESS_SECONDS)

        def report(progress: Progress) -> None:
            if due():
                self._send(
                    Advanced(
                        job=job,
                        ascent=progress.ascent,
                        ascents=progress.ascents,
                        iteration=progress.iteration,
                        iterations=progress.iterations,
                        share=progress.share,
                    )
                )

        return report

    def _fetch_reporter(self, job: str) -> OnFetch:
        due = Throttle(_PROGRESS_SECONDS)

        def report(done: int, total: int | None) -> None:
            if due():
                self._send(Fetching(job=job, done=done, total=total))

        return report

    def _send(self, message: Said) -> None:
        send(self._output, message)


def send(output: BinaryIO, message: Said) -> None:
    """Say something to the daemon."""
    output.write(message.line())
    output.flush()


class Throttle:
    """True at most once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


def _pipes_to_daemon() -> tuple[BinaryIO, BinaryIO]:
    """The way in and the way out, moved to where no library or plugin prints to, or reads from, by accident."""
    commands, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, output


def main() -> None:
    """The entry point of a worker process: `python -m dreamd.worker PARENT_PID`."""
    Path("/proc/self/oom_score_adj").write_text("500")  # a full memory shall cost a worker, never the daemon
    die_with_parent(int(sys.argv[1]))
    commands, output = _pipes_to_daemon()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="worker: %(message)s")
    try:
        Worker(Settings.model_validate_json(commands.readline()), output).run(commands)
    except DreamdError as error:
        send(output, Unable(reason=str(error)))
        sys.exit(1)
    except BrokenPipeError:  # the daemon is gone; there is nobody left to tell
        sys.exit(1)


if __name__ == "__main__":
    main()

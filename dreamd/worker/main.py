"""The entry point of a worker process: `python -m dreamd.worker.main PARENT_PID`.

Takes one line of JSON with its settings on its standard input, and then one for each batch and for what is cancelled.
Answers with lines on its standard output (`dreamd/messages.py`). It ends when its input ends, and dies with the daemon.
Whatever it prints otherwise goes to the log.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import BinaryIO

from dreamd.engine.speed.precision import fastest, winograd_gains
from dreamd.errors import DreamdError
from dreamd.hardware.cores import processor_list
from dreamd.logs import configure, inherited_level, inherited_style
from dreamd.messages import Importing, Ready, Settings, Unable, read_settings, to_worker
from dreamd.plugin_host.finding.discovery import Candidate
from dreamd.plugin_host.finding.known_sources import remember_sources
from dreamd.plugin_host.finding.memory import memory_of
from dreamd.plugin_host.host import Plugins
from dreamd.processes import die_with_parent
from dreamd.worker.answers import Answers
from dreamd.worker.machine.bounds import Bounds, Room, limit_memory
from dreamd.worker.machine.device import (
    BrokenDeviceError,
    choose_device,
    count_threads,
    device_name,
    free_memory,
    use_threads,
    used_threads,
)
from dreamd.worker.machine.heap import keep_freed_memory
from dreamd.worker.pipeline import Pipeline
from dreamd.worker.previews import Previews
from dreamd.worker.session import Session

log = logging.getLogger("dreamd.worker.main")  # the name of this module is `__main__` in a worker process

_AHEAD_SHARE = 1 / 32
"""The share of the worker's memory for pictures that wait, or are being written, while another one dreams."""

_TOGETHER_ON_A_GPU = 32
"""The most pictures that are dreamed together when nothing is configured. On a processor it is one: more bring nothing
there, and a picture dreamed alone comes out the same to the last bit whatever came with it."""


class Worker:
    """A worker of one device: loads the plugins, says that it is ready, and works through the batches.

    Attributes:
        device: what it dreams on.
        memory: bytes that it may hold.
    """

    def __init__(self, settings: Settings, answers: Answers) -> None:
        """Load the plugins and look for the device. Raises UsageError where there is no such device."""
        self._settings = settings
        self._answers = answers
        self._plugins = Plugins(
            "dreamd.engine",
            folders=settings.plugin_folders,
            disable=settings.disable,
            distrusted=settings.distrusted,
            on_load=self._announce,
        )
        answers.send(Importing(plugin=None))
        self.device = choose_device(settings.device, is_alone=settings.sees_one_gpu, is_spare=settings.is_spare)
        self.memory = settings.memory or free_memory(self.device.torch) // settings.sharers
        use_threads(settings.threads or count_threads(settings.sharers))
        keep_freed_memory(self.memory)

    def run(self, commands: BinaryIO) -> None:
        """Say that it is ready, then dream batch after batch until the input ends."""
        self._answers.send(self._ready())
        bounds = Bounds(
            max_pixels=self._settings.max_pixels,
            max_bytes=self._settings.max_bytes,
            memory=self.memory,
            picture_folders=self._settings.picture_folders,
            max_pages=self._settings.max_pages,
            max_pages_pixels=self._settings.max_pages_pixels,
            max_film_bytes=self._settings.max_film_bytes,
            max_frames=self._settings.max_frames,
            max_film_seconds=self._settings.max_film_seconds,
        )
        pipeline = Pipeline(
            Session(self._plugins, self.device, bounds, deterministic=self._settings.deterministic, may_fetch=False),
            self._answers,
            previews=Previews(self._settings.previews),
            together=self._settings.batch or (_TOGETHER_ON_A_GPU if self.device.torch.type == "cuda" else 1),
            room=Room(int(self.memory * _AHEAD_SHARE)),
        )
        pipeline.run(map(to_worker, commands))

    def _announce(self, plugin: Candidate) -> None:
        """Say which plugin is loaded next: the daemon must know who it was if that ends this process.

        dreamd's own are trusted: a process that ends meanwhile ends by something else.
        """
        self._answers.send(Importing(plugin=None if plugin.own else plugin.name, origin=plugin.origin))

    def _ready(self) -> Ready:
        device = self.device
        name, precision = device_name(device.torch), fastest(device.torch)
        way = ", with Winograd's convolutions" if winograd_gains(precision, device.torch) else ""
        log.info("%s (%s): fastest precision is %s%s", device.label, name, precision, way)
        if device.warning:
            log.warning("%s", device.warning)
        computes_here = device.torch.type == "cpu"
        if not self._settings.distrusted and not any(not each.deliberate for each in self._plugins.catalogue.problems):
            self._remember_catalogue()
        return Ready(
            device=device.label,
            device_name=name,
            precision=precision,
            warning="; ".join(filter(None, (device.warning, self._settings.warning))),
            catalogue=self._plugins.catalogue,
            threads=used_threads() if computes_here else None,
            processors=processor_list(os.sched_getaffinity(0)) if computes_here else "",
            memory=self.memory,
        )

    def _remember_catalogue(self) -> None:
        """Let commands know what these plugins bring, so that they need not load them."""
        memory = memory_of("dreamd.engine", self._settings.plugin_folders, self._settings.disable)
        if memory.recall("catalogue") is None:
            memory.keep("catalogue", self._plugins.catalogue.model_dump(mode="json"))
        remember_sources(memory, self._plugins.fixed_sources())


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the way in and the way out to where no library or plugin reads from, or prints to, by accident."""
    commands, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, output


def main() -> None:
    """Work until the input ends."""
    Path("/proc/self/oom_score_adj").write_text("500")  # a full memory shall cost a worker, never the daemon
    die_with_parent(int(sys.argv[1]))
    commands, output = _take_pipes()
    configure(inherited_style(), human="worker: %(message)s", level=inherited_level())
    answers = Answers(output)
    try:
        worker = Worker(read_settings(commands.readline()), answers)
        if worker.device.torch.type == "cpu":  # CUDA maps far more than it uses
            limit_memory(worker.memory)
        worker.run(commands)
    except DreamdError as error:
        answers.send(Unable(reason=str(error)))
        if isinstance(error, BrokenDeviceError):
            os._exit(1)  # what is left of CUDA might hinder an orderly end
        sys.exit(1)


if __name__ == "__main__":
    main()

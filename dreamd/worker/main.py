"""A worker: a process of its own that decodes, dreams and encodes pictures on one device.

Takes one line of JSON a batch on its standard input and answers with lines on its standard output (`messages.py`). It
ends when its input ends, and dies with the daemon. Whatever it prints goes to the log instead.

So that the device need not wait, the next pictures are decoded and the last ones encoded and written in other threads
while one dreams; `Room` bounds what they hold.
"""

from __future__ import annotations

import logging
import os
import queue
import resource
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dreamd.engine.checkpoint import Checkpoint
from dreamd.engine.dream import Progress
from dreamd.engine.footprint import is_out_of_memory
from dreamd.engine.precision import fastest, winograd_gains
from dreamd.errors import DreamdError, PictureError, RecipeError, hold_cause
from dreamd.logs import configure, inherited_style
from dreamd.messages import Advanced, Batch, Done, Fetching, NotDone, Order, Ready, Said, Settings, Unable
from dreamd.pictures.formats import output_format
from dreamd.pictures.picture import Picture
from dreamd.pictures.writing import write_picture
from dreamd.plugin_host.host import Plugins
from dreamd.processes import die_with_parent
from dreamd.settings.recipe import Recipe
from dreamd.weights.digests import sha256_of
from dreamd.worker.builder import Built, OnFetch
from dreamd.worker.previews import Previews
from dreamd.worker.session import Dream, Limits, Studio, choose_device, device_name, free_memory, versions

log = logging.getLogger("dreamd.worker.main")  # whose __name__ is __main__ in a worker process

_PROGRESS_SECONDS = 0.2
"""Between two messages of progress: often enough for a bar, seldom enough to cost nothing."""

_AHEAD_SHARE = 1 / 32
"""Of the worker's memory, what pictures may take that wait or are being written while another dreams."""

_TOGETHER_ON_A_GPU = 32
"""Pictures dreamed together at most, when nothing is configured. On a processor it is one: more bring nothing there,
and a picture dreamed alone comes out the same to the last bit whatever came with it."""

_WRITERS = 2


@dataclass(eq=False)
class _Task:
    """An order on its way through the worker.

    Attributes:
        picture: once it is decoded, and until it is dreamed.
        sha256: of its file.
        seconds: the time spent on it so far.
    """

    order: Order
    recipe: Recipe
    picture: Picture | None = None
    sha256: str = ""
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


class Room:
    """Bounds the bytes of the pictures that are in the worker. A single one may be of any size, and is then alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside: dict[object, int] = {}
        self._changed = threading.Condition()

    def enter(self, who: object) -> None:
        """Wait until there is room, then come in with nothing yet."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or sum(self._inside.values()) < self._size)
            self._inside[who] = 0

    def hold(self, who: object, size: int) -> None:
        """Say how many bytes somebody inside holds now."""
        with self._changed:
            self._inside[who] = size

    def leave(self, who: object) -> None:
        """Go, with all that was held."""
        with self._changed:
            self._inside.pop(who, None)
            self._changed.notify_all()


class Meter:
    """Counts the seconds that a device dreams."""

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time inside."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._total, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """All of them so far."""
        since = self._since
        return self._total + (0.0 if since is None else time.perf_counter() - since)


class Worker:
    """The three stages of a worker process: one thread decodes, the main thread dreams, two write.

    Attributes:
        device: what it dreams on.
        memory: bytes that it may hold.
    """

    def __init__(self, settings: Settings, output: BinaryIO) -> None:
        self._output = output
        self._sending = threading.Lock()
        plugins = Plugins("dreamd.engine", folders=settings.plugin_folders, disable=settings.disable)
        self.device = choose_device(settings.device)
        self.memory = settings.memory or free_memory(self.device)
        limits = Limits(max_pixels=settings.max_pixels, max_bytes=settings.max_bytes, memory=self.memory)
        self._studio = Studio(plugins, self.device, limits)
        self._catalogue = plugins.catalogue
        self._previews = Previews(settings.previews)
        self._together = settings.batch or (_TOGETHER_ON_A_GPU if self.device.type == "cuda" else 1)
        self._meter = Meter()
        self._room = Room(int(self.memory * _AHEAD_SHARE))
        self._ordered: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._decoded: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._waiting: deque[_Task] = deque()
        self._is_ending = False

    def run(self, commands: BinaryIO) -> None:
        """Say that it is ready, then dream batch after batch until the input ends."""
        precision = fastest(self.device)
        way = ", with Winograd's convolutions" if winograd_gains(precision, self.device) else ""
        log.info("%s (%s): fastest precision is %s%s", self.device, device_name(self.device), precision, way)
        self._send(
            Ready(
                device=str(self.device),
                device_name=device_name(self.device),
                precision=precision,
                versions=versions(),
                catalogue=self._catalogue,
            )
        )
        threading.Thread(target=self._take_orders, args=(commands,), name="orders", daemon=True).start()
        threading.Thread(target=self._decode_all, name="decode", daemon=True).start()
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="write") as self._writers:
            while tasks := self._next_tasks():
                self._dream(tasks)

    def _take_orders(self, commands: BinaryIO) -> None:
        for line in commands:
            batch = Batch.model_validate_json(line)
            recipe = Recipe.from_json(batch.recipe)
            for order in batch.orders:
                self._ordered.put(_Task(order, recipe))
        self._ordered.put(None)

    # Decoding

    def _decode_all(self) -> None:
        for task in iter(self._ordered.get, None):
            self._room.enter(task)
            try:
                with task.timed():
                    task.picture = self._studio.read(task.order.source, task.recipe)
                    task.sha256 = sha256_of(task.order.source)
            except Exception as error:  # noqa: BLE001 (told to the daemon)
                self._give_up(task, error)
            else:
                self._room.hold(task, task.picture.pixels.nbytes)
                self._decoded.put(task)
        self._decoded.put(None)

    # Dreaming

    def _next_tasks(self) -> list[_Task]:
        """The next picture, with those beside it that may be dreamed together with it; none at the end."""
        while not self._is_ending and (not self._waiting or not self._decoded.empty()):
            if (task := self._decoded.get()) is None:
                self._is_ending = True
            else:
                self._waiting.append(task)
        if not self._waiting:
            return []
        first = self._waiting[0]
        alike = [task for task in self._waiting if _is_alike(task, first)][: self._together]
        self._waiting = deque(task for task in self._waiting if task not in alike)
        return alike

    def _dream(self, tasks: Sequence[_Task]) -> None:
        first = tasks[0]
        assert first.picture is not None
        try:
            built = self._studio.build(first.recipe, self._fetch_reporter(tasks))
            together = self._studio.together(first.picture, built, len(tasks))
        except Exception as error:  # noqa: BLE001 (told to the daemon)
            for task in tasks:
                self._give_up(task, error)
            return
        for start in range(0, len(tasks), together):
            self._dream_with(built, tasks[start : start + together])

    def _dream_with(self, built: Built, tasks: Sequence[_Task]) -> None:
        start = time.perf_counter()
        dreams = self._dreams(built, tasks)
        if isinstance(dreams, Exception):
            self._try_halves(built, tasks, dreams)
            return
        each = (time.perf_counter() - start) / len(tasks)
        for task, dream in zip(tasks, dreams, strict=True):
            task.seconds += each
            task.picture = None
            self._writers.submit(self._finish, task, built, dream)

    def _dreams(self, built: Built, tasks: Sequence[_Task]) -> list[Dream] | Exception:
        """The dreams, or why there are none: returned, so that what the failed attempt held is free for another."""
        pictures = [task.picture for task in tasks if task.picture is not None]
        checkpoint = self._checkpoint_of(tasks[0], built) if len(tasks) == 1 else None
        jobs = [task.order.job for task in tasks]
        try:
            with self._meter.running():
                report, show = self._progress_reporter(tasks), partial(self._previews.show, jobs)
                return self._studio.dream(pictures, tasks[0].recipe, built, report, checkpoint, show)
        except Exception as error:  # noqa: BLE001 (told to the daemon)
            if len(tasks) > 1:
                error.__traceback__ = None  # its frames hold the pictures
            return error
        finally:
            self._previews.drop(jobs)

    def _checkpoint_of(self, task: _Task, built: Built) -> Checkpoint | None:
        folder = task.order.checkpoint
        return None if folder is None else self._studio.checkpoint(folder, task.sha256, task.recipe, built)

    def _try_halves(self, built: Built, tasks: Sequence[_Task], error: Exception) -> None:
        """Whether it was too much at once or one of them is poison, the halves show it."""
        if len(tasks) == 1:
            self._give_up(tasks[0], error)
            return
        log.warning("%d pictures together failed (%s); trying them in halves", len(tasks), error)
        middle = len(tasks) // 2
        for half in (tasks[:middle], tasks[middle:]):
            self._dream_with(built, half)

    # Encoding

    def _finish(self, task: _Task, built: Built, dream: Dream) -> None:
        try:
            done = self._written(task, built, dream)
        except Exception as error:  # noqa: BLE001 (told to the daemon)
            self._give_up(task, error)
        else:
            self._room.leave(task)
            self._send(done)

    def _written(self, task: _Task, built: Built, dream: Dream) -> Done:
        order, recipe = task.order, task.recipe
        with task.timed():
            name, extension = output_format(recipe.output.format, dream.picture.format)
            target = order.folder / f"result{extension}"
            write_picture(dream.picture, target, format=name, quality=recipe.output.quality)
        sidecar = self._studio.sidecar(
            job=order.job,
            source=order.source,
            input_sha256=task.sha256,
            recipe=recipe,
            built=built,
            dream=dream,
            seconds=task.seconds,
        )
        return Done(job=order.job, file=target.name, sidecar=sidecar, busy_seconds=self._meter.seconds)

    # Telling

    def _give_up(self, task: _Task, error: Exception) -> None:
        task.picture = None
        self._room.leave(task)
        job = task.order.job
        if isinstance(error, DreamdError):
            self._send(
                NotDone(
                    job=job,
                    hold=hold_cause(error),
                    final=isinstance(error, PictureError),
                    reason=error.problem if isinstance(error, RecipeError) else str(error),
                    field=error.field if isinstance(error, RecipeError) else (),
                )
            )
            return
        log.error("job %s", job, exc_info=error, extra={"job": job})
        reason = f"{type(error).__name__}: {error}"
        if is_out_of_memory(error):
            reason = f"it takes more memory than a worker may have (workers.memory): {reason}"
        self._send(NotDone(job=job, hold=None, final=False, reason=reason))

    def _progress_reporter(self, tasks: Sequence[_Task]) -> Callable[[Progress], None]:
        due = Throttle(_PROGRESS_SECONDS)

        def report(progress: Progress) -> None:
            for task in tasks if due() else ():
                self._send(
                    Advanced(
                        job=task.order.job,
                        ascent=progress.ascent,
                        ascents=progress.ascents,
                        iteration=progress.iteration,
                        iterations=progress.iterations,
                        share=progress.share,
                        busy_seconds=self._meter.seconds,
                    )
                )

        return report

    def _fetch_reporter(self, tasks: Sequence[_Task]) -> OnFetch:
        due = Throttle(_PROGRESS_SECONDS)

        def report(done: int, total: int | None) -> None:
            for task in tasks if due() else ():
                self._send(Fetching(job=task.order.job, done=done, total=total))

        return report

    def _send(self, message: Said) -> None:
        with self._sending:
            send(self._output, message)


def _is_alike(task: _Task, other: _Task) -> bool:
    """Whether two pictures can be dreamed together."""
    assert task.picture is not None
    assert other.picture is not None
    return task.recipe == other.recipe and task.picture.pixels.shape == other.picture.pixels.shape


def send(output: BinaryIO, message: Said) -> None:
    """Say something to the daemon. Without one the process ends: there is nobody left to tell."""
    try:
        output.write(message.line())
        output.flush()
    except BrokenPipeError:
        os._exit(1)


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


def limit_memory(memory: int) -> None:
    """Have the kernel refuse this process much more memory than it may have (setrlimit(2), RLIMIT_DATA).

    A backstop: dreams are cut to `memory` bytes by reckoning, but a decoder or a plugin may ask for anything, and had
    better get an error than have the machine swap.
    """
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    has = 1024 * int(lines["VmData"].split()[0])
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = has + int(_MEMORY_SPARE * memory) + _MEMORY_SPARE_BYTES
    if hard == resource.RLIM_INFINITY or wanted <= hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


_MEMORY_SPARE = 1.25
_MEMORY_SPARE_BYTES = 1 << 30
"""What is mapped is more than what is used: stacks, arenas, the network's weights while they are read."""


def _pipes_to_daemon() -> tuple[BinaryIO, BinaryIO]:
    """The way in and the way out, moved to where no library or plugin prints to, or reads from, by accident."""
    commands, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, output


def main() -> None:
    """The entry point of a worker process: `python -m dreamd.worker.main PARENT_PID`."""
    Path("/proc/self/oom_score_adj").write_text("500")  # a full memory shall cost a worker, never the daemon
    die_with_parent(int(sys.argv[1]))
    commands, output = _pipes_to_daemon()
    configure(inherited_style(), human="worker: %(message)s")
    try:
        worker = Worker(Settings.model_validate_json(commands.readline()), output)
        if worker.device.type == "cpu":  # CUDA maps far more than it uses
            limit_memory(worker.memory)
        worker.run(commands)
    except DreamdError as error:
        send(output, Unable(reason=str(error)))
        sys.exit(1)


if __name__ == "__main__":
    main()

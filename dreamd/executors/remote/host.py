"""A seat's machine: runs dreamd's own worker, gives it files of that machine, and hands on what it says as bytes.

Knows processes and files. Knows not how it is called: whatever carries the bytes calls the methods of `Host`.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence

from dreamd.executors.process import End, Process
from dreamd.executors.remote.bundles import unpacked_plugins
from dreamd.executors.remote.cluster import (
    PIECE_BYTES,
    Ended,
    FarBatch,
    FarNews,
    FarOrder,
    Glimpse,
    Opening,
    Saying,
)
from dreamd.executors.remote.home import MachineFiles, SeatHome
from dreamd.executors.remote.standings import StandingTaker, write_files
from dreamd.executors.remote.translation import recipe_with_paths, said_near
from dreamd.files.names import one_name
from dreamd.files.problems import refusal
from dreamd.messages import PROTOCOL, Batch, Cancel, Done, NotDone, Order, Said, Settings, Yielded
from dreamd.tree.looking import mark_looked_at

_STANDING_SECONDS = 20.0
"""The seconds between two looks at the checkpoints of what is dreamed: so much of a dream a lost machine costs."""

_NEWS_BYTES = 4 * PIECE_BYTES
"""The bytes of news after which no more are taken along."""


class SeatHost:
    """The host of one seat. It begins at once, in a thread of its own; what goes wrong comes as news.

    Attributes:
        polled_at: when somebody last asked for news, as a time of `time.monotonic`.
    """

    def __init__(
        self,
        opening: Opening,
        *,
        device: str,
        sharers: int,
        environment: Mapping[str, str] = os.environ,
        machine: MachineFiles | None = None,
    ) -> None:
        """Begin.

        Args:
            opening: what every host is opened with.
            device: what the worker dreams on, as `Settings.device` has it.
            sharers: how many seats share the machine.
            environment: the worker's environment variables.
            machine: what the machine keeps for all of its seats; None: where it always does.
        """
        self._machine = machine or MachineFiles()
        self._home = SeatHome(self._machine)
        self._opening = opening
        self._environment = environment
        self._near: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        self._takers: dict[str, StandingTaker] = {}
        self._standings_due = time.monotonic() + _STANDING_SECONDS
        self._glimpsed: dict[str, int] = {}
        self._news: queue.SimpleQueue[FarNews] = queue.SimpleQueue()
        self._process: Process | None = None
        self._is_begun, self._is_over = threading.Event(), threading.Event()
        self.polled_at = time.monotonic()
        # The kernel kills the worker when the thread that started it ends (prctl(2)): so that one lasts.
        threading.Thread(target=self._run, args=[device, sharers], name="host", daemon=True).start()

    # What is asked of it

    def lacks(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if not self._machine.use_named(one_name(name))]

    def lacks_weights(self, name: str) -> bool:
        return self._machine.lacks_weights(one_name(name))

    def write(self, name: str, offset: int, piece: bytes) -> None:
        with self._home.coming(name).open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(piece)

    def keep(self, name: str, digest: str, suffix: str) -> None:
        self._machine.keep_named(self._home.coming(name), one_name(digest), suffix and one_name(suffix))

    def keep_weights(self, name: str, cache_name: str, digest: str) -> None:
        self._machine.keep_weights(self._home.coming(name), one_name(cache_name), digest)

    def keep_source(self, name: str, job: str, source: str) -> None:
        self._home.forget(job)
        target = self._home.source(job, one_name(source))
        target.parent.mkdir(parents=True)
        self._home.coming(name).replace(target)

    def order(self, batch: FarBatch) -> None:
        named = {each.path: str(self._machine.named_file(each.name)) for each in batch.named}
        self._near.update({far: near for near, far in named.items()})
        orders = tuple(self._take(order) for order in batch.orders)
        self._is_begun.wait()
        if self._process is not None:
            self._process.send(Batch(recipe=recipe_with_paths(batch.recipe, named), orders=orders).line())

    def cancel(self, jobs: Sequence[str]) -> None:
        self._is_begun.wait()
        if self._process is not None:
            self._process.send(Cancel(cancel=tuple(jobs)).line())

    def poll(self, seconds: float, *, is_looked_at: bool) -> list[FarNews]:
        self.polled_at = time.monotonic()
        if is_looked_at:
            mark_looked_at(self._home.previews)
        news: list[FarNews] = []
        try:
            news.append(self._news.get(timeout=seconds))
            while sum(map(_length_of, news)) < _NEWS_BYTES:
                news.append(self._news.get_nowait())
        except queue.Empty:
            pass
        self.polled_at = time.monotonic()
        return [*news, *self._glimpses(), *self._standings()]

    def read(self, job: str, file: str, offset: int) -> bytes:
        with (self._home.result(job) / one_name(file)).open("rb") as result:
            result.seek(offset)
            return result.read(PIECE_BYTES)

    def forget(self, job: str) -> None:
        self._takers.pop(job, None)
        self._sources.pop(job, None)
        self._home.forget(job)

    def end(self) -> None:
        self._is_begun.wait()
        if self._process is not None:
            self._process.end()

    # Its thread, which lasts as long as the worker

    def _run(self, device: str, sharers: int) -> None:
        try:
            if self._opening.settings.protocol != PROTOCOL:
                raise OSError("this machine has another dreamd than the daemon; install the same version on both")
            settings = self._settings(device, sharers)
            self._process = Process(settings, self._take_said, self._take_end, self._environment)
        except OSError as error:
            self._news.put(Ended(reason=f"the worker cannot be started: {error}", failure=None))
            self._is_begun.set()
            return
        self._process.begin()
        self._is_begun.set()
        self._is_over.wait()

    def _settings(self, device: str, sharers: int) -> Settings:
        opening, near = self._opening, self._opening.settings
        count = len(near.plugin_folders)
        folders = unpacked_plugins(opening.plugins, opening.plugins_digest, count, self._machine.plugins)
        self._near.update({str(far): str(its_near) for far, its_near in zip(folders, near.plugin_folders, strict=True)})
        return near.model_copy(
            update={
                "device": device,
                "plugin_folders": folders,
                "previews": None if near.previews is None else self._home.previews,
                "picture_folders": (self._machine.named,),
                "sees_one_gpu": True,
                "is_spare": False,
                "sharers": sharers,
            }
        )

    # What the worker says, in the thread that reads it

    def _take_said(self, message: Said) -> None:
        near = said_near(message, self._far_to_near())
        if isinstance(message, Done):
            self._take_done(message, near)
            return
        if isinstance(message, Yielded) and (taker := self._takers.get(message.job)) is not None:
            if (standing := taker.take()) is not None:
                self._news.put(standing)
        elif isinstance(message, NotDone):
            self.forget(message.job)
        self._news.put(Saying(line=near.line()))

    def _take_end(self, end: End) -> None:
        self._news.put(Ended(reason=end.reason, failure=end.failure))
        self._home.remove()
        self._is_over.set()

    def _take_done(self, done: Done, near: Said) -> None:
        assert self._process is not None
        try:
            self._news.put(self._with_files(done, near))
        except OSError as error:
            self._process.kill(End(f"a result cannot be read: {refusal(error)}"))

    def _with_files(self, done: Done, near: Said) -> Saying:
        """Return what is said of a result, with its files when they are small. Raises OSError."""
        folder = self._home.result(done.job)
        lengths = {name: (folder / name).stat().st_size for name in (done.file, done.steps) if name is not None}
        if sum(lengths.values()) > PIECE_BYTES:
            return Saying(line=near.line(), lengths=lengths)
        files = {name: (folder / name).read_bytes() for name in lengths}
        self.forget(done.job)
        return Saying(line=near.line(), files=files)

    # Files

    def _take(self, order: FarOrder) -> Order:
        job, source = order.job, self._home.source(order.job, one_name(order.name))
        if order.data is not None:
            self.forget(job)
            source.parent.mkdir(parents=True)
            source.write_bytes(order.data)
        self._home.result(job).mkdir(parents=True, exist_ok=True)
        self._sources[job] = order.near
        checkpoint = None if order.checkpoint is None else self._home.checkpoint(job)
        if order.checkpoint is not None and checkpoint is not None and not order.is_kept:
            write_files(order.checkpoint, checkpoint)
            self._takers[job] = StandingTaker(job, checkpoint)
        return Order(job=job, source=source, folder=self._home.result(job), checkpoint=checkpoint)

    def _far_to_near(self) -> list[tuple[str, str]]:
        """Return paths here, each with the daemon's, those that go deeper first."""
        sources = list(self._sources.items())  # at once: other threads change it
        folders = [(str(self._home.job(job) / "source"), near.rpartition("/")[0]) for job, near in sources]
        return sorted([*folders, *list(self._near.items())], key=lambda pair: -len(pair[0]))

    def _glimpses(self) -> list[FarNews]:
        found: list[FarNews] = []
        for file in self._home.previews.glob("[!.]*.jpg"):
            try:
                changed = file.stat().st_mtime_ns
                if self._glimpsed.get(file.name) != changed:
                    found.append(Glimpse(name=file.name, data=file.read_bytes()))
                    self._glimpsed[file.name] = changed
            except FileNotFoundError:  # its dream is over
                self._glimpsed.pop(file.name, None)
        return found

    def _standings(self) -> list[FarNews]:
        if time.monotonic() < self._standings_due:
            return []
        self._standings_due = time.monotonic() + _STANDING_SECONDS
        taken = [taker.take() for taker in list(self._takers.values())]
        return [standing for standing in taken if standing is not None]


def _length_of(news: FarNews) -> int:
    return sum(map(len, news.files.values())) if isinstance(news, Saying) else 0

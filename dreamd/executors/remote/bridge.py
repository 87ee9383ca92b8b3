"""A bridge: the process beside the daemon in which the library of a cluster is.

It reads what the daemon tells it, opens seats where there are places for them, and has a carrier for each. It ends when
its input ends, and dies with the daemon.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from pydantic import ValidationError

from dreamd.executors.remote.bundles import packed_plugins
from dreamd.executors.remote.carrier import Carrier, Shared
from dreamd.executors.remote.cluster import Cluster, ClusterError, Opening, Place
from dreamd.executors.remote.words import (
    Begin,
    Drop,
    Give,
    Heard,
    Renew,
    SeatGone,
    Stop,
    Told,
    Trouble,
    Want,
    read_told,
)
from dreamd.files.problems import refusal
from dreamd.logs import configure, inherited_level, inherited_style
from dreamd.messages import OTHER_VERSION
from dreamd.processes import die_with_parent

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""The seconds between two looks at the places of a cluster."""

_CONNECT_SECONDS = 5.0
"""The seconds between two tries to connect to a cluster that is not there."""


def run_bridge(make_cluster: Callable[[Mapping[str, Any]], Cluster]) -> None:
    """Be a bridge: `python -m MODULE PARENT_PID`.

    Args:
        make_cluster: makes the cluster out of what the executor was configured with.
    """
    die_with_parent(int(sys.argv[1]))
    commands, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints goes to the log
    configure(inherited_style(), human="bridge: %(message)s", level=inherited_level())
    begin = Begin.model_validate_json(commands.readline())
    Bridge(make_cluster(begin.cluster), output).run(commands)


class Bridge:
    """The bridge of one cluster. Its own thread alone uses the cluster."""

    def __init__(self, cluster: Cluster, output: BinaryIO) -> None:
        """Answer by lines on `output`."""
        self._cluster = cluster
        self._output = output
        self._saying = threading.Lock()
        self._inputs: queue.SimpleQueue[Told | Callable[[], None] | None] = queue.SimpleQueue()
        self._shared = Shared(say=self._say)
        self._carriers: dict[str, Carrier] = {}
        self._opening: Opening | None = None
        self._want = Want(jobs=0)
        self._gone: set[str] = set()
        self._trouble: str | None = None
        self._is_connected = False
        self._asked_for = -1

    def run(self, commands: BinaryIO) -> None:
        """Work until the input ends, then end every seat."""
        threading.Thread(target=self._read, args=[commands], name="commands", daemon=True).start()
        look_due = 0.0
        while True:
            try:
                told = self._inputs.get(timeout=max(0.0, look_due - time.monotonic()))
                if told is None:
                    break
                self._take(told)
            except queue.Empty:
                self._look()
                look_due = time.monotonic() + (_LOOK_SECONDS if self._is_connected else _CONNECT_SECONDS)
        for carrier in list(self._carriers.values()):
            self._cluster.close(carrier.host)

    def _read(self, commands: BinaryIO) -> None:
        try:
            for line in commands:
                self._inputs.put(read_told(line))
        except ValidationError:
            log.error("%s", OTHER_VERSION)
        self._inputs.put(None)

    def _say(self, heard: Heard) -> None:
        """Say something to the daemon. Without one the process ends: there is nobody left to tell."""
        try:
            with self._saying:
                self._output.write(heard.line())
                self._output.flush()
        except BrokenPipeError:
            os._exit(1)

    # What the daemon tells it

    def _take(self, told: Told | Callable[[], None]) -> None:
        match told:
            case Renew():
                self._renew(told)
            case Want():
                self._want = told
                self._gone.clear()
                self._look()
            case Give(seat=seat, batch=batch):
                if (carrier := self._carriers.get(seat)) is not None:  # else it is told to be gone
                    self._forget_elsewhere(seat, batch.jobs)
                    carrier.give(batch)
            case Stop(seat=seat, jobs=jobs):
                if (carrier := self._carriers.get(seat)) is not None:
                    carrier.stop(jobs)
            case Drop(seat=seat, now=now):
                self._drop(seat, now=now)
            case _:
                told()

    def _renew(self, renew: Renew) -> None:
        settings = renew.settings
        self._shared.readable, self._shared.previews = renew.readable, settings.previews
        try:
            plugins, digest = packed_plugins(settings.plugin_folders)
        except OSError as error:
            self._note_trouble(f"the plugins cannot be read: {refusal(error)}")
            return
        self._opening = Opening(settings=settings, plugins=plugins, plugins_digest=digest)

    def _forget_elsewhere(self, seat: str, jobs: tuple[str, ...]) -> None:
        """Have what is kept of jobs removed at other seats than the one that goes on with them."""
        for job in jobs:
            at = self._shared.kept_at.get(job, seat)
            if at != seat and (carrier := self._carriers.get(at)) is not None:
                carrier.forget(job)

    def _drop(self, seat: str, *, now: bool) -> None:
        if (carrier := self._carriers.get(seat)) is None:
            return
        carrier.note_drop()
        if now:
            self._cluster.close(carrier.host)
        else:
            carrier.end()

    # Seats

    def _look(self) -> None:
        """Open the seats that are wanted and for which there are places."""
        try:
            if not self._is_connected:
                self._cluster.connect()
                self._is_connected = True
            places = self._cluster.places()
            self._ask(places)
        except ClusterError as error:
            self._note_trouble(str(error))
            return
        self._note_trouble(None if places or self._carriers else self._cluster.missing)
        for place in places:
            if len(self._carriers) < self._target and self._is_wanted(place):
                self._open(place)

    @property
    def _target(self) -> int:
        """How many seats are worth it: a demand is told anew when it has doubled, so up to twice as many."""
        return (1 << self._want.jobs.bit_length()) - 1

    def _is_wanted(self, place: Place) -> bool:
        return place.seat not in self._carriers and place.seat not in {*self._want.barred, *self._gone}

    def _open(self, place: Place) -> None:
        if self._opening is None:
            return
        try:
            host = self._cluster.open(place, self._opening)
        except ClusterError as error:
            log.warning("%s cannot be opened: %s", place.seat, error)
            return
        self._carriers[place.seat] = Carrier(place, host, self._shared, self._take_end)

    def _take_end(self, carrier: Carrier, gone: SeatGone | None) -> None:
        """Take note that a seat is gone, and tell of it; called by its carrier's thread.

        It is told when it is noted: what the daemon wants because of that comes after.
        """

        def take() -> None:
            del self._carriers[carrier.place.seat]
            self._cluster.close(carrier.host)
            if gone is not None:
                if gone.fault == "worker":  # the daemon says when it may be opened again
                    self._gone.add(gone.seat)
                self._say(gone)

        self._inputs.put(take)

    def _ask(self, places: list[Place]) -> None:
        """Say how many seats are wanted; none, when the daemon has had all of them closed."""
        is_idle = bool(places) and not self._carriers and all(not self._is_wanted(place) for place in places)
        seats = 0 if is_idle else self._target
        if seats != self._asked_for:
            self._cluster.ask_for(seats)
            self._asked_for = seats

    def _note_trouble(self, text: str | None) -> None:
        if text != self._trouble:
            self._trouble = text
            self._say(Trouble(text=text))

"""The executor of the scale benchmark: seats that answer at once, or after a while in which a card would dream.

It runs in the daemon, as executors do, dreams nothing, and writes a real file a job. Options come in the environment,
since a config has no place for them. It also times the turns of the daemon's loop.
"""

EXECUTOR = '''
"""Seats that only wait."""

import heapq
import json
import os
import threading
import time
from itertools import count
from pathlib import Path

from dreamd.api import Seat, hookimpl
from dreamd.daemon.loop import Loop
from dreamd.messages import Done, Ready, Sidecar

OPTIONS = json.loads(os.environ["DREAMD_SCALE"])
PICTURE = Path(OPTIONS["picture"]).read_bytes()
VERSIONS = {"dreamd": "0", "torch": "0", "torchvision": "0"}


class Turns:
    """How long turns of the loop take, without what they wait for events."""

    def __init__(self):
        self.seconds = []
        self.processor_seconds = []
        self.waited = 0.0

    def watch(self):
        turn = Loop._turn

        def timed(loop):
            if not isinstance(loop._parts.events, Waiting):
                object.__setattr__(loop._parts, "events", Waiting(loop._parts.events, self))
            self.waited, begin, used = 0.0, time.perf_counter(), time.thread_time()
            turn(loop)
            self.seconds.append(time.perf_counter() - begin - self.waited)
            self.processor_seconds.append(time.thread_time() - used)

        Loop._turn = timed


class Waiting:
    """The loop's queue, which counts the seconds that the loop waits for it."""

    def __init__(self, events, turns):
        self._events, self._turns = events, turns
        self.get_nowait, self.put, self.empty = events.get_nowait, events.put, events.empty

    def get(self, timeout=None):
        begin = time.perf_counter()
        try:
            return self._events.get(timeout=timeout)
        finally:
            self._turns.waited += time.perf_counter() - begin


class Seats:
    """Seats that answer for each of their jobs after some seconds, one after the other."""

    def __init__(self, context):
        self._open, self._recipes, self._own = set(), {}, 0.0
        self._numbers, self._due, self._free = count(), [], {}
        self._changed = threading.Condition()
        self._jobs = 0
        self._turns = Turns()
        self._turns.watch()

    def open(self, fleet):
        self._fleet = fleet

    def renew(self, bundle):
        pass

    def want(self, demand):
        threading.Thread(target=self._open_seats, args=(demand.barred,), daemon=True).start()

    def _open_seats(self, barred):
        while not os.path.exists(OPTIONS["go"]):
            time.sleep(0.02)
        for number in range(OPTIONS["seats"]):
            seat = f"seat-{number}"
            if seat not in self._open and seat not in barred:
                self._open.add(seat)
                self._fleet.seat(Seat(id=seat, device="none"))
                self._fleet.said(seat, Ready(device="none", device_name="", precision="fp32", catalogue=None))
        if OPTIONS["seconds"] and not self._due:
            threading.Thread(target=self._answer_in_time, daemon=True).start()

    def order(self, seat, batch):
        if not OPTIONS["seconds"]:
            for order in batch.orders:
                self._answer(seat, batch.recipe, order)
            return True
        with self._changed:
            for order in batch.orders:
                due = max(self._free.get(seat, 0.0), time.monotonic()) + OPTIONS["seconds"]
                self._free[seat] = due
                heapq.heappush(self._due, (due, next(self._numbers), seat, batch.recipe, order))
            self._changed.notify()
        return True

    def _answer_in_time(self):
        while True:
            with self._changed:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                _, _, seat, recipe, order = heapq.heappop(self._due)
            self._answer(seat, recipe, order)

    def _answer(self, seat, recipe, order):
        begin = time.thread_time()
        if recipe not in self._recipes:
            self._recipes[recipe] = json.loads(recipe)
        (order.folder / "result.png").write_bytes(PICTURE)
        sidecar = Sidecar(
            job=order.job, picture=order.source.name, input_sha256="0" * 64, recipe=self._recipes[recipe],
            versions=VERSIONS, weights_sha256=None, device="none", precision="fp32", seed=0, size=(16, 16), tiling=None,
            seconds=OPTIONS["seconds"], loss_before=0.5, loss_after=1.5,
        )
        self._own += time.thread_time() - begin
        self._jobs += 1
        self._fleet.said(seat, Done(job=order.job, file="result.png", sidecar=sidecar))

    def cancel(self, seat, jobs):
        pass

    def drop(self, seat, why, *, now):
        self._open.discard(seat)
        self._fleet.gone(seat, why)

    def close(self, seconds):
        turns = sorted(self._turns.seconds) or [0.0]
        worked = sorted(self._turns.processor_seconds) or [0.0]
        figures = {
            "own_ms_a_job": 1000 * self._own / max(1, self._jobs),
            "turns": len(turns),
            "turn_ms": 1000 * turns[len(turns) // 2],
            "turn_p99_ms": 1000 * turns[len(turns) * 99 // 100],
            "turn_max_ms": 1000 * turns[-1],
            "turn_p99_cpu_ms": 1000 * worked[len(worked) * 99 // 100],
        }
        Path(OPTIONS["figures"]).write_text(json.dumps(figures))


@hookimpl
def dreamd_executors(register):
    register("seats", Seats)
'''

"""Several daemons on one inbox, as machines that share a disk are: killed at any moment, and called otherwise when they
come back. Every picture comes out once."""

from __future__ import annotations

import copy
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from dreamd.job import JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

PICTURES = 90
KILLS = 6

WORKING = '''
"""The executor `working`: gives every picture back as it is after a moment, one after the other, and notes each that it
begins."""

import os
import queue
import shutil
import threading
import time

from dreamd.api import Seat, hookimpl
from dreamd.messages import Done, Ready, Sidecar


class Working:
    def __init__(self, context):
        self.notes = os.open(context.config.file.parent / "begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.orders = queue.Queue()
        self.is_open = False

    def open(self, fleet): self.fleet = fleet
    def renew(self, bundle): ...
    def cancel(self, seat, jobs): ...
    def close(self, seconds): ...

    def want(self, demand):
        if not self.is_open and "one" not in demand.barred:
            self.is_open = True
            self.fleet.seat(Seat(id="one", device="one"))
            self.fleet.said("one", Ready(device="one", device_name="", precision="fp32", catalogue=None))
            threading.Thread(target=self.work, daemon=True).start()

    def drop(self, seat, why, *, now):
        self.is_open = False
        self.fleet.gone(seat, why)

    def order(self, seat, batch):
        for order in batch.orders:
            self.orders.put(order)
        return True

    def work(self):
        while True:
            order = self.orders.get()
            os.write(self.notes, f"{order.job}\\n".encode())
            if order.source.name.startswith("deadly"):
                os.kill(os.getpid(), 9)
            time.sleep(0.05)
            shutil.copyfile(order.source, order.folder / "result.png")
            sidecar = Sidecar(
                job=order.job, picture="", input_sha256="", recipe={}, versions={}, weights_sha256=None, device="none",
                precision="fp32", seed=0, size=(1, 1), tiling=None, seconds=0.05, loss_before=0.0, loss_after=0.0,
            )
            self.fleet.said("one", Done(job=order.job, file="result.png", sidecar=sidecar))


@hookimpl
def dreamd_executors(register):
    register("working", Working)
'''

EAGER = """
import socket
import dreamd.daemon.loop
socket.gethostname = lambda: {host!r}
dreamd.daemon.loop._TAKE_OVER_SECONDS = 0.1
"""
"""Said in a daemon before it begins: what its machine is called, and that it soon looks after the others."""


class Site:
    """An inbox, and daemons that share it, each with a config and a state folder of its own."""

    def __init__(self, tree: Tree, run: Run) -> None:
        tree.configure(limits={"attempts": 30}, watch={"settle_seconds": 0.1, "rescan_seconds": 1})
        (tree.root / "executors").mkdir()
        (tree.root / "executors" / "working.py").write_text(WORKING)
        tree.configure(plugins={"daemon": ["executors"]}, workers={"executor": "working"})
        self.tree = tree
        self._run = run
        self._hosts = (f"box-{number}" for number in range(10_000))
        self.running: dict[str, RunningDaemon] = {}
        self.trees: dict[str, Tree] = {}

    def start(self, name: str) -> None:
        """Starts a daemon on a machine that nobody has heard of."""
        own = copy.copy(self.tree)
        own.config, own.state = self.tree.root / f"{name}.yaml", self.tree.root / f"state-{name}"
        own.config.write_text(yaml.safe_dump({**yaml.safe_load(self.tree.config.read_text()), "state": own.state.name}))
        self.trees[name] = own
        self.running[name] = self._run(own, "run", "--share", preface=EAGER.format(host=next(self._hosts)))

    def kill(self, name: str) -> None:
        self.running[name].signal(signal.SIGKILL)
        self.running[name].wait()

    def drop(self, count: int) -> dict[str, bytes]:
        """Drops pictures that differ into three folders; returns them by their paths."""
        pictures = {f"{'abc'[number % 3]}/{number:03}.png": self.tree.picture(8 + number, 8) for number in range(count)}
        for path, data in pictures.items():
            self.tree.drop(path, data)
        return pictures

    def begun(self) -> Counter[str]:
        """How often each job was begun, by the executors."""
        return Counter((self.tree.root / "begun").read_text().split())

    def claimed(self) -> list[Path]:
        """The pictures that are in anybody's work."""
        house = self.tree.inbox / ".dreamd"
        return [file for work in house.glob("work*") for file in self.tree.files(work)]

    def attempts(self) -> dict[str, int]:
        """The attempts of each job, as the daemon counted them that ended it."""
        jobs = [job for tree in self.trees.values() for job in tree.jobs() if job.started_at is not None]
        return {job.id: max(other.attempts for other in jobs if other.id == job.id) for job in jobs}


@pytest.fixture
def site(tree: Tree, run_daemon: Run) -> Iterator[Site]:
    one = Site(tree, run_daemon)
    yield one
    for daemon in one.running.values():
        daemon.stop()


def relative(folder: Path, tree: Tree) -> dict[str, bytes]:
    """What is in a folder and below it but dreamd's own: path → bytes."""
    files = {str(file.relative_to(folder)): file for file in tree.files(folder)}
    return {path: file.read_bytes() for path, file in files.items() if not path.startswith(".dreamd/")}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_picture_comes_out_once_whoever_is_killed_and_whatever_the_machines_are_called(
    site: Site, seed: int
) -> None:
    chance, tree = random.Random(seed), site.tree
    for name in "abc":
        site.start(name)
    pictures = site.drop(PICTURES)
    for _ in range(KILLS):
        count = len(tree.files(tree.done))
        enough = min(count + chance.randrange(1, 8), PICTURES)
        tree.wait_for(lambda enough=enough: len(tree.files(tree.done)) >= enough, "more results")
        time.sleep(chance.uniform(0, 0.1))  # at any moment of the next picture
        name = chance.choice("abc")
        site.kill(name)
        site.start(name)
    tree.wait_for(lambda: len(tree.files(tree.done)) == PICTURES and not site.claimed(), "the last results")
    for daemon in site.running.values():
        assert daemon.stop() == 0, daemon.log
    results = relative(tree.outbox, tree)
    assert {path: data for path, data in results.items() if path.endswith(".png")} == pictures
    assert len(results) == 2 * PICTURES
    assert tree.files(tree.outbox / ".dreamd") == []  # no drafts
    assert relative(tree.done, tree) == pictures
    assert tree.files(tree.failed) == []
    assert [path for path in relative(tree.inbox, tree) if path.endswith(".png")] == []
    jobs = {path: tree.sidecar(path)["job"] for path in pictures}
    assert len(set(jobs.values())) == PICTURES
    begun, counted = site.begun(), site.attempts()
    assert set(begun) == set(jobs.values())
    # What was killed between its count and its beginning has one more.
    assert {job: count for job, count in begun.items() if counted.get(job, 0) < count} == {}
    ends = Counter(job.state for own in site.trees.values() for job in own.jobs())
    assert ends[JobState.FAILED] == 0


def test_a_picture_that_takes_its_daemon_down_costs_its_attempts_whoever_takes_it_over(site: Site) -> None:
    tree = site.tree
    tree.configure(limits={"attempts": 2})
    for name in "abc":
        site.start(name)
    tree.drop("deadly.png")
    assert "ended in the middle of each of 2 attempts" in tree.failure("deadly.png")
    assert list(site.begun().values()) == [2]
    left = [daemon for daemon in site.running.values() if daemon.process.poll() is None]
    assert len(left) == 1
    assert left[0].stop() == 0, left[0].log

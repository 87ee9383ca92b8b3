"""A fault at every step: kills, refusals of the disk, and shares that go away, in the daemon's own system calls.

Run as a program by `integration/test_faults.py`; prints a line of JSON for every broken promise, and last how many
faults were tried. The daemon runs in a forked child with an executor of its own, which copies instead of dreaming, so
that a run takes a tenth of a second and hundreds of faults can be tried.

    python tests/faults.py ACTION [--tree near|far|delete|crowd|far-crowd] [--some N] [--number N] [--second N]

ACTION is what happens at the step: kill-before, kill-after, ENOSPC, EIO, EACCES, EROFS, ESTALE, away-inbox,
away-outbox, away-done, away-failed; kill-twice kills at a step, and then the next start at one of its own;
kill-publisher kills the process that publishes together, at each of its own steps, and the daemon goes on; count only
counts the steps.
The tree is near (one filesystem), far (outbox, done and failed on another), delete (done pictures' originals are
deleted, failed on another filesystem), or crowd and far-crowd: so many pictures that they are claimed together, and
published together by the daemon's publisher, whose steps count like the daemon's own: a kill there is one of both.
Without a number, every step is tried, or `--some` of them; with one, only that step: so a failure is replayed.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

import dreamd.tree.journal
from dreamd import daemon
from dreamd.daemon.disks import publisher_process, publishers
from dreamd.files import durable
from dreamd.settings.config import load_config
from dreamd.tree.publisher import main as publisher

STEPS = (
    *("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "fsync", "open", "write", "pwrite"),
    "ftruncate",
)
BY_DESCRIPTOR = ("fsync", "write", "pwrite", "ftruncate")
WRITES = os.O_CREAT | os.O_WRONLY | os.O_RDWR

PUBLISHER = f"""
import runpy, sys
from dreamd.processes import die_with_parent
die_with_parent(int(sys.argv[1]))  # before the imports, which take a while: as long as it lives, so does the lock
sys.argv.insert(1, "publisher")
runpy.run_path({__file__!r}, run_name="__main__")
"""
"""The program of the daemon's publisher with the daemon's fault."""

SECOND_KILLS = 3
"""The number of second kills that are tried after each first one."""

EXECUTOR = '''
import shutil
from dreamd.api import Seat, hookimpl
from dreamd.messages import Done, NotDone, Ready, Sidecar
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder

class Copy:
    """Copies instead of dreaming; finds pictures named bad to be broken, and cancels those named unwanted."""
    def __init__(self, context):
        self.journal = StateFolder(context.config.state).journal
        self.is_open = False
    def open(self, fleet):
        self.fleet = fleet
    def renew(self, bundle): pass
    def want(self, demand):
        if not self.is_open and "copy" not in demand.barred:
            self.is_open = True
            self.fleet.seat(Seat(id="copy", device="none"))
            self.notify(Ready(device="none", device_name="", precision="fp32", catalogue=None))
    def notify(self, message):
        self.fleet.said("copy", message)
    def cancel(self, seat, jobs):
        for job in jobs:
            self.notify(NotDone(job=job, hold=None, final=True, reason="it was cancelled"))
    def drop(self, seat, why, *, now):
        self.is_open = False
        self.fleet.gone(seat, why)
    def close(self, seconds): pass
    def order(self, seat, batch):
        for order in batch.orders:
            if order.source.name.startswith("unwanted"):
                with Journal.open(self.journal) as journal:
                    journal.cancel([order.job])
                self.notify(NotDone(job="nobody", hold=None, final=True, reason="this one dreams on for ever"))
                continue
            if order.source.name.startswith("bad"):
                self.notify(NotDone(job=order.job, hold=None, final=True, reason="it is broken"))
                continue
            try:
                shutil.copyfile(order.source, order.folder / "result.png")
            except OSError as error:
                self.notify(NotDone(job=order.job, hold="folder", final=False, reason=str(error)))
                continue
            self.notify(Done(job=order.job, file="result.png", sidecar=Sidecar(
                job=order.job, picture=order.source.name, input_sha256="", recipe={}, versions={}, weights_sha256=None,
                device="none", precision="fp32", seed=0, size=(8, 8), tiling=None, seconds=0.0, loss_before=0.0,
                loss_after=0.0)))
        return True

@hookimpl
def dreamd_executors(register):
    register("copy", Copy)
'''

PICTURES = ("good.png", "sub/good.png", "sub/bad.png", "sub/unwanted.png")
CROWD = (*PICTURES, *(f"good-{letter}.png" for letter in "abcd"), "sub/good.jpg", *(f"sub/good-{n}.png" for n in "ef"))
"""Enough to be claimed together; two of them have results of the same name."""


@dataclass(frozen=True)
class Tree:
    """A tree with four pictures in its inbox, one of them broken and one to be cancelled.

    Attributes:
        near: the folder with the config and the inbox.
        far: a folder on another filesystem, or the same.
        keeps_originals: whether those of done pictures are kept.
        is_crowd: whether there are more pictures, which are claimed and published together.
    """

    near: Path
    far: Path
    keeps_originals: bool
    is_crowd: bool = False

    @classmethod
    @contextmanager
    def made(cls, kind: str) -> Iterator[Tree]:
        """Make a tree of a kind, and remove it."""
        near = Path(tempfile.mkdtemp(prefix="dreamd-faults-"))
        is_near = kind in ("near", "crowd")
        far = near if is_near else Path(tempfile.mkdtemp(prefix="dreamd-faults-", dir="/dev/shm"))
        tree = cls(near, far, keeps_originals=kind != "delete", is_crowd=kind.endswith("crowd"))
        try:
            tree.fill(outbox=near if kind == "delete" else far)
            yield tree
        finally:
            for root in {near, far}:
                shutil.rmtree(root)

    @property
    def config(self) -> Path:
        return self.near / "config.yaml"

    @property
    def pictures(self) -> tuple[str, ...]:
        return CROWD if self.is_crowd else PICTURES

    @property
    def good(self) -> list[str]:
        return [name for name in self.pictures if "good" in name]

    @property
    def results(self) -> list[str]:
        """The results' names; of two that would have the same, one is numbered."""
        names = [name for name in self.good if name.endswith(".png")]
        return [*names, *(["sub/good-2.png"] if "sub/good.jpg" in self.good else [])]

    def place(self, name: str) -> Path:
        """The folder that the config calls so."""
        return next(root / name for root in (self.far, self.near) if (root / name).exists())

    def fill(self, outbox: Path) -> None:
        (self.near / "executors").mkdir()
        (self.near / "executors" / "copy_executor.py").write_text(EXECUTOR)
        (self.near / "inbox" / "sub").mkdir(parents=True)
        for index, name in enumerate(self.pictures):
            Image.new("RGB", (8, 8), (index * 50, 100, 100)).save(self.near / "inbox" / name)
        for folder in (outbox / "outbox", self.far / "failed", self.far / "done"):
            folder.mkdir()
        settings = {
            "outbox": str(outbox / "outbox"),
            "failed": str(self.far / "failed"),
            "originals": str(self.far / "done") if self.keeps_originals else "delete",
            "plugins": {"daemon": ["executors"]},
            "workers": {"executor": "copy"},
            "watch": {"settle_seconds": 0},
        }
        self.config.write_text(json.dumps(settings))  # JSON is YAML

    def drain(self, fault: Fault | None = None) -> int:
        """Drain in a child; returns its exit status, or the negative signal that ended it."""
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        code = 70
        try:
            if fault is not None:
                fault.install()
            code = daemon.run_daemon(load_config(self.config), until_empty=True)
        except BaseException as error:  # noqa: BLE001 (a daemon that ends by itself is what this looks for)
            print(json.dumps({"ended": f"{type(error).__name__}: {error}"}), flush=True)
            code = 71
        finally:
            if fault is not None and fault.action == "count":
                (self.near / "count").write_text(str(fault.count))
            os._exit(code)

    def bring_back(self) -> None:
        """Have the shares again that went away, with what was put into a folder that a start made in their place."""
        for root in {self.near, self.far}:
            for away in root.glob("*.away"):
                instead = root / away.stem
                for path in sorted(instead.rglob("*")):
                    target = away / path.relative_to(instead)
                    if path.is_dir():
                        target.mkdir(exist_ok=True)
                    elif target.exists():
                        print(json.dumps({"broken": f"{path} is there twice"}), flush=True)
                    else:
                        shutil.move(path, target)
                if instead.exists():
                    shutil.rmtree(instead)
                away.rename(instead)

    def broken_promises(self) -> list[str]:
        """What is not as it must be after a run without faults."""
        wanted = {
            "outbox": sorted(f"{name}{end}" for name in self.results for end in ("", ".json")),
            "done": sorted(self.good) if self.keeps_originals else [],
            "failed": [f"sub/{name}.png{end}" for name in ("bad", "unwanted") for end in ("", ".reason.txt")],
            "inbox": [],
        }
        own = ("lock", "inbox-id")
        found = []
        for name, files in wanted.items():
            there = [path for path in self.place(name).rglob("*") if path.is_file() and path.name not in own]
            if sorted(str(path.relative_to(self.place(name))) for path in there) != files:
                found.append(f"{name} {there}")
        found += [f"left over {path}" for path in (self.place("outbox") / ".dreamd").rglob("*")]
        for name in self.results:
            if (result := self.place("outbox") / name).exists():
                with Image.open(result) as picture:
                    picture.load()
        return found


class Fault:
    """Counts the steps of a process and does something at one of them."""

    def __init__(self, tree: Tree, action: str, number: int, *, daemon: int | None = None) -> None:
        """Begin to count; `daemon`: the number of the daemon's process, in its publisher, where counting goes on."""
        self.action = action
        self._roots = (str(tree.near), str(tree.far))
        self._tree = tree
        self._number = number
        self._daemon = daemon
        self._counter = tree.near / "counter"
        if daemon is None:
            self._counter.write_bytes(b"0")

    @property
    def count(self) -> int:
        return int(self._counter.read_bytes())

    def _next(self) -> int:
        """Count a step, among those of all processes and threads."""
        with self._counter.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = int(file.read()) + 1
            file.seek(0)
            file.write(str(number).encode())
        return number

    def _kill(self) -> None:
        """Kill the daemon with all its processes; or the publisher alone."""
        if self.action != "kill-publisher" and self._daemon is not None:
            os.kill(self._daemon, signal.SIGKILL)
        if self.action != "kill-publisher" or self._daemon is not None:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        if self._tree.is_crowd and self._daemon is None:
            publishers.THREADS = 0
            words = [self._tree.near, self._tree.far, self.action, self._number]
            publisher_process.command = lambda parent: [sys.executable, "-c", PUBLISHER, str(parent), *map(str, words)]
        for name in STEPS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        renameat2 = durable._renameat2()
        if renameat2 is not None:
            durable._renameat2 = lambda: lambda *args: self.step(lambda: renameat2(*args), can_be_refused=True)
        dreamd.tree.journal.immediate = self._commits(dreamd.tree.journal.immediate)

    def step(self, happens: Callable[[], object], *, can_be_refused: bool) -> object:
        if self._next() != self._number:
            return happens()
        if self.action in ("kill-before", "kill-publisher"):
            self._kill()
        if self.action.startswith("E") and can_be_refused:
            code = getattr(errno, self.action)
            raise OSError(code, os.strerror(code))
        if self.action.startswith("away-"):
            place = self._tree.place(self.action.removeprefix("away-"))
            real_rename(place, place.with_name(f"{place.name}.away"))
        result = happens()
        if self.action == "kill-after":
            self._kill()
        return result

    def _wrapped(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **options: object) -> object:
            if not self._concerns_the_tree(name, args, options):
                return call(*args, **options)
            return self.step(lambda: call(*args, **options), can_be_refused=True)

        return wrapped

    def _concerns_the_tree(self, name: str, args: tuple[object, ...], options: dict[str, object]) -> bool:
        if name == "open" and not int(str(args[1])) & WRITES:
            return False
        if name in BY_DESCRIPTOR:
            return str(Path(f"/proc/self/fd/{args[0]}").readlink()).startswith(self._roots)
        is_relative = any(options.get(key) is not None for key in ("dir_fd", "src_dir_fd", "dst_dir_fd"))
        path = os.fsdecode(args[0])  # type: ignore[arg-type]
        return (is_relative or path.startswith(self._roots)) and "status.json" not in path

    def _commits(self, immediate: Callable[..., object]) -> Callable[..., object]:
        @contextmanager
        def wrapped(connection: object) -> object:
            if self.count + 1 == self._number and self.action == "kill-before":
                self._kill()
            with immediate(connection):
                yield
            self.step(lambda: None, can_be_refused=False)

        return wrapped


real_rename = os.rename


def try_fault(kind: str, action: str, number: int, second: int | None = None) -> None:
    """Run with a fault, then perhaps with a second kill, then without one; print what is broken."""
    with Tree.made(kind) as tree:
        code = tree.drain(Fault(tree, action, number))
        tree.bring_back()
        if second is not None:
            tree.drain(Fault(tree, "kill-before" if second % 2 else "kill-after", second))
        again = tree.drain()
        broken = tree.broken_promises()
        if again not in (0, 1):
            broken.append(f"the next start ended with {again}")
        if broken:
            what = {"tree": kind, "action": action, "number": number, "second": second, "code": code, "broken": broken}
            print(json.dumps(what), flush=True)


def count_steps(kind: str) -> int:
    """How many steps a run without faults takes."""
    with Tree.made(kind) as tree:
        tree.drain(Fault(tree, "count", 0))
        return int((tree.near / "count").read_text())


def publish(parent: str, near: str, far: str, action: str, number: str) -> None:
    """Be the daemon's publisher, with the daemon's fault."""
    sys.argv = [sys.argv[0], parent]
    tree = Tree(Path(near), Path(far), keeps_originals=True, is_crowd=True)
    Fault(tree, action, int(number), daemon=int(parent)).install()
    publisher.main()


def main() -> None:
    if sys.argv[1] == "publisher":
        publish(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action")
    parser.add_argument("--tree", choices=("near", "far", "delete", "crowd", "far-crowd"), default="near")
    parser.add_argument("--some", type=int)
    parser.add_argument("--number", type=int)
    parser.add_argument("--second", type=int)
    options = parser.parse_args()
    logging.disable()
    steps = count_steps(options.tree)
    if options.action == "count":
        print(steps)
        return
    if options.number is not None:
        tried = [(options.number, options.second)]
    elif options.action == "kill-twice":
        chance = random.Random(0)
        tried = [(one, two) for one in range(1, steps + 1) for two in chance.sample(range(1, steps), SECOND_KILLS)]
    else:
        tried = [(number, None) for number in range(1, steps + 1)]
    if options.some is not None:
        tried = sorted(random.Random(options.some).sample(tried, options.some))
    action = "kill-before" if options.action == "kill-twice" else options.action
    for number, second in tried:
        try_fault(options.tree, action, number, second)
    print(json.dumps({"tried": len(tried)}))


if __name__ == "__main__":
    main()

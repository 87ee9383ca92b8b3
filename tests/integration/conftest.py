"""A ready tree with a network of a few numbers in it, and real daemons that run on it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from PIL import Image

from dreamd.commands.init import make_tree
from dreamd.job import Job, JobState
from dreamd.messages import Settings
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal

WAIT_SECONDS = 60.0
"""Longer than anything takes on a machine that has other things to do; nothing waits so long when all is well."""

_LOOK_SECONDS = 0.02

T = TypeVar("T")

TINY = '''
"""The backbone `tiny`, of a few hundred numbers, and the schedule `moody`, which does what one does not expect."""

import ctypes
import os
import sys
import time
from pathlib import Path

import torch
from torch import nn

from dreamd.api import Backbone, Download, hookimpl

UNLUCKY_WIDTH = 13


def tiny(name):
    """Two convolutions."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
    layers = {"conv1": "0", "relu1": "1", "conv2": "2"}
    return Backbone(network=network, layers=layers, default_layer="relu1", min_side=1)


def moody(image, ascend, *, mood: str = "calm", gate: str = ""):
    """One ascent; before it, on pictures 13 pixels wide, what the mood says.

    Args:
        mood: calm, segfault, exit, hang, raise, hungry, chatty, orphan or wait.
        gate: the file that `wait` waits for; that it waits shows in a file beside it.
    """
    if image.shape[3] == UNLUCKY_WIDTH:
        MOODS[mood](gate)
    ascend.plan(1)
    yield ascend(image)


def _raise(gate):
    raise ValueError("this picture is not to my liking")


def _hungry(gate):
    return [torch.ones(1 << 28) for _ in range(16)]  # 16 GB, a gigabyte at a time


def _chatty(gate):
    print("hello", flush=True)
    os.write(1, b"{}\\n")
    sys.stdin.read()


def _orphan(gate):
    if os.fork() == 0:
        time.sleep(3600)
    os._exit(7)


def _wait(gate):
    Path(gate + ".waiting").touch()
    while not Path(gate).exists():
        time.sleep(0.01)


MOODS = {
    "calm": lambda gate: None,
    "segfault": lambda gate: ctypes.string_at(0),
    "exit": lambda gate: sys.exit("enough"),
    "hang": lambda gate: time.sleep(3600),
    "raise": _raise,
    "hungry": _hungry,
    "chatty": _chatty,
    "orphan": _orphan,
    "wait": _wait,
}


@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)
    # Nothing listens at the port 1 of loopback: these weights cannot be had.
    register("far", tiny, weights=Download(url="http://127.0.0.1:1/far.safetensors"))


@hookimpl
def dreamd_schedules(register):
    register("moody", moody)
'''

ECHO = '''
"""The executor `echo`: gives every picture back as it is, or does what its name says. It takes no time to start.

Of a file of whose name there is one in the tree's folder `dreams`, that is the result.
"""

import json
import shutil
import threading
import time
from pathlib import Path

from dreamd.api import Seat, hookimpl
from dreamd.messages import Done, NotDone, Ready, Sidecar


class Echo:
    def __init__(self, context):
        self.gate = context.config.file.parent / "gate"
        size = context.config.file.with_name("size")  # what results are said to measure, as a JSON list
        self.size = tuple(json.loads(size.read_text())) if size.exists() else (1, 1)
        self.dreams = context.config.file.with_name("dreams")
        self.tried = set()
        self.is_open = False

    def open(self, fleet): self.fleet = fleet
    def renew(self, bundle): ...
    def cancel(self, seat, jobs): ...
    def close(self, seconds): ...

    def want(self, demand):
        if not self.is_open and "echo" not in demand.barred:
            self.is_open = True
            self.fleet.seat(Seat(id="echo", device="echo"))
            self.notify(Ready(device="echo", device_name="", precision="fp32", catalogue=None))

    def drop(self, seat, why, *, now):
        self.is_open = False
        self.fleet.gone(seat, why)

    def notify(self, message):
        self.fleet.said("echo", message)

    def order(self, seat, batch):
        for order in batch.orders:
            threading.Thread(target=self.dream, args=[order], daemon=True).start()
        return True

    def dream(self, order):
        name = order.source.name
        while name.startswith("busy") and not self.gate.exists():
            time.sleep(0.01)
        if name.startswith("broken"):
            return self.notify(NotDone(job=order.job, hold=None, final=True, reason="it is broken"))
        if name.startswith("weightless"):
            return self.notify(NotDone(job=order.job, hold="weights", final=False, reason="there are no weights"))
        if name.startswith("flaky") and name not in self.tried:
            self.tried.add(name)
            return self.notify(NotDone(job=order.job, hold=None, final=False, reason="try again"))
        try:
            dream = self.dreams / name
            source = dream if dream.exists() else order.source
            file = f"result{dream.suffix if dream.exists() else '.png'}"
            shutil.copyfile(source, order.folder / file)
        except OSError as error:
            return self.notify(NotDone(job=order.job, hold="space", final=False, reason="the disk is full"))
        told = self.dreams / f"{name}.json"  # fields of the sidecar, besides these
        sidecar = Sidecar(**{
            "job": order.job, "picture": "", "input_sha256": "", "recipe": {}, "versions": {}, "weights_sha256": None,
            "device": "none", "precision": "fp32", "seed": 0, "size": self.size, "tiling": None, "seconds": 0.0,
            "loss_before": 0.0, "loss_after": 0.0, **(json.loads(told.read_text()) if told.exists() else {}),
        })
        self.notify(Done(job=order.job, file=file, sidecar=sidecar))


@hookimpl
def dreamd_executors(register):
    register("echo", Echo)
'''

IMPATIENT = """
import dreamd.daemon.intake.intake, dreamd.daemon.jobs.endings, dreamd.daemon.jobs.holds, dreamd.daemon.jobs.retries
import dreamd.daemon.page_process
dreamd.daemon.intake.intake._TIDY_SECONDS = 0.1
dreamd.daemon.jobs.retries._RETRY_SECONDS = 0.1
dreamd.daemon.jobs.holds._HOLD_SECONDS = (0.5,)
dreamd.daemon.jobs.endings._TRY_FOLDER_SECONDS = 0.5
dreamd.daemon.page_process._RESTART_SECONDS = (0.1,)
dreamd.daemon.fleet.absences._WAIT_SECONDS = (0.1,)
"""
"""Said in a daemon before it begins, so that nobody has to wait for its patience."""

QUICK: dict[str, Any] = {
    "backbone": {"name": "tiny", "weights": "random"},
    "schedule": "moody",
    "ascent": {"iterations": 1, "jitter": 0},
    "precision": "fp32",
}
"""A recipe of milliseconds."""


def wait_for(look: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Looks again and again until there is something true to see, and returns it."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(_LOOK_SECONDS)
    return seen


def picture_bytes(width: int = 32, height: int = 32, form: str = "PNG") -> bytes:
    """A picture with something on it."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    data = io.BytesIO()
    image.save(data, form)
    return data.getvalue()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, in order; `rglob` would mind folders that go away meanwhile."""
    return sorted(Path(place) / name for place, _, names in os.walk(folder) for name in names)


class Tree:
    """A tree made by `dreamd init`, whose default recipe takes milliseconds."""

    picture = staticmethod(picture_bytes)
    wait_for = staticmethod(wait_for)
    is_alive = staticmethod(is_alive)
    files = staticmethod(files_below)

    def __init__(self, root: Path, **changes: Any) -> None:
        make_tree(root)
        (root / "inbox" / "recipe.yaml").unlink()  # the config's defaults are quicker
        self.root = root
        self.config = root / "config.yaml"
        self.inbox, self.outbox, self.done, self.failed, self.state = (
            root / name for name in ("inbox", "outbox", "done", "failed", "state")
        )
        (root / "plugins" / "tiny.py").write_text(TINY)
        self.configure(
            defaults=QUICK,
            watch={"settle_seconds": 0.3, "patience_seconds": 0.3, "rescan_seconds": 30},
            workers={"devices": ["cpu"], "idle_unload_seconds": 600},
            status={"listen": None},
            # None of these is dreamed with, and some take seconds to import.
            plugins={"engine": ["plugins"], "disable": ["timm", "torchvision", "vgg", "efficientnet_lite0"]},
            **changes,
        )

    def finished_frames(self) -> int:
        """How many frames, or pages, are finished of what is dreamed in turns; 0 where nothing is."""
        kept = next(self.state.glob("checkpoints/*/film/standing.json"), None)
        return 0 if kept is None else int(json.loads(kept.read_bytes())["frames"])

    def configure(self, **changes: Any) -> None:
        """Changes the config's sections, field by field."""
        config = yaml.safe_load(self.config.read_text())
        for name, value in changes.items():
            config[name] = {**config[name], **value} if isinstance(config.get(name), dict) else value
        if "defaults" in changes:
            config["defaults"] = changes["defaults"]
        self.config.write_text(yaml.safe_dump(config))

    def echo(self) -> None:
        """Has the executor `echo` take the place of dreams."""
        (self.root / "executors").mkdir()
        (self.root / "executors" / "echo.py").write_text(ECHO)
        self.configure(plugins={"daemon": ["executors"]}, workers={"executor": "echo"})

    def recipe(self, folder: str, text: str) -> Path:
        """Puts a recipe into an inbox folder, by rename."""
        (self.inbox / folder).mkdir(parents=True, exist_ok=True)
        file = self.inbox / folder / "recipe.yaml"
        draft = file.with_name(".recipe.new")
        draft.write_text(text)
        draft.rename(file)
        return file

    def mood(self, folder: str, mood: str, **parameters: str) -> Path:
        """A folder whose pictures of 13 pixels' width meet a mood; returns the gate, which `wait` waits for."""
        gate = self.root / f"gate-{folder}"
        schedule = {"name": "moody", "mood": mood, "gate": str(gate), **parameters}
        self.recipe(folder, yaml.safe_dump({"schedule": schedule}))
        return gate

    def drop(self, path: str | bytes, data: bytes | None = None) -> Path:
        """Drops a picture into the inbox, by rename."""
        target = self.inbox / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{os.urandom(4).hex()}.part")
        draft.write_bytes(picture_bytes() if data is None else data)
        draft.rename(target)
        return target

    def result(self, path: str | bytes) -> Path:
        """Waits for a result with its sidecar, and for the original to be put away."""
        target = self.outbox / os.fsdecode(path)
        wait_for(target.exists, f"{target!r}")
        work = self.inbox / ".dreamd" / "work" / self.sidecar(path)["job"]
        wait_for(lambda: not work.exists(), f"{work} to be empty")
        return target

    def sidecar(self, path: str | bytes) -> dict[str, Any]:
        """Of a result."""
        target = self.outbox / os.fsdecode(path)
        values: dict[str, Any] = json.loads(target.with_name(f"{target.name}.json").read_bytes())
        return values

    def failure(self, path: str) -> str:
        """Waits for a picture to be in `failed`; returns the reason that stands beside it."""
        target = self.failed / path
        wait_for(target.exists, str(target))
        return target.with_name(f"{target.name}.reason.txt").read_text()

    def work(self) -> list[Path]:
        """The pictures that are claimed and not put away."""
        return files_below(self.inbox / ".dreamd" / "work")

    def status(self) -> dict[str, Any]:
        """What `dreamd status --json` shows, from the start on."""
        return snapshot.read(self.state) or {"state": "never started", "pid": 0, "workers": [], "holds": []}

    def hold(self, folder: str) -> dict[str, Any]:
        """Waits for a folder's hold to be shown."""
        return wait_for(
            lambda: next((hold for hold in self.status()["holds"] if hold["folder"] == folder), None),
            f"a hold of {folder}",
        )

    def worker_settings(self, **changes: Any) -> Settings:
        """What a worker of this process is told: a processor, the tree's plugins, and small limits."""
        values: dict[str, Any] = {
            "device": "cpu",
            "plugin_folders": (self.root / "plugins",),
            "disable": ("timm", "torchvision", "vgg", "efficientnet_lite0"),
            "max_pixels": 1_000_000,
            "max_bytes": 1_000_000,
            "memory": 1_000_000_000,
        }
        return Settings(**{**values, **changes})

    def jobs(self, state: JobState | None = None) -> list[Job]:
        """The journal's jobs, of one state or of all, the newest first."""
        journal = Journal.open_readonly(self.state / "journal.sqlite3")
        if journal is None:
            return []
        with journal:
            return journal.jobs(state=state, limit=-1)


class RunningDaemon:
    """A `dreamd run` or `drain` in a process of its own."""

    def __init__(self, tree: Tree, *command: str, patient: bool, preface: str = "") -> None:
        self.tree = tree
        program = f"{'' if patient else IMPATIENT}\n{preface}\nfrom dreamd.cli import main\nmain()"
        self._log = tree.root / f"{command[0]}-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *command, "--config", str(tree.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "DREAMD_WEIGHTS": str(tree.root / "weights"), "PYTHONWARNINGS": "default"},
            )

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        """Its own status: that of an earlier daemon on the same tree counts as none."""
        status = self.tree.status()
        return status if status["pid"] == self.process.pid else {"state": "none", "workers": [], "holds": []}

    def wait_until(self, state: str) -> None:
        """Waits for a state of the daemon in its status."""
        wait_for(lambda: self.status()["state"] == state, f"the daemon to be {state}: {self.log}")

    def worker(self, state: str = "idle", *, other_than: int = 0) -> int:
        """Waits for a worker to be in a state; returns its process id."""

        def look() -> int | None:
            for worker in self.status()["workers"]:
                if worker["state"] == state and worker["pid"] and worker["pid"] != other_than:
                    return int(worker["pid"])
            return None

        return wait_for(look, f"a worker to be {state}: {self.log}")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the daemon alone."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Waits for its end; returns its exit code."""
        return self.process.wait(WAIT_SECONDS)

    def stop(self) -> int:
        """Ends it as systemd does, if it still runs."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def daemons() -> Iterator[Callable[..., RunningDaemon]]:
    """Starts daemons and sees that none outlives the test."""
    with ExitStack() as stack:

        def start(
            tree: Tree, command: str = "run", *options: str, patient: bool = False, preface: str = ""
        ) -> RunningDaemon:
            daemon = RunningDaemon(tree, command, *options, patient=patient, preface=preface)
            stack.callback(_end, daemon.process)
            if command == "run":
                daemon.wait_until("running")
            return daemon

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree of this test's own."""
    return Tree(tmp_path / "tree")


@pytest.fixture
def run_daemon() -> Iterator[Callable[..., RunningDaemon]]:
    """`run_daemon(tree)` starts `dreamd run` and waits until it runs; `run_daemon(tree, "drain")` does not wait."""
    with daemons() as start:
        yield start


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tree, RunningDaemon]]:
    """A tree and a daemon with a warm worker, shared by the tests of a module that do it no harm.

    A picture was there before the daemon: `early/early.png`.
    """
    tree = Tree(tmp_path_factory.mktemp("warm") / "tree", limits={"attempts": 2})
    tree.drop("early/early.png")
    with daemons() as start:
        daemon = start(tree)
        daemon.worker()
        yield tree, daemon
        assert daemon.stop() == 0, daemon.log


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[..., RunningDaemon]]:
    """As `run_daemon`, for daemons that a module's tests share."""
    with daemons() as start:
        yield start


@pytest.fixture(scope="session")
def make() -> Callable[..., Tree]:
    """`make(root, section={…})` makes a tree anywhere."""
    return Tree

"""A fault at every step: kills, and refusals of the disk, injected into the daemon's own system calls and commits.

Run as a program by `integration/test_faults.py`; prints a line of JSON for every broken promise, and last how many
faults were tried. The daemon runs in a forked child with an executor of its own, which copies instead of dreaming, so
that a run takes a tenth of a second and hundreds of faults can be tried.

    python tests/faults.py kill-before|kill-after|ENOSPC|EIO|EACCES|EROFS|count [NUMBER]

Without a number, every step is tried; with one, only that step: so a failure is replayed.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

import dreamd.tree.journal
from dreamd import daemon
from dreamd.settings.config import load_config

STEPS = ("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "fsync", "open")
_WRITES = os.O_CREAT | os.O_WRONLY | os.O_RDWR

EXECUTOR = '''
import shutil
from dreamd.api import hookimpl
from dreamd.messages import Done, NotDone, Sidecar

class Copy:
    """Copies instead of dreaming; finds pictures named bad to be broken."""
    def __init__(self, context):
        self.notify = context.notify
        self.taken = 0
    def start(self): pass
    def stop(self): pass
    def restart(self): pass
    def wake(self): pass
    def free(self, alone=False): return 1 - self.taken
    def workers(self): return []
    def tick(self, now): pass
    def next_deadline(self): return None
    def handle(self, event): self.taken = 0
    def submit(self, batch):
        self.taken = 1
        for order in batch.orders:
            if order.source.name.startswith("bad"):
                self.notify(NotDone(job=order.job, hold=None, final=True, reason="it is broken"))
                continue
            shutil.copyfile(order.source, order.folder / "result.png")
            self.notify(Done(job=order.job, file="result.png", sidecar=Sidecar(
                job=order.job, picture=order.source.name, input_sha256="", recipe={}, versions={}, weights_sha256=None,
                device="none", precision="fp32", seed=0, size=(8, 8), tiling=None, seconds=0.0, loss_before=0.0,
                loss_after=0.0)))

@hookimpl
def dreamd_executors(register):
    register("copy", Copy)
'''

PICTURES = ("good.png", "sub/good.png", "sub/bad.png")


def make_tree(root: Path) -> Path:
    """A tree with three pictures in its inbox, one of them broken; returns the config."""
    (root / "executors").mkdir(parents=True)
    (root / "executors" / "copy_executor.py").write_text(EXECUTOR)
    (root / "inbox" / "sub").mkdir(parents=True)
    for index, name in enumerate(PICTURES):
        Image.new("RGB", (8, 8), (index * 50, 100, 100)).save(root / "inbox" / name)
    config = root / "config.yaml"
    config.write_text("plugins: {daemon: [executors]}\nworkers: {executor: copy}\nwatch: {settle_seconds: 0}\n")
    return config


class Fault:
    """Counts the steps of a process and does something at one of them."""

    def __init__(self, root: Path, action: str, number: int) -> None:
        self.count = 0
        self._root = str(root)
        self._action = action
        self._number = number

    def install(self) -> None:
        for name in STEPS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))
        dreamd.tree.journal.immediate = self._commits(dreamd.tree.journal.immediate)

    def step(self, happens: Callable[[], object], *, can_be_refused: bool) -> object:
        self.count += 1
        if self.count != self._number:
            return happens()
        if self._action == "kill-before":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._action.startswith("E") and can_be_refused:
            code = getattr(errno, self._action)
            raise OSError(code, os.strerror(code))
        result = happens()
        if self._action == "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def _wrapped(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **options: object) -> object:
            if not self._concerns_the_tree(name, args, options):
                return call(*args, **options)
            return self.step(lambda: call(*args, **options), can_be_refused=True)

        return wrapped

    def _concerns_the_tree(self, name: str, args: tuple[object, ...], options: dict[str, object]) -> bool:
        if name == "open" and not int(str(args[1])) & _WRITES:
            return False
        if name == "fsync":
            return str(Path(f"/proc/self/fd/{args[0]}").readlink()).startswith(self._root)
        is_relative = any(options.get(key) is not None for key in ("dir_fd", "src_dir_fd", "dst_dir_fd"))
        path = os.fsdecode(args[0])  # type: ignore[arg-type]
        return (is_relative or path.startswith(self._root)) and not path.endswith(("status.json", ".part"))

    def _commits(self, immediate: Callable[..., object]) -> Callable[..., object]:
        @contextmanager
        def wrapped(connection: object) -> object:
            if self.count + 1 == self._number and self._action == "kill-before":
                os.kill(os.getpid(), signal.SIGKILL)
            with immediate(connection):
                yield
            self.step(lambda: None, can_be_refused=False)

        return wrapped


def drain(config: Path, fault: Fault | None) -> int:
    """Drain in a child; returns its exit status, or the negative signal that ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        if fault is not None:
            fault.install()
        code = daemon.run_daemon(load_config(config), until_empty=True)
    except BaseException as error:  # noqa: BLE001 (a daemon that ends by itself is what this looks for)
        print(json.dumps({"ended": f"{type(error).__name__}: {error}"}), flush=True)
        code = 71
    finally:
        if fault is not None and fault._action == "count":
            (config.parent / "count").write_text(str(fault.count))
        os._exit(code)


def broken_promises(root: Path) -> list[str]:
    """What is not as it must be after a run without faults."""
    found = []
    results = sorted(str(path.relative_to(root / "outbox")) for path in (root / "outbox").rglob("*") if path.is_file())
    if results != ["good.png", "good.png.json", "sub/good.png", "sub/good.png.json"]:
        found.append(f"outbox {results}")
    for name in ("good.png", "sub/good.png"):
        result = root / "outbox" / name
        if result.exists():
            with Image.open(result) as picture:
                picture.load()
    originals = sorted(str(path.relative_to(root / "done")) for path in (root / "done").rglob("*") if path.is_file())
    if originals != ["good.png", "sub/good.png"]:
        found.append(f"done {originals}")
    failed = sorted(str(path.relative_to(root / "failed")) for path in (root / "failed").rglob("*") if path.is_file())
    if failed != ["sub/bad.png", "sub/bad.png.reason.txt"]:
        found.append(f"failed {failed}")
    left = [
        str(path) for path in (root / "inbox").rglob("*") if path.is_file() and path.name not in ("lock", "inbox-id")
    ]
    left += [str(path) for path in (root / "outbox" / ".dreamd").rglob("*")]
    if left:
        found.append(f"left over {left}")
    return found


def one_run(action: str, number: int) -> int:
    """A run with a fault, then one without; prints what is broken; returns the number of steps when counting."""
    root = Path(tempfile.mkdtemp(prefix="dreamd-faults-"))
    try:
        config = make_tree(root)
        code = drain(config, Fault(root, action, number))
        if action == "count":
            return int((root / "count").read_text())
        again = drain(config, None)
        broken = broken_promises(root)
        if again not in (0, 1):
            broken.append(f"the next start ended with {again}")
        if broken:
            print(json.dumps({"action": action, "number": number, "code": code, "broken": broken}), flush=True)
        return 0
    finally:
        shutil.rmtree(root)


def main() -> None:
    action = sys.argv[1]
    logging.disable()
    if action == "count":
        print(one_run("count", 0))
        return
    numbers = [int(sys.argv[2])] if len(sys.argv) > 2 else range(1, one_run("count", 0) + 1)
    for number in numbers:
        one_run(action, number)
    print(json.dumps({"tried": len(numbers)}))


if __name__ == "__main__":
    main()

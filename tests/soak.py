"""A soak: a real daemon with a real worker, killed at random for minutes while pictures keep arriving.

    python tests/soak.py [--kills 200] [--pictures 500] [--seed N] [--keep]

Kills the daemon, its worker, or both with SIGKILL at random moments and starts again; in the end everything that
arrived must have come out once, its original in done/, with no failure, no partial or left-over file. Prints the seed
first: the same seed kills at the same moments after each start.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from dreamd.tree import snapshot

FOLDERS = (".", "cats", "cats/small", "dogs", "päivä 1")
FORMATS = ("png", "jpg", "webp")

PLUGIN = '''
import time
from torch import nn
from dreamd.api import Backbone, hookimpl

def tiny(name):
    """A network of one convolution."""
    return Backbone(network=nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()), default_layer="1")

def slow(image, ascend, *, seconds: float = 0.05):
    """One ascent that takes its time, so that kills hit it."""
    time.sleep(seconds)
    yield ascend(image)

@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)

@hookimpl
def dreamd_schedules(register):
    register("slow", slow)
'''

CONFIG = """
defaults: {backbone: {name: tiny, weights: random}, schedule: slow, ascent: {iterations: 2, jitter: 0}}
watch: {settle_seconds: 0.2, patience_seconds: 1, rescan_seconds: 5}
limits: {attempts: 50}
status: {listen: null}
"""


class Soak:
    """One soak in a folder of its own."""

    def __init__(self, root: Path, seed: int) -> None:
        self._root = root
        self._random = random.Random(seed)
        self._dropped = 0
        self.kills = Counter[str]()

    def prepare(self) -> None:
        for folder in FOLDERS:
            (self._root / "inbox" / folder).mkdir(parents=True, exist_ok=True)
        (self._root / "plugins").mkdir()
        (self._root / "plugins" / "tiny.py").write_text(PLUGIN)
        (self._root / "config.yaml").write_text(CONFIG)

    def drop(self, count: int) -> None:
        """Let pictures arrive: some by rename, some written in place."""
        for _ in range(count):
            name = f"picture-{self._dropped:04}.{self._random.choice(FORMATS)}"
            target = self._root / "inbox" / self._random.choice(FOLDERS) / name
            picture = Image.new("RGB", (32, 32), tuple(self._random.randrange(256) for _ in range(3)))
            draft = self._root / name
            picture.save(draft)
            if self._random.random() < 0.5:
                draft.rename(target)
            else:
                shutil.copyfile(draft, target)
                draft.unlink()
            self._dropped += 1

    def run_and_kill(self) -> None:
        """Start the daemon, and after a random while kill it, its worker, or both; a worker's kill is survived."""
        daemon = self._start()
        try:
            while True:
                if self._random.random() < 0.5:  # else a slow machine would never come to dream
                    self._wait_for_worker(daemon)
                time.sleep(self._random.uniform(0.0, 8.0))
                victim = self._random.choice(("daemon", "worker", "both"))
                self.kills[victim] += 1
                workers = _children(daemon.pid)
                if victim in ("worker", "both"):
                    for worker in workers:
                        _kill(worker)
                if victim in ("daemon", "both"):
                    return
        finally:
            daemon.kill()
            daemon.wait()

    def _wait_for_worker(self, daemon: subprocess.Popen[bytes]) -> None:
        """Wait until a worker of this daemon can work."""
        for _ in range(1200):
            values = snapshot.read(self._root / "state") or {"pid": 0}
            if values["pid"] == daemon.pid and {worker["state"] for worker in values["workers"]} & {"idle", "busy"}:
                return
            time.sleep(0.1)

    def drain(self) -> int:
        """Let the daemon finish what is left."""
        command = [sys.executable, "-m", "dreamd", "drain", "--config", str(self._root / "config.yaml")]
        return subprocess.run(command, stderr=self._log(), check=False).returncode

    def verdict(self) -> list[str]:
        """What is not as promised."""
        found = []
        results = [path for path in _files(self._root / "outbox") if path.suffix != ".json"]
        sidecars = [path for path in _files(self._root / "outbox") if path.suffix == ".json"]
        jobs = Counter(json.loads(path.read_text())["job"] for path in sidecars)
        for path in results:
            with Image.open(path) as picture:
                picture.load()
        counts = {
            "results": len(results),
            "sidecars": len(sidecars),
            "jobs with a result": len(jobs),
            "originals": len(_files(self._root / "done")),
        }
        found += [f"{count} {what} of {self._dropped}" for what, count in counts.items() if count != self._dropped]
        left = [
            *_files(self._root / "failed"),
            *(path for path in _files(self._root / "inbox") if path.name not in ("lock", "inbox-id")),
        ]
        left += list((self._root / "outbox" / ".dreamd").iterdir())
        found += [f"left over: {path}" for path in left]
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dreamd", "run", "--config", str(self._root / "config.yaml")]
        return subprocess.Popen(command, stderr=self._log(), start_new_session=True)

    def _log(self) -> int:
        return os.open(self._root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has just ended by itself


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="dreamd-soak-"))
    print(f"seed {arguments.seed}, in {root}", flush=True)
    soak = Soak(root, arguments.seed)
    soak.prepare()
    dropped = 0
    while (kills := soak.kills.total()) < arguments.kills:
        due = min(arguments.pictures, arguments.pictures * (kills + 20) // arguments.kills)
        soak.drop(due - dropped)
        dropped = due
        soak.run_and_kill()
        if kills // 20 != soak.kills.total() // 20:
            print(f"{soak.kills.total()} kills, {len(_files(root / 'done'))} of {dropped} done", flush=True)
    soak.drop(arguments.pictures - dropped)
    code = soak.drain()
    found = soak.verdict()
    print(f"kills: {dict(soak.kills)}; drain ended with {code}")
    for line in found:
        print(line)
    if not found and not arguments.keep:
        shutil.rmtree(root)
    print("every picture came out once" if not found else "PROMISES BROKEN")
    sys.exit(1 if found or code else 0)


if __name__ == "__main__":
    main()

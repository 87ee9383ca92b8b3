"""A storm of pictures: how fast a start sees 100,000 files, how many jobs a second pass, how large the daemon gets.

    python -m benchmarks.storm [--files 100000] [--seconds 30] [--json]

A real daemon with a real worker, and a backbone, loss and schedule that cost nothing, so that what is left is dreamd.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.nothing import PLUGIN
from benchmarks.workers import peak_bytes
from dreamd.tree import snapshot

_FOLDERS = 20
_LOOK_SECONDS = 0.05


def make_tree(root: Path, files: int) -> Path:
    """A config and an inbox of so many small pictures in twenty folders."""
    (root / "plugins").mkdir()
    (root / "plugins" / "nothing.py").write_text(PLUGIN)
    config = root / "config.yaml"
    config.write_text(
        "defaults: {backbone: {name: nothing, weights: random}, schedule: unchanged}\nstatus: {listen: null}\n"
    )
    picture = root / "picture.png"
    Image.new("RGB", (16, 16), (90, 120, 150)).save(picture)
    for index in range(files):
        folder = root / "inbox" / f"folder-{index % _FOLDERS:02}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, folder / f"{index:06}.png")
    return config


def measure(files: int, seconds: float) -> dict[str, Any]:
    """The figures, in seconds, jobs a second and megabytes."""
    root = Path(tempfile.mkdtemp(prefix="dreamd-storm-"))
    try:
        config = make_tree(root, files)
        start = time.perf_counter()
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dreamd", "run", "--config", str(config)], stderr=subprocess.DEVNULL
        )
        try:
            seen = _wait(config, daemon, lambda values: _known(values) >= files) - start
            begin = _wait(config, daemon, lambda values: values["done"] > 0)
            before = _values(config)["done"]
            time.sleep(seconds)
            done = _values(config)["done"] - before
            elapsed = time.perf_counter() - begin
            memory = peak_bytes(daemon.pid) / 2**20
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
        return {
            "files": files,
            "start_to_all_seen_s": round(seen, 2),
            "jobs_per_s": round(done / elapsed, 1),
            "daemon_peak_mb": round(memory, 1),
        }
    finally:
        shutil.rmtree(root)


def _wait(config: Path, daemon: subprocess.Popen[bytes], reached: Any) -> float:
    while daemon.poll() is None:
        values = snapshot.read(config.parent / "state")
        if values is not None and reached(values):
            return time.perf_counter()
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"the daemon ended with {daemon.returncode}")


def _values(config: Path) -> dict[str, Any]:
    values = snapshot.read(config.parent / "state")
    assert values is not None
    return values


def _known(values: dict[str, Any]) -> int:
    return int(values["queued"] + values["running"] + values["done"] + values["failed"] + values["held"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.files, arguments.seconds)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"{os.cpu_count()} cores")
    for name, value in figures.items():
        print(f"{name:<22} {value}")


if __name__ == "__main__":
    main()

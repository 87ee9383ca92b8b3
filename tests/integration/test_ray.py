"""A real daemon over a real Ray cluster on this machine: pictures, films and weights, and what is killed meanwhile."""

from __future__ import annotations

import hashlib
import io
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.ray_cluster import RayCluster

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]
pytest.importorskip("ray", reason="NOT TESTED: Ray is not installed (pip install 'dreamd[ray]')")

LONG_SECONDS = 120.0
"""Ray takes a quarter of a minute to notice that a machine is gone, and as long again to have another."""

PAUSE_SECONDS = 0.05
"""What each picture takes at least, so that there is something in hand to be lost."""

SLOW = f"""
import time

from dreamd.api import hookimpl


def slow(image, ascend):
    time.sleep({PAUSE_SECONDS})
    yield ascend(image)


@hookimpl
def dreamd_schedules(register):
    register("slow", slow)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # a socket's path is short
    cluster = RayCluster(folder)
    try:
        cluster.start_head()
        for name in ("a", "b"):
            cluster.start_node(name)
        yield cluster
    finally:
        cluster.stop()
        assert cluster.processes() == []
        shutil.rmtree(folder)


@pytest.fixture
def on_ray(tree: Tree, cluster: RayCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tree:
    """A tree whose pictures are dreamed on the cluster, each one with pixels of its own."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    (tree.root / "plugins" / "slow.py").write_text(SLOW)
    executor = {"name": "ray", "address": cluster.address, "reconnect_seconds": 10}
    defaults = {
        "backbone": {"name": "tiny", "weights": "random"},
        "schedule": "slow",
        "ascent": {"iterations": 1, "jitter": 0},
        "precision": "fp32",
    }
    workers = {"executor": executor, "threads": 1, "memory": 1_000_000_000}
    tree.configure(workers=workers, defaults=defaults, limits={"attempts": 3})
    return tree


def fill(tree: Tree, count: int) -> None:
    for number in range(count):
        image = Image.effect_noise((24, 24), 10.0 + number).convert("RGB")
        data = io.BytesIO()
        image.save(data, "PNG")
        tree.drop(f"f{number % 4}/{number:03}.png", data.getvalue())


def digests(tree: Tree, outbox: Path | None = None) -> dict[str, str]:
    folder = outbox or tree.outbox
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in tree.files(folder)
        if file.suffix == ".png" and ".dreamd" not in file.parts
    }


def count(tree: Tree) -> int:
    return len(digests(tree))


def test_pictures_come_out_as_from_this_machine_whatever_is_killed(
    on_ray: Tree, cluster: RayCluster, run_daemon: Run, tmp_path: Path
) -> None:
    tree = on_ray
    fill(tree, 200)
    shutil.copytree(tree.inbox, tmp_path / "same")
    daemon = run_daemon(tree)

    def wait_for(more: int, what: str) -> None:
        target = min(200, count(tree) + more)
        tree.wait_for(lambda: count(tree) >= target, f"{what}; {daemon.log}", LONG_SECONDS)

    wait_for(20, "the first results")
    assert {worker["node"] for worker in daemon.status()["workers"]} <= {"a", "b"}
    cluster.kill("ray::Agent")
    wait_for(25, "results after an actor was killed")
    cluster.kill("raylet/raylet", node="a")
    wait_for(25, "results after a machine's Ray was killed")
    cluster.kill_head()
    told = tree.wait_for(lambda: daemon.status().get("fleet_problem"), "the status to tell of it", LONG_SECONDS)
    assert "Ray" in told or "bridge" in told
    cluster.start_head()
    wait_for(25, "results after the head was away")
    assert {job.attempts for job in tree.jobs()} <= {0, 1}  # none of that was a picture's fault
    cluster.kill("dreamd.worker.main")
    wait_for(20, "results after a worker was killed")
    daemon.signal(signal.SIGKILL)
    daemon.process.wait()
    mine = ("dreamd.worker.main", "dreamd_plugins.ray.bridge")
    tree.wait_for(lambda: not any(map(cluster.processes, mine)), "workers to be gone with their daemon")
    daemon = run_daemon(tree)
    wait_for(200, "the rest")
    assert daemon.stop() == 0, daemon.log
    jobs = tree.jobs()
    assert Counter(job.state.value for job in jobs) == {"done": 200}
    assert len(digests(tree)) == 200
    tree.wait_for(lambda: not any(map(cluster.processes, mine)), "workers to be gone with their daemon")

    results = digests(tree)
    shutil.rmtree(tree.outbox)
    shutil.rmtree(tree.state)
    for file in tree.files(tmp_path / "same"):
        tree.drop(str(file.relative_to(tmp_path / "same")), file.read_bytes())
    tree.configure(workers={"executor": "local"})
    local = run_daemon(tree, "drain")
    local.process.wait(LONG_SECONDS)
    assert digests(tree) == results

"""A real daemon whose workers get everything as bytes, as if they were on other machines, without a cluster."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dreamd.job import JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

pytestmark = pytest.mark.slow

EXECUTOR = """
import os
from pathlib import Path

from dreamd.api import BridgedExecutor, hookimpl

HERE = Path(__file__).parent

def make(context, *, folder: str):
    return BridgedExecutor("bridge_here", {"folder": folder}, {**os.environ, "PYTHONPATH": str(HERE.parent / "bridge")})

@hookimpl
def dreamd_executors(register):
    register("elsewhere", make)
"""

BRIDGE = """
import os
from pathlib import Path

from dreamd.api import Place, SeatHost, run_bridge
from dreamd.executors.remote.home import MachineFiles

class Here:
    missing = "there is no machine"

    def __init__(self, cluster):
        self.folder = Path(cluster["folder"])

    def connect(self): ...
    def ask_for(self, seats): ...
    def places(self): return [Place(seat="a/0", node="a", device="cpu")]

    def open(self, place, opening):
        node = self.folder / place.node
        environment = {**os.environ, "DREAMD_WEIGHTS": str(node / "weights")}
        files = MachineFiles(node, node / "weights")
        return SeatHost(opening, device=place.device, sharers=1, environment=environment, machine=files)

    def close(self, host): host._process and host._process.kill()

if __name__ == "__main__":
    run_bridge(Here)
"""


@pytest.fixture
def elsewhere(tree: Tree) -> Tree:
    """A tree whose seats are on a machine `a`, with a folder of its own below `machines`."""
    (tree.root / "executors").mkdir(mode=0o755)
    (tree.root / "executors" / "elsewhere.py").write_text(EXECUTOR)
    (tree.root / "executors" / "elsewhere.py").chmod(0o644)
    (tree.root / "bridge").mkdir()
    (tree.root / "bridge" / "bridge_here.py").write_text(BRIDGE)
    executor = {"name": "elsewhere", "folder": str(tree.root / "machines")}
    tree.configure(
        plugins={"daemon": ["executors"]}, workers={"executor": executor, "threads": 1}, limits={"attempts": 2}
    )
    return tree


def weights_at(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    torch.manual_seed(3)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "2.weight": (4, 4, 3, 3), "2.bias": (4,)}
    save_file({name: torch.randn(shape) for name, shape in shapes.items()}, path)


def animation() -> bytes:
    frames = [Image.linear_gradient("L").rotate(10 * number).resize((24, 24)).convert("P") for number in range(3)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return data.getvalue()


def drop_all(tree: Tree) -> None:
    """A picture of every kind that takes other files along, or another way."""
    tree.drop("calm/plain.png")
    tree.drop("guided/by.png")
    tree.drop("given/by.png")
    tree.drop("far/away.png")
    tree.drop("calm/clouds.dream.yaml", b"image: {size: 24x24}\n")
    tree.drop("moving/turning.gif", animation())


def outcome(tree: Tree) -> dict[str, Any]:
    """Each result: its bytes, and of its sidecar all that does not tell how long it took and where."""
    told = ("picture", "recipe", "pictures", "weights_sha256", "input_sha256", "versions")
    found: dict[str, Any] = {}
    for file in tree.files(tree.outbox):
        if ".dreamd" not in file.parts:
            values = json.loads(file.read_text()) if file.suffix == ".json" else {}
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            found[str(file.relative_to(tree.outbox))] = {key: values[key] for key in told} if values else digest
    return found


def test_every_kind_of_dream_comes_out_elsewhere_as_it_does_here(elsewhere: Tree, run_daemon: Run) -> None:
    tree = elsewhere
    (tree.root / "recipes").mkdir(exist_ok=True)
    (tree.root / "recipes" / "guide.png").write_bytes(tree.picture(40, 40))
    weights_at(tree.root / "weights" / "mine.safetensors")
    weights_at(tree.root / "weights" / "far.safetensors")
    tree.recipe("guided", f"loss: {{name: guide, picture: {tree.root / 'recipes' / 'guide.png'}}}")
    tree.recipe("given", f"backbone: {{name: tiny, weights: {tree.root / 'weights' / 'mine.safetensors'}}}")
    tree.recipe("far", "backbone: {name: far, weights: default}")
    drop_all(tree)
    daemon = run_daemon(tree, "drain")
    assert daemon.wait() == 0, daemon.log
    there = outcome(tree)
    machine = tree.root / "machines" / "a"
    assert [file.name for file in sorted((machine / "weights").glob("*.safetensors"))] == ["far.safetensors"]
    assert len(list((machine / "named").iterdir())) == 2
    for folder in (tree.outbox, tree.state):
        shutil.rmtree(folder)
    tree.configure(workers={"executor": "local"})
    drop_all(tree)
    daemon = run_daemon(tree, "drain")
    assert daemon.wait() == 0, daemon.log
    assert there == outcome(tree)
    assert len(there) == 12


def test_a_bridge_that_is_killed_costs_no_attempt_and_a_worker_that_is_killed_does(
    elsewhere: Tree, run_daemon: Run
) -> None:
    tree = elsewhere
    gate = tree.mood("waits", "wait")
    tree.drop("waits/one.png", tree.picture(13, 13))
    daemon = run_daemon(tree)
    waiting = gate.with_name(f"{gate.name}.waiting")
    tree.wait_for(waiting.exists, f"the dream to wait: {daemon.log}")
    waiting.unlink()
    (bridge,) = [pid for pid in children_of(daemon.process.pid) if b"bridge_here" in command_of(pid)]
    os.kill(bridge, signal.SIGKILL)
    tree.wait_for(waiting.exists, f"the dream to begin again: {daemon.log}")
    gate.touch()
    tree.wait_for(lambda: tree.jobs(JobState.DONE), f"the dream: {daemon.log}")
    assert [job.attempts for job in tree.jobs()] == [1]
    tree.mood("poison", "segfault")
    tree.drop("poison/two.png", tree.picture(13, 13))
    tree.wait_for(lambda: tree.jobs(JobState.FAILED), f"the failure: {daemon.log}")
    (failed,) = tree.jobs(JobState.FAILED)
    assert failed.attempts == 2
    assert daemon.stop() == 0, daemon.log


def children_of(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()

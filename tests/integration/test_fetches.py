"""Weights that a daemon's pictures need, from servers that are slow, break off, send something else, or come later."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from dreamd.cli import main
from dreamd.job import JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

IMPATIENT = """
import dreamd.daemon.weights.fetches
dreamd.daemon.weights.fetches._AGAIN_SECONDS = 0.5
dreamd.daemon.weights.fetches._LOOK_SECONDS = 0.2
"""


class Mirror(http.server.BaseHTTPRequestHandler):
    """Sends the weights of `far`: a first part at once, and the rest when its gate is open."""

    content = b""
    first = 1000
    gate = threading.Event()
    ranges: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).ranges.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(self.content) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        self.wfile.write(self.content[start : max(start, self.first)])
        self.wfile.flush()
        self.gate.wait(60)
        self.wfile.write(self.content[max(start, self.first) :])

    def log_message(self, *_: object) -> None: ...


def weights_of_far() -> bytes:
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "2.weight": (4, 4, 3, 3), "2.bias": (4,)}
    metadata = {"padding": "x" * 4000}
    path = Path("/dev/shm") / f"far-{threading.get_ident()}"
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, path, metadata)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> Iterator[type[Mirror]]:
    Mirror.content, Mirror.first, Mirror.ranges = weights_of_far(), 1000, []
    Mirror.gate.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DREAMD_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("DREAMD_WEIGHTS", str(tree.root / "weights"))
        tree.recipe("far", "backbone: {name: far, weights: default}\n")
        yield Mirror
        Mirror.gate.set()
        server.shutdown()


def dreamd(tree: Tree, *command: str) -> str:
    said = CliRunner().invoke(main, [*command, "--config", str(tree.config)])
    return said.stdout + said.stderr


def fetch(tree: Tree, state: str) -> dict[str, Any]:
    """Waits for a state of the fetch of `far`."""

    def look() -> dict[str, Any] | None:
        return next((each for each in tree.status().get("fetches", []) if each["state"] == state), None)

    return tree.wait_for(look, f"the fetch to be {state}; it is {tree.status().get('fetches')}")


def test_a_fetch_shows_how_much_is_here_is_cancelled_and_goes_on_where_it_was(
    tree: Tree, run_daemon: Run, mirror: type[Mirror]
) -> None:
    daemon = run_daemon(tree, preface=IMPATIENT)
    tree.drop("far/a.png")
    tree.wait_for(lambda: fetch(tree, "fetching")["done"] == mirror.first, "the first part")
    shown = fetch(tree, "fetching")
    assert shown["total"] == len(mirror.content)
    assert Path(shown["path"]) == tree.root / "weights" / "far.safetensors"
    assert "weights  far: on their way, 0 of 0 MB" in dreamd(tree, "status")
    assert tree.hold("far")["backbone"] == "far"
    assert dreamd(tree, "weights", "cancel", "far").startswith("the weights of far are not fetched any more")
    fetch(tree, "cancelled")
    tree.wait_for(lambda: "download was cancelled" in tree.hold("far")["reason"], "the hold to say so")
    assert daemon.stop() == 0
    daemon = run_daemon(tree, preface=IMPATIENT)
    fetch(tree, "cancelled")  # and not begun again by the start, nor by the picture that needs them
    tree.wait_for(lambda: "download was cancelled" in tree.hold("far")["reason"], "the hold to say so again")
    assert mirror.ranges == [None]
    mirror.gate.set()
    assert "far.safetensors" in dreamd(tree, "weights", "fetch", "far")
    tree.result("far/a.png")
    assert mirror.ranges == [None, f"bytes={mirror.first}-"]
    tree.wait_for(lambda: tree.status()["fetches"] == [], "the fetch to be over")
    (done,) = tree.wait_for(lambda: tree.jobs(JobState.DONE), "the journal to know")
    assert done.attempts == 1
    assert not list((tree.state / "fetches").iterdir())


def test_a_fetch_that_was_ordered_goes_on_after_a_restart(tree: Tree, run_daemon: Run, mirror: type[Mirror]) -> None:
    from dreamd.settings.config import load_config
    from dreamd.tree.fetch_orders import order_fetch
    from dreamd.weights.sources import Download

    daemon = run_daemon(tree)
    order_fetch(load_config(tree.config), "far", Download(url="http://127.0.0.1:1/far.safetensors"))
    tree.wait_for(lambda: fetch(tree, "fetching")["done"] == mirror.first, "the first part")
    daemon.process.kill()
    daemon.wait()
    run_daemon(tree)
    tree.wait_for(lambda: len(mirror.ranges) == 2, "it to be asked for again")
    mirror.gate.set()
    tree.wait_for((tree.root / "weights" / "far.safetensors").exists, "the weights")
    assert mirror.ranges[1] == f"bytes={mirror.first}-"
    tree.wait_for(lambda: not list((tree.state / "fetches").iterdir()), "the order to be done")


def test_what_is_wrong_with_a_server_is_told_and_the_next_try_may_bring_them(
    tree: Tree, run_daemon: Run, mirror: type[Mirror]
) -> None:
    plugin = tree.root / "plugins" / "tiny.py"
    pinned = f'far.safetensors", sha256="{hashlib.sha256(mirror.content).hexdigest()}"'
    plugin.write_text(plugin.read_text().replace('far.safetensors"', pinned))
    right, mirror.content = mirror.content, mirror.content[::-1]
    mirror.gate.set()
    run_daemon(tree, preface=IMPATIENT)
    tree.drop("far/a.png")
    assert "brought a wrong file: its SHA-256 is" in fetch(tree, "failed")["problem"]
    tree.wait_for(lambda: "brought a wrong file" in tree.hold("far")["reason"], "the hold to say so")
    mirror.content = right
    tree.result("far/a.png")


@pytest.mark.parametrize(
    ("rule", "words"), [("ask", "nobody has asked to fetch them"), ("never", "weights.fetch: never")]
)
def test_a_config_may_forbid_to_fetch_by_itself_or_at_all(
    tree: Tree, run_daemon: Run, mirror: type[Mirror], rule: str, words: str
) -> None:
    tree.configure(weights={"fetch": rule})
    run_daemon(tree, preface=IMPATIENT)
    tree.drop("far/a.png")
    hold = tree.hold("far")
    assert words in hold["reason"]
    assert "dreamd weights fetch far" in hold["reason"]
    assert fetch(tree, "missing")["may_fetch"] == (rule == "ask")
    assert mirror.ranges == []
    file = tree.root / "weights" / "far.safetensors"
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_bytes(mirror.content)
    draft.rename(file)  # a file that is put there by hand goes on by itself
    tree.result("far/a.png")


def test_to_cancel_what_is_not_fetched_is_refused(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    run_daemon(tree)
    assert "the daemon does not fetch the weights of vgg19" in dreamd(tree, "weights", "cancel", "vgg19")

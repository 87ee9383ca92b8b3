"""Plugins in a running daemon: they are loaded as they come, and broken ones harm nobody but their own pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dreamd.job import Job, JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Live = tuple["Tree", "RunningDaemon"]

HEAD = "import time, torch\nfrom dreamd.api import PictureError, hookimpl\nimport numpy as np\n\n"

BROKEN = {
    "no_import": "import nothing_of_that_name\n",
    "no_hook": "@hookimpl\ndef dreamd_loses(register): ...\n",
    "no_name": "@hookimpl\ndef dreamd_losses(register):\n    register('l2', print)\n",
    "no_api": "DREAMD_API = 99\n@hookimpl\ndef dreamd_losses(register): ...\n",
    "no_python": "def f(:\n",
}

REASONS = {
    "no_import": "ModuleNotFoundError: No module named 'nothing_of_that_name' (no_import.py:5)",
    "no_hook": "no hook 'dreamd_loses' in dreamd.engine; did you mean dreamd_losses?",
    "no_name": "the loss 'l2' is taken by plugin 'l2'; choose another name",
    "no_api": "wants version 99 of dreamd.api",
    "no_python": "no_python.py:5: invalid syntax",
}

LISTENERS = """
from pathlib import Path
from dreamd.api import hookimpl

@hookimpl
def dreamd_job_changed(job):
    '''{doc}'''
    {line}
"""


def loss(name: str, line: str) -> str:
    """A drop-in file with a loss of one line."""
    return (
        f"{HEAD}def {name}(activation):\n    '''One.'''\n    {line}\n\n"
        f"@hookimpl\ndef dreamd_losses(register):\n    register('{name}', {name})\n"
    )


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, started: Callable[..., RunningDaemon], make: Callable[..., Tree]
) -> Iterator[Live]:
    tree = make(tmp_path_factory.mktemp("live") / "tree", limits={"attempts": 2, "timeout_seconds": 4})
    (tree.root / "listeners").mkdir()
    tree.configure(plugins={"daemon": ["listeners"]})
    (tree.root / "listeners" / "a_hangs.py").write_text(
        LISTENERS.format(doc="Hang.", line="__import__('time').sleep(3600)")
    )
    (tree.root / "listeners" / "b_raises.py").write_text(LISTENERS.format(doc="Raise.", line="1 / 0"))
    told = f"open({str(tree.root / 'told')!r}, 'a').write(f'{{job.path}} {{job.state}}\\n')"
    (tree.root / "listeners" / "c_writes.py").write_text(LISTENERS.format(doc="Write.", line=told))
    daemon = started(tree)
    daemon.worker()
    yield tree, daemon
    begun = time.monotonic()
    assert daemon.stop() == 0, daemon.log
    assert time.monotonic() - begun < 15
    assert "plugin a_hangs: dreamd_job_changed has not returned yet; everything else goes on" in daemon.log


def dropped(tree: Tree, name: str, text: str) -> Path:
    """A drop-in file, by rename, as an editor writes it."""
    draft = tree.root / "plugins" / f"_{name}.new"
    draft.write_text(text)
    return draft.rename(tree.root / "plugins" / f"{name}.py")


def not_loaded(tree: Tree) -> dict[str, str]:
    reasons: dict[str, str] = tree.status()["plugins_not_loaded"]
    return reasons


def test_broken_plugins_are_named_and_everything_else_goes_on(live: Live) -> None:
    tree, daemon = live
    before = daemon.worker()
    for name, text in BROKEN.items():
        dropped(tree, name, f"{HEAD}{text}")
    tree.wait_for(lambda: not_loaded(tree).keys() == BROKEN.keys(), f"all to be named: {daemon.log}")
    for name, reason in REASONS.items():
        assert reason in not_loaded(tree)[name]
    assert daemon.worker(other_than=before)
    tree.drop("well/a.png")
    tree.result("well/a.png")
    for name in BROKEN:
        (tree.root / "plugins" / f"{name}.py").unlink()
    tree.wait_for(lambda: not not_loaded(tree), "nothing to be named any more")


def test_a_plugin_that_comes_and_is_mended_has_its_pictures_go_on_without_a_signal(live: Live) -> None:
    tree, _ = live
    tree.recipe("glow", "loss: glow\n")
    tree.drop("glow/a.png")
    assert "no loss 'glow'" in tree.hold("glow")["reason"]
    dropped(tree, "glow", loss("glow", "return activation.mean()"))
    tree.wait_for(lambda: "returned a tensor of shape []" in tree.hold("glow")["reason"], "its loss to be refused")
    hold = tree.hold("glow")
    assert (hold["cause"], hold["jobs"]) == ("plugin", 1)
    assert hold["reason"].startswith("loss 'glow' of plugin 'glow' returned")
    tree.drop("beside/a.png")
    tree.result("beside/a.png")
    dropped(tree, "glow", loss("glow", "return activation.flatten(1).mean(1)"))
    tree.result("glow/a.png")
    assert tree.sidecar("glow/a.png")["versions"]["glow"].startswith("sha256:")
    tree.wait_for(lambda: _job(tree, "glow/a.png").state is JobState.DONE, "that to be written down")
    assert _job(tree, "glow/a.png").attempts == 1


def test_a_changed_helper_of_a_plugin_counts_in_a_running_daemon(live: Live) -> None:
    tree, daemon = live
    dropped(tree, "_tone", "def tone(activation):\n    return activation.flatten(1).mean(1)\n")
    dropped(tree, "toned", f"import _tone\n{loss('toned', 'return _tone.tone(activation)')}")
    tree.recipe("toned", "loss: toned\n")
    tree.drop("toned/a.png")
    tree.result("toned/a.png")
    worker = daemon.worker()
    dropped(tree, "_tone", "def tone(activation):\n    return activation.flatten(1).square().mean(1)\n")
    daemon.worker(other_than=worker)
    tree.drop("toned/b.png")
    tree.result("toned/b.png")
    first, second = (tree.sidecar(f"toned/{name}.png") for name in "ab")
    assert first["versions"]["toned"] != second["versions"]["toned"]
    assert first["loss_before"] != second["loss_before"]


@pytest.mark.parametrize("end", ["os._exit(9)", "os.kill(os.getpid(), 11)"])
def test_a_plugin_that_ends_the_process_that_imports_it_is_left_out_by_name(live: Live, end: str) -> None:
    tree, daemon = live
    before = daemon.worker()
    dropped(tree, "killer", f"import os\n{end}\n")
    tree.wait_for(lambda: "killer" in not_loaded(tree), f"it to be named: {daemon.log}")
    assert not_loaded(tree).keys() == {"killer"}
    assert "loading it ended its worker" in not_loaded(tree)["killer"]
    assert "while it loaded the plugin killer; starting another without that" in daemon.log
    assert daemon.worker(other_than=before)
    folder = f"killed-{end[3]}"
    tree.drop(f"{folder}/a.png")
    tree.result(f"{folder}/a.png")
    dropped(tree, "killer", loss("killer", "return activation.flatten(1).mean(1)"))
    tree.recipe(f"{folder}-mended", "loss: killer\n")
    tree.drop(f"{folder}-mended/a.png")
    tree.result(f"{folder}-mended/a.png")
    (tree.root / "plugins" / "killer.py").unlink()
    tree.wait_for(lambda: not not_loaded(tree), "nothing to be named any more")


def _job(tree: Tree, path: str) -> Job:
    (job,) = (job for job in tree.jobs() if str(job.path) == path)
    return job


def test_plugins_that_raise_or_give_nan_hold_their_own_and_those_that_hang_fail_their_own(live: Live) -> None:
    tree, daemon = live
    dropped(tree, "raises", loss("raises", "raise ValueError('not today')"))
    dropped(tree, "nan", loss("nan", "return activation.flatten(1).mean(1) * torch.nan"))
    dropped(tree, "hangs", loss("hangs", "time.sleep(3600)"))
    for name in ("raises", "nan", "hangs"):
        tree.recipe(name, f"loss: {name}\n")
        tree.drop(f"{name}/a.png")
        tree.drop(f"{name}-beside/a.png")
    assert "loss 'raises' of plugin 'raises': ValueError: not today (raises.py:" in _plugin_hold(tree, "raises")
    assert "loss 'nan' of plugin 'nan' is not-a-number or infinite" in _plugin_hold(tree, "nan")
    reason = tree.failure("hangs/a.png")
    assert "it took longer than limits.timeout_seconds (4 s) (attempt 2 of 2); its recipe uses the plugin" in reason
    assert f"hangs ({tree.root}/plugins/hangs.py)" in reason
    for name in ("raises", "nan", "hangs"):
        tree.result(f"{name}-beside/a.png")
    assert daemon.process.poll() is None
    for name in ("raises", "nan"):
        dropped(tree, name, loss(name, "return activation.flatten(1).mean(1)"))
    for name in ("raises", "nan"):
        tree.result(f"{name}/a.png")


def _plugin_hold(tree: Tree, folder: str) -> str:
    hold = tree.wait_for(
        lambda: next((h for h in tree.status()["holds"] if (h["folder"], h["cause"]) == (folder, "plugin")), None),
        f"{folder} to be held for its plugin",
    )
    return str(hold["reason"])


def test_a_decoder_brings_its_files_and_stands_in_their_sidecars(live: Live) -> None:
    tree, daemon = live
    before = _loads(daemon)
    dropped(
        tree,
        "grey",
        f"{HEAD}def grey(file, check_size):\n    '''One.'''\n    if file.read(5) != b'GREY\\n':\n"
        "        raise PictureError('is no grey file')\n    check_size(20, 16)\n"
        "    return np.full((16, 20, 3), file.read(1)[0], np.uint8)\n\n"
        "@hookimpl\ndef dreamd_decoders(register):\n    register('grey', grey, extensions=('.grey',))\n",
    )
    tree.wait_for(lambda: _loads(daemon) > before, "the decoder to be loaded")
    tree.drop("grey/a.grey", b"GREY\n\x80")
    tree.result("grey/a.png")
    assert tree.sidecar("grey/a.png")["versions"]["grey"].startswith("sha256:")
    assert tree.sidecar("grey/a.png")["size"] == [20, 16]
    tree.drop("grey/b.grey", b"GRAY\n\x80")
    assert "b.grey: is no grey file" in tree.failure("grey/b.grey")


def _loads(daemon: RunningDaemon) -> int:
    """How often a worker has loaded the plugins."""
    return daemon.log.count("worker ready")


def test_listeners_are_told_of_everything_and_one_that_hangs_or_raises_delays_nobody(live: Live) -> None:
    tree, daemon = live
    tree.drop("bell/a.png")
    tree.result("bell/a.png")
    told = tree.root / "told"
    tree.wait_for(lambda: told.exists() and "bell/a.png done" in told.read_text(), "the listener to be told")
    lines = [line for line in told.read_text().splitlines() if line.startswith("bell/a.png")]
    assert lines == ["bell/a.png queued", "bell/a.png running", "bell/a.png done"]
    assert "plugin b_raises: dreamd_job_changed failed: ZeroDivisionError: division by zero" in daemon.log
    file = tree.root / "listeners" / "c_writes.py"
    before = _loads(daemon)
    file.write_text(file.read_text().replace("{job.state}", "{job.state}!"))
    tree.wait_for(lambda: _loads(daemon) > before, "all plugins to be loaded anew")
    tree.drop("bell/b.png")
    tree.result("bell/b.png")
    tree.wait_for(lambda: "bell/b.png done!" in told.read_text(), "the changed listener to be told")

"""`dreamd doctor`: what it finds, and what it says to do."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import socket
import subprocess
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from dreamd.commands.doctor import folders, machine, user
from dreamd.commands.doctor.examination import examine
from dreamd.commands.doctor.finding import Finding
from dreamd.commands.init import make_tree
from dreamd.executors.plan import Machine
from dreamd.hardware.cores import Core
from dreamd.job import Job
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.tree.lock import lock

TINY = '''
from torch import nn

from dreamd.api import Backbone, Download, hookimpl
from dreamd.tree.lock import lock


def tiny(name):
    """One convolution."""
    return Backbone(network=nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)), layers={"conv": "0"}, default_layer="conv")


@hookimpl
def dreamd_backbones(register):
    register("tiny", tiny)
    register("far", tiny, weights=Download(url="http://127.0.0.1:1/far.pth"))
'''


FAR = """
from dreamd.api import DreamdError, LocalExecutor, hookimpl

class Far(LocalExecutor):
    def __init__(self, context, *, machines: int):
        super().__init__(context)
        self.machines = machines

    def examine(self):
        if not self.machines:
            raise DreamdError("no machine answers: start one")
        return f"{self.machines} machines"

@hookimpl
def dreamd_executors(register):
    register("far", Far)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose default recipe needs no weights; the plugins that take seconds to import are left out."""
    make_tree(tmp_path / "tree")
    root = tmp_path / "tree"
    for recipe in (root / "inbox").rglob("recipe.yaml"):
        recipe.unlink()
    (root / "plugins" / "tiny.py").write_text(TINY)
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tmp_path / "weights"))
    return configured(root)


def configured(root: Path, **changes: Any) -> Path:
    config = yaml.safe_load((root / "config.yaml").read_text())
    config["defaults"] = {"backbone": {"name": "tiny", "weights": "random"}}
    config["plugins"]["disable"] = ["timm", "torchvision", "vgg", "efficientnet_lite0"]
    config["status"]["listen"] = None  # the machine that tests run on may have a page of its own
    (root / "config.yaml").write_text(yaml.safe_dump(config | changes))
    return root


def findings(root: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(root / "config.yaml")}


def trouble(root: Path) -> list[tuple[str, str]]:
    return [(finding.check, finding.text) for finding in examine(root / "config.yaml") if not finding.ok]


@contextlib.contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """A folder that not even root can write into, where the filesystem knows how to make one."""
    if os.getuid():
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    if subprocess.run(["chattr", "+i", folder], check=False, capture_output=True).returncode:
        pytest.skip("root can write everywhere here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


def test_of_a_sound_tree_all_is_looked_at_and_well_disabled_plugins_too(root: Path) -> None:
    found = examine(root / "config.yaml")
    assert [finding.check for finding in found] == [
        "device", "config", "inbox", "outbox", "originals", "failed", "state", "plugins", "recipes", "weights",
        "watching", "filesystems", "clock", "daemon", "page",
    ]  # fmt: skip
    assert [finding for finding in found if not finding.ok] == []


def test_a_gpu_that_should_be_there_is_missed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937")
    ((check, text),) = trouble(root)
    assert check == "device"
    assert text.startswith("dreaming on the processor instead of a GPU: CUDA_VISIBLE_DEVICES is GPU-8932f937, but")


def test_each_device_of_the_config_is_looked_at(root: Path) -> None:
    config = root / "config.yaml"
    config.write_text(config.read_text().replace("devices: auto", "devices: [cpu, 'cuda:7', cpu]"))
    found = [finding for finding in examine(root / "config.yaml") if finding.check == "device"]
    assert [finding.ok for finding in found] == [True, False]
    assert found[1].text.startswith("device 'cuda:7' cannot be used here; there is cpu")


def test_how_workers_share_the_processor_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four = Machine(cores=[Core((number, number + 4)) for number in range(4)], count=8, memory=8_000_000_000)
    monkeypatch.setattr(Machine, "of_process", lambda _environment: four)

    def told(**workers: object) -> list[tuple[bool, str]]:
        configured(root, workers=workers)
        return [(found.ok, found.text) for found in examine(root / "config.yaml") if found.check == "workers"]

    assert told(devices=["cpu*2"]) == [(True, "2 on the processor, 2 threads each, on processors 0-1,4-5; 2-3,6-7")]
    assert told(devices=["cpu"]) == []
    ((ok, text),) = told(devices=["cpu*2"], threads=5)
    assert not ok
    assert text.startswith("workers.threads: 5 threads for each of 2 workers are more than the 8 processors")


def test_a_name_that_no_device_can_have_is_the_configs_fault(root: Path) -> None:
    configured(root, workers={"devices": ["gpu"]})
    ((check, text),) = trouble(root)
    assert check == "config"
    assert "workers.devices[0]: 'gpu' is no device; write cpu" in text


def test_an_executor_is_asked_whether_seats_can_be_had(root: Path) -> None:
    plugins = root / "executors"
    plugins.mkdir(mode=0o755)
    (plugins / "far.py").write_text(FAR)
    (plugins / "far.py").chmod(0o644)
    configured(root, workers={"executor": {"name": "far", "machines": 3}}, plugins={"daemon": ["executors"]})
    assert findings(root)["executor"] == Finding("executor", True, "3 machines")
    configured(root, workers={"executor": {"name": "far", "machines": 0}})
    assert ("executor", "no machine answers: start one") in trouble(root)


def test_folders_of_plugins_that_are_not_there_are_missed(root: Path) -> None:
    (root / "file.py").write_text("")
    configured(root, plugins={"engine": ["plugins", "gone"], "daemon": ["file.py"], "disable": ["timm"]})
    told = [text for check, text in trouble(root) if check == "plugins"]
    assert told == [
        f"plugins.engine: {root}/gone is not there: `mkdir -p {root}/gone`, or take it out of the config",
        f"plugins.daemon: {root}/file.py is no folder: `mkdir -p {root}/file.py`, or take it out of the config",
    ]


def test_the_address_of_the_page_is_tried_unless_the_daemon_itself_has_it(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        configured(root, status={"listen": listen})
        assert [text for _, text in trouble(root)] == [
            f"{listen}: Address already in use; choose another status.listen"
        ]
    assert findings(root)["page"].text == f"http://{listen}/ is free"


def test_looking_leaves_nothing_behind(root: Path) -> None:
    def below() -> set[Path]:
        return {path for path in root.rglob("*") if "__pycache__" not in path.parts}

    before = below()
    examine(root / "config.yaml")
    assert below() == before


def test_a_broken_plugin_is_named_with_its_file_and_line(root: Path) -> None:
    file = root / "plugins" / "broken.py"
    file.write_text("\nimport no_such_module_here\n")
    assert trouble(root) == [
        ("plugin", f"broken ({file}): ModuleNotFoundError: No module named 'no_such_module_here' (broken.py:2)")
    ]


def test_a_plugin_is_imported_once(root: Path) -> None:
    (root / "plugins" / "counts.py").write_text(
        "from pathlib import Path\n"
        "from dreamd.api import hookimpl\n"
        "with Path(__file__).with_suffix('.count').open('a') as file:\n"
        "    file.write('x')\n"
        "@hookimpl\ndef dreamd_losses(register): pass\n"
    )
    examine(root / "config.yaml")
    assert (root / "plugins" / "counts.count").read_text() == "x"


def test_every_recipe_that_is_wrong_is_named_once_with_its_line(root: Path) -> None:
    inbox = root / "inbox"
    (inbox / "weave" / "recipe.yaml").write_text("seed: 1\nlayers: cnv\n")
    (inbox / "animals" / "recipe.yaml").write_text("lss: l2\n")
    (inbox / "animals" / "cats").mkdir()
    (inbox / "animals" / "cats" / "recipe.yaml").write_text("seed: 1\n")
    found = trouble(root)
    assert [check for check, _ in found] == ["recipe", "recipe"]
    assert found[0][1] == f"{inbox}/animals/recipe.yaml:1: lss: is not a field; did you mean loss?"
    assert found[1][1].startswith(f"{inbox}/weave/recipe.yaml:2: layers[0]: tiny: no layer 'cnv'; did you mean conv?")


def test_defaults_that_name_what_is_not_there_are_trouble_too(root: Path) -> None:
    configured(root, defaults={"backbone": "tinny"})
    assert [(check, text.partition(" (")[0]) for check, text in trouble(root)] == [
        ("recipe", f"{root}/config.yaml:2: backbone: no backbone 'tinny'; did you mean tiny?")
    ]


def test_missing_weights_are_named_with_the_command_and_the_place(root: Path, tmp_path: Path) -> None:
    (root / "inbox" / "weave" / "recipe.yaml").write_text("backbone: far\n")
    path = tmp_path / "weights" / "far.pth"
    assert trouble(root) == [("weights", f"far: missing; `dreamd weights fetch far`, or put the file at {path}")]


def test_a_file_of_weights_that_is_not_there_is_a_wrong_recipe(root: Path) -> None:
    recipe = root / "inbox" / "weave" / "recipe.yaml"
    recipe.write_text("backbone: {name: tiny, weights: ../../weights/mine.pth}\n")
    assert trouble(root) == [("recipe", f"{recipe}:1: backbone.weights: there is no file {root}/weights/mine.pth")]


def test_weights_that_are_here_are_read_and_changed_bytes_are_trouble(root: Path, tmp_path: Path) -> None:
    (root / "inbox" / "weave" / "recipe.yaml").write_text("backbone: far\n")
    file = tmp_path / "weights" / "far.pth"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    file.with_name("far.pth.sha256").write_text(f"{'0' * 64}  far.pth\n")
    ((check, text),) = trouble(root)
    assert check == "weights"
    assert str(file) in text


@pytest.mark.slow
def test_a_fresh_tree_lacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tmp_path / "weights"))
    make_tree(tmp_path / "tree")
    configured(tmp_path / "tree", plugins={"engine": ["plugins"]})
    assert trouble(tmp_path / "tree") == []


@pytest.mark.parametrize("folder", ["outbox", "done", "failed", "state"])
def test_a_file_where_a_folder_should_be_is_named(root: Path, folder: str) -> None:
    place = root / folder
    if place.exists():
        place.rmdir()
    place.touch()
    assert [text for _, text in trouble(root) if "is no folder" in text] == [
        f"{place} is no folder: move it away, or choose another in the config"
    ]


def test_a_folder_that_cannot_be_written_is_named_with_the_command(root: Path) -> None:
    with unwritable(root / "outbox"):
        found = trouble(root)
    assert [check for check, _ in found] == ["outbox"]
    assert f"`chown $(id -un) {root / 'outbox'}`" in found[0][1]


def test_an_inbox_that_is_gone_does_not_keep_the_rest_from_being_looked_at(root: Path) -> None:
    (root / "inbox" / "animals").rmdir()
    (root / "inbox" / "weave").rmdir()
    (root / "inbox").rmdir()
    assert trouble(root) == [("inbox", f"{root}/inbox is not there: make it, or mount its disk")]
    assert "daemon" in findings(root)


def test_a_full_disk_is_trouble(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**12, 10**12, 3_000_000))
    assert ("outbox", f"{root}/outbox has 3 MB left: make room") in trouble(root)


def test_too_many_folders_to_watch_come_with_the_sysctl(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_INOTIFY", tmp_path)
    assert "polled" in findings(root)["watching"].text
    (tmp_path / "max_user_watches").write_text("3\n")
    ((check, text),) = trouble(root)
    assert (check, "sysctl fs.inotify.max_user_watches=524288" in text) == ("watching", True)
    assert text.startswith("3 folders, and the system allows 3 watches")


def test_a_share_whose_clock_is_off_is_trouble(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("dreamd.commands.doctor.machine.time.time", lambda: now + 61)
    ((check, text),) = trouble(root)
    assert (check, text[:24]) == ("clock", "the inbox's clock is -61")


def test_a_clock_that_says_what_has_long_been_is_trouble(root: Path) -> None:
    with Journal.open(root / "state" / "journal.sqlite3") as journal:
        journal.save([Job(id="1", folder=PurePosixPath("."), name="a.png", claimed_at=time.time() + 86_400)])
    ((check, text),) = trouble(root)
    assert check == "clock"
    assert text.endswith("already: set it by NTP")


def test_a_folder_of_plugins_that_others_can_write_is_trouble(root: Path) -> None:
    (root / "plugins").chmod(0o777)
    found = trouble(root)
    assert ("plugin", True) in [(check, f"`chmod go-w {root}/plugins`" in text) for check, text in found]


@pytest.fixture
def share(root: Path) -> Iterator[Path]:
    """Another filesystem, mounted in a folder of the inbox."""
    folder = root / "inbox" / "weave"
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_filesystem_in_the_inbox_is_trouble(root: Path, share: Path) -> None:
    ((check, text),) = trouble(root)
    assert (check, text.partition(",")[0]) == ("filesystems", f"{share} is on another filesystem than the inbox")


def test_a_journal_on_a_share_is_trouble(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text("1 1 0:1 / / rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(folders, "_MOUNTS", tmp_path / "mounts")
    ((check, text),) = trouble(root)
    assert (check, text) == (
        "filesystems", f"state, {root}/state, is on a share (nfs4), where SQLite is not safe: keep it on a disk",
    )  # fmt: skip


def test_a_user_who_may_watch_no_more_is_told_the_sysctl(root: Path) -> None:
    libc = ctypes.CDLL(None)
    taken = []
    while (descriptor := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
        taken.append(descriptor)
    try:
        found = trouble(root)
    finally:
        for descriptor in taken:
            os.close(descriptor)
    assert [check for check, text in found if "fs.inotify.max_user_instances" in text] == ["watching"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can look with another user's eyes")
def test_what_the_services_user_may_not_is_named_each_with_the_command(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "_HOMES", (root / "inbox",))
    found = [finding.text for finding in examine(root / "config.yaml", user="nobody") if finding.check == "user"]
    outbox = root / "outbox"
    assert f"nobody may not write {outbox}: `chown nobody {outbox}`, or its mode or those above" in found
    assert [text for text in found if "below a home" in text] == [
        f"{root}/inbox is below a home, which a hardened service cannot see: move it to /srv"
    ]
    monkeypatch.setattr(user, "_HOMES", ())
    assert [finding for finding in examine(root / "config.yaml", user="root") if finding.check == "user"] == [
        Finding("user", True, "root may do all that the daemon has to")
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can look with another user's eyes")
def test_weights_are_looked_for_where_the_services_user_has_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "DREAMD_WEIGHTS"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.delenv("DREAMD_WEIGHTS")
    (root / "inbox" / "weave" / "recipe.yaml").write_text("backbone: far\n")
    (text,) = [finding.text for finding in examine(root / "config.yaml", user="daemon") if finding.check == "weights"
               and not finding.ok]  # fmt: skip
    assert text.endswith(f"{pwd.getpwnam('daemon').pw_dir}/.cache/dreamd/weights/far.pth")


def test_a_user_who_is_not_there_is_told(root: Path) -> None:
    found = [finding.text for finding in examine(root / "config.yaml", user="nixie") if finding.check == "user"]
    assert found == ["there is no user nixie: `make install-service` makes dreamd, or `useradd --system`"]


@pytest.mark.parametrize("text", [None, "inbx: a\n", "a: [\n"])
def test_without_a_sound_config_only_that_is_told(root: Path, text: str | None) -> None:
    config = root / "config.yaml"
    config.unlink() if text is None else config.write_text(text)
    found = examine(config)
    assert [(finding.check, finding.ok) for finding in found] == [("device", True), ("config", False)]
    assert str(config) in found[1].text


def test_a_daemon_that_runs_is_told(root: Path) -> None:
    house = root / "inbox" / ".dreamd"
    house.mkdir()
    (root / "state").mkdir()
    values: dict[str, object] = dict.fromkeys(snapshot.Snapshot.__dataclass_fields__, 0)
    values |= {"state": "running", "pid": 77, "lock": str(house / "lock"), "watching": "inotify"}
    (root / "state" / "status.json").write_text(json.dumps(values))
    assert findings(root)["daemon"].text == "not running"
    with lock(house / "lock", taken="{holder}"):
        assert findings(root)["daemon"].text == "running, pid 77, watching by inotify"

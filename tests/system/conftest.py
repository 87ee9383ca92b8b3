"""A Debian that systemd has booted, with dreamd installed in it.

The tree is made by debootstrap once and kept in `$DREAMD_TEST_CACHE`, else `~/.cache/dreamd/test`; each session boots a
copy by systemd-nspawn. Python and its packages are bound in read-only; `make install-service` brings the rest.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from PIL import Image

SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3"  # python3 brings the libraries that the bound interpreter needs
REPOSITORY = Path(__file__).parents[2]
WAIT_SECONDS = 90.0
NSPAWN_RESTART = 133

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
    """Looks again and again until there is something true to see, and returns it."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.1)
    return seen


def why_not() -> str | None:
    """Why no machine can be booted here."""
    if os.getuid():
        return "it takes root"
    missing = [tool for tool in ("systemd-nspawn", "debootstrap", "nsenter") if shutil.which(tool) is None]
    return f"apt-get install systemd-container debootstrap: no {', '.join(missing)}" if missing else None


def debian_tree() -> Path:
    """The cached tree, made if it is not there."""
    cache = Path(os.environ.get("DREAMD_TEST_CACHE", Path("~/.cache/dreamd/test").expanduser()))
    cache.mkdir(parents=True, exist_ok=True)
    tree = cache / f"{SUITE}-{PACKAGES.replace(',', '-')}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            draft = cache / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(draft)]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=500)
            if done.returncode:
                pytest.skip(f"no Debian for a machine: {done.stdout[-500:]}{done.stderr[-500:]}")
            draft.rename(tree)
    return tree


def _is_init(pid: str) -> bool:
    """Whether a process is the first one of a machine; nspawn has others on the way there, which soon end."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return any(line.startswith("NSpid:") and line.split()[2:] == ["1"] for line in status.splitlines())


class Machine:
    """A booted tree; commands run in it, files are seen from outside."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self._log = log
        self._binds: list[str] = []
        self._container: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def bind(self, source: Path, target: str) -> None:
        """Shows a folder in the machine, read-only, from the next boot on."""
        self._binds.append(f"--bind-ro={source}:{target}")

    def boot(self) -> None:
        """Boots, in a session of its own, and waits until systemd is up."""
        with self._log.open("ab") as log:
            self._container = subprocess.Popen(
                self._nspawn("--boot"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip
        self.leader = wait_for(self._init, "init to start")
        seen = ""

        def is_up() -> bool:
            nonlocal seen
            seen = self.run("systemctl", "is-system-running", check=False).strip()
            return seen in ("running", "degraded")

        try:
            wait_for(is_up, "the boot")
        except AssertionError as error:
            jobs = self.run("systemctl", "list-jobs", check=False)
            raise AssertionError(f"{error}: {seen}; {jobs}{self._log.read_text()}") from error

    def reboot(self) -> None:
        """Reboots from inside, as a person does; nspawn then ends with the code that asks for another start."""
        self.run("systemctl", "reboot", check=False)
        assert self._container is not None
        assert self._container.wait(60) == NSPAWN_RESTART
        self.boot()

    def why_not(self) -> str | None:
        """What keeps systemd-nspawn from running here."""
        probe = subprocess.run(self._nspawn("--", "/bin/true"), check=False, capture_output=True, text=True, timeout=60)
        return f"systemd-nspawn: {probe.stderr.strip()}" if probe.returncode else None

    def _nspawn(self, *what: str) -> list[str]:
        own = ["--register=no", "--keep-unit", "--quiet", "--console=pipe", f"--machine=dreamd-test-{os.getpid()}"]
        # Control groups of version 2 and BPF: systemd needs both for IPAddressDeny=, which is to be seen to bite.
        bpf = ["--capability=CAP_NET_ADMIN,CAP_BPF", "--system-call-filter=bpf"]
        return ["systemd-nspawn", *own, *bpf, f"--directory={self.root}", *self._binds, *what]

    def _init(self) -> int | None:
        assert self._container is not None
        if self._container.poll() is not None:
            raise AssertionError(f"systemd-nspawn has ended: {self._log.read_text()}")
        children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children").read_text().split()
        return next((int(child) for child in children if _is_init(child)), None)

    def power_off(self) -> None:
        """Ends it, if it runs."""
        if self._container is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self.leader, signal.SIGRTMIN + 4)  # systemd(1): starts poweroff.target
        try:
            self._container.wait(30)
        except subprocess.TimeoutExpired:
            self._container.kill()
            self._container.wait()
            with suppress(ProcessLookupError):  # init outlives nspawn, and would hold the port of the page
                os.kill(self.leader, signal.SIGKILL)

    def run(self, *command: str, check: bool = True, timeout: float = 120) -> str:
        """What a command prints that runs in the machine."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "--", *command],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
            check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stdout}")
        return done.stdout

    def path(self, inside: str) -> Path:
        """A path in the machine as it is seen from outside."""
        return self.root / inside.lstrip("/")


def add_python(machine: Machine) -> None:
    """The software in /opt/dreamd as `install.sh` makes it, but from this interpreter and its packages.

    They are bound in at other paths: the service cannot read /home and /root, where they may well be.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = machine.path("/opt/dreamd")
    packages = home / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    machine.bind(Path(sys.base_prefix), "/opt/python")
    outside = [Path(place) for place in sys.path if place and not Path(place).is_relative_to(sys.base_prefix)]
    folders = [place for place in outside if place.is_dir() and not place.is_relative_to(REPOSITORY / "tests")]
    for number, folder in enumerate(folders):
        machine.bind(folder, f"/opt/packages/{number}")
    (packages / "bound.pth").write_text("".join(f"/opt/packages/{number}\n" for number in range(len(folders))))
    (home / "pyvenv.cfg").write_text(f"home = /opt/python/bin\nversion = {sys.version.split()[0]}\n")
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(f"/opt/python/bin/{version}")
    script = home / "bin" / "dreamd"
    script.write_text("#!/opt/dreamd/bin/python\nfrom dreamd.cli import main\nmain()\n")
    script.chmod(0o755)
    if list(Path(sys.base_prefix, "lib").glob("libpython*.so*")):
        machine.path("/etc/ld.so.conf.d/python.conf").write_text("/opt/python/lib\n")


def install(machine: Machine, *arguments: str) -> None:
    """`make install-service` into the tree; its user and folders come with the next boot."""
    command = ["make", "-C", str(REPOSITORY), "install-service", f"DESTDIR={machine.root}", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def configure(config: Path, **changes: Any) -> None:
    """Changes the sections of a config, field by field."""
    values = yaml.safe_load(config.read_text())
    for name, value in changes.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) and name != "defaults" else value
    config.write_text(yaml.safe_dump(values))


def with_tiny_network(machine: Machine, name: str = "dreamd") -> None:
    """Milliseconds in place of dreams, in the tree of a service."""
    folder = machine.path(f"/etc/{name}")
    shutil.rmtree(machine.path(f"/srv/{name}/inbox"))  # the samples, whose network takes seconds
    (folder / "plugins").mkdir()
    shutil.copy(Path(__file__).with_name("moods.py"), folder / "plugins" / "moods.py")
    configure(
        folder / "config.yaml",
        defaults={
            "backbone": {"name": "tiny", "weights": "random"},
            "schedule": "moody",
            "ascent": {"iterations": 1, "jitter": 0},
            "precision": "fp32",
        },
        watch={"settle_seconds": 0.3, "patience_seconds": 0.3},
        workers={"devices": ["cpu"]},
        limits={"stop_seconds": 1},
        # None of these is dreamed with, and some take seconds to import.
        plugins={"disable": ["timm", "torchvision", "vgg", "efficientnet_lite0"]},
    )


class DreamdService:
    """dreamd.service in a machine."""

    inbox, outbox, done = "/srv/dreamd/inbox", "/srv/dreamd/outbox", "/srv/dreamd/done"

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def start(self) -> None:
        """Starts it, if need be; returns when it is ready, and raises when it is not."""
        self.machine.run("systemctl", "reset-failed", "dreamd", check=False)
        self.machine.run("systemctl", "start", "dreamd", timeout=200)

    def stop(self) -> None:
        self.machine.run("systemctl", "stop", "dreamd", timeout=200)

    def show(self, field: str) -> str:
        """A property of the unit."""
        return self.machine.run("systemctl", "show", "--value", "-p", field, "dreamd").strip()

    def log(self, *arguments: str) -> str:
        """The unit's messages."""
        return self.machine.run("journalctl", "-u", "dreamd", "-o", "cat", "--no-pager", *arguments)

    def logged(self, words: str, *arguments: str) -> list[str]:
        """Waits until there are messages with these words, which the journal shows a moment after they were written."""

        def look() -> list[str]:
            return [line for line in self.log(*arguments).splitlines() if words in line]

        return wait_for(look, f"a message with {words!r}: {self.log()[-3000:]}")

    def mood(self, folder: str, mood: str, **fields: Any) -> None:
        """A folder whose pictures meet a mood."""
        recipe = self.machine.path(f"{self.inbox}/{folder}/recipe.yaml")
        recipe.parent.mkdir(exist_ok=True)
        shutil.chown(recipe.parent, *self._owner())
        draft = recipe.with_name(".recipe.new")
        draft.write_text(yaml.safe_dump({"schedule": {"name": "moody", "mood": mood}, **fields}))
        draft.rename(recipe)

    def drop(self, path: str) -> None:
        """Drops a picture into the inbox, by rename."""
        data = io.BytesIO()
        Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(data, "PNG")
        target = self.machine.path(f"{self.inbox}/{path}")
        draft = target.with_name(f".{target.name}.part")
        draft.write_bytes(data.getvalue())
        draft.rename(target)

    def result(self, path: str) -> dict[str, Any]:
        """Waits for a result, and for its original to be put away; returns its sidecar."""
        result, original = (self.machine.path(f"{place}/{path}") for place in (self.outbox, self.done))
        wait_for(lambda: result.exists() and original.exists(), f"{path}: {self.log()[-3000:]}")
        sidecar: dict[str, Any] = json.loads(result.with_name(f"{result.name}.json").read_text())
        return sidecar

    def status(self) -> dict[str, Any]:
        """What `dreamd status --json` shows."""
        values: dict[str, Any] = json.loads(self.dreamd("status", "--json"))
        return values

    def dreamd(self, *arguments: str, check: bool = True) -> str:
        """A command of dreamd's on the service's tree, as its user."""
        command = ("runuser", "-u", "dreamd", "--", "/opt/dreamd/bin/dreamd", *arguments)
        return self.machine.run(*command, "--config", "/etc/dreamd/config.yaml", check=check)

    def running(self) -> dict[str, Any]:
        """Waits for a job to run; returns its worker."""
        return wait_for(self._busy_worker, f"a job to run: {self.log()[-3000:]}")

    def _busy_worker(self) -> dict[str, Any] | None:
        return next((worker for worker in self.status()["workers"] if worker["state"] == "busy"), None)

    def _owner(self) -> tuple[int, int]:
        status = self.machine.path(self.inbox).stat()
        return status.st_uid, status.st_gid


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted machine with dreamd installed; the tests of a session share it."""
    if (reason := why_not()) is not None:
        pytest.skip(f"NOT TESTED under a real systemd: {reason}")
    folder = tmp_path_factory.mktemp("machine")
    root = folder / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(debian_tree()), str(root)], check=True, timeout=300)
    machine = Machine(root, folder / "console.log")
    add_python(machine)
    install(machine)
    install(machine, "NAME=garden")
    with_tiny_network(machine)
    with_tiny_network(machine, "dreamd-garden")
    machine.path("/home/secret").write_text("secret")
    if (reason := machine.why_not()) is not None:
        pytest.skip(f"NOT TESTED under a real systemd: {reason}")
    try:
        machine.boot()
        machine.run("ldconfig")
        yield machine
    finally:
        machine.power_off()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def service(machine: Machine) -> DreamdService:
    """dreamd.service, ready."""
    service = DreamdService(machine)
    service.start()
    return service


@pytest.fixture
def wait() -> Callable[..., Any]:
    """Waits for something true to see."""
    return wait_for

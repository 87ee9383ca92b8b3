"""A real Ray cluster on this machine for tests: a head without CPUs and GPUs, and nodes with made-up GPUs.

Each is a `ray start --block` that is started again when it ends, as the units in systemd/ have it. Everything that a
cluster starts, and all that its pictures are dreamed by, bears a mark in its environment, so that a test sees what is
left behind.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

_STORE_BYTES = 80_000_000
"""The size of a node's object store, in bytes, about the smallest that Ray takes."""

_MARK, _NODE = "DREAMD_TEST_CLUSTER", "DREAMD_TEST_NODE"
"""The variables in the environment of a cluster's processes: which cluster, and which of its machines."""

_START_SECONDS = 60.0
"""The time in which a machine that is started is there, in seconds."""

_KILL_SECONDS = 20.0
"""The time in which killed processes are gone, in seconds."""


class RayCluster:
    """A cluster of `ray start` processes.

    Attributes:
        address: the head's.
        environment: what a daemon that uses the cluster must have in its environment, so that it bears the mark too.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: for Ray's own files. Its path must be short, since sockets lie below it."""
        self._folder = folder
        port = _free_port()
        self.address = f"127.0.0.1:{port}"
        self.environment = {_MARK: uuid.uuid4().hex}
        self._port = port
        self._loops: dict[str, subprocess.Popen[bytes]] = {}

    def start_head(self) -> None:
        """Start the head."""
        self._start(
            "head", f"--head --port={self._port} --num-cpus=0 --num-gpus=0 --include-dashboard=false "
            f"--temp-dir={self._folder}"
        )  # fmt: skip

    def start_node(self, name: str) -> None:
        """Start a machine with one GPU that there is not."""
        self._start(name, f"--address={self.address} --node-name={name} --num-cpus=1 --num-gpus=1")

    def _start(self, name: str, options: str) -> None:
        ray = shlex.quote(str(Path(sys.executable).with_name("ray")))
        common = f"--object-store-memory={_STORE_BYTES} --min-worker-port=0 --max-worker-port=0 --block"
        variables = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
            "XDG_CACHE_HOME": str(self._folder / f"cache-{name}"),
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            self._loops[name] = subprocess.Popen(
                ["bash", "-c", f"while :; do {ray} start {options} {common}; sleep 1; done"],
                env={**os.environ, **self.environment, **variables, _NODE: name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def processes(self, word: str = "", *, node: str | None = None) -> list[int]:
        """The cluster's processes, and what is dreamed by: those whose command line has a word, on one machine or all.

        What runs in a daemon with the cluster's environment is on no machine.
        """
        marks = {**self.environment, **({} if node is None else {_NODE: node})}
        return [pid for pid in _marked(marks) if word in _command_of(pid)]

    def kill(self, word: str, *, node: str | None = None) -> int:
        """Kill the first such process, when there is one; return its number."""
        end = time.monotonic() + _START_SECONDS
        while not (found := self.processes(word, node=node)):
            assert time.monotonic() < end, f"no {word} has come"
            time.sleep(0.1)
        os.kill(found[0], signal.SIGKILL)
        return found[0]

    def kill_head(self) -> None:
        """Kill the head, all at once. It stays away until it is started."""
        loop = self._loops.pop("head")
        _end(lambda: self.processes(node="head"), [loop])

    def stop(self) -> None:
        """Kill everything: an orderly end takes half a minute."""
        loops = list(self._loops.values())
        for loop in loops:
            loop.kill()
        _end(lambda: [pid for pid in self.processes() if pid != os.getpid()], loops)


def _end(look: Callable[[], list[int]], loops: list[subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + _KILL_SECONDS
    while pids := look():
        assert time.monotonic() < end, [_command_of(pid) for pid in pids]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for loop in loops:
            loop.poll()
    for loop in loops:
        loop.wait(_KILL_SECONDS)


def _marked(marks: dict[str, str]) -> list[int]:
    wanted = [f"{name}={value}\0".encode() for name, value in marks.items()]
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                variables = b"\0" + (entry / "environ").read_bytes()
                if all(b"\0" + each in variables for each in wanted):
                    found.append(int(entry.name))
    return found


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])

"""The demo's daemon: the real one, `dreamd run`, as long as it is needed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dreamd.errors import DreamdError, UsageError
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.tree.layout import lock_file
from dreamd.tree.lock import is_locked

LOOK_SECONDS = 0.1
"""The pause between two looks at what the daemon says of itself."""

_START_SECONDS = 120.0
"""The time in seconds after which the daemon must run."""


@contextmanager
def running_daemon(config: Config, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon; its log goes into a file, because it would cut through the progress bar.

    Raises:
        UsageError: another daemon works on the inbox.
        DreamdError: the daemon ended, or did not start in time.
    """
    if is_locked(lock_file(config.inbox)):
        raise UsageError(f"a dreamd works on {config.inbox} already; give the demo a folder of its own with --out")
    command = [sys.executable, "-m", "dreamd", "run", "--config", str(config.file)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        _wait_until_running(config, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.returncode:
            click.echo(log.read_text(errors="backslashreplace"), err=True, nl=False)


def check_alive(process: subprocess.Popen[bytes]) -> None:
    """Raise DreamdError when the daemon has ended."""
    if process.poll() is not None:
        raise DreamdError(f"the daemon ended with code {process.returncode}, see its log above")


def _wait_until_running(config: Config, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        values = snapshot.read(config.state)
        if values is not None and values["state"] == "running" and values["pid"] == process.pid:
            return
        check_alive(process)
        time.sleep(LOOK_SECONDS)
    raise DreamdError(f"the daemon did not start in {_START_SECONDS:g} s")

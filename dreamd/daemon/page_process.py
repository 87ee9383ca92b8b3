"""Keeps the process that serves the page running as long as the daemon runs.

The page is served by a process of its own, so that a thousand slow connections, an endless upload or a bug in a handler
can neither slow nor end the dreaming. It knows the daemon by its files alone, and dies with it.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from dreamd.files.problems import refusal
from dreamd.processes import SERVING

log = logging.getLogger(__name__)

_RESTART_SECONDS = (1.0, 5.0, 30.0, 60.0)
"""The waits before a new start, in seconds, longer after each early end: a port that is taken stays so for a while."""

_SOUND_SECONDS = 60.0
"""The time after which a process has begun well, in seconds."""

_WRONG_USAGE = 2
"""The exit code of a process that has said why it cannot serve."""


class PageProcess:
    """Starts the process and starts it again when it ends, in a thread that does nothing else.

    Attributes:
        problem: why the page is not served; None while it is, or while the process begins for the first time.
    """

    def __init__(self, config_file: Path) -> None:
        self._command = [sys.executable, "-m", "dreamd.page.server", str(config_file), str(os.getpid())]
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._popen: subprocess.Popen[bytes] | None = None
        self.problem: str | None = None
        # The kernel ends the process with the thread that started it, so this one lasts until `stop`.
        self._thread = threading.Thread(target=self._keep, name="page", daemon=True)

    def start(self) -> None:
        """Start it. Returns at once; whatever goes wrong is logged, and tried again."""
        self._thread.start()

    def reload(self) -> None:
        """Have it read the recipes of the config anew, if it runs; one that is only starting reads them anyway."""
        with self._lock:
            if self._popen is not None and self._popen.poll() is None:
                self._popen.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it now: it holds nothing that would be lost."""
        with self._lock:
            self._over.set()
            if self._popen is not None:
                self._popen.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        failures = 0
        while not self._over.is_set():
            begun = time.monotonic()
            code = self._run()
            if self._over.is_set():
                return
            self.problem = self.problem or f"its process ended with code {code}"
            failures = 0 if time.monotonic() - begun > _SOUND_SECONDS else failures + 1
            wait = _RESTART_SECONDS[min(max(failures, 1), len(_RESTART_SECONDS)) - 1]
            if failures <= len(_RESTART_SECONDS):  # then it has been said often enough
                why = "" if code == _WRONG_USAGE else f": its process ended with code {code}"
                log.warning("the page is not served%s; trying again in %g s", why, wait)
            self._over.wait(wait)

    def _run(self) -> int | None:
        """Run it once; its exit code, or None when it could not be started."""
        with self._lock:
            if self._over.is_set():
                return None
            try:
                popen = self._popen = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
                )
            except OSError as error:
                self.problem = f"its process cannot be started: {refusal(error)}"
                log.warning("the page's process cannot be started: %s", refusal(error))
                return None
        self._listen_to(popen)
        return popen.wait()

    def _listen_to(self, popen: subprocess.Popen[bytes]) -> None:
        """Take the one line that the process tells: that it serves, or why not; none when it ended before."""
        assert popen.stdout is not None
        with popen.stdout:
            line = popen.stdout.readline().decode(errors="backslashreplace").strip()
        self.problem = None if line == SERVING else line or None

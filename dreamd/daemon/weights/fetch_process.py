"""A download's process, as the daemon sees it (`dreamd/weights/fetcher.py` is the other side)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from dreamd.files.problems import refusal
from dreamd.json_text import to_json
from dreamd.weights.sources import Download


@dataclass(frozen=True)
class FetchAdvanced:
    """So much of a backbone's weights is here."""

    backbone: str
    done: int
    total: int | None


@dataclass(frozen=True)
class FetchEnded:
    """A download has ended.

    Attributes:
        backbone: whose weights.
        number: of the process, so that the end of one that was stopped is not taken for that of the next.
        problem: why the weights are not here; None: they are.
    """

    backbone: str
    number: int
    problem: str | None


FetchEvent = FetchAdvanced | FetchEnded


class FetchProcess:
    """A running download. A thread reads what it says."""

    def __init__(self, backbone: str, source: Download, number: int, notify: Callable[[FetchEvent], None]) -> None:
        """Start it; `notify` is called in a thread, and last with its end.

        Must be called by a thread that lives as long as the daemon: the process ends with it.
        """
        self._backbone = backbone
        self.number = number
        self._notify = notify
        self._problem: str | None = "its process ended before it was done"
        self._popen: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "dreamd.weights.fetcher", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            notify(FetchEnded(backbone, number, f"its process cannot be started: {refusal(error)}"))
            return
        self._reader = threading.Thread(target=self._read, args=[self._popen], name=f"fetch-{number}", daemon=True)
        self._reader.start()
        asked = to_json({"backbone": backbone, "source": asdict(source)}).encode()
        assert self._popen.stdin is not None
        with suppress(BrokenPipeError), self._popen.stdin as line:
            line.write(asked + b"\n")

    def end(self) -> None:
        """End it now. What has come stays, for the next one."""
        if self._popen is not None and self._reader is not None:
            self._popen.kill()
            self._reader.join()

    def _read(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        with popen.stdout as lines:
            for line in lines:
                self._take(json.loads(line))
        popen.wait()
        self._notify(FetchEnded(self._backbone, self.number, self._problem))

    def _take(self, said: dict[str, Any]) -> None:
        if "done" in said:
            self._notify(FetchAdvanced(self._backbone, said["done"], said["total"]))
        else:
            self._problem = said.get("problem")

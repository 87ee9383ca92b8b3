"""Progress where there is no terminal: plain lines, seldom, with what is left. On one: a bar, with the log above it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from dreamd.commands.terminal.progress import progress


def test_a_line_every_ten_seconds_says_how_much_is_done_and_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("dreamd.commands.terminal.progress.time.monotonic", lambda: now)
    with progress("clouds") as show:
        for seconds, share in ((1, 0.01), (11, 0.1), (12, 0.12), (30, 0.5), (50, 0.0), (8000, 0.4)):
            now = 100.0 + seconds
            show(share, "octave 1/2")
    assert capsys.readouterr().err.splitlines() == [
        "clouds: 10% octave 1/2; 2 min left",
        "clouds: 50% octave 1/2; 30 s left",
        "clouds: 0% octave 1/2",
        "clouds: 40% octave 1/2; 3 h left",
    ]


DRAINING = """
import logging, subprocess, sys
from dreamd.commands.terminal.progress import drain_progress

logging.basicConfig(stream=sys.stderr, format="%(message)s")
with drain_progress() as show:
    for number in range(20):
        logging.warning("the daemon says %d", number)
        subprocess.run(["sh", "-c", f"echo 'a worker says {number} [red]x' >&2"])
    sys.stderr.write("unfinished")
print("after", file=sys.stderr)
"""


def test_what_workers_write_while_bars_are_shown_stands_above_them_in_lines_of_its_own() -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", DRAINING], stdout=child, stderr=child, env=environment)
    os.close(child)
    shown = b""
    try:
        while piece := os.read(parent, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(parent)
    assert process.wait() == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "\n").split("\n")
    for number in range(20):
        assert f"the daemon says {number}" in lines
        assert f"a worker says {number} [red]x" in lines
    assert "unfinished" in lines
    assert "after" in lines

"""The README's commands, read out of it and run in their order, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
WAIT_SECONDS = 90.0

ELSEWHERE = {
    'pip install ".[heic]"': "dreamd is installed where the tests run",
    "dreamd atlas NET": "takes minutes; tests/integration/test_sheets.py",
    "dreamd sweep FIELD=V1,V2": "takes minutes; tests/integration/test_sheets.py",
    "dreamd weights fetch vgg19": "575 MB; tests/integration/test_weights.py",
}
"""The commands that are not run here, and why."""

WORDS = {"IN": "cat.jpg", "OUT": "out.png", "PICTURE": "outbox/cat.jpg"}
"""What stands for the words in capitals."""


def use_it() -> list[tuple[str, list[str]]]:
    """The commands of the section "Use it", each with the lines that it is said to print."""
    (block,) = re.findall(r"^## Use it\n+```console\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    steps: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append((line.removeprefix("$ ").partition(" #")[0].strip(), []))
        else:
            steps[-1][1].append(line)
    return steps


def table() -> list[str]:
    """The commands of the table below it."""
    rows = re.findall(r"^\| (`(?:dreamd|touch) .*?) \|", README, re.MULTILINE)
    return [command for row in rows for command in re.findall(r"`([^`]+)`", row)]


class Terminal:
    """A shell in a folder, in which dreamd is found and nothing leads to a config elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path}
        self._environment.pop("DREAMD_CONFIG", None)
        self.daemon: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> str:
        """Run a command to its end; return what it prints."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def prints(self, command: str, lines: list[str]) -> bool:
        """Run a command again and again until it prints the lines, but for spaces; return whether it does."""
        end = time.monotonic() + WAIT_SECONDS
        while not (is_right := self.run(command).split() == " ".join(lines).split()) and time.monotonic() < end:
            time.sleep(0.1)
        return is_right

    def begin(self, command: str) -> None:
        """Run the daemon beside what follows."""
        self.daemon = subprocess.Popen(shlex.split(command), cwd=self.folder, env=self._environment)

    def interrupt(self) -> int:
        """Press Ctrl-C in the daemon's terminal; return its exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGINT)
        return self.daemon.wait(WAIT_SECONDS)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    if terminal.daemon is not None and terminal.daemon.poll() is None:
        terminal.daemon.kill()
        terminal.daemon.wait()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_commands_of_the_readme_do_what_it_says_one_after_the_other(terminal: Terminal) -> None:
    for command, printed in use_it():
        if command in ELSEWHERE:
            continue
        if command.startswith("cd "):
            terminal.folder /= command.removeprefix("cd ")
            config = terminal.folder / "config.yaml"  # another daemon may have the page's own port
            config.write_text(config.read_text().replace("127.0.0.1:8420", "127.0.0.1:0"))
            Image.linear_gradient("L").convert("RGB").resize((96, 64)).save(terminal.folder / "cat.jpg")
        elif command == "dreamd run":
            terminal.begin(command)
        elif printed:
            assert terminal.prints(command, printed)
        else:
            terminal.run(command)
    (again,) = re.findall(r"`(dreamd dream [^`]*--recipe outbox/[^`]*)` makes it again", README)
    terminal.run(again)
    assert terminal.interrupt() == 0
    commands = table()
    assert {command.split()[0] for command in commands} == {"dreamd", "touch"}
    for command in commands:
        if command not in ELSEWHERE and command.split()[0] in ("dreamd", "touch"):
            terminal.run(" ".join(WORDS.get(word, word) for word in command.split()))
    assert (terminal.folder / "out.png").exists()
    assert (terminal.folder / "inbox/clouds.dream.yaml").exists()


def test_every_command_that_is_not_run_is_in_the_readme() -> None:
    assert set(ELSEWHERE) <= {*table(), *(command for command, _ in use_it())}

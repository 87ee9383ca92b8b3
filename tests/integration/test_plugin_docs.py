"""docs/plugins.md does what it says: its files are written, its commands run, and its reference is the code's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamd.commands.demo.painting import clouds
from tests import plugin_docs as docs

ROOT = Path(__file__).parents[2]

BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Every block of the manual: its language, the file that it is, its text."""
    for match in BLOCK.finditer((ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")):
        yield match[1], match[2] or "", match[3]


# What the manual says of the code


def test_the_reference_is_drawn_from_the_docstrings() -> None:
    manual = docs.MANUAL.read_text(encoding="utf-8")
    assert docs.with_reference(manual) == manual, "run `python tests/plugin_docs.py`"


def test_every_hook_stands_in_the_reference() -> None:
    manual = docs.MANUAL.read_text(encoding="utf-8")
    for group in docs.GROUPS.values():
        for name, _ in docs.hooks(group):
            assert f"#### `{name}(" in manual


def test_the_api_does_not_change_without_a_word_in_the_changelog() -> None:
    now = docs.snapshot()
    assert docs.SNAPSHOT.read_text(encoding="utf-8") == now, "dreamd.api changed: run `python tests/plugin_docs.py`"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert docs.announcement(now) in changelog, (
        f"dreamd.api changed: write into CHANGELOG.md what a plugin's author must know, with {docs.announcement(now)!r}"
    )


def test_a_change_of_a_name_a_parameter_or_a_hook_shows_in_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {docs.snapshot()}

    def summed(part: object, finish: object, *, more: int = 0) -> None: ...

    monkeypatch.setattr(docs.api, "__all__", docs.api.__all__[1:])
    seen.add(docs.snapshot())
    monkeypatch.setattr(docs.api, "summed", summed)
    seen.add(docs.snapshot())
    monkeypatch.setattr(docs.hookspecs.EngineHooks, "dreamd_losses", lambda self, register, more: None)
    seen.add(docs.snapshot())
    assert len(seen) == 4
    assert len({docs.announcement(text) for text in seen}) == 4


def test_the_finished_plugin_of_the_tutorial_is_the_example() -> None:
    (text,) = (text for _, file, text in blocks() if file == "dreams/plugins/contrast.py")
    assert text == (ROOT / "examples" / "contrast.py").read_text(encoding="utf-8")


def test_every_example_stands_in_the_manual() -> None:
    manual = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for file in (ROOT / "examples").glob("*.py"):
        assert f"../examples/{file.name}" in manual


# What the manual has one do


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tutorial_goes_as_it_stands(tmp_path: Path) -> None:
    clouds(96, 64).save(tmp_path / "sky.png")
    for language, file, text in blocks():
        if file:
            target = tmp_path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o644)
        elif language == "console":
            for command, expected in commands(text):
                _must_print(command, expected, run(command, tmp_path))


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of a block, and the lines that it prints."""
    for part in text.split("\n$ "):
        command, *lines = part.removeprefix("$ ").rstrip("\n").split("\n")
        yield command, lines


def run(command: str, folder: Path) -> str:
    """What a command prints, both streams."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    line = command.replace("pytest ", f"{sys.executable} -m pytest -p no:cacheprovider ", 1)
    environment = {**os.environ, "PATH": path, "COLUMNS": "200", "DREAMD_WEIGHTS": str(folder / "weights")}
    environment.pop("PYTEST_CURRENT_TEST", None)
    process = subprocess.run(
        line, shell=True, cwd=folder, env=environment, text=True, timeout=150, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.returncode == 0, f"{command}\n{process.stdout}"
    return re.sub(r"^\S+: +\d+% .*\n", "", process.stdout, flags=re.MULTILINE).rstrip("\n")  # how far a slow dream is


def _must_print(command: str, expected: list[str], printed: str) -> None:
    """`…` alone stands for any lines, and in a line for any text."""
    pattern = "\n".join(
        r"[^\n]*(\n[^\n]*)*" if line == "…" else re.escape(line).replace("…", r"[^\n]*") for line in expected
    )
    assert re.fullmatch(pattern, printed), f"{command}\n{printed}"

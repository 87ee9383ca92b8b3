"""Shell completion, asked as shells ask: quick answers with the names that there are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dreamd.cli import main
from dreamd.commands.init import make_tree
from dreamd.job import Job
from dreamd.tree.journal import Journal

DREAMD = Path(sys.executable).with_name("dreamd")

Complete = Callable[[str], list[str]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_tree(tmp_path / "tree")
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "tree"


@pytest.fixture
def complete(tree: Path) -> Complete:
    """`complete("pause ")`: what zsh is told may come next."""

    def ask(line: str) -> list[str]:
        words = ["dreamd", *line.split(" ")]
        asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1), "_DREAMD_COMPLETE": "bash_complete"}
        command = [sys.executable, "-X", "importtime", str(DREAMD)]
        run = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=True)
        loaded = set(re.findall(r"\| +(\S+)$", run.stderr, re.MULTILINE))
        assert loaded & {"torch", "rich", "PIL", "numpy"} == set()
        assert "Traceback" not in run.stderr
        return [answer.partition(",")[2] for answer in run.stdout.splitlines() if answer]

    return ask


def test_folders_presets_recipes_plugins_and_jobs_are_completed(tree: Path, complete: Complete) -> None:
    (tree / "recipes" / "mine.yaml").write_text("extends: weave\n")
    with Journal.open(tree / "state" / "journal.sqlite3") as journal:
        journal.save([Job(id="5kq", folder=Path("animals"), name="a.png")])
    assert complete("pau") == ["pause"]
    assert complete("pause ") == ["animals", "weave"]
    assert complete("resume w") == ["weave"]
    assert complete("recipe init new --preset ani") == ["animals"]
    assert complete("dream a.png b.png --recipe mi") == ["mine", "mi"]  # the latter has the shell complete files
    assert {"l2", "octaves", "vgg"} <= set(complete("plugins show "))
    assert complete("retry ") == complete("logs ") == ["5kq"]
    assert complete("status --js") == ["--json"]


def test_dreamds_own_backbones_and_their_layers_are_completed_from_the_first(complete: Complete) -> None:
    assert complete("layers efficientnet_lite") == ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    assert complete("weights fetch vgg1")[:2] == ["vgg11", "vgg13"]
    assert "blocks.4.2" in complete("atlas efficientnet_lite0 --layer blocks.4")
    assert "blocks.4.2" in complete("atlas --on a.png efficientnet_lite0 --layer blocks.4")


def test_a_broken_config_completes_nothing_and_says_nothing(tree: Path, complete: Complete) -> None:
    (tree / "config.yaml").write_text("inbox: [")
    assert complete("pause ") == []
    assert complete("plugins show ") == []


def test_bash_itself_completes_by_the_script(tree: Path) -> None:
    script = (
        f'PATH="{DREAMD.parent}:$PATH"; source <(dreamd completion bash) || exit 3\n'
        'COMP_WORDS=(dreamd pause an); COMP_CWORD=2; _dreamd_completion dreamd; echo "${COMPREPLY[@]}"'
    )
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "animals\n"


@pytest.mark.parametrize(
    ("shell", "words"), [("zsh", "#compdef dreamd"), ("fish", "complete --no-files --command dreamd")]
)
def test_other_shells_have_their_scripts(shell: str, words: str) -> None:
    script = CliRunner().invoke(main, ["completion", shell]).output
    assert words in script
    assert f"_DREAMD_COMPLETE={shell}_complete" in script

"""The manual page tells what the help tells."""

from __future__ import annotations

import shutil
import subprocess

from dreamd.cli import COMMANDS
from tests.man_page import PAGE, man_page


def test_the_manual_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == man_page(), "`make man` writes it"


def test_the_manual_page_names_every_command_and_is_sound() -> None:
    page = man_page()
    assert [name for name in COMMANDS if f".SS dreamd {name}" not in page] == []
    if shutil.which("groff"):
        run = subprocess.run(["groff", "-man", "-ww", "-Kutf8", "-Tutf8", str(PAGE)], capture_output=True, check=True)
        assert run.stderr == b""

"""Drop-in files as the tests of the plugin host write them, and what is loaded from them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind

GOOD = """
from dreamd.api import hookimpl

def l3(activation, *, power: float = 3.0):
    '''A power.

    Args:
        power: which one.
    '''
    return activation

@hookimpl
def dreamd_losses(register):
    register("l3", l3)
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.py"
    file.write_text(dedent(text), encoding="utf-8")
    file.chmod(0o644)
    return file


def loss(register_line: str, before: str = "") -> str:
    """A plugin file whose hook `dreamd_losses` does one thing."""
    head = f"from dreamd.api import hookimpl\n{dedent(before)}\n@hookimpl\n"
    return f"{head}def dreamd_losses(register):\n    {register_line}\n"


def load(*folders: Path, disable: tuple[str, ...] = ()) -> Plugins:
    return Plugins("dreamd.engine", folders=folders, disable=disable)


def names(catalogue: Catalogue) -> set[tuple[Kind, str]]:
    return {(entry.kind, entry.name) for entry in catalogue.entries}

"""Where the config of a tree is: in the folder that one stands in, or above it. Reads no config."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from dreamd.errors import ConfigError

NAME = Path("config.yaml")
"""The name of a tree's config."""

_MOST_HINTS = 3
"""The most trees below a folder that are named to somebody who stands beside them."""


def find_config() -> Path:
    """Return the config of the tree that one stands in: this folder's, or that of the nearest tree above."""
    if NAME.exists():
        return NAME
    return next((folder / NAME for folder in _folders_above() if is_tree(folder)), NAME)


def is_tree(folder: Path) -> bool:
    """Return whether a folder holds a config beside an inbox: other programs call their files `config.yaml` too."""
    return (folder / NAME).is_file() and (folder / "inbox").is_dir()


def missing_config(file: Path) -> ConfigError:
    """Return the error for a config that is not there; it names the trees that lie where the config was looked for."""
    trees = list(_trees_in(file.parent))[:_MOST_HINTS]
    found = " or ".join(f"`--config {shlex.quote(str(tree / NAME))}`" for tree in trees)
    advice = f"there is a tree: {found}, or go there" if trees else "`dreamd init DIR` makes one"
    return ConfigError(f"does not exist; {advice}", file=file)


def _folders_above() -> tuple[Path, ...]:
    try:
        return tuple(Path.cwd().parents)
    except FileNotFoundError:  # the folder that one stands in is gone
        return ()


def _trees_in(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(inner.parent for inner in folder.glob(f"*/{NAME}") if is_tree(inner.parent))
    except OSError:  # a folder that may not be looked into has no hint to give
        return

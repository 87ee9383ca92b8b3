"""`dreamd init`: a ready tree of folders, with the annotated config and two sample recipes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from dreamd.errors import UsageError

_EMPTY_FOLDERS = ("outbox", "done", "failed", "plugins", "recipes")


def make_tree(folder: Path) -> list[Path]:
    """Make the tree; returns what was made.

    Raises:
        UsageError: there is a config already, or the folder cannot be made.
    """
    config = folder / "config.yaml"
    try:
        if config.exists():
            raise UsageError(f"{config} is there already; nothing was changed")
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; give the folder to make the tree in")
        return list(_made(folder))
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: cannot be made: {error.strerror}") from error


def _made(folder: Path) -> Iterator[Path]:
    with as_file(files("dreamd") / "templates") as templates:
        for template in sorted(templates.rglob("*.yaml")):
            file = folder / template.relative_to(templates)
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_bytes(template.read_bytes())
                yield file
    for name in _EMPTY_FOLDERS:
        (folder / name).mkdir(exist_ok=True)
        yield folder / name

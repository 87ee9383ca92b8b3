"""What dreamd writes for people to go on from: `dreamd init`'s tree of folders, `dreamd plugins new`'s plugins."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from importlib.resources import as_file, files
from pathlib import Path

from dreamd.errors import UsageError
from dreamd.files.problems import refusal

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
        raise UsageError(f"{error.filename or folder}: cannot be made: {refusal(error)}") from error


def _made(folder: Path) -> Iterator[Path]:
    with as_file(files("dreamd") / "templates") as templates:
        for template in sorted(templates.rglob("*.yaml")):
            file = folder / template.relative_to(templates)
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_bytes(template.read_bytes())
                yield file
    for name in _EMPTY_FOLDERS:
        is_new = not (folder / name).exists()
        (folder / name).mkdir(exist_ok=True)
        if is_new and name == "plugins":
            _keep_to_oneself(folder / name)
        yield folder / name


PLUGIN_KINDS = ("loss", "backbone", "schedule", "gradient", "decoder", "executor", "notify")

_DAEMON_KINDS = ("executor", "notify")


def plugin_group(kind: str) -> str:
    """The entry-point group of a kind of plugin."""
    return "dreamd.daemon" if kind in _DAEMON_KINDS else "dreamd.engine"


def make_plugin(name: str, kind: str, folder: Path) -> Path:
    """Write a plugin of a kind as a drop-in file, to be changed; returns the file.

    Raises:
        UsageError: the name cannot be, or is taken, or the file is there already.
    """
    _check_plugin_name(name)
    file = folder / f"{name}.py"
    _write_new({file: _rendered(f"plugins/{kind}.py", name, kind)})
    return file


def make_package(name: str, kind: str, folder: Path) -> list[Path]:
    """Write a plugin of a kind as a project that can be installed and published; returns its files.

    Raises:
        UsageError: as `make_plugin`.
    """
    _check_plugin_name(name)
    root = folder / f"dreamd-{name}"
    texts = {
        root / "pyproject.toml": _rendered("package/pyproject.toml", name, kind),
        root / "README.md": _rendered("package/README.md", name, kind),
        root / "src" / f"dreamd_{name}" / "__init__.py": _rendered(f"plugins/{kind}.py", name, kind),
        root / "tests" / f"test_{name}.py": _rendered("package/test.py", name, kind),
        root / ".github" / "workflows" / "test.yml": _rendered("package/test.yml", name, kind),
        root / ".gitignore": _rendered("package/gitignore", name, kind),
    }
    _write_new(texts)
    return list(texts)


def _check_plugin_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"{name!r} cannot be a plugin's name: use small letters, digits and _, a letter first")
    for group in ("dreamd.engine", "dreamd.daemon"):
        if name in entry_points(group=group).names:
            raise UsageError(f"there is a plugin {name!r} already; choose another name")


def _rendered(template: str, name: str, kind: str) -> str:
    text = (files("dreamd") / "templates" / f"{template}.tmpl").read_text(encoding="utf-8")
    words = {"NAME": name, "KIND": kind, "GROUP": plugin_group(kind), "EXTENSION": name.replace("_", "")}
    return re.sub("NAME|KIND|GROUP|EXTENSION", lambda match: words[match[0]], text)


def _write_new(texts: Mapping[Path, str]) -> None:
    """Write files that are not there yet, all or none."""
    for file in texts:
        if file.exists():
            raise UsageError(f"{file} is there already; nothing was changed")
    for file, text in texts.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{error.filename or file}: cannot be made: {refusal(error)}") from error
        _keep_to_oneself(file)


def _keep_to_oneself(path: Path) -> None:
    """Let nobody else write there, whatever the umask says: plugins that others could write are not run."""
    path.chmod(path.stat().st_mode & 0o7755)

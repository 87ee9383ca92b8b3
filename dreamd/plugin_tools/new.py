"""`dreamd plugins new`: a plugin that works, to be changed, and what to do with it next."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from dreamd.errors import UsageError
from dreamd.files.problems import refusal
from dreamd.plugin_host.finding.drop_ins import deny_others
from dreamd.plugin_host.kinds import GROUPS, Kind
from dreamd.settings.config import Config

_IN_A_RECIPE = {
    Kind.LOSS: "in a recipe: `loss: {name}`",
    Kind.SCHEDULE: "in a recipe: `schedule: {name}`",
    Kind.GRADIENT: "in a recipe: `gradient: [{name}, normalize]`",
    Kind.PARAMETERIZATION: "in a recipe: `parameterization: [{name}]`",
    Kind.OPTIMIZER: "in a recipe: `ascent: {{optimizer: {name}}}`",
    Kind.TRANSFORM: "in a recipe: `transforms: [{name}]`",
    Kind.BACKBONE: "in a recipe: `backbone: {{name: {name}, weights: random}}`, or the path of your weights",
    Kind.DECODER: "drop one of its files into the inbox",
    Kind.FILM: "drop one of its films into the inbox",
    Kind.EXECUTOR: "in config.yaml: `workers: {{executor: {name}}}`",
    Kind.NOTIFY: "it is told of every job",
}
"""How a plugin of each kind is put to work, in words that follow "then, "."""


def new_plugin(name: str, kind: Kind, folder: Path | None, config: Config | None) -> Iterator[str]:
    """Write a drop-in file into a folder, or where the config looks for its kind; yield lines of what to do next.

    Raises:
        UsageError: the name cannot be, or is taken, or the file is there already.
    """
    hint = ""
    if folder is None:
        assert config is not None
        folder, hint = _config_folder(kind, config)
    file = _from_here(make_plugin(name, kind, folder))
    yield str(file)
    yield ""
    quoted = shlex.quote(str(file))
    yield f"Next: dreamd plugins check {quoted}"
    if kind.group == "dreamd.engine":
        yield f"then: dreamd plugins try {quoted} --on PICTURE"
    if hint:
        yield f"then: {hint}"
    yield f"then, {_IN_A_RECIPE[kind].format(name=name)}"


def _config_folder(kind: Kind, config: Config) -> tuple[Path, str]:
    """Return the folder of drop-in files, and what is to be written into the config when that names none."""
    section = kind.group.removeprefix("dreamd.")
    folders: tuple[Path, ...] = getattr(config.plugins, section)
    if folders:
        return folders[0], ""
    default = config.file.parent / "plugins" / section
    return default, f"in {_from_here(config.file)}, under `plugins:`, write `{section}: [plugins/{section}]`"


def _from_here(path: Path) -> Path:
    """Write a path as a person in the current folder would."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def new_package(name: str, kind: Kind, folder: Path) -> Iterator[str]:
    """Write a project into a folder; yield its files and what to do next. Raises as `new_plugin` does."""
    files = make_package(name, kind, folder)
    yield from map(str, files)
    yield ""
    yield f"Next: cd {shlex.quote(str(folder / f'dreamd-{name}'))} && pip install --no-deps -e . && pytest"
    yield f"then: dreamd plugins show {name}"
    yield f"then, {_IN_A_RECIPE[kind].format(name=name)}"


def make_plugin(name: str, kind: Kind, folder: Path) -> Path:
    """Write a plugin of a kind as a drop-in file, to be changed; return the file.

    Raises:
        UsageError: the name cannot be, or is taken, or the file is there already.
    """
    _check_plugin_name(name)
    file = folder / f"{name}.py"
    _write_new({file: _rendered(f"plugins/{kind}.py", name, kind)})
    return file


def make_package(name: str, kind: Kind, folder: Path) -> list[Path]:
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
    for group in GROUPS:
        if name in entry_points(group=group).names:
            raise UsageError(f"there is a plugin {name!r} already; choose another name")


def _rendered(template: str, name: str, kind: Kind) -> str:
    text = (files("dreamd") / "templates" / f"{template}.tmpl").read_text(encoding="utf-8")
    words = {"NAME": name, "KIND": kind, "GROUP": kind.group, "EXTENSION": name.replace("_", "")}
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
        deny_others(file)

"""`dreamd plugins new`: where a new plugin goes, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from dreamd.plugin_tools.scaffold import make_package, make_plugin, plugin_group
from dreamd.settings.config import Config

_IN_A_RECIPE = {
    "loss": "in a recipe: `loss: {name}`",
    "schedule": "in a recipe: `schedule: {name}`",
    "gradient": "in a recipe: `gradient: [{name}, normalize]`",
    "backbone": "in a recipe: `backbone: {{name: {name}, weights: random}}`, or the path of your weights",
    "decoder": "drop one of its files into the inbox",
    "executor": "in config.yaml: `workers: {{executor: {name}}}`",
    "notify": "it is told of every job",
}


def new_plugin(name: str, kind: str, folder: Path | None, config: Config | None) -> Iterator[str]:
    """Write a drop-in file into a folder, or where the config looks for its kind; yields lines of what to do next.

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
    if plugin_group(kind) == "dreamd.engine":
        yield f"then: dreamd plugins try {quoted} --on PICTURE"
    if hint:
        yield f"then: {hint}"
    yield f"then, {_IN_A_RECIPE[kind].format(name=name)}"


def _config_folder(kind: str, config: Config) -> tuple[Path, str]:
    """The folder of drop-in files, and what is to be written into the config when it names none."""
    section = plugin_group(kind).removeprefix("dreamd.")
    folders: tuple[Path, ...] = getattr(config.plugins, section)
    if folders:
        return folders[0], ""
    default = config.file.parent / "plugins" / section
    return default, f"in {_from_here(config.file)}, under `plugins:`, write `{section}: [plugins/{section}]`"


def _from_here(path: Path) -> Path:
    """The path as a person in the current folder would write it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def new_package(name: str, kind: str, folder: Path) -> Iterator[str]:
    """Write a project into a folder; yields its files and what to do next. Raises as `new_plugin` does."""
    files = make_package(name, kind, folder)
    yield from map(str, files)
    yield ""
    yield f"Next: cd {shlex.quote(str(folder / f'dreamd-{name}'))} && pip install --no-deps -e . && pytest"
    yield f"then: dreamd plugins show {name}"
    yield f"then, {_IN_A_RECIPE[kind].format(name=name)}"

"""The options that several commands share, and the config that `--config` leads to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dreamd.settings.whereabouts import find_config

if TYPE_CHECKING:
    from dreamd.settings.config import Config

PATH = click.Path(path_type=Path)
"""A path that need not exist."""

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
"""A folder that exists."""

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
"""A file that exists."""


config_option = click.option(
    "--config", "config_file", type=PATH, default=find_config, envvar="DREAMD_CONFIG", show_envvar=True,
    help="The config file.  [default: config.yaml here, or of the tree around]",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, whose fields are stable.")
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Set a field of the recipe: `ascent.lr=0.1`."
)
device_option = click.option("--device", help="cpu, cuda, cuda:1, … (default: a GPU if there is one).")


class InOrder(click.Group):
    """A group that lists its commands in the order in which they are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(self.commands)


def config_at(file: Path) -> Config:
    """Read a config. Raises ConfigError."""
    from dreamd.settings.config import load_config

    return load_config(file)


def config_or_none(file: Path) -> Config | None:
    """Read the config for a command that can do without; None when the default file is not there.

    Raises:
        ConfigError: the config is wrong, or the file that somebody named does not exist.
    """
    given = click.get_current_context().get_parameter_source("config_file")
    if given is click.core.ParameterSource.DEFAULT and not file.exists():
        return None
    return config_at(file)

"""The plugins of a config, loaded for the commands that describe or check them. Loading the engine's imports torch."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Group, Kind

if TYPE_CHECKING:
    from dreamd.engine.network.backbone import Backbone
    from dreamd.settings.config import Config
    from dreamd.settings.recipes.recipe import BackboneChoice


def engine_plugins(config: Config | None, more_folders: Sequence[Path] = ()) -> Plugins:
    """Load the engine's plugins, those in the config's folders and in others included."""
    folders, disable = (config.plugins.engine, config.plugins.disable) if config else ((), ())
    return _load("dreamd.engine", [*folders, *more_folders], disable)


def daemon_catalogue(config: Config | None) -> Catalogue:
    """List what the daemon's plugins bring."""
    folders, disable = (config.plugins.daemon, config.plugins.disable) if config else ((), ())
    return _load("dreamd.daemon", folders, disable).catalogue


def bare_network(choice: BackboneChoice, plugins: Plugins) -> Backbone:
    """Build a backbone's network without its weights, to know its layers. Raises UnknownNameError, PluginError."""
    from dreamd.worker.recipes.backbones import build_network  # on demand: it imports torch

    registered = plugins.get(Kind.BACKBONE, choice.name)
    with redirect_stdout(sys.stderr):
        return build_network(registered, choice.name, choice.parameters)


def _load(group: Group, folders: Sequence[Path], disable: Collection[str]) -> Plugins:
    with redirect_stdout(sys.stderr):  # what a plugin prints is no part of a command's output, which may be JSON
        return Plugins(group, folders=folders, disable=disable)

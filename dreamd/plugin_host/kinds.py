"""The kinds of things that plugins bring, and the two groups of plugins. Imports nothing heavy: `--help` needs it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

Group = Literal["dreamd.engine", "dreamd.daemon"]
"""An entry-point group: the engine's plugins run in workers, the daemon's in the daemon."""

GROUPS: tuple[Group, ...] = get_args(Group)

LOAD_PLUGINS = "DREAMD_LOAD_PLUGINS"
"""The environment variable that names the plugins to load beside dreamd's own, with commas; empty: none."""


class Kind(StrEnum):
    """The kinds of things that a plugin brings."""

    LOSS = "loss"
    BACKBONE = "backbone"
    SCHEDULE = "schedule"
    GRADIENT = "gradient"
    PARAMETERIZATION = "parameterization"
    OPTIMIZER = "optimizer"
    TRANSFORM = "transform"
    DECODER = "decoder"
    FILM = "film"
    EXECUTOR = "executor"
    NOTIFY = "notify"

    @property
    def hook(self) -> str:
        """The hook through which a plugin brings it."""
        return _HOOKS[self]

    @property
    def group(self) -> Group:
        """The entry-point group of the plugins that bring it."""
        return "dreamd.daemon" if self in (Kind.EXECUTOR, Kind.NOTIFY) else "dreamd.engine"

    @property
    def has_parameters(self) -> bool:
        """Whether a recipe or the config chooses it, so that the parameters of its function are fields there."""
        return self not in (Kind.DECODER, Kind.FILM, Kind.NOTIFY)


_HOOKS = {
    Kind.LOSS: "dreamd_losses",
    Kind.BACKBONE: "dreamd_backbones",
    Kind.SCHEDULE: "dreamd_schedules",
    Kind.GRADIENT: "dreamd_gradients",
    Kind.PARAMETERIZATION: "dreamd_parameterizations",
    Kind.OPTIMIZER: "dreamd_optimizers",
    Kind.TRANSFORM: "dreamd_transforms",
    Kind.DECODER: "dreamd_decoders",
    Kind.FILM: "dreamd_films",
    Kind.EXECUTOR: "dreamd_executors",
    Kind.NOTIFY: "dreamd_job_changed",
}

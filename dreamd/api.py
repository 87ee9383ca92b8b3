"""All that a plugin may import.

`from dreamd.api import ...` and nothing else of dreamd: what stands here stays (docs/plugins.md has the
rule). The names that need torch are loaded when they are first asked for, because plugins of the daemon import this
module too, and the daemon has no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from dreamd.errors import DreamdError, PictureError, PluginError, RecipeError, UnknownNameError, WeightsError
from dreamd.job import Job, JobState
from dreamd.weights.sources import Download, Packaged, Source

if TYPE_CHECKING:
    from dreamd.engine.ascents.chance import Random
    from dreamd.engine.ascents.scheduled_ascent import Ascend
    from dreamd.engine.network.backbone import Backbone, Layer
    from dreamd.engine.objectives.objective import summed
    from dreamd.executors.executor import Bundle, Demand, Executor, ExecutorContext, Fleet, Seat
    from dreamd.executors.local import LocalExecutor
    from dreamd.executors.remote.bridge import run_bridge
    from dreamd.executors.remote.bridged import BridgedExecutor
    from dreamd.executors.remote.cluster import (
        Cluster,
        ClusterError,
        FarBatch,
        FarNews,
        Host,
        HostLostError,
        Opening,
        Place,
    )
    from dreamd.executors.remote.host import SeatHost
    from dreamd.messages import Batch
    from dreamd.pictures.film import Film, FilmPlan, FilmWriter, Frame, Timing
    from dreamd.plugin_host.hookspecs import (
        CheckSize,
        RegisterBackbone,
        RegisterDecoder,
        RegisterExecutor,
        RegisterFilm,
        RegisterGradient,
        RegisterLoss,
        RegisterOptimizer,
        RegisterParameterization,
        RegisterSchedule,
        RegisterTransform,
    )
    from dreamd.plugin_host.parameters import Picture, Seen, Vector

VERSION = 3
"""The version of this API. It grows with every release in which something here or in a hook comes or changes."""

OLDEST = 1
"""The oldest version whose plugins still work. It grows when something is removed or changes its meaning."""

OLDEST_EXECUTOR = 3
"""The oldest version whose executors still work: since then they bring seats, and the daemon decides what each gets."""

hookimpl = pluggy.HookimplMarker("dreamd")
"""Marks a function as the implementation of the hook that it is named after."""

_LAZY = {
    "Ascend": "dreamd.engine.ascents.scheduled_ascent",
    "Random": "dreamd.engine.ascents.chance",
    "Picture": "dreamd.plugin_host.parameters",
    "Seen": "dreamd.plugin_host.parameters",
    "Vector": "dreamd.plugin_host.parameters",
    "Backbone": "dreamd.engine.network.backbone",
    "Layer": "dreamd.engine.network.backbone",
    "Batch": "dreamd.messages",
    "Film": "dreamd.pictures.film",
    "FilmPlan": "dreamd.pictures.film",
    "FilmWriter": "dreamd.pictures.film",
    "Frame": "dreamd.pictures.film",
    "Timing": "dreamd.pictures.film",
    "Bundle": "dreamd.executors.executor",
    "Demand": "dreamd.executors.executor",
    "Executor": "dreamd.executors.executor",
    "ExecutorContext": "dreamd.executors.executor",
    "Fleet": "dreamd.executors.executor",
    "LocalExecutor": "dreamd.executors.local",
    "BridgedExecutor": "dreamd.executors.remote.bridged",
    "ClusterError": "dreamd.executors.remote.cluster",
    "FarBatch": "dreamd.executors.remote.cluster",
    "FarNews": "dreamd.executors.remote.cluster",
    "Host": "dreamd.executors.remote.cluster",
    "Cluster": "dreamd.executors.remote.cluster",
    "HostLostError": "dreamd.executors.remote.cluster",
    "Opening": "dreamd.executors.remote.cluster",
    "Place": "dreamd.executors.remote.cluster",
    "SeatHost": "dreamd.executors.remote.host",
    "run_bridge": "dreamd.executors.remote.bridge",
    "Seat": "dreamd.executors.executor",
    "CheckSize": "dreamd.plugin_host.hookspecs",
    "RegisterBackbone": "dreamd.plugin_host.hookspecs",
    "RegisterDecoder": "dreamd.plugin_host.hookspecs",
    "RegisterExecutor": "dreamd.plugin_host.hookspecs",
    "RegisterFilm": "dreamd.plugin_host.hookspecs",
    "RegisterGradient": "dreamd.plugin_host.hookspecs",
    "RegisterLoss": "dreamd.plugin_host.hookspecs",
    "RegisterOptimizer": "dreamd.plugin_host.hookspecs",
    "RegisterParameterization": "dreamd.plugin_host.hookspecs",
    "RegisterSchedule": "dreamd.plugin_host.hookspecs",
    "RegisterTransform": "dreamd.plugin_host.hookspecs",
    "summed": "dreamd.engine.objectives.objective",
}

__all__ = [
    "OLDEST",
    "OLDEST_EXECUTOR",
    "VERSION",
    "Ascend",
    "Backbone",
    "Batch",
    "BridgedExecutor",
    "Bundle",
    "CheckSize",
    "Cluster",
    "ClusterError",
    "Demand",
    "Download",
    "DreamdError",
    "Executor",
    "ExecutorContext",
    "FarBatch",
    "FarNews",
    "Film",
    "FilmPlan",
    "FilmWriter",
    "Fleet",
    "Frame",
    "Host",
    "HostLostError",
    "Job",
    "JobState",
    "Layer",
    "LocalExecutor",
    "Opening",
    "Packaged",
    "Picture",
    "PictureError",
    "Place",
    "PluginError",
    "Random",
    "RecipeError",
    "RegisterBackbone",
    "RegisterDecoder",
    "RegisterExecutor",
    "RegisterFilm",
    "RegisterGradient",
    "RegisterLoss",
    "RegisterOptimizer",
    "RegisterParameterization",
    "RegisterSchedule",
    "RegisterTransform",
    "Seat",
    "SeatHost",
    "Seen",
    "Source",
    "Timing",
    "UnknownNameError",
    "Vector",
    "WeightsError",
    "hookimpl",
    "run_bridge",
    "summed",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'dreamd.api' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)

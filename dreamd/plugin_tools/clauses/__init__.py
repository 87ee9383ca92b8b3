"""The clauses of the contract: for each kind of thing that a plugin brings, what it must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from dreamd.plugin_host.host import Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.plugin_tools.clauses.backbones import backbone_clauses
from dreamd.plugin_tools.clauses.common import Clause
from dreamd.plugin_tools.clauses.decoders import decoder_clauses
from dreamd.plugin_tools.clauses.executors import executor_clauses
from dreamd.plugin_tools.clauses.films import film_clauses
from dreamd.plugin_tools.clauses.gradients import gradient_clauses
from dreamd.plugin_tools.clauses.losses import loss_clauses
from dreamd.plugin_tools.clauses.notifiers import notify_clauses
from dreamd.plugin_tools.clauses.optimizers import optimizer_clauses
from dreamd.plugin_tools.clauses.parameterizations import parameterization_clauses
from dreamd.plugin_tools.clauses.schedules import schedule_clauses
from dreamd.plugin_tools.clauses.transforms import transform_clauses
from dreamd.plugin_tools.clauses.values import check_documented


def clauses_of(item: Registered, name: str, device: torch.device, samples: Sequence[Path]) -> Iterator[Clause]:
    """Return the clauses for one thing that a plugin brings.

    Args:
        item: the thing.
        name: its name, or one of its family's.
        device: what to check on.
        samples: picture files, for a decoder, or films.
    """
    yield "is documented, with every parameter", partial(check_documented, item.entry)
    by_kind: dict[Kind, Callable[[], Iterator[Clause]]] = {
        Kind.LOSS: lambda: loss_clauses(item, device),
        Kind.GRADIENT: lambda: gradient_clauses(item, device),
        Kind.SCHEDULE: lambda: schedule_clauses(item, device),
        Kind.PARAMETERIZATION: lambda: parameterization_clauses(item, device),
        Kind.OPTIMIZER: lambda: optimizer_clauses(item, device),
        Kind.TRANSFORM: lambda: transform_clauses(item, device),
        Kind.BACKBONE: lambda: backbone_clauses(item, name, device),
        Kind.DECODER: lambda: decoder_clauses(item, samples),
        Kind.FILM: lambda: film_clauses(item, samples),
        Kind.EXECUTOR: lambda: executor_clauses(item),
        Kind.NOTIFY: lambda: notify_clauses(item),
    }
    yield from by_kind[item.entry.kind]()

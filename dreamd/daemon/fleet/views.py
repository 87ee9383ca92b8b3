"""Seats as `dreamd status` shows them."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class WorkerState(StrEnum):
    """What the worker at a seat is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


class WorkerView(NamedTuple):
    """A seat and its worker. A tuple, since a thousand of them are made for every snapshot.

    Attributes:
        node: the machine; empty for this one.
        threads: how many threads it computes with; None on a GPU, or where that is not known.
        processors: those that it runs on, as `0-3,8`; empty on a GPU, or where that is not known.
        memory_limit: the bytes that it may hold; None where that is not known.
        busy_share: the part of the last minute that its device was dreaming, 0 to 1; 0 when it has nothing to do.
    """

    device: str
    device_name: str
    precision: str
    state: WorkerState
    jobs: tuple[str, ...]
    pid: int | None
    error: str | None
    node: str = ""
    busy_share: float = 0.0
    threads: int | None = None
    processors: str = ""
    memory_limit: int | None = None

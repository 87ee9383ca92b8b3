"""What the daemon and a bridge say to each other: one line of JSON a message, as between the daemon and a worker."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from dreamd.errors import FailureCause
from dreamd.executors.executor import Fault
from dreamd.messages import Batch, FilePath, Message, Reason, Said, Settings


class Begin(Message):
    """The first line to a bridge.

    Attributes:
        cluster: what the executor was configured with.
    """

    cluster: dict[str, Any]


class Renew(Message):
    """To a bridge: what seats are opened with from now on.

    Attributes:
        settings: what a worker needs to know; its paths are the daemon's, and a host puts its own in their place.
        readable: the folders out of which a recipe's pictures and weights may be read.
    """

    type: Literal["renew"] = "renew"
    settings: Settings
    readable: tuple[FilePath, ...]


class Want(Message):
    """To a bridge: how much is to be dreamed; as `dreamd.api.Demand` has it."""

    type: Literal["want"] = "want"
    jobs: int
    barred: tuple[str, ...] = ()


class Give(Message):
    """To a bridge: a batch for a seat."""

    type: Literal["give"] = "give"
    seat: str
    batch: Batch


class Stop(Message):
    """To a bridge: jobs that a seat need not dream any more."""

    type: Literal["stop"] = "stop"
    seat: str
    jobs: tuple[str, ...]


class Drop(Message):
    """To a bridge: a seat that is to be closed, at once or when its worker has ended by itself."""

    type: Literal["drop"] = "drop"
    seat: str
    now: bool


class SeatOpened(Message):
    """From a bridge: a seat is being opened; as `dreamd.api.Seat` has it."""

    type: Literal["opened"] = "opened"
    seat: str
    device: str
    node: str


class SeatSaid(Message):
    """From a bridge: the worker at a seat said something."""

    type: Literal["said"] = "said"
    seat: str
    said: Annotated[Said, Field(discriminator="type")]


class SeatGone(Message):
    """From a bridge: a seat is gone; as `dreamd.api.Fleet.gone` has it."""

    type: Literal["gone"] = "gone"
    seat: str
    why: Reason
    fault: Fault
    failure: FailureCause | None = "worker"


class Trouble(Message):
    """From a bridge: no seats can be had, and why; None: that is over."""

    type: Literal["trouble"] = "trouble"
    text: Reason | None


Told = Renew | Want | Give | Stop | Drop
"""What a bridge is told."""

Heard = SeatOpened | SeatSaid | SeatGone | Trouble
"""What a bridge says."""

_TOLD: TypeAdapter[Told] = TypeAdapter(
    Annotated[Told, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)
_HEARD: TypeAdapter[Heard] = TypeAdapter(
    Annotated[Heard, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)


def read_told(line: bytes) -> Told:
    """Read what a bridge is told after its first line. Raises pydantic's ValidationError when it is nothing of that."""
    return _TOLD.validate_json(line)


def read_heard(line: bytes) -> Heard:
    """Read what a bridge says. Raises pydantic's ValidationError when it is nothing of that."""
    return _HEARD.validate_json(line)

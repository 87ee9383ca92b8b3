"""What a bridge needs of a cluster, and a host of whatever carries its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dreamd.errors import DreamdError, FailureCause
from dreamd.messages import Settings

PIECE_BYTES = 8 << 20
"""The most bytes of a file that travel in one message; a longer file goes in pieces."""


class ClusterError(DreamdError):
    """A cluster cannot be had, and what to do about it."""


class HostLostError(DreamdError):
    """A host does not answer any more: its machine, or what runs it there, is gone."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a seat can be opened.

    Attributes:
        seat: the id of the seat there, the same each time.
        node: the machine, as people call it.
        device: what its worker is told to dream on, as `Settings.device` has it.
        sharers: how many seats share the machine's processors and memory.
    """

    seat: str
    node: str
    device: str
    sharers: int = 1


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What a host is opened with. The same object is given to every host until something of it changes.

    Attributes:
        settings: for the worker; the paths in it are the daemon's.
        plugins: the folders of drop-ins, packed by `packed_plugins`.
        plugins_digest: the SHA-256 of that.
    """

    settings: Settings
    plugins: bytes
    plugins_digest: str


@dataclass(frozen=True, kw_only=True)
class NearFile:
    """A file beside the daemon that a recipe names.

    Attributes:
        path: where it is beside the daemon, as the recipe says it.
        digest: the SHA-256 of its bytes.
        suffix: the ending of its name, which says what it is.
    """

    path: str
    digest: str
    suffix: str

    @property
    def name(self) -> str:
        """Its name on a machine. The same bytes with another ending are another file there."""
        return self.digest + self.suffix


@dataclass(frozen=True, kw_only=True)
class FarOrder:
    """A picture to dream, on its way to a host.

    Attributes:
        job: the job's id.
        near: the picture's path beside the daemon, for what people are told.
        name: the picture's own name.
        data: its bytes, none for a dream from nothing; None: they have gone before, in pieces.
        checkpoint: the files of its checkpoint by their names in that folder; None: it keeps none.
        is_kept: whether the host has picture and checkpoint from the job's last turn there.
    """

    job: str
    near: str
    name: str
    data: bytes | None
    checkpoint: Mapping[str, bytes] | None = None
    is_kept: bool = False


@dataclass(frozen=True, kw_only=True)
class FarBatch:
    """A batch on its way to a host.

    Attributes:
        recipe: the recipe, with the daemon's paths.
        named: the files that it names; the host has each of them.
        orders: the pictures.
    """

    recipe: str
    named: tuple[NearFile, ...]
    orders: tuple[FarOrder, ...]


@dataclass(frozen=True, kw_only=True)
class Saying:
    """What a worker said, on its way from a host.

    Attributes:
        line: the message as a line, with the daemon's paths.
        files: files of a result by their names.
        lengths: files of a result that are fetched in pieces, with their lengths in bytes.
    """

    line: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)
    lengths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """A preview of a dream that goes on: the bytes of its file."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What has changed of a job's checkpoint.

    Attributes:
        job: the job's id.
        names: all files that are there now, by their names in the folder.
        changed: the bytes of those that are not what was sent the last time.
    """

    job: str
    names: tuple[str, ...]
    changed: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The worker has ended; `failure` is what that says of the jobs in its hand."""

    reason: str
    failure: FailureCause | None


FarNews = Saying | Glimpse | Standing | Ended
"""What comes from a host."""


class Host(Protocol):
    """A seat's machine, as the bridge calls it. Every method raises HostLostError when the machine does not answer.

    `order` and `cancel` are carried out in the order in which they are called; the others may run beside them.
    """

    def lacks(self, names: Sequence[str]) -> list[str]:
        """Return those of some files that recipes name, as `NearFile.name` has them, that are not there. The others
        stay for a while."""

    def lacks_weights(self, name: str) -> bool:
        """Return whether a file of weights is not in the machine's cache."""

    def write(self, name: str, offset: int, piece: bytes) -> None:
        """Write a piece of a file on its way, from its first one on."""

    def keep(self, name: str, digest: str, suffix: str) -> None:
        """Have a file that has come whole kept for recipes, under its SHA-256. Raises DreamdError: it is another."""

    def keep_weights(self, name: str, cache_name: str, digest: str) -> None:
        """Have a file that has come whole put into the machine's cache of weights. Raises DreamdError as `keep`."""

    def keep_source(self, name: str, job: str, source: str) -> None:
        """Have a file that has come whole become the picture of a job."""

    def order(self, batch: FarBatch) -> None:
        """Give the worker a batch."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """Have the worker stop working on jobs."""

    def poll(self, seconds: float, *, is_looked_at: bool) -> list[FarNews]:
        """Wait for news, so many seconds at most; say whether somebody looks at previews."""

    def read(self, job: str, file: str, offset: int) -> bytes:
        """Read a piece of a job's result."""

    def forget(self, job: str) -> None:
        """Remove what there is of a job that is over."""

    def end(self) -> None:
        """Ask the worker to end. Its end comes as news."""


class Cluster(Protocol):
    """A cluster, as a bridge uses it; one thread does.

    Attributes:
        missing: what is told while the cluster is there and has no place for a seat, and what to do about it.
    """

    missing: str

    def connect(self) -> None:
        """Connect. Raises ClusterError: it cannot be reached, with why and what to do."""

    def places(self) -> list[Place]:
        """Return where seats can be opened now. Raises ClusterError when the cluster does not answer."""

    def ask_for(self, seats: int) -> None:
        """Say how many seats are wanted, for a cluster that grows by demand."""

    def open(self, place: Place, opening: Opening) -> Host:
        """Open a seat. Returns at once; the host's first answer comes when it has begun."""

    def close(self, host: Host) -> None:
        """End a host at once, and give back what it holds."""

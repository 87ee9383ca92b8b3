"""What the daemon and a worker say to each other: one line of JSON a message.

JSON and not pickle, because a worker decodes pictures from anywhere, and what it sends must not be able to run code in
the daemon. Every message is validated where it arrives.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)

from dreamd import __version__
from dreamd.errors import DreamdError, FailureCause, HoldCause
from dreamd.json_text import to_json, without_halves
from dreamd.plugin_host.catalogue import Catalogue

_SPOKEN = ("messages.py", "settings/recipes/recipe.py", "settings/recipes/values/*.py")
"""The files that say what the daemon and a worker tell each other, by patterns below dreamd's own folder."""


def spoken_files() -> list[Path]:
    """List the files that say what the daemon and a worker tell each other."""
    here = Path(__file__).parent
    return [file for pattern in _SPOKEN for file in sorted(here.glob(pattern))]


def _name_protocol() -> str:
    code = "".join(file.read_text(encoding="utf-8") for file in spoken_files())
    return hashlib.sha256(f"{__version__}\n{code}".encode()).hexdigest()[:16]


PROTOCOL = _name_protocol()
"""This names the protocol as it was on the disk when this process began.

A worker is started from the disk, and another version of dreamd may lie there by then.
"""


OTHER_VERSION = (
    "dreamd was changed on the disk since the daemon started: restart the daemon (`systemctl restart dreamd`); "
    "its pictures wait meanwhile"
)
"""This is told when a worker is of another version than the daemon."""


def _decode(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise ValueError("is no path")
    return Path(os.fsdecode(unquote_to_bytes(value)))


FilePath = Annotated[
    Path, PlainValidator(_decode), PlainSerializer(lambda path: quote_from_bytes(os.fsencode(path)), return_type=str)
]
"""A path, whose name may be no text at all: JSON carries its bytes percent-encoded."""


Reason = Annotated[str, BeforeValidator(without_halves)]
"""A text for a person. It may quote a name that is no text, which JSON could not carry."""


class Message(BaseModel):
    """What one process says to another, as a line of JSON."""

    # Built when it is first used: a process uses few of the messages, and building all takes as long as a small dream.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def line(self) -> bytes:
        """Return the message as a line."""
        return to_json(without_halves(self.model_dump(mode="json"))).encode() + b"\n"


class Settings(Message):
    """The first line to a worker: what it needs to know of the config.

    Attributes:
        protocol: what the daemon speaks; a worker of another protocol does not begin.
        device: `cpu`, `cuda:1`, or `auto:1` for the second GPU if there is one and else the processor.
        memory: bytes that the worker may hold; None: most of what is free when it starts.
        batch: how many pictures to dream together at most; None: as many as pay on the device.
        previews: a folder for small pictures of the dreams that go on; None: nobody looks.
        distrusted: names of plugins that must not be loaded, because they ended a worker, and why.
        sees_one_gpu: whether the worker's process sees no other GPU than its own.
        is_spare: whether another worker goes over to the processor when no GPU can be used.
        max_pages: the most pages of a file, where all of them are dreamed.
        max_pages_pixels: the most pixels that all of these pages have together.
        max_film_bytes: the largest size of a film's file.
        max_frames: the most frames of a film.
        max_film_seconds: the longest film, in seconds of its own time.
        sharers: how many workers share the device, and so its memory, where it is not told.
        threads: how many threads compute on a processor; None: as many as there are processors for them.
        warning: what is wrong with how workers share the processor, for a person; empty when nothing is.
        deterministic: on a GPU, whether to take only algorithms that give the same bits each time.
        picture_folders: where the pictures may lie that recipes name; None for anywhere.
    """

    protocol: str = PROTOCOL
    device: str
    plugin_folders: tuple[FilePath, ...]
    disable: tuple[str, ...]
    max_pixels: int
    max_bytes: int
    memory: int | None
    batch: int | None = None
    previews: FilePath | None = None
    distrusted: dict[str, Reason] = {}
    sees_one_gpu: bool = False
    is_spare: bool = False
    sharers: int = 1
    threads: int | None = None
    warning: Reason = ""
    deterministic: bool = True
    picture_folders: tuple[FilePath, ...] | None = None
    max_pages: int = 1000
    max_pages_pixels: int = 2_000_000_000
    max_film_bytes: int = 16_000_000_000
    max_frames: int = 200_000
    max_film_seconds: float = 7200.0


class Order(Message):
    """One picture to dream.

    Attributes:
        job: the job's id.
        source: the picture.
        root: a folder above it, from which on no symlink is followed on the way; None: the picture's own folder.
        folder: an empty folder for the result.
        checkpoint: where a long dream keeps its state, so that a later attempt goes on from there.
    """

    job: str
    source: FilePath
    root: FilePath | None = None
    folder: FilePath
    checkpoint: FilePath | None = None


class Batch(Message):
    """To a worker: jobs of one recipe, given as JSON. What is alike in shape is dreamed together where that pays.

    Attributes:
        recipe: the effective recipe of each of them.
        orders: their pictures.
    """

    recipe: str
    orders: tuple[Order, ...]

    @property
    def jobs(self) -> tuple[str, ...]:
        """The ids of the jobs in it."""
        return tuple(order.job for order in self.orders)


class Cancel(Message):
    """To a worker: jobs that it need not dream any more, whether it has begun or not.

    Attributes:
        cancel: the ids of the jobs.
    """

    cancel: tuple[str, ...]


class Importing(Message):
    """From a worker, before it is ready: which plugin it loads next, so that the plugin is known if that ends it.

    Attributes:
        plugin: the plugin's name; None: one of dreamd's own, which are trusted, or all are loaded.
        origin: its module, or the file or folder of a drop-in.
    """

    type: Literal["importing"] = "importing"
    plugin: str | None
    origin: Reason = ""


class Ready(Message):
    """From a worker: it can work.

    Attributes:
        device: what it dreams on.
        device_name: the device's name, as people know it.
        precision: what recipes with `precision: auto` compute in there.
        warning: why it dreams on the processor although there should be a GPU, or what is wrong with how workers share
            the processor; empty when all is as expected.
        catalogue: what its plugins bring; None: it does not tell, and recipes are not judged by it.
        threads: how many threads it computes with; None on a GPU, or where it does not tell.
        processors: those that it runs on, as `0-3,8`; empty on a GPU, or where it does not tell.
        memory: the bytes that it may hold; None where it does not tell.
    """

    type: Literal["ready"] = "ready"
    device: str
    device_name: str
    precision: str
    threads: int | None = None
    processors: str = ""
    memory: int | None = None
    warning: Reason = ""
    catalogue: Catalogue | None


class Advanced(Message):
    """From a worker: how far a job is.

    Attributes:
        frame: the frame of a film that is being dreamed, from 1; 0 for a picture.
        frames: how many frames the film has, as far as is known.
        page: the page that is being dreamed, of a file of several, from 1; 0 for one picture.
        pages: how many pages the file has.
        left_seconds: how long the rest of a film, or of the pages, will take, by those so far; None for a picture.
        busy_seconds: how long the worker's device has been dreaming, since the worker started.
    """

    type: Literal["advanced"] = "advanced"
    job: str
    frame: int = 0
    frames: int = 0
    page: int = 0
    pages: int = 0
    left_seconds: float | None = None
    ascent: int
    ascents: int
    iteration: int
    iterations: int
    share: float
    busy_seconds: float = 0.0


class Writing(Message):
    """From a worker: a result is being written in a format that takes long.

    Attributes:
        words: what a person is told.
    """

    type: Literal["writing"] = "writing"
    job: str
    words: Reason


class MissingWeights(Message):
    """Weights that a worker does not find, and does not fetch.

    Attributes:
        backbone: whose they are.
        url, sha256, filename, size: where they come from, as `dreamd.weights.sources.Download` has it.
    """

    backbone: str
    url: str
    sha256: str
    filename: str
    size: int


class DreamedPage(Message):
    """What is said of one page of a result that has several, as its sidecar says it of a picture.

    Attributes:
        size: its width and height in pixels.
        tiling: how it was cut up; None when it was not.
        loss_before: of the last ascent's first iteration.
        loss_after: of its last iteration.
        notes: what a person should know about how it was read or written.
    """

    size: tuple[int, int]
    tiling: str | None
    loss_before: float | None
    loss_after: float | None
    notes: tuple[str, ...] = ()


class Sidecar(Message):
    """What is written beside a result, so that anybody can tell how it came about and make it again.

    Attributes:
        job: the job's id.
        picture: the original's name, as text.
        input_sha256: of the original file; "" for a dream from nothing.
        recipe: the effective recipe.
        versions: of dreamd, torch, torchvision and each plugin used.
        weights_sha256: of the file of weights; None for random ones. Of a sequence, a list: one a part.
        device: that it was dreamed on.
        precision: that the network in fact computed in.
        threads: how many computed, on a processor, since the last bits may depend on it; None on a GPU.
        size: width and height of the result in pixels.
        tiling: how the picture was cut up; None when it was not.
        seconds: that the dream took, with decoding and encoding; of pictures dreamed together, each one's part.
        loss_before: of the last ascent's first iteration; None when it is infinite, which JSON does not know.
        loss_after: of its last iteration.
        notes: what a person should know about how the original was read or the result written: that a part is missing.
        pictures: the SHA-256 of each picture and vector that the recipe names, by its path.
        steps: whether a film strip lies beside the result, which has its name and `.steps.jpg`.
        frames: how many frames a film has; None for a picture.
        film_seconds: how long a film lasts; None for a picture.
        pages: of a result that has several pages, each of them; `size` is then the first one's.
    """

    job: str
    picture: str
    input_sha256: str
    recipe: dict[str, Any]
    versions: dict[str, str]
    weights_sha256: str | tuple[str | None, ...] | None
    device: str
    precision: str
    seed: int
    size: tuple[int, int]
    tiling: str | None
    seconds: float
    loss_before: float | None
    loss_after: float | None
    notes: tuple[str, ...] = ()
    pictures: dict[str, str] = {}
    steps: bool = False
    threads: int | None = None
    frames: int | None = None
    film_seconds: float | None = None
    pages: tuple[DreamedPage, ...] = ()

    def text(self) -> str:
        """Return the sidecar as it is written beside a result."""
        return to_json(self.model_dump(mode="json"), indent=1, for_people=True)


class Done(Message):
    """From a worker: a result lies in its folder.

    Attributes:
        file: the result's name in the order's folder.
        steps: the name there of the result's film strip; None when there is none.
        busy_seconds: how long the worker's device has been dreaming, since the worker started.
    """

    type: Literal["done"] = "done"
    job: str
    file: str
    steps: str | None = None
    sidecar: Sidecar
    busy_seconds: float = 0.0


class NotDone(Message):
    """From a worker: no result.

    Attributes:
        hold: what the job must wait for; None when waiting does not help.
        final: whether trying again is pointless, because the picture itself is at fault.
        reason: for a person.
        field: the recipe's field that is at fault, if one is.
        failure: what the job fails of, if it fails by this; None: whoever said so does not know.
        weights: those that the job waits for, where somebody else may fetch them.
    """

    type: Literal["not_done"] = "not_done"
    job: str
    hold: HoldCause | None
    final: bool
    reason: Reason
    field: tuple[str | int, ...] = ()
    failure: FailureCause | None = None
    weights: MissingWeights | None = None


class Yielded(Message):
    """From a worker: a film has had its turn. What is done of it is kept, and the rest comes when others had theirs.

    Attributes:
        busy_seconds: how long the worker's device has been dreaming, since the worker started.
    """

    type: Literal["yielded"] = "yielded"
    job: str
    busy_seconds: float = 0.0


class Unable(Message):
    """From a worker, as its last word: why it cannot work at all."""

    type: Literal["unable"] = "unable"
    reason: Reason


Said = Importing | Ready | Advanced | Writing | Done | NotDone | Yielded | Unable
"""What a worker says."""

_SAID: TypeAdapter[Said] = TypeAdapter(
    Annotated[Said, Field(discriminator="type")], config=ConfigDict(defer_build=True)
)


_TOLD: TypeAdapter[Batch | Cancel] = TypeAdapter(Batch | Cancel, config=ConfigDict(defer_build=True))


def to_worker(line: bytes) -> Batch | Cancel:
    """Read what a worker is told after its settings. Raises pydantic's ValidationError when it is neither."""
    return _TOLD.validate_json(line)


def from_worker(line: bytes) -> Said:
    """Read a worker's line as a message. Raises pydantic's ValidationError when it is none."""
    return _SAID.validate_json(line)


def read_settings(line: bytes) -> Settings:
    """Read the first line to a worker.

    Raises:
        DreamdError: the daemon is of another version than this worker.
    """
    try:
        settings = Settings.model_validate_json(line)
    except ValidationError as error:
        raise DreamdError(OTHER_VERSION) from error
    if settings.protocol != PROTOCOL:
        raise DreamdError(OTHER_VERSION)
    return settings

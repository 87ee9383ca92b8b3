"""Checkpoints: the finished ascents of a long dream, kept so that it can go on after its process was killed.

A schedule is a running function and cannot be kept. But a schedule whose ascents return the same results does the same
again. So it is run once more from the start, and every ascent that was kept returns its result at once.

Knows ascents and files. Knows no recipes.
"""

from __future__ import annotations

import json
import logging
import struct
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from dreamd.engine.tiles.fitting import Fit

log = logging.getLogger(__name__)

_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True)
class FinishedAscent:
    """An ascent that is over, and all that the rest of the dream depends on.

    Attributes:
        number: the ascent's number in its dream, from 1.
        given: the `checksum` of the pictures that it started from.
        images: the result, `[N, 3, H, W]` in [0, 1].
        first_loss: the loss `[N]` at its first iteration.
        last_loss: the loss `[N]` at its last iteration.
        generators: the state of each picture's random generator after it, `[N, bytes]` in uint8.
        fit: how the gradient fitted in memory; None for dreams without a limit to their memory.
    """

    number: int
    given: int
    images: Tensor
    first_loss: Tensor
    last_loss: Tensor
    generators: Tensor
    fit: Fit | None = None


@dataclass(frozen=True, kw_only=True)
class UnfinishedAscent:
    """An ascent after some of its iterations, and all that the rest of the dream depends on.

    Attributes:
        number: of the ascent in its dream, from 1.
        given: the `checksum` of the pictures that it started from.
        iteration: how many iterations are done.
        parameters: what climbs, `[N, ...]`: normalised pictures, or what they are decoded from.
        state: what the optimizer remembers.
        first_loss: `[N]`, at its first iteration.
        generators: the state of each picture's random generator, `[N, bytes]` in uint8.
        fit: as it is now; None for dreams without a limit to their memory.
    """

    number: int
    given: int
    iteration: int
    parameters: Tensor
    state: dict[str, Tensor]
    first_loss: Tensor
    generators: Tensor
    fit: Fit | None = None


class Checkpoint(Protocol):
    """Keeps the finished ascents of one dream, and gives them back when the same dream is begun again.

    Of an ascent that takes long it also keeps, now and then, where it stands.
    """

    def load(self, number: int) -> FinishedAscent | None:
        """Return the ascent of that number, from 1; None when it has not been kept."""
        ...

    def keep(self, ascent: FinishedAscent) -> None:
        """Keep an ascent that has just ended. Its tensors belong to the schedule, which may change them afterwards."""
        ...

    def load_unfinished(self, number: int) -> UnfinishedAscent | None:
        """Return where the ascent of a number stood when it was last kept; None when it never was."""
        ...

    def is_due(self) -> bool:
        """Tell whether it is time to keep where the ascent stands."""
        ...

    def keep_unfinished(self, ascent: UnfinishedAscent) -> None:
        """Keep where an ascent stands, at once: it goes on in the same memory."""
        ...


def checksum(images: Tensor) -> int:
    """Return a number that changes with any value of the pictures: their bits as float32, added up."""
    return int(images.float().view(torch.int32).sum())


_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError,
               ArithmeticError, zipfile.BadZipFile, zlib.error, struct.error)  # fmt: skip
"""The errors that numpy, zipfile and json raise for a file that is damaged, or of another format."""

_FORMAT = "dreamd finished ascent 1"
"""The first words of a file; a change of the format changes them."""

_MOST_WAITING = 256 << 20
"""The most bytes of ascents that wait in memory. Older ones are dropped: to climb them again takes a minute at most."""


class CheckpointFolder:
    """A checkpoint in a folder: one file an ascent, in numpy's own format, which no reader runs code from.

    Nothing is written until the dream has run for a while, so that short ones never touch the disk; then everything so
    far, and each ascent as it ends; and where an ascent stands, each time that the same while has passed inside it. A
    file is written under another name and then renamed. It is not synced: after a loss of power a torn one is ignored,
    and its ascent is climbed again.

    A disk that is full, or a folder that cannot be written, does not stop the dream.
    """

    def __init__(self, folder: Path, key: str, *, after_seconds: float = 60.0) -> None:
        """Begin a dream's checkpoint.

        Args:
            folder: a folder of this dream alone, made when it is needed.
            key: stands for all that decides over the result (pictures, recipe, weights, versions, device). What was
                kept under another key is ignored.
            after_seconds: how long the dream runs before anything is written.
        """
        self._folder = folder
        self._key = key
        self._after_seconds = after_seconds
        self._writes_from = time.monotonic() + after_seconds
        self._due_from = self._writes_from
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._broken = False

    def load(self, number: int) -> FinishedAscent | None:
        """Return the ascent of that number, from 1; None when there is no whole file of it under this key.

        Once an ascent was found, the dream has been killed before: from then on every ascent is written as it ends.
        """
        ascent = self._read_file(self._file(number), lambda values: _read(values, self._key, number))
        if ascent is not None:
            self._writes_from = time.monotonic()
        return ascent

    def load_unfinished(self, number: int) -> UnfinishedAscent | None:
        """Return where the ascent of a number stood; None when there is no whole file of that under this key."""
        return self._read_file(
            self._unfinished_file(number), lambda values: _read_unfinished(values, self._key, number)
        )

    def _read_file(self, file: Path, read: Callable[[Mapping[str, Any]], _Read]) -> _Read | None:
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as values:
                return read(values)
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            log.warning("%s is ignored: %s", file, " ".join(str(error).split()))
            return None

    def keep(self, ascent: FinishedAscent) -> None:
        """Keep an ascent: at first in memory, where its tensors still are the schedule's, later in its file."""
        if self._broken:
            return
        self._waiting[ascent.number] = _Waiting(ascent)
        if time.monotonic() >= self._writes_from:
            self._write_waiting()
            return
        while sum(waiting.size for waiting in self._waiting.values()) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def is_due(self) -> bool:
        """Tell whether the dream has run for a while since it began, or since it was last kept inside an ascent."""
        return not self._broken and time.monotonic() >= self._due_from

    def keep_unfinished(self, ascent: UnfinishedAscent) -> None:
        """Write where an ascent stands into its file, in place of where it stood."""
        self._write_waiting()
        if not self._broken:
            self._try_to_write(self._unfinished_file(ascent.number), lambda: _unfinished_values(ascent, self._key))
        self._due_from = time.monotonic() + self._after_seconds

    def _write_waiting(self) -> None:
        while self._waiting and not self._broken:
            number, waiting = self._waiting.popitem(last=False)
            if waiting.is_unchanged():
                values = partial(_values, waiting.ascent, self._key)
                self._try_to_write(self._file(number), values, old=self._unfinished_file(number))

    def _try_to_write(self, file: Path, values: Callable[[], dict[str, Any]], *, old: Path | None = None) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(file, values())
            if old is not None:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s: the dream goes on, but its state is not kept: %s", self._folder, error.strerror or error)
            self._broken = True
            self._waiting.clear()

    def _write(self, file: Path, values: Mapping[str, Any]) -> None:
        draft = file.with_suffix(".part")
        try:
            with draft.open("wb") as stream:
                np.savez(stream, **values)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"ascent-{number:05}.npz"

    def _unfinished_file(self, number: int) -> Path:
        return self._folder / f"ascent-{number:05}-unfinished.npz"


class _Waiting:
    """An ascent in memory. It is lost if the schedule changes its pictures in place before they are written."""

    def __init__(self, ascent: FinishedAscent) -> None:
        self.ascent = ascent
        self.size = ascent.images.numel() * ascent.images.element_size()
        self._seen = self._state()

    def is_unchanged(self) -> bool:
        return self._state() == self._seen

    def _state(self) -> tuple[int, int]:
        # The version counts torch's own changes; the checksum shows those of an array that shares the memory.
        return self.ascent.images._version, checksum(self.ascent.images)


_TENSORS = {"images": (torch.float32, 4), "first_loss": (torch.float32, 1), "last_loss": (torch.float32, 1),
            "generators": (torch.uint8, 2)}  # fmt: skip
"""The tensors of a finished ascent, with their types and numbers of dimensions."""


def _values(ascent: FinishedAscent, key: str) -> dict[str, Any]:
    about = {"number": ascent.number, "given": ascent.given, "fit": asdict(ascent.fit) if ascent.fit else None}
    tensors = {name: getattr(ascent, name).cpu().numpy() for name in _TENSORS}
    return {"format": _FORMAT, "key": key, "about": json.dumps(about), **tensors}


def _read(values: Mapping[str, Any], key: str, number: int) -> FinishedAscent:
    """Return the ascent in a file. Raises ValueError, KeyError or TypeError when it is another one, or none."""
    if str(values["format"]) != _FORMAT or str(values["key"]) != key:
        raise ValueError("it belongs to another dream")
    about = json.loads(str(values["about"]))
    if about["number"] != number:
        raise ValueError(f"it holds ascent {about['number']}")
    tensors = {name: _tensor(values[name]) for name in _TENSORS}
    for name, (dtype, dimensions) in _TENSORS.items():
        if tensors[name].dtype != dtype or tensors[name].dim() != dimensions:
            raise ValueError(f"{name} is {tensors[name].dtype} of shape {list(tensors[name].shape)}")
    fit = Fit(**about["fit"]) if about["fit"] else None
    return FinishedAscent(number=number, given=int(about["given"]), fit=fit, **tensors)


def _tensor(array: Any) -> Tensor:
    """Return an array of a file as a tensor in torch's own memory, aligned and in order as that of an ascent is."""
    return torch.from_numpy(array).clone(memory_format=torch.contiguous_format)


_UNFINISHED_FORMAT = "dreamd unfinished ascent 1"
_STATE = "state."
"""Before the names of the optimizer's tensors."""

_UNFINISHED_TENSORS = {"parameters": torch.float32, "first_loss": torch.float32, "generators": torch.uint8}
"""The tensors of an unfinished ascent, with their types."""


def _unfinished_values(ascent: UnfinishedAscent, key: str) -> dict[str, Any]:
    about = {
        "number": ascent.number,
        "given": ascent.given,
        "iteration": ascent.iteration,
        "fit": asdict(ascent.fit) if ascent.fit else None,
    }
    tensors = {name: getattr(ascent, name).detach().cpu().numpy() for name in _UNFINISHED_TENSORS}
    state = {f"{_STATE}{name}": value.detach().cpu().numpy() for name, value in ascent.state.items()}
    return {"format": _UNFINISHED_FORMAT, "key": key, "about": json.dumps(about), **tensors, **state}


def _read_unfinished(values: Mapping[str, Any], key: str, number: int) -> UnfinishedAscent:
    """The ascent in a file. Raises ValueError, KeyError or TypeError when it is another one, or none."""
    if str(values["format"]) != _UNFINISHED_FORMAT or str(values["key"]) != key:
        raise ValueError("it belongs to another dream")
    about = json.loads(str(values["about"]))
    if about["number"] != number:
        raise ValueError(f"it holds ascent {about['number']}")
    tensors = {name: _tensor(values[name]) for name in _UNFINISHED_TENSORS}
    for name, dtype in _UNFINISHED_TENSORS.items():
        if tensors[name].dtype != dtype:
            raise ValueError(f"{name} is {tensors[name].dtype}")
    state = {name.removeprefix(_STATE): _tensor(values[name]) for name in values if name.startswith(_STATE)}
    fit = Fit(**about["fit"]) if about["fit"] else None
    return UnfinishedAscent(
        number=number, given=int(about["given"]), iteration=int(about["iteration"]), state=state, fit=fit, **tensors
    )

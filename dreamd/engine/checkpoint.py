"""Checkpoints: what a long dream keeps of its finished ascents, so that it can go on after its process was killed.

A schedule is a running function and cannot be kept. But it does the same again when its ascents give the same again, so
their results are all that a dream needs to be repeated up to where it was, at once.
"""

from __future__ import annotations

import json
import logging
import struct
import time
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dreamd.engine.fitting import Fit

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FinishedAscent:
    """An ascent that is over, and all that the rest of the dream depends on.

    Attributes:
        number: of the ascent in its dream, from 1.
        given: `fingerprint` of the pictures that it started from.
        images: its result, `[N, 3, H, W]` in [0, 1].
        first_loss: `[N]`, at its first iteration.
        last_loss: `[N]`, at its last.
        generators: the state of each picture's random generator after it, `[N, bytes]` in uint8.
        fit: after it; None for dreams without a limit to their memory.
    """

    number: int
    given: int
    images: Tensor
    first_loss: Tensor
    last_loss: Tensor
    generators: Tensor
    fit: Fit | None = None


class Checkpoint(Protocol):
    """Keeps the finished ascents of one dream, and gives them back when the same dream is begun again."""

    def kept(self, number: int) -> FinishedAscent | None:
        """The ascent of a number, from 1; None when it has not been kept."""
        ...

    def keep(self, ascent: FinishedAscent) -> None:
        """Keep an ascent that has just ended. Its tensors belong to the schedule, which may change them afterwards."""
        ...


def fingerprint(images: Tensor) -> int:
    """A number that changes with any value of the pictures: their bits as float32, added up."""
    return int(images.float().view(torch.int32).sum())


_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError,
               ArithmeticError, zipfile.BadZipFile, zlib.error, struct.error)  # fmt: skip
"""What numpy, zipfile and json raise for a file that is damaged, or not one of these."""

_FORMAT = "dreamd finished ascent 1"
_MOST_WAITING = 256 << 20
"""Bytes. What is dropped took less than `after_seconds` to make."""


class CheckpointFolder:
    """A checkpoint in a folder: one file an ascent, in numpy's own format, which no reader runs code from.

    Nothing is written until the dream has run for a while, so that short ones never touch the disk; then everything so
    far, and each ascent as it ends. A file is written under another name and then renamed. It is not synced: after a
    loss of power a torn one is ignored, and its ascent is climbed again.

    A disk that is full, or a folder that cannot be written, does not stop the dream.
    """

    def __init__(self, folder: Path, key: str, *, after_seconds: float = 60.0) -> None:
        """A checkpoint, made when its dream begins.

        Args:
            folder: made when it is needed; one dream's alone.
            key: stands for all that decides over the result (pictures, recipe, weights, versions, device); what was
                kept under another key is ignored.
            after_seconds: how long the dream runs before anything is written.
        """
        self._folder = folder
        self._key = key
        self._writes_from = time.monotonic() + after_seconds
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._broken = False

    def kept(self, number: int) -> FinishedAscent | None:
        """The ascent of a number, from 1; None when there is no whole file of it under this key."""
        file = self._file(number)
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as values:
                ascent = _read(values, self._key, number)
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            log.warning("%s is ignored: %s", file, " ".join(str(error).split()))
            return None
        self._writes_from = time.monotonic()  # this dream has been killed before; it shall not lose the same work twice
        return ascent

    def keep(self, ascent: FinishedAscent) -> None:
        """Keep an ascent: at first in memory, where it is the schedule's own, later in its file."""
        if self._broken:
            return
        self._waiting[ascent.number] = _Waiting(ascent)
        if time.monotonic() >= self._writes_from:
            self._write_waiting()
            return
        while sum(waiting.size for waiting in self._waiting.values()) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def discard(self) -> None:
        """Remove the files and the folder, when the dream's result is safe."""
        self._waiting.clear()
        for file in self._folder.glob("ascent-*"):
            file.unlink(missing_ok=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _write_waiting(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            while self._waiting:
                _, waiting = self._waiting.popitem(last=False)
                if waiting.is_unchanged():
                    self._write(waiting.ascent)
        except OSError as error:
            log.warning("%s: the dream goes on, but its state is not kept: %s", self._folder, error.strerror or error)
            self._broken = True
            self._waiting.clear()

    def _write(self, ascent: FinishedAscent) -> None:
        file = self._file(ascent.number)
        draft = file.with_suffix(".part")
        try:
            with draft.open("wb") as stream:
                np.savez(stream, **_values(ascent, self._key))
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self._folder / f"ascent-{number:05}.npz"


class _Waiting:
    """An ascent in memory. The schedule may change its pictures in place before they are written; then it is lost."""

    def __init__(self, ascent: FinishedAscent) -> None:
        self.ascent = ascent
        self.size = ascent.images.numel() * ascent.images.element_size()
        self._seen = self._state()

    def is_unchanged(self) -> bool:
        return self._state() == self._seen

    def _state(self) -> tuple[int, int]:
        # The version counts torch's own changes; the fingerprint shows those of an array that shares the memory.
        return self.ascent.images._version, fingerprint(self.ascent.images)


_TENSORS = {"images": (torch.float32, 4), "first_loss": (torch.float32, 1), "last_loss": (torch.float32, 1),
            "generators": (torch.uint8, 2)}  # fmt: skip
"""The tensors of a finished ascent, with their types and numbers of dimensions."""


def _values(ascent: FinishedAscent, key: str) -> dict[str, Any]:
    about = {"number": ascent.number, "given": ascent.given, "fit": asdict(ascent.fit) if ascent.fit else None}
    tensors = {name: getattr(ascent, name).cpu().numpy() for name in _TENSORS}
    return {"format": _FORMAT, "key": key, "about": json.dumps(about), **tensors}


def _read(values: Mapping[str, Any], key: str, number: int) -> FinishedAscent:
    """The ascent in a file. Raises ValueError, KeyError or TypeError when it is another one, or none."""
    if str(values["format"]) != _FORMAT or str(values["key"]) != key:
        raise ValueError("it belongs to another dream")
    about = json.loads(str(values["about"]))
    if about["number"] != number:
        raise ValueError(f"it holds ascent {about['number']}")
    tensors = {name: torch.from_numpy(values[name]) for name in _TENSORS}
    for name, (dtype, dimensions) in _TENSORS.items():
        if tensors[name].dtype != dtype or tensors[name].dim() != dimensions:
            raise ValueError(f"{name} is {tensors[name].dtype} of shape {list(tensors[name].shape)}")
    fit = Fit(**about["fit"]) if about["fit"] else None
    return FinishedAscent(number=number, given=int(about["given"]), fit=fit, **tensors)

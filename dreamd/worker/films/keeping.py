"""What is kept of a film that is being dreamed: its finished frames, without loss, and its finished parts.

A film that was stopped or killed goes on after the last frame that was noted as finished, with the same bytes. Frames
are kept as PNGs until a part of them is encoded, so that the folder stays small however long the film is.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dreamd.files.durable import draft_of
from dreamd.files.problems import os_errors_explained
from dreamd.pictures.colours.conversion import are_bytes
from dreamd.pictures.film import FilmWriter, Frame, Levels, Timing
from dreamd.pictures.libvips import pyvips

PART_FRAMES = 250
"""The frames of a part: about ten seconds. A part's boundary depends on nothing else, or a kill would change bytes."""

_PNG_LEVEL = 1
"""How hard PNG compresses what is soon removed again: as little as it can."""

_DEPTH_AT = 24
"""Where a PNG says how many bits a channel has, in bytes: https://www.w3.org/TR/png-3/#11IHDR."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a film is.

    Attributes:
        frames: how many frames are finished.
        dreamed: the number of the last frame that was dreamed and not only moved, from 0; -1 for none.
        parts: how many frames each finished part has.
        seconds: how long the film has taken so far.
        whole: whether all frames are finished.
    """

    frames: int = 0
    dreamed: int = -1
    parts: tuple[int, ...] = ()
    seconds: float = 0.0
    whole: bool = False

    @property
    def in_parts(self) -> int:
        """How many frames are in finished parts."""
        return sum(self.parts)


class FilmFolder:
    """The folder of one film.

    Attributes:
        standing: how far the film is.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Go on with what is kept there under a key, or begin anew.

        Args:
            folder: a folder of this film alone; it is made.
            key: stands for all that decides over the result. What was kept under another key is removed.
        """
        self._folder = folder
        self._key = key
        self.standing, self._timings = self._load()
        with os_errors_explained("write", folder):
            if self.standing == Standing():
                shutil.rmtree(folder, ignore_errors=True)
                (folder / "frames").mkdir(parents=True)
                (folder / "parts").mkdir()
            self._write_timings(self._timings)  # what was written of other frames is cut off

    def _load(self) -> tuple[Standing, list[Timing]]:
        """Return what is kept; nothing of another key, nor where a loss of power left too few times of its frames."""
        nothing: tuple[Standing, list[Timing]] = Standing(), []
        try:
            values = json.loads(self._file("standing.json").read_bytes())
            if values.pop("key") != self._key:
                return nothing
            standing = Standing(**{**values, "parts": tuple(values["parts"])})
            lines = self._file("timings").read_text(encoding="ascii").split("\n")[:-1]
            timings = [_timing(line) for line in lines[: standing.frames]]
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
            return nothing
        return (standing, timings) if len(timings) == standing.frames else nothing

    def note(self, standing: Standing) -> None:
        """Take note of how far the film is, at once and whole."""
        with os_errors_explained("write", self._folder), draft_of(self._file("standing.json"), durable=False) as draft:
            draft.write_text(json.dumps({"key": self._key, **asdict(standing)}), encoding="utf-8")
        self.standing = standing

    def add(self, frames: Sequence[Frame], *, dreamed: int, seconds: float) -> None:
        """Keep the next finished frames; they count once all of them are kept.

        Args:
            frames: the frames.
            dreamed: as in `Standing`.
            seconds: how long they took.
        """
        first = self.standing.frames
        with os_errors_explained("write", self._folder):
            for number, frame in enumerate(frames, first):
                _write_frame(frame.pixels, self._frame(number))
            with self._file("timings").open("a", encoding="ascii") as file:
                file.writelines(_line(frame.timing) for frame in frames)
        self._timings += [frame.timing for frame in frames]
        total = self.standing.seconds + seconds
        self.note(replace(self.standing, frames=first + len(frames), dreamed=dreamed, seconds=total))

    def note_whole(self) -> None:
        """Take note that no more frames come."""
        self.note(replace(self.standing, whole=True))

    def extend_back(self, timing: Callable[[int], Timing]) -> None:
        """Have the frames run back from the last to the second, so that the first may follow, and note the film whole.

        Args:
            timing: when the frame of a number is shown.
        """
        count = self.standing.frames
        timings = [*self._timings, *map(timing, range(count, 2 * count - 2))]
        with os_errors_explained("write", self._folder):
            for number in range(count, 2 * count - 2):
                self._frame(number).unlink(missing_ok=True)
                os.link(self._frame(2 * count - 2 - number), self._frame(number))
            self._write_timings(timings)
        self._timings = timings
        self.note(replace(self.standing, frames=len(timings), whole=True))

    @property
    def checkpoint(self) -> Path:
        """Where the dream of one frame keeps its state, should it take long."""
        return self._file("dream")

    def drop_checkpoint(self) -> None:
        """Remove the state of a frame's dream, which is over."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def frame(self, number: int) -> Levels:
        """Return a finished frame whose part is not encoded yet, or the last dreamed one."""
        try:
            return _read_frame(self._frame(number))
        except (OSError, SyntaxError, ValueError, pyvips.Error) as error:
            raise self._broken(self._frame(number)) from error

    def keep_tensor(self, name: str, value: Tensor) -> None:
        """Keep numbers beside the frames, exactly."""
        with (
            os_errors_explained("write", self._folder),
            draft_of(self._file(f"{name}.npy"), durable=False) as draft,
            draft.open("wb") as file,
        ):
            np.save(file, value.cpu().numpy())

    def tensor(self, name: str) -> Tensor:
        """Return numbers that were kept."""
        file = self._file(f"{name}.npy")
        try:
            return torch.from_numpy(np.load(file, allow_pickle=False))
        except (OSError, EOFError, ValueError) as error:
            raise self._broken(file) from error

    def _broken(self, file: Path) -> RuntimeError:
        """Have the next attempt begin anew, as a loss of power may leave a torn file; returns what to raise."""
        self._file("standing.json").unlink(missing_ok=True)
        return RuntimeError(f"{file}: what was kept of a film is gone or broken")

    @property
    def timings(self) -> list[Timing]:
        """When each finished frame is shown."""
        return list(self._timings)

    def encode_parts(self, writer: FilmWriter, *, is_end: bool) -> None:
        """Encode each part of which all frames are finished, and at the end of the film what is left."""
        while (left := self.standing.frames - self.standing.in_parts) >= PART_FRAMES or (is_end and left):
            self._encode(writer, min(left, PART_FRAMES))

    def _encode(self, writer: FilmWriter, count: int) -> None:
        first, number = self.standing.in_parts, len(self.standing.parts)
        with (
            os_errors_explained("write", self._folder),
            draft_of(self._part(number), durable=True) as draft,  # its frames are gone then
            draft.open("w+b") as file,
        ):
            writer.part(self._kept(range(first, first + count)), file)
        self.note(replace(self.standing, parts=(*self.standing.parts, count)))
        for done in range(first, first + count):
            if done != self.standing.dreamed:  # the next frames are carried on from that one
                self._frame(done).unlink(missing_ok=True)

    def _kept(self, numbers: range) -> Iterator[Frame]:
        for number in numbers:
            yield Frame(pixels=self.frame(number), timing=self._timings[number])

    def join(self, writer: FilmWriter, timings: Sequence[Timing], target: BinaryIO) -> tuple[str, ...]:
        """Write the film out of its parts; returns what is to be said of it."""
        with ExitStack() as stack:
            files = [stack.enter_context(self._part(number).open("rb")) for number in range(len(self.standing.parts))]
            return writer.join(files, timings, target)

    def _write_timings(self, timings: Iterable[Timing]) -> None:
        self._file("timings").write_text("".join(map(_line, timings)), encoding="ascii")

    def _file(self, name: str) -> Path:
        return self._folder / name

    def _frame(self, number: int) -> Path:
        return self._folder / "frames" / f"{number:07}.png"

    def _part(self, number: int) -> Path:
        return self._folder / "parts" / f"{number:05}"


def _write_frame(pixels: Levels, file: Path) -> None:
    """Keep a frame as a PNG, without loss. Pillow has no colours of 16 bits."""
    if are_bytes(pixels):
        Image.fromarray(pixels).save(file, "PNG", compress_level=_PNG_LEVEL)
    else:
        image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels)).copy(interpretation="rgb16")
        image.pngsave(str(file), compression=_PNG_LEVEL, bitdepth=16)


def _read_frame(file: Path) -> Levels:
    with file.open("rb") as head:
        is_deep = head.read(_DEPTH_AT + 1)[_DEPTH_AT:] == b"\x10"
    if is_deep:
        levels: NDArray[np.uint16] = pyvips.Image.new_from_file(str(file), fail_on="warning").numpy()
        return levels
    with Image.open(file) as image:
        return np.asarray(image)


def _line(timing: Timing) -> str:
    return f"{timing.time} {timing.duration}\n"


def _timing(line: str) -> Timing:
    time, duration = line.split()
    return Timing(time=Fraction(time), duration=Fraction(duration))

"""What is kept of a film that is being dreamed: its finished frames, without loss, and its finished parts.

A film that was stopped or killed goes on after the last frame that was noted as finished, with the same bytes. Frames
are kept as PNGs until a part of them is encoded, so that the folder stays small however long the film is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
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
from dreamd.worker.films.standing import KeptFolder, Standing

PART_FRAMES = 250
"""The frames of a part: about ten seconds. A part's boundary depends on nothing else, or a kill would change bytes."""

_PNG_LEVEL = 1
"""How hard PNG compresses what is soon removed again: as little as it can."""

_DEPTH_AT = 24
"""Where a PNG says how many bits a channel has, in bytes: https://www.w3.org/TR/png-3/#11IHDR."""


class FilmFolder(KeptFolder):
    """The folder of one film."""

    def __init__(self, folder: Path, key: str) -> None:
        """Go on with what is kept there under a key, or begin anew, as `KeptFolder` does."""
        self._timings: list[Timing] = []
        super().__init__(folder, key, ("frames", "parts"))
        with os_errors_explained("write", folder):
            self._write_timings(self._timings)  # what was written of other frames is cut off

    def _restore(self, standing: Standing) -> bool:
        """Read the times of the frames; a loss of power may have left too few."""
        lines = self._file("timings").read_text(encoding="ascii").split("\n")[:-1]
        timings = [_timing(line) for line in lines[: standing.frames]]
        if len(timings) < standing.frames:
            return False
        self._timings = timings
        return True

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

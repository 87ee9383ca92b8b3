"""Film strips: how a dream came about, as a labelled contact sheet of its steps.

Each frame that is shown lies in a file beside the dream's checkpoint from the moment it is taken, so that a dream that
was killed and goes on has the frames of before. A folder that cannot be written costs only that.

Knows pictures, progress and a folder. Knows no recipes and no jobs.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from dreamd.engine.dreamer import Progress
from dreamd.engine.glimpse import Glimpse
from dreamd.files.durable import draft_of
from dreamd.files.problems import refusal
from dreamd.pictures.contact_sheet import Sheet, Tile, draw_sheet
from dreamd.pictures.picture import Picture, bytes_of, shrunk

log = logging.getLogger(__name__)

SIDE = 320
"""The longest side of a frame, in pixels."""

MOST_FRAMES = 58
"""The most frames between the first and the last, which are the start and the result."""

_MOST_KEPT = 4 * MOST_FRAMES
"""The most frames that are kept of a dream whose schedule does not say how many ascents there will be."""

_QUALITY = 90
"""The JPEG quality of frames and sheets, 1 to 100."""

_FILE = re.compile(r"(\d+)-(\d+)-(\d+)\.jpg")
"""The name of a frame's file: the numbers of its moment."""

_NOT_KEPT = "not kept when the dream was interrupted"


class _Moment(NamedTuple):
    """When a frame was taken: the numbers of the part, the ascent and the iteration, from 1."""

    part: int
    ascent: int
    iteration: int


class FilmStrip:
    """The frames of one picture's dream."""

    def __init__(self, folder: Path | None) -> None:
        """Begin with the frames that are in a folder of this dream alone; None: with none, and keep them in memory."""
        self._folder = folder
        self._frames: dict[_Moment, bytes] = {}
        self._ascents: dict[int, int] = {}
        self._expected: set[_Moment] = set()
        self._parts = 1
        try:
            for file in [] if folder is None or not folder.is_dir() else sorted(folder.iterdir()):
                if match := _FILE.fullmatch(file.name):
                    self._frames[_Moment(*map(int, match.groups()))] = file.read_bytes()
        except OSError as error:
            log.warning("%s: frames of before cannot be read: %s", folder, refusal(error))

    def note(self, progress: Progress) -> None:
        """Take note of how far the dream is: an ascent that was kept is over at once, and its frames are of before."""
        self._parts = progress.parts
        self._ascents[progress.part] = max(progress.ascents, self._ascents.get(progress.part, 0))
        if progress.iteration == progress.iterations:
            moments = (_moment(progress)._replace(iteration=done + 1) for done in range(progress.iterations))
            self._expected.update(moment for moment in moments if _is_shown(progress, moment.iteration))

    def show(self, progress: Progress, image: Tensor) -> None:
        """Take a frame: the picture `[3, h, w]` in [0, 1] after an iteration."""
        moment = _moment(progress)
        if moment not in self._frames and len(self._frames) >= _MOST_KEPT:
            return
        pixels = image.mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        self._frames[moment] = _encoded(Image.fromarray(pixels))
        self._keep(moment)

    def sheet(self, start: Picture, result: Picture) -> bytes:
        """Return the whole strip as a JPEG: the start, at most `MOST_FRAMES` frames evenly spaced, and the result."""
        moments = sorted(self._frames.keys() | self._expected)
        while len(moments) > MOST_FRAMES:
            moments = moments[1::2]
        tiles = [
            Tile(picture=_small(start), label="start"),
            *map(self._tile, moments),
            Tile(picture=_small(result), label="result"),
        ]
        (page,) = draw_sheet(Sheet(tiles=tiles, side=SIDE))
        return _encoded(page)

    def _keep(self, moment: _Moment) -> None:
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft_of(self._folder / "{}-{}-{}.jpg".format(*moment), durable=False) as draft:
                draft.write_bytes(self._frames[moment])
        except OSError as error:
            log.warning("%s: the film strip's frames are kept in memory only: %s", self._folder, refusal(error))
            self._folder = None

    def _tile(self, moment: _Moment) -> Tile:
        part = f"part {moment.part} of {self._parts}, " if self._parts > 1 else ""
        ascents = self._ascents.get(moment.part, moment.ascent)
        label = f"{part}octave {moment.ascent} of {ascents}, iteration {moment.iteration}"
        try:
            with Image.open(io.BytesIO(self._frames[moment])) as frame:
                return Tile(picture=frame.convert("RGB"), label=label)
        except (KeyError, OSError):  # it was lost, or is cut off
            return Tile(picture=None, label=label, note=_NOT_KEPT)


class FilmStrips:
    """The strips of pictures that are dreamed together."""

    def __init__(self, strips: Sequence[FilmStrip]) -> None:
        """Begin.

        Args:
            strips: one a picture of the batch, in its order; none where nobody wants any.
        """
        self._strips = strips

    def note(self, progress: Progress) -> None:
        """Take note of how far the dream is."""
        for strip in self._strips:
            strip.note(progress)

    def show(self, progress: Progress, glimpse: Glimpse) -> None:
        """Take a frame of each picture, if one is wanted now."""
        if _is_shown(progress, progress.iteration):
            for strip, image in zip(self._strips, glimpse(SIDE), strict=True):
                strip.show(progress, image)


def _moment(progress: Progress) -> _Moment:
    return _Moment(progress.part, progress.ascent, progress.iteration)


def _is_shown(progress: Progress, iteration: int) -> bool:
    """Return whether a frame is taken after an iteration of the ascent that runs: evenly over all that is planned.

    Only how far the dream is decides, so that it is the same after a kill.
    """
    frames = max(1, MOST_FRAMES // progress.parts)
    steps = max(progress.ascent, progress.ascents) * progress.iterations
    step = (progress.ascent - 1) * progress.iterations + iteration
    return step * frames // steps > (step - 1) * frames // steps


def _small(picture: Picture) -> Image.Image:
    return Image.fromarray(bytes_of(shrunk(picture, SIDE).pixels))


def _encoded(image: Image.Image) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_QUALITY)
    return encoded.getvalue()

"""Small pictures of the dreams that go on, for the page: one file a job, replaced whole.

They are made only while somebody looks, which the page says by a mark in their folder. The longer a preview took to
make, the later comes the next, but never later than somebody who looks should wait.

Knows pictures and a folder. Knows no recipes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dreamd.engine.dreamer import Progress
from dreamd.engine.glimpse import Glimpse, Look, reduced
from dreamd.files.durable import draft_of
from dreamd.tree.looking import is_looked_at

log = logging.getLogger(__name__)

SIDE = 960
"""The longest side of a preview, in pixels: the page shows the first of them as wide as it is."""

_SECONDS = 1.0
"""The least seconds from one preview to the next."""

_MOST_SECONDS = 2.0
"""The most seconds from one preview to the next, if the dream has an iteration in them."""

_SHARE = 0.01
"""The share of the worker's time that previews cost, unless the next one would come too late."""

_QUALITY = 80
"""The JPEG quality of a preview, 1 to 100."""


class Previews:
    """Writes previews into a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Write into `folder`, which is made when it is needed; None: nobody looks, and nothing is written."""
        self._folder = folder
        self._due = 0.0

    def show(self, jobs: Sequence[str], images: Tensor) -> None:
        """Write the pictures `[N, 3, H, W]` in [0, 1] of N jobs, if it is time to. A full disk ends no dream."""
        if self._is_time():
            self._take(jobs, lambda side: reduced(images, side))

    def looker(self, jobs: Sequence[str]) -> Look | None:
        """Return what writes the pictures of N jobs after an iteration, if it is time to; None: nobody ever looks."""
        return None if self._folder is None else partial(self._look, jobs)

    def _look(self, jobs: Sequence[str], _progress: Progress, glimpse: Glimpse) -> None:
        if self._is_time():
            self._take(jobs, glimpse)

    def _is_time(self) -> bool:
        """Return whether somebody looks and has seen the last preview long enough; asks the disk once a second."""
        now = time.monotonic()
        if self._folder is None or now < self._due:
            return False
        self._due = now + _SECONDS
        return is_looked_at(self._folder)

    def _take(self, jobs: Sequence[str], glimpse: Glimpse) -> None:
        assert self._folder is not None
        start = time.process_time()  # what it costs, not how long others kept it waiting
        try:
            for job, image in zip(jobs, _bytes_of(glimpse(SIDE)), strict=True):
                _write(image, self._folder / f"{job}.jpg")
        except OSError as error:
            log.warning("no more previews: %s", error)
            self._folder = None
        cost = (time.process_time() - start) / _SHARE
        self._due = time.monotonic() + min(max(_SECONDS, cost), _MOST_SECONDS)

    def drop(self, jobs: Sequence[str]) -> None:
        """Remove the previews of jobs that are over."""
        for job in jobs:
            if self._folder is not None:
                (self._folder / f"{job}.jpg").unlink(missing_ok=True)


def _bytes_of(images: Tensor) -> Tensor:
    """Return pictures `[N, 3, h, w]` in [0, 1] as `[N, h, w, 3]` bytes on the CPU."""
    small = images.clamp(0, 1).mul(255).round()
    return small.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()


def _write(image: Tensor, target: Path) -> None:
    with draft_of(target, durable=False) as draft:
        Image.fromarray(image.numpy()).save(draft, "JPEG", quality=_QUALITY)

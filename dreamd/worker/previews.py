"""Small pictures of the dreams that go on, for the page: one file a job, replaced whole.

The longer a preview took to make, the later comes the next, so that they cost less than a hundredth of the time.

Knows pictures and a folder. Knows no recipes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dreamd.engine.glimpse import reduced
from dreamd.files.durable import draft_of

log = logging.getLogger(__name__)

SIDE = 320
"""The longest side of a preview, in pixels."""

_SECONDS = 1.0
"""The least seconds from one preview to the next."""
_SHARE = 0.01
"""The most that previews may cost, as a share of the worker's time."""
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
        if self._folder is None or time.monotonic() < self._due:
            return
        start = time.process_time()  # what it costs, not how long others kept it waiting
        try:
            self._folder.mkdir(exist_ok=True)
            for job, image in zip(jobs, _small(images), strict=True):
                _write(image, self._folder / f"{job}.jpg")
        except OSError as error:
            log.warning("no more previews: %s", error)
            self._folder = None
        self._due = time.monotonic() + max(_SECONDS, (time.process_time() - start) / _SHARE)

    def drop(self, jobs: Sequence[str]) -> None:
        """Remove the previews of jobs that are over."""
        for job in jobs:
            if self._folder is not None:
                (self._folder / f"{job}.jpg").unlink(missing_ok=True)


def _small(images: Tensor) -> Tensor:
    """Return the pictures as `[N, h, w, 3]` bytes on the CPU, no side longer than SIDE."""
    small = reduced(images, SIDE).clamp(0, 1).mul(255).round()
    return small.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()


def _write(image: Tensor, target: Path) -> None:
    with draft_of(target, durable=False) as draft:
        Image.fromarray(image.numpy()).save(draft, "JPEG", quality=_QUALITY)

"""A studio: files in, dreamed pictures out, on one device. What a worker and `dreamd dream` have in common."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor

from dreamd import __version__
from dreamd.engine.ascent import bands
from dreamd.engine.checkpoint import Checkpoint, CheckpointFolder
from dreamd.engine.dream import Progress, batch_size
from dreamd.errors import UsageError
from dreamd.messages import Sidecar
from dreamd.pictures.picture import Picture, shrunk
from dreamd.pictures.reading import read_picture
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipe import Recipe
from dreamd.wording import printable
from dreamd.worker.builder import Built, OnFetch, Workshop, dreamed


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a picture may cost: its pixels, the bytes of its file, and the bytes that its dream may hold."""

    max_pixels: int
    max_bytes: int
    memory: int


@dataclass(frozen=True, kw_only=True)
class Dream:
    """One picture's dream.

    Attributes:
        picture: the result.
        loss_before: of the last ascent's first iteration.
        loss_after: of its last one.
        tiling: how the picture was cut up; None when it was not.
    """

    picture: Picture
    loss_before: float
    loss_after: float
    tiling: str | None


class Studio:
    """Dreams files on one device."""

    def __init__(self, plugins: Plugins, device: torch.device, limits: Limits) -> None:
        self._workshop = Workshop(plugins, device, limits.memory)
        self._limits = limits
        self.device = device

    def build(self, recipe: Recipe, on_fetch: OnFetch | None = None) -> Built:
        """What the recipe dreams with; raises as `Workshop.build` does."""
        return self._workshop.build(recipe, on_fetch)

    def read(self, source: Path, recipe: Recipe) -> Picture:
        """The picture of a file, shrunk as the recipe wants it. Raises PictureError, PluginError."""
        limits, decode = self._limits, self._workshop.decoder(source)
        picture = read_picture(source, max_pixels=limits.max_pixels, max_bytes=limits.max_bytes, decode=decode)
        return shrunk(picture, recipe.image.max_side)

    def together(self, picture: Picture, built: Built, most: int) -> int:
        """How many pictures like that one can be dreamed together: from 1 to `most`. Not to be asked during a dream."""
        height, width = picture.pixels.shape[:2]
        return batch_size(built.dreamer, height, width, most=most)

    def checkpoint(self, folder: Path, input_sha256: str, recipe: Recipe, built: Built) -> CheckpointFolder:
        """The state of a dream in a folder; what another dream, or another version of this one, left is ignored."""
        about = [input_sha256, recipe.model_dump_json(), versions(), built.plugins, built.weights_sha256]
        about += [str(self.device), built.dreamer.precision]
        return CheckpointFolder(folder, hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest())

    def dream(
        self,
        pictures: Sequence[Picture],
        recipe: Recipe,
        built: Built,
        on_progress: Callable[[Progress], None],
        checkpoint: Checkpoint | None = None,
        on_frame: Callable[[torch.Tensor], None] = lambda _images: None,
    ) -> list[Dream]:
        """The dreams of pictures of one size, each with its original's alpha channel, EXIF and resolution."""
        result = dreamed(
            lambda: _to_tensor(pictures),
            built,
            seeds=[recipe.seed] * len(pictures),
            on_progress=on_progress,
            checkpoint=checkpoint,
            on_frame=on_frame,
        )
        return [
            Dream(
                picture=replace(picture, pixels=_to_pixels(image)),
                loss_before=before,
                loss_after=after,
                tiling=result.tiling,
            )
            for picture, image, before, after in zip(
                pictures, result.images, result.loss_before, result.loss_after, strict=True
            )
        ]

    def sidecar(
        self,
        *,
        job: str,
        source: Path,
        input_sha256: str,
        recipe: Recipe,
        built: Built,
        dream: Dream,
        seconds: float,
    ) -> Sidecar:
        """The record of a dream."""
        height, width = dream.picture.pixels.shape[:2]
        return Sidecar(
            job=job,
            picture=printable(source.name),
            input_sha256=input_sha256,
            recipe=recipe.model_dump(mode="json"),
            versions={**versions(), **built.plugins, **self._workshop.decoder_version(source)},
            weights_sha256=built.weights_sha256,
            device=str(self.device),
            precision=built.dreamer.precision,
            seed=recipe.seed,
            size=(width, height),
            tiling=dream.tiling,
            seconds=round(seconds, 4),
            loss_before=dream.loss_before,
            loss_after=dream.loss_after,
        )


def versions() -> dict[str, str]:
    """The versions that decide over a dream's bits."""
    return {"dreamd": __version__, "torch": torch.__version__, "torchvision": torchvision.__version__}


def choose_device(wanted: str) -> torch.device:
    """The device of `cpu`, `cuda`, `cuda:1`, or `auto:1`: the second GPU if there is one and else the processor.

    Raises:
        UsageError: there is no such device.
    """
    if wanted.startswith("auto"):
        index = int(wanted.partition(":")[2] or 0)
        has_it = torch.cuda.is_available() and index < torch.cuda.device_count()
        return torch.device("cuda", index) if has_it else torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        there_are = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise UsageError(f"device {wanted!r} cannot be used here; there is {' and '.join(there_are)}") from error
    return device


def free_memory(device: torch.device) -> int:
    """Most of the bytes that are free on a device now; a part is left to others."""
    if device.type == "cuda":
        return int(0.9 * torch.cuda.mem_get_info(device)[0])
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(0.8 * 1024 * int(lines["MemAvailable"].split()[0]))


def device_name(device: torch.device) -> str:
    """A device's name for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def _to_tensor(pictures: Sequence[Picture]) -> Tensor:
    """Pictures of one size as `[N, 3, H, W]`, float32 in [0, 1]."""
    height, width = pictures[0].pixels.shape[:2]
    images = torch.empty(len(pictures), 3, height, width)
    for image, picture in zip(images, pictures, strict=True):
        image.copy_(torch.from_numpy(np.ascontiguousarray(picture.pixels)).permute(2, 0, 1))
    return images.div_(255)


def _to_pixels(image: Tensor) -> np.ndarray:
    """A picture `[3, H, W]` in [0, 1] as `[H, W, 3]`, 8 bit, made in bands: of a very large one every copy counts."""
    pixels = torch.empty(image.shape[1], image.shape[2], 3, dtype=torch.uint8)
    for rows in bands(image, 1):
        pixels[rows] = image[:, rows].mul(255).round_().to(torch.uint8).permute(1, 2, 0)
    return pixels.numpy()

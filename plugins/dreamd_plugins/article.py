"""The schedule `article`: a VGG19 DeepDream as an article's program runs it, down to its 8-bit pictures.

Each level is squashed to 224×224, dreamed, truncated to 8 bit and stretched back, and blended with the dream of a
blurred and shrunk copy of itself. Where it departs from the program: a level equal to one that was dreamed before is
not dreamed again, since the result would be the same. Of a hundred levels most are, being a pixel or two large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from pydantic import Field
from torch import Tensor

from dreamd.api import Ascend, RegisterSchedule, hookimpl

_NETWORK_SIZE = (224, 224)
_BLUR_RADIUS = 2
_SHARE_OF_THE_SMALLER = 0.6

Pictures = list[Image.Image]
"""A batch, 8 bit RGB, all of one size."""


def article(
    image: Tensor,
    ascend: Ascend,
    *,
    num_octaves: Annotated[int, Field(ge=0, le=1000, json_schema_extra={"x-dreamd-usual": [10, 100]})] = 100,
    octave_scale: Annotated[float, Field(gt=1, le=16, json_schema_extra={"x-dreamd-usual": [1.2, 3]})] = 2,
) -> Iterator[Tensor]:
    """Dream ever smaller copies of the picture `[N, 3, H, W]`, and blend each dream into the next larger copy.

    Args:
        num_octaves: how many smaller copies; 0 is a single ascent.
        octave_scale: how many times smaller each copy is; a side that would fall under one pixel stays as it is.
    """
    levels = [_to_pictures(image)]
    for _ in range(num_octaves):
        levels.append([_shrunk(picture, octave_scale) for picture in levels[-1]])
    dreams = _Dreams(ascend, len(levels))
    dreamed = dreams.of(levels.pop())
    yield _to_tensor(dreamed)
    for level in reversed(levels):
        dreamed = dreams.of([_blended(large, small) for large, small in zip(level, dreamed, strict=True)])
        yield _to_tensor(dreamed)


class _Dreams:
    """The dream of a level, ascended once for equal levels."""

    def __init__(self, ascend: Ascend, levels: int) -> None:
        self._ascend = ascend
        self._planned = levels
        self._known: dict[tuple[tuple[int, int], bytes], Pictures] = {}
        ascend.plan(levels)

    def of(self, level: Pictures) -> Pictures:
        key = (level[0].size, b"".join(picture.tobytes() for picture in level))
        if not self._ascend.deterministic:
            return self._ascended(level)
        if key in self._known:
            self._planned -= 1
            self._ascend.plan(self._planned)
        else:
            self._known[key] = self._ascended(level)
        return self._known[key]

    def _ascended(self, level: Pictures) -> Pictures:
        squashed = [picture.resize(_NETWORK_SIZE, Image.Resampling.BILINEAR) for picture in level]
        dreamed = self._ascend(_to_tensor(squashed))
        return [
            picture.resize(level[0].size, Image.Resampling.BICUBIC) for picture in _truncated(dreamed)
        ]  # fmt: skip


def _shrunk(picture: Image.Image, octave_scale: float) -> Image.Image:
    blurred = picture.filter(ImageFilter.GaussianBlur(_BLUR_RADIUS))
    width, height = picture.size
    if width / octave_scale < 1 or height / octave_scale < 1:
        return blurred.resize(picture.size, Image.Resampling.LANCZOS)
    return blurred.resize((int(width / octave_scale), int(height / octave_scale)), Image.Resampling.LANCZOS)


def _blended(large: Image.Image, small: Image.Image) -> Image.Image:
    enlarged = small.resize(large.size, Image.Resampling.LANCZOS)
    return ImageChops.blend(large, enlarged, _SHARE_OF_THE_SMALLER)


def _to_pictures(image: Tensor) -> Pictures:
    """The pictures of a tensor that came from 8 bit, exactly."""
    return _from_bytes(image.mul(255).round())


def _truncated(image: Tensor) -> Pictures:
    """The pictures of a tensor, its values cut off and not rounded to 8 bit, as the article does."""
    return _from_bytes(image.mul(255))


def _from_bytes(image: Tensor) -> Pictures:
    values = image.to("cpu", torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return [Image.fromarray(picture) for picture in values]


def _to_tensor(pictures: Pictures) -> Tensor:
    values = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous().float().div(255)


@hookimpl
def dreamd_schedules(register: RegisterSchedule) -> None:
    """Bring `article`."""
    register("article", article)

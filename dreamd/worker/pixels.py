"""Pictures and frames as the engine takes them, and dreams as they are written: between pixels and tensors.

Knows pictures and tensors. Knows no networks, and dreams nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamd.engine.ascents.ascent import bands
from dreamd.engine.ascents.chain import resized
from dreamd.pictures.colours.conversion import Pixels, are_bytes
from dreamd.pictures.decoders.raster import Alpha
from dreamd.pictures.encoders.layout import Depth
from dreamd.pictures.film import Levels
from dreamd.pictures.picture import Picture

if TYPE_CHECKING:
    from dreamd.worker.recipes.builder import Built

_BAND_ROWS = 256
"""Colours are put together so many rows at a time, as copies of a large picture count."""

_DEEP_WHITE = 65535
"""White in 16 bits."""


def to_tensor(pictures: Sequence[Picture]) -> Tensor:
    """Return pictures of one size as `[N, 3, H, W]`, float32 in [0, 1]."""
    height, width = pictures[0].pixels.shape[:2]
    images = torch.empty(len(pictures), 3, height, width)
    for image, picture in zip(images, pictures, strict=True):
        pixels = torch.from_numpy(np.ascontiguousarray(picture.pixels)).permute(2, 0, 1)
        if are_bytes(picture.pixels):
            image.copy_(pixels).div_(255)
        else:  # what sRGB lacks is laid aside; `_with_colours_laid_aside` takes it up again
            image.copy_(pixels).clamp_(0, 1)
    return images


def to_image(pixels: Levels) -> Tensor:
    """Return a frame's colours as `[1, 3, H, W]` in [0, 1]."""
    colours = torch.from_numpy(np.array(pixels[:, :, :3])).permute(2, 0, 1)[None]
    return colours.float().div_(np.iinfo(pixels.dtype).max)


def to_levels(image: Tensor, *, deep: bool) -> Levels:
    """Return a frame `[3, H, W]` in [0, 1] as `[H, W, 3]`, in 16 bits or in 8."""
    if not deep:
        return to_pixels(image)
    return image.permute(1, 2, 0).mul(_DEEP_WHITE).round_().numpy().astype(np.uint16)


def mask_of(pictures: Sequence[Picture], built: Built) -> Tensor | None:
    """Return where to dream pictures of one size, `[N, 1, H, W]` from 0 to 1; None for everywhere."""
    height, width = pictures[0].pixels.shape[:2]
    if built.mask is not None:
        grey = resized(built.mask.mean(1, keepdim=True), (height, width))
        return grey.expand(len(pictures), 1, height, width)
    if built.recipe.image.mask is None or all(picture.alpha is None for picture in pictures):
        return None
    opaque = np.ones((height, width), np.float32)
    return torch.from_numpy(np.stack([_opacity(picture.alpha, opaque) for picture in pictures]))[:, None]


def _opacity(alpha: Alpha | None, opaque: NDArray[np.float32]) -> NDArray[np.float32]:
    return opaque if alpha is None else alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)


def result_pixels(image: Tensor, original: Picture, depth: Depth) -> Pixels:
    """Return a dream `[3, H, W]` in [0, 1] as `[H, W, 3]`: in bytes where they hold all that is to be written."""
    if original.pixels.dtype == np.float32:
        return _with_colours_laid_aside(image, original.pixels)
    if depth == 16:
        return image.permute(1, 2, 0).contiguous().numpy()
    return to_pixels(image)


def _with_colours_laid_aside(image: Tensor, original: Pixels) -> NDArray[np.float32]:
    """Return a dream in floats with what of the original's colours sRGB lacks, so that it is written as wide as it was.

    A network sees sRGB from 0 to 1, so what is beyond was laid aside.
    """
    pixels: NDArray[np.float32] = image.permute(1, 2, 0).contiguous().numpy()
    for top in range(0, len(pixels), _BAND_ROWS):
        rows: NDArray[Any] = original[top : top + _BAND_ROWS]
        pixels[top : top + _BAND_ROWS] += rows - np.clip(rows, 0, 1)
    return pixels


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """Return a picture `[3, H, W]` in [0, 1] as `[H, W, 3]`, 8 bit; in bands, as every copy of a large one counts."""
    pixels = torch.empty(image.shape[1], image.shape[2], 3, dtype=torch.uint8)
    for rows in bands(image, 1):
        pixels[rows] = image[:, rows].mul(255).round_().to(torch.uint8).permute(1, 2, 0)
    return pixels.numpy()

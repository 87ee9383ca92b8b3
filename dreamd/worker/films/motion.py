"""How one frame moves into the next: the flow between them, where it can be trusted, and whether there is any.

The flow is OpenCV's DIS: T. Kroeger and others, "Fast Optical Flow using Dense Inverse Search", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dreamd.pictures.film import Levels, as_bytes
from dreamd.pictures.picture import Bytes
from dreamd.worker.pixels import to_image

_MOST_SIDE = 960
"""The longest side in pixels at which the flow is looked for, and how far it can be trusted; a larger frame's are
enlarged."""

_LEAST_SIDE = 64
"""The shortest side in pixels at which DIS finds anything: smaller frames are enlarged."""

_ASTRAY_PIXELS = 1.5
"""How far a pixel may miss its place on the way there and back, in pixels of the search, to be trusted by half."""

_UNLIKE = 14.0
"""How much the colours of a pixel, 0 to 255, may differ from those that it had, to be trusted by half."""

_CUT_SHARE = 0.3
"""A frame of which less than this share can be trusted shows another scene."""


@dataclass(frozen=True)
class Motion:
    """How the pixels of one frame lay in another.

    Attributes:
        flow: `[1, H, W, 2]`, for each pixel how far right and down it lay there, in pixels.
        reliable: `[1, 1, H, W]`, how far that can be trusted, from 0 to 1.
    """

    flow: Tensor
    reliable: Tensor

    @property
    def is_cut(self) -> bool:
        """Whether the frames show different scenes."""
        return float(self.reliable.mean()) < _CUT_SHARE

    def carried(self, image: Tensor) -> Tensor:
        """Return an image `[1, C, H, W]` of the other frame as it lies over this one, where that is sure."""
        return warped(image, self.flow).mul_(self.reliable)


def can_follow() -> bool:
    """Tell whether motion can be found here: OpenCV is there."""
    return find_spec("cv2") is not None


def motion_between(current: Levels, other: Levels) -> Motion:
    """Find how the pixels of a frame lay in another.

    Args:
        current: `[H, W, 3]`.
        other: the same.
    """
    now, then = _sized(current), _sized(other)
    here, there = _grey(now), _grey(then)
    flow, back = _dis(here, there), _dis(there, here)
    astray = (flow + warped(back.permute(0, 3, 1, 2), flow).permute(0, 2, 3, 1)).square().sum(3, keepdim=True)
    sure = 1 / (1 + astray.permute(0, 3, 1, 2) / _ASTRAY_PIXELS**2)
    unlike = warped(to_image(then), flow).sub_(to_image(now)).abs_().mean(1, keepdim=True).mul_(255)
    unlike = F.avg_pool2d(unlike, 3, 1, 1, count_include_pad=False)
    alike = 1 / (1 + (unlike / _UNLIKE).square())
    reliable = sure * alike * _inside(flow)
    height, width = current.shape[:2]
    scale = torch.tensor([width / here.shape[1], height / here.shape[0]])
    large = F.interpolate(flow.permute(0, 3, 1, 2), (height, width), mode="bilinear", align_corners=False)
    reliable = F.interpolate(reliable, (height, width), mode="bilinear", align_corners=False)
    return Motion(large.permute(0, 2, 3, 1) * scale, reliable)


def warped(image: Tensor, flow: Tensor) -> Tensor:
    """Return an image `[1, C, H, W]` moved by a flow `[1, H, W, 2]` in pixels, by parts of pixels."""
    height, width = image.shape[2:]
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack([(across + flow[..., 0] + 0.5) / width, (down + flow[..., 1] + 0.5) / height], 3).mul_(2).sub_(1)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _inside(flow: Tensor) -> Tensor:
    """Return 1 where the flow leads to a place inside the frame, and else 0."""
    height, width = flow.shape[1:3]
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = across + flow[..., 0], down + flow[..., 1]
    inside = (x > -1) & (x < width) & (y > -1) & (y < height)
    return inside[:, None].float()


def _sized(pixels: Levels) -> Bytes:
    """Return a frame's colours at the size at which its flow is looked for."""
    import cv2

    colours = np.ascontiguousarray(as_bytes(pixels))
    height, width = colours.shape[:2]
    scale = min(1.0, _MOST_SIDE / max(height, width))
    scale = max(scale, _LEAST_SIDE / min(height, width))
    if scale == 1.0:
        return colours
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(colours, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def _grey(colours: Bytes) -> Bytes:
    import cv2

    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


@cache
def _search() -> Any:
    import cv2

    cv2.setNumThreads(1)  # it has no threads of its own beside torch's, and does the same on any machine
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _dis(current: Bytes, other: Bytes) -> Tensor:
    """Return where each pixel of the current frame lay in the other, `[1, h, w, 2]`."""
    flow: NDArray[np.float32] = _search().calc(current, other, None)
    return torch.from_numpy(flow)[None]

"""The motion between frames has the right sign, knows what it cannot know, and knows a cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dreamd.worker.films.motion import motion_between, warped
from dreamd.worker.pixels import to_image

INNER = (..., slice(8, -8), slice(8, -8))
"""Without the edges, over which something came in."""


def scene(seed: int, width: int = 200, height: int = 140) -> NDArray[np.uint8]:
    """A picture of soft blobs, as a camera sees it."""
    noise = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
    return (image[0].permute(1, 2, 0) * 255).byte().numpy()


def window(picture: NDArray[np.uint8], left: int, top: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[top : top + 96, left : left + 128])


def error(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs()[INNER].mean() * 255)


def test_the_frame_before_moved_along_the_flow_is_the_frame_of_now() -> None:
    before, now = window(scene(0), 20, 20), window(scene(0), 27, 22)
    motion = motion_between(now, before)
    right = error(warped(to_image(before), motion.flow), to_image(now))
    unmoved = error(to_image(before), to_image(now))
    wrong = error(warped(to_image(before), -motion.flow), to_image(now))
    assert right < unmoved / 8
    assert unmoved < wrong
    assert torch.allclose(motion.flow[:, 20:-20, 20:-20].mean((0, 1, 2)), torch.tensor([7.0, 2.0]), atol=0.2)


def test_what_came_into_the_frame_is_not_trusted() -> None:
    before, now = window(scene(0), 20, 20), window(scene(0), 28, 20)
    reliable = motion_between(now, before).reliable[0, 0]
    assert float(reliable[:, -7:].mean()) < 0.3
    assert float(reliable[:, 20:90].mean()) > 0.9


def test_another_scene_is_a_cut_and_a_pan_is_none() -> None:
    picture = scene(0)
    assert motion_between(window(scene(1), 20, 20), window(picture, 20, 20)).is_cut
    assert not motion_between(window(picture, 32, 24), window(picture, 20, 20)).is_cut


@pytest.mark.parametrize("side", [1, 5, 17])
def test_frames_of_a_few_pixels_have_a_motion_too(side: int) -> None:
    motion = motion_between(scene(0)[:side, :side], scene(0)[:side, :side])
    assert motion.flow.shape == (1, side, side, 2)
    assert bool(motion.reliable.isfinite().all())

"""Solid things, seen by rays that step as far as nothing can be in their way.

Hart: "Sphere Tracing", 1996. A thing is its signed distance: a function of places `[P, 3]`, x to the right, y up, z
away from the eye, that returns `[P]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.floating[Any]]
"""Places or directions, `[P, 3]`."""

Values = NDArray[np.floating[Any]]
"""One value a place, `[P]`."""

Distance = Callable[[Places], Values]
"""Signed distance from the surface of a thing, less than 0 inside it."""

_STEPS = 80
"""The most steps of a ray."""

_CLOSE = 0.002
"""The distance at which a ray has met a thing."""

_SHADOW_STEPS = 24
"""The steps of a ray towards the light."""


@dataclass(frozen=True)
class Met:
    """What the rays of a picture's pixels met.

    Attributes:
        inside: whether each pixel's ray met anything, `[H, W]`.
        place: where, for those that did, `[P, 3]`.
        normal: which way the surface looks there, `[P, 3]`.
        ray: the rays' directions, `[P, 3]`.
    """

    inside: NDArray[np.bool_]
    place: Places
    normal: Places
    ray: Places


def meet(distance: Distance, width: int, height: int, *, eye: tuple[float, float, float], look_down: float,
         focus: float, farthest: float) -> Met:  # fmt: skip
    """Send a ray through each pixel.

    Args:
        distance: the scene.
        width: in pixels.
        height: in pixels.
        eye: where the rays begin.
        look_down: how much the eye looks down, as y for each z.
        focus: the distance of the picture's plane, in halves of its width.
        farthest: where rays end that met nothing.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    right, up = (x - width / 2) / (width / 2), -(y - height / 2) / (width / 2)
    rays = np.stack([right, up - look_down * focus, np.full_like(x, focus)], 2).reshape(-1, 3)
    rays = np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True), np.float32)
    start = np.array(eye, np.float32)
    gone = np.full(len(rays), 0.5, np.float32)
    met = np.zeros(len(rays), bool)
    going = np.arange(len(rays))
    for _ in range(_STEPS):
        far = distance(start + rays[going] * gone[going, None])
        gone[going] += far * 0.9
        met[going[far < _CLOSE]] = True
        going = going[(far >= _CLOSE) & (gone[going] < farthest)]
        if not len(going):
            break
    place = start + rays[met] * gone[met, None]
    return Met(met.reshape(height, width), place, normal_of(distance, place), rays[met])


def normal_of(distance: Distance, place: Places, reach: float = 0.004) -> Places:
    """Return which way a surface looks at places on it, over a small reach."""
    parts = []
    for axis in range(3):
        off = np.zeros(3, np.float32)
        off[axis] = reach
        parts.append(distance(place + off) - distance(place - off))
    normal = np.stack(parts, 1)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9), np.float32)


def lit(distance: Distance, met: Met, light: tuple[float, float, float], *, softness: float, farthest: float) -> Values:
    """Return how much of a light's disk is seen from each place, from 0 to 1.

    Args:
        distance: the scene, whose things throw shadows.
        met: the places.
        light: the direction towards the light.
        softness: how blurred shadows are; small is sharp.
        farthest: how far away things still throw a shadow.
    """
    towards = np.array(light, np.float32) / np.linalg.norm(light).astype(np.float32)
    share = np.ones(len(met.place), np.float32)
    gone = np.full(len(met.place), 0.03, np.float32)
    start = met.place + met.normal * 0.01
    for _ in range(_SHADOW_STEPS):
        far = distance(start + towards * gone[:, None])
        share = np.minimum(share, np.clip(0.5 + far / (2 * softness * gone), 0, 1))
        gone = np.minimum(gone + np.clip(far, 0.02, farthest / 8), farthest)
    return share


def open_sky(distance: Distance, met: Met, reach: float) -> Values:
    """Return how freely each place looks outwards, from 0 in a narrow corner to 1."""
    hidden = np.zeros(len(met.place), np.float32)
    for step in (0.25, 0.5, 1.0):
        hidden += np.maximum(reach * step - distance(met.place + met.normal * reach * step), 0) / (reach * 1.75)
    return np.asarray(np.clip(1 - hidden, 0, 1), np.float32)


def ball(place: Places, middle: tuple[float, float, float], radii: tuple[float, float, float]) -> Values:
    """Return about the distance from an ellipsoid."""
    size = np.array(radii, np.float32)
    scaled = (place - np.array(middle, np.float32)) / size
    length = np.linalg.norm(scaled, axis=1)
    steep = np.linalg.norm(scaled / size, axis=1)
    return np.asarray(length * (length - 1) / np.maximum(steep, 1e-6), np.float32)


def rod(place: Places, first: tuple[float, float, float], last: tuple[float, float, float], radius: float) -> Values:
    """Return the distance from a rod with round ends."""
    start, along = np.array(first, np.float32), np.array(last, np.float32) - np.array(first, np.float32)
    share = np.clip((place - start) @ along / (along @ along), 0, 1)
    return np.asarray(np.linalg.norm(place - start - share[:, None] * along, axis=1) - radius, np.float32)


def joined(first: Values, second: Values, softness: float) -> Values:
    """Join two things by a smooth seam: Quilez' polynomial minimum."""
    share = np.maximum(softness - np.abs(first - second), 0) / softness
    return np.asarray(np.minimum(first, second) - share**2 * softness / 4, np.float32)


def carved(first: Values, second: Values, softness: float) -> Values:
    """Take the second thing out of the first, by a smooth seam."""
    return -joined(-first, second, softness)

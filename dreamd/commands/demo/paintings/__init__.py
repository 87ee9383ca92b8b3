"""The project's own test pictures, painted by code, so that no file under another's licence is shipped.

Each file is one picture, a function of its size and seed; `canvas` and `solids` are what they are painted with.
Knows no dreams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from PIL import Image

Painter = Callable[[int, int], Image.Image]
"""Paints a picture of a width and a height in pixels."""

NAMES = ("landscape", "portrait", "still_life", "street", "forest", "drawing", "page", "evening")
"""The pictures: each is a module of this package and the function in it."""


def painters() -> Mapping[str, Painter]:
    """Return the painter of each picture by its name."""
    return {name: getattr(import_module(f"{__name__}.{name}"), name) for name in NAMES}

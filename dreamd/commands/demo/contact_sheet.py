"""Pictures side by side, to be looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

_HEIGHT = 400
"""Every picture on the sheet is this high, in pixels."""

_GAP = 8
"""The gap between two pictures, in pixels."""


def contact_sheet(pictures: Sequence[Path]) -> Image.Image:
    """Put pictures side by side, all as high as each other."""
    shown = []
    for path in pictures:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
        width = max(1, round(upright.width * _HEIGHT / upright.height))
        shown.append(upright.resize((width, _HEIGHT), Image.Resampling.LANCZOS))
    total = sum(picture.width for picture in shown) + _GAP * (len(shown) - 1)
    sheet = Image.new("RGB", (total, _HEIGHT), "white")
    left = 0
    for picture in shown:
        sheet.paste(picture, (left, 0))
        left += picture.width + _GAP
    return sheet

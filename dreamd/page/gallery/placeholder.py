"""What is drawn in place of a film's small picture where nothing here reads it: a sign, its format and its length."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_SIDE = 480
"""The longer side of the drawing; what is in it is measured in the same unit."""

_MOST_LETTERS = 8
"""The most letters of a format that are shown."""

_UNSHOWN = re.compile(r"[^A-Z0-9]")

_DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" \
width="{width:g}" height="{height:g}">
<rect width="100%" height="100%" fill="#1b1d27"/>
<g fill="none" stroke="#a4a8b5" stroke-width="{line:g}" transform="translate({x:g} {y:g})">
<circle r="{radius:g}"/><path d="M{left:g} {top:g}V{bottom:g}L{right:g} 0z" fill="#a4a8b5"/>
</g>
<text x="50%" y="{below:g}" fill="#e9e8e4" font-family="system-ui, sans-serif" font-size="{letters:g}" \
text-anchor="middle">{words}</text>
</svg>
"""


def placeholder(name: str, size: tuple[int, int], frames: int, seconds: float | None) -> str:
    """Draw it, as an SVG of the film's shape.

    Args:
        name: the film's name; its ending tells the format.
        size: width and height of the film in pixels.
        frames: how many it has.
        seconds: how long it lasts; None where it is not known.
    """
    scale = _SIDE / max(size)
    width, height = max(1.0, size[0] * scale), max(1.0, size[1] * scale)
    radius = min(width, height) / 7
    kind = _UNSHOWN.sub("", PurePosixPath(name).suffix.upper())[:_MOST_LETTERS]
    return _DRAWING.format(
        width=width,
        height=height,
        line=radius / 9,
        x=width / 2,
        y=height / 2 - radius / 2,
        radius=radius,
        left=-radius * 0.3,
        top=-radius * 0.45,
        bottom=radius * 0.45,
        right=radius * 0.5,
        below=height / 2 + radius * 1.5,
        letters=radius * 0.6,
        words=" · ".join(filter(None, (kind, length_of(frames, seconds)))),
    )


def length_of(frames: int, seconds: float | None) -> str:
    """Tell how long a film is, as a player does: `0:12`, `1:02:03`; by its frames where nothing else is known."""
    if seconds is None:
        return "1 frame" if frames == 1 else f"{frames:,} frames"
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

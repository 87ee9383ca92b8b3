"""A printed page by the light of a lamp: what a dream does to text."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dreamd.commands.demo.paintings.canvas import (
    Field,
    blurred,
    colour,
    fractal,
    grid,
    looked_up,
    mix,
    picture_of,
    smooth_step,
)

_TITLE = "Of Dreams"

_TEXT = (
    "Who has not lain in the grass and seen a whale swim by, where others saw a cloud? The eye is given a "
    "little, and adds the rest out of what it has seen before. A network does the same. Show it the sky, ask "
    "it what it sees, and let the sky be changed a little so that it sees more of it; ask again, and a bird "
    "has eyes, the bird is a dog, the dog has a hundred dogs on its back. Nothing was put there by anybody. It "
    "was in the weights, as the whale was in the grass. Begin with the small picture, for there the large "
    "things are small and easily seen; then enlarge it, and dream the feathers on the birds and the lashes "
    "around the eyes. Be moderate. A dream that has been dreamed too long is all eyes, and one no longer knows "
    "what it was that one had fallen asleep over."
)

_INK = (38, 32, 34)


def page(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Paint a page of a book, 8 bit RGB; the same for the same size and seed."""
    random = np.random.default_rng(seed)
    x, y = grid(width, height)
    u, v = x / width - 0.5, y / height - 0.5
    printed = blurred(_printed(2 * width, 2 * height), 0.8)
    # The page bends towards the spine at its left, and lies a little askew.
    bend = 0.030 * np.exp(-(((u + 0.5) / 0.12) ** 2))
    at_x = (u * 0.97 + 0.035 * v + 0.5 - 0.6 * bend) * 2 * width
    at_y = (v * 0.97 - 0.030 * u + 0.5 + bend) * 2 * height
    ink = looked_up(printed, at_x, at_y)
    fibre = fractal(random, width, height, 70, 0.85)
    stains = fractal(random, width, height, 3, 0.5)
    paper = mix(colour(236, 222, 190), colour(214, 192, 150), stains * 0.7) * (0.95 + 0.08 * fibre[..., None])
    ink = np.clip(ink * (0.78 + 0.35 * fibre), 0, 1)
    picture = mix(paper.astype(np.float32), np.broadcast_to(colour(*_INK), paper.shape), ink)
    lamp = 0.42 + 0.72 * np.exp(-(((u - 0.22) / 0.62) ** 2) - ((v + 0.26) / 0.62) ** 2)
    spine = 1 - 0.75 * smooth_step(0.14, 0.0, u + 0.5)
    warm = mix(colour(0.80, 0.72, 0.62), colour(1.08, 1.0, 0.88), np.clip(lamp, 0, 1))
    return picture_of(picture * (lamp * spine)[..., None] * warm + random.normal(0, 2, picture.shape))


def _printed(width: int, height: int) -> Field:
    """Return the print, 1 where there is ink: a title, an initial of two lines' height, the text."""
    sheet = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(sheet)
    size = height * 0.041
    title, body, initial = (ImageFont.load_default(size * scale) for scale in (2.0, 1.0, 3.0))
    left, right, top = width * 0.13, width * 0.93, height * 0.07
    draw.text((width * 0.53, top), _TITLE, fill=255, font=title, anchor="ma")
    draw.line([(width * 0.42, top + size * 2.6), (width * 0.64, top + size * 2.6)], fill=255, width=3)
    line_y, pitch = top + size * 3.4, size * 1.5
    draw.text((left, line_y - size * 0.35), _TEXT[0], fill=255, font=initial)
    indents = [draw.textlength(_TEXT[0], initial) + size * 0.35] * 2
    for number, words in enumerate(_lines(draw, body, right - left, indents)):
        draw.text((left + (indents[number] if number < len(indents) else 0), line_y), words, fill=255, font=body)
        line_y += pitch
    return np.asarray(sheet, np.float32) / 255


def _lines(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float, indents: list[float]
) -> list[str]:
    """Break the text, without its initial, into lines; the first ones are shorter by the initial."""
    lines = [""]
    for word in _TEXT[1:].split():
        room = width - (indents[len(lines) - 1] if len(lines) <= len(indents) else 0)
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines

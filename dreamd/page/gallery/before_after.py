"""One picture of an original and its dream together, to be shown to others. Composes; decodes nothing."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont, ImageOps

_WIDE = 1.2
"""Pictures whose width is more than so many times their height stand below each other."""

_BACKGROUND = (18, 19, 26)
_TEXT = (233, 232, 228)
_SOFT = (164, 168, 181)

_GAP_SHARE = 1 / 200
"""The thin line, as a share of the shorter side."""

_FONT_SHARE = 1 / 44
"""The size of the words, as a share of the shorter side of the whole."""

_LEAST_FONT = 11.0
"""The least size of the words, in pixels."""


def before_after(before: Image.Image, after: Image.Image, layout: str, caption: str) -> Image.Image:
    """Compose the two, with a small caption below.

    Args:
        before: the original; it is cut to the dream's shape, from which it differs by rounding at most.
        after: the dream.
        layout: `side`: beside each other, or below each other where they are wide. `split`: the left half of the
            original and the right half of the dream, with a thin line between them.
        caption: how it came about, in one line.
    """
    before = ImageOps.fit(before.convert("RGB"), after.size, Image.Resampling.LANCZOS)
    after = after.convert("RGB")
    line = max(2, round(min(after.size) * _GAP_SHARE))
    picture = _split(before, after, line) if layout == "split" else _beside(before, after, line)
    return _captioned(picture, caption)


def _split(before: Image.Image, after: Image.Image, line: int) -> Image.Image:
    width, height = after.size
    picture = after.copy()
    picture.paste(before.crop((0, 0, width // 2, height)), (0, 0))
    left = (width - line) // 2
    picture.paste((255, 255, 255), (left, 0, left + line, height))
    return picture


def _beside(before: Image.Image, after: Image.Image, line: int) -> Image.Image:
    width, height = after.size
    is_wide = width > _WIDE * height
    size = (width, 2 * height + line) if is_wide else (2 * width + line, height)
    picture = Image.new("RGB", size, _BACKGROUND)
    picture.paste(before, (0, 0))
    picture.paste(after, (0, height + line) if is_wide else (width + line, 0))
    return picture


def _captioned(picture: Image.Image, caption: str) -> Image.Image:
    """Put a band below a picture, with the caption at its left and the program's name at its right."""
    width, height = picture.size
    font = ImageFont.load_default(max(_LEAST_FONT, min(picture.size) * _FONT_SHARE))
    ascent = round(font.getbbox("Ag")[3])
    margin = round(ascent * 0.9)
    whole = Image.new("RGB", (width, height + ascent + 2 * margin), _BACKGROUND)
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    name = "dreamd"
    room = width - 3 * margin - round(draw.textlength(name, font))
    draw.text((margin, height + margin), _cut(caption, draw, font, room), _TEXT, font)
    draw.text((width - margin, height + margin), name, _SOFT, font, anchor="ra")
    return whole


def _cut(text: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """Return as much of a text as there is room for, in pixels."""
    if draw.textlength(text, font) <= room:
        return text
    while text and draw.textlength(f"{text}…", font) > room:
        text = text[:-1]
    return f"{text}…" if text else ""

"""Contact sheets: pictures with labels in rows and columns, to be looked at together.

Knows pictures in memory and text. Knows no files and nothing of what the pictures show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from PIL import Image, ImageDraw, ImageFont

LARGEST_SIDE = 4000
"""The longest side of a page in pixels, which browsers and viewers show without trouble."""

_BACKGROUND = (20, 20, 23)
_EMPTY = (34, 34, 39)
_TEXT = (228, 228, 232)
_FAINT = (150, 150, 160)
"""The colours of the page, of a place without a picture, of labels, and of notes."""

_MARGIN = 28
"""The pixels between the page's edge and what is on it."""

_GAP = 14
"""The pixels between two pictures, and between a picture's caption and the next picture."""

_PAD = 6
"""The pixels between a picture and its caption, and inside a place without a picture."""

_TEXT_SIZES = (12, 24)
"""The smallest and the largest size of a label, in pixels."""

_LABEL_SHARE = 1 / 16
"""The size of a label, in widths of a picture."""

_LABEL_LINES = 2
"""The most lines of a label."""

_HEAD_WIDTHS = (60, 260)
"""The least and the most pixels for the heads of rows."""

_PAGE_SHAPE = 1.5
"""The width of a page over its height, as far as the number of pictures allows it."""

_ELLIPSIS = "…"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
"""A font of Pillow's."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A picture with its caption.

    Attributes:
        picture: the picture; None where there is none, and then the note stands in its place.
        label: what it is, one or two lines under the picture; what is longer is shortened in the middle.
        note: what is worth knowing of it, in smaller and fainter letters.
    """

    picture: Image.Image | None
    label: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Pictures to be looked at together, all brought to one size, their shapes kept.

    Attributes:
        tiles: the pictures, row by row.
        title: what stands above them; "" for nothing.
        columns: how many stand in a row; None for as many as give a page of a good shape.
        column_heads: what stands above each column; () for nothing.
        row_heads: what stands left of each row; () for nothing.
        side: the longest side of a picture on the page, in pixels.
    """

    tiles: Sequence[Tile]
    title: str = ""
    columns: int | None = None
    column_heads: Sequence[str] = ()
    row_heads: Sequence[str] = ()
    side: int = 256


def draw_sheet(sheet: Sheet) -> list[Image.Image]:
    """Draw a contact sheet; returns its pages, RGB, no side longer than `LARGEST_SIDE` pixels where one picture fits.

    A table with heads that is too large is cut between rows and columns, and each page has its part of the heads.
    """
    layout = _Layout.of(sheet)
    across, down = layout.places
    columns = len(sheet.column_heads) or min(sheet.columns or layout.good_columns(len(sheet.tiles)), across)
    rows = [sheet.tiles[start : start + columns] for start in range(0, len(sheet.tiles), columns)]
    return [
        _draw_page(
            layout,
            sheet.title,
            [row[left : left + across] for row in rows[top : top + down]],
            sheet.column_heads[left : left + across],
            sheet.row_heads[top : top + down],
        )
        for top in range(0, len(rows), down)
        for left in range(0, columns, across)
    ]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The sizes in pixels of all that is on a page.

    Attributes:
        width: of a picture's place.
        height: of a picture's place, without its caption.
        label: the font of labels and heads.
        note: the font of notes.
        heading: the font of the title.
        label_lines: how many lines the longest label takes.
        has_notes: whether a line for notes stands under each label.
        head_height: of the heads above the columns, 0 without.
        head_width: of the heads left of the rows, 0 without.
        title_height: of the title, 0 without.
    """

    width: int
    height: int
    label: Font
    note: Font
    heading: Font
    label_lines: int
    has_notes: bool
    head_height: int
    head_width: int
    title_height: int

    @classmethod
    def of(cls, sheet: Sheet) -> _Layout:
        """Measure what a sheet's pages need."""
        sizes = [_fitting(tile.picture, sheet.side) for tile in sheet.tiles if tile.picture is not None]
        width = max((width for width, _ in sizes), default=sheet.side)
        height = max((height for _, height in sizes), default=sheet.side)
        size = max(_TEXT_SIZES[0], min(_TEXT_SIZES[1], round(width * _LABEL_SHARE)))
        label, heading = ImageFont.load_default(size), ImageFont.load_default(round(size * 1.5))
        head_lines = _most_lines(sheet.column_heads, label, width)
        row_heads = [label.getlength(head) for head in sheet.row_heads]
        return cls(
            width=width,
            height=height,
            label=label,
            note=ImageFont.load_default(max(_TEXT_SIZES[0] - 1, round(size * 0.8))),
            heading=heading,
            label_lines=_most_lines([tile.label for tile in sheet.tiles], label, width),
            has_notes=any(tile.note and tile.picture is not None for tile in sheet.tiles),
            head_height=head_lines * _line_height(label) + _PAD if head_lines else 0,
            head_width=round(max(_HEAD_WIDTHS[0], min(_HEAD_WIDTHS[1], max(row_heads)))) + _GAP if row_heads else 0,
            title_height=_line_height(heading) + _GAP if sheet.title else 0,
        )

    @property
    def caption_height(self) -> int:
        """The height of what stands under each picture."""
        height = self.label_lines * _line_height(self.label) + self.has_notes * _line_height(self.note)
        return height + _PAD if height else 0

    @property
    def places(self) -> tuple[int, int]:
        """How many pictures fit on a page, across and down; at least one."""
        across = LARGEST_SIDE - 2 * _MARGIN - self.head_width + _GAP
        down = LARGEST_SIDE - 2 * _MARGIN - self.head_height - self.title_height + _GAP
        return max(1, across // (self.width + _GAP)), max(1, down // (self.height + self.caption_height + _GAP))

    def good_columns(self, count: int) -> int:
        """Return how many columns give so many pictures a page of a good shape."""
        shape = (self.height + self.caption_height + _GAP) / (self.width + _GAP)
        return max(1, min(count, ceil(sqrt(count * shape * _PAGE_SHAPE))))

    def origin(self, column: int, row: int) -> tuple[int, int]:
        """Return the upper left corner of a picture's place."""
        left = _MARGIN + self.head_width + column * (self.width + _GAP)
        top = _MARGIN + self.title_height + self.head_height + row * (self.height + self.caption_height + _GAP)
        return left, top

    def page_size(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the size of a page with so many pictures."""
        right, bottom = self.origin(columns, rows)
        return right - _GAP + _MARGIN, bottom - _GAP + _MARGIN


def _draw_page(
    layout: _Layout, title: str, rows: Sequence[Sequence[Tile]], column_heads: Sequence[str], row_heads: Sequence[str]
) -> Image.Image:
    columns = max((len(row) for row in rows), default=1)
    page = Image.new("RGB", layout.page_size(columns, len(rows)), _BACKGROUND)
    draw = ImageDraw.Draw(page)
    if title:
        room = page.width - 2 * _MARGIN
        draw.text((_MARGIN, _MARGIN), _shortened(title, layout.heading, room), _TEXT, layout.heading)
    for column, head in enumerate(column_heads):
        left, top = layout.origin(column, 0)
        lines = _wrapped(head, layout.label, layout.width)
        high = top - _PAD - len(lines) * _line_height(layout.label)
        _write(draw, lines, (left + layout.width // 2, high), layout.label, _TEXT)
    for row, head in enumerate(row_heads):
        _draw_row_head(draw, layout, row, head)
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            _draw_tile(page, draw, layout, layout.origin(column, row), tile)
    return page


def _draw_row_head(draw: ImageDraw.ImageDraw, layout: _Layout, row: int, head: str) -> None:
    """Write the head of a row, right-aligned beside the middle of its pictures."""
    left, top = layout.origin(0, row)
    lines = _wrapped(head, layout.label, layout.head_width - _GAP)
    high = top + (layout.height - len(lines) * _line_height(layout.label)) // 2
    _write(draw, lines, (left - _GAP, high), layout.label, _TEXT, anchor="ra")


def _draw_tile(
    page: Image.Image, draw: ImageDraw.ImageDraw, layout: _Layout, origin: tuple[int, int], tile: Tile
) -> None:
    left, top = origin
    if tile.picture is None:
        draw.rectangle((left, top, left + layout.width - 1, top + layout.height - 1), _EMPTY)
        lines = _wrapped(tile.note, layout.note, layout.width - 2 * _PAD, most=6)
        high = top + (layout.height - len(lines) * _line_height(layout.note)) // 2
        _write(draw, lines, (left + layout.width // 2, high), layout.note, _FAINT)
    else:
        size = _fitting(tile.picture, max(layout.width, layout.height))
        shown = tile.picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        page.paste(shown, (left + (layout.width - size[0]) // 2, top + (layout.height - size[1]) // 2))
    middle, high = left + layout.width // 2, top + layout.height + _PAD
    lines = _wrapped(tile.label, layout.label, layout.width)
    _write(draw, lines, (middle, high), layout.label, _TEXT)
    if tile.picture is not None and tile.note:
        high += len(lines) * _line_height(layout.label)
        _write(draw, [_shortened(tile.note, layout.note, layout.width)], (middle, high), layout.note, _FAINT)


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[str],
    at: tuple[int, int],
    font: Font,
    colour: tuple[int, int, int],
    anchor: str = "ma",
) -> None:
    """Write lines below each other; `anchor` is Pillow's: `ma` has `at` in the middle of the first line's top."""
    left, top = at
    for number, line in enumerate(lines):
        draw.text((left, top + number * _line_height(font)), line, colour, font, anchor=anchor)


def _fitting(picture: Image.Image, side: int) -> tuple[int, int]:
    """Return the size of a picture brought to a longest side, its shape kept."""
    scale = side / max(picture.size)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _line_height(font: Font) -> int:
    """Return the pixels from one line to the next."""
    return ceil(font.getbbox("Ag|", anchor="la")[3] * 1.2) if isinstance(font, ImageFont.FreeTypeFont) else 14


def _most_lines(texts: Sequence[str], font: Font, width: int) -> int:
    return max((len(_wrapped(text, font, width)) for text in texts), default=0)


def _wrapped(text: str, font: Font, width: int, most: int = _LABEL_LINES) -> list[str]:
    """Break text at spaces into lines of a width in pixels; the last of the most lines is shortened in the middle."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [_shortened(line, font, width) for line in lines]


def _shortened(text: str, font: Font, width: int) -> str:
    """Take as much out of the middle of a line as makes it fit into a width in pixels."""
    return next((short for short in _shorter(text) if font.getlength(short) <= width), _ELLIPSIS)


def _shorter(text: str) -> Iterator[str]:
    """Yield a text, then with ever more of its middle taken out."""
    yield text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2
        yield f"{text[: kept - tail]}{_ELLIPSIS}{text[len(text) - tail :]}"

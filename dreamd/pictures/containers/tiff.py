"""TIFF: which of its directories holds the picture, and what they say about it.

Sources: TIFF 6.0; BigTIFF; Adobe DNG 1.7 (previews come first); TIFF/EP (ISO 12234-2), whose kin most cameras' raw
files are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dreamd.pictures.colours.spaces import D65, ColourSpace, Primaries, measured_space
from dreamd.pictures.containers.ancillary import MAX_EXIF_BYTES, MAX_PROFILE_BYTES, Ancillary
from dreamd.pictures.containers.directory import (
    SHORT,
    SIZE_OF_KIND,
    Directory,
    Entry,
    Form,
    Order,
    block_bytes,
    form_of,
    read_directory,
)
from dreamd.pictures.containers.photoshop import iptc_of
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.decoders.raster import DeepLayout

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

XMP_TAG, IPTC_TAG, RESOURCES_TAG, EXIF_TAG, GPS_TAG, PROFILE_TAG = 700, 33_723, 34_377, 34_665, 34_853, 34_675

_INTEROPERABILITY, _INTEROPERABILITY_INDEX, _EXIF_SPACE, _SRGB, _ADOBE_RGB = 40_965, 1, 40_961, 1, 2

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 259, 262
_BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES = 258, 277, 322, 323, 338
_ORIENTATION, _SUB_DIRECTORIES, _WHITE_POINT, _PRIMARIES, _DNG_VERSION = 274, 330, 318, 319, 50_706

_LAYOUT_TAGS = {
    *(SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, _COMPRESSION, _PHOTOMETRIC),
    *(_SUB_DIRECTORIES, _DNG_VERSION, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLES),
}

_NOT_DESCRIPTIONS = {*range(256, 264), *range(273, 274), *range(278, 281), *range(320, 326), 347, *range(512, 522)}
"""These tags tell where pixels are and how they are packed."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
"""These photometric interpretations are of grey and of colours."""

_DEEP_BITS = ((8,), (16,), (32,))

_BIG_FROM_HIGH = Form(">", is_big=True)
"""Pillow knows no BigTIFF of this byte order."""

_ASSOCIATED, _UNASSOCIATED = 1, 2
"""These kinds of an extra sample are alpha channels, the first one with colours that are multiplied by it."""

_COLOUR_FILTER, _LINEAR_RAW = 32_803, 34_892
"""These photometric interpretations are of a sensor's own values."""

_RAW_COMPRESSIONS = (32_767, 32_769, 32_770, 34_713, 65_000, 65_535)
"""These compressions are used by cameras alone: Sony, Nikon, Samsung, Kodak, Pentax."""

_MOST_SAMPLES = 8
"""The most channels of a picture that is decoded, of which at most four are used."""

_MAX_DIRECTORIES = 64
"""The number of directories of a file that are looked at."""

_LAYOUT_BYTES = 1024
"""The length of the longest value that tells the layout, in bytes."""

_DESCRIPTION_BYTES = 1 << 20
"""The longest value of a description that is kept, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A picture in a TIFF.

    Attributes:
        offset: where its directory is.
        number: its place in the chain of directories, from 0; None for one that only a pointer leads to.
        width: in pixels.
        height: in pixels.
        is_reduced: whether it says of itself that it is a smaller copy of another.
        is_mask: whether it says of itself that it is a mask of another.
        is_raw: whether it holds a sensor's own values.
        deep: how it is to be decoded where it has 16 bit or more in several channels; None where Pillow decodes it.
    """

    offset: int
    number: int | None
    width: int
    height: int
    is_reduced: bool
    is_mask: bool
    is_raw: bool
    deep: DeepLayout | None = None

    @property
    def area(self) -> int:
        """Its pixels."""
        return self.width * self.height


@dataclass(frozen=True, kw_only=True, slots=True)
class TiffLayout:
    """How a TIFF is laid out.

    Attributes:
        form: how numbers stand in it.
        first: where its first directory is.
        page: the one that holds the picture; None when no directory could be read.
        is_raw: whether it is a camera's raw file, of which only previews can be decoded.
    """

    form: Form
    first: int
    page: Page | None
    is_raw: bool


def read_tiff(file: BinaryIO) -> TiffLayout:
    """Find the picture in a TIFF: the first one that is no smaller copy and no mask, or else the largest.

    Raises:
        ValueError: it is no TIFF.
    """
    form, first = form_of(file)
    pages: list[Page] = []
    is_raw = form == Form("<") and _is_canon_raw(file)
    for page, directory in _pages(file, form, first):
        pages.append(page)
        is_raw |= page.is_raw or _DNG_VERSION in directory
    return TiffLayout(form=form, first=first, page=_chosen(pages), is_raw=is_raw)


def _is_canon_raw(file: BinaryIO) -> bool:
    file.seek(8)
    return file.read(3) == b"CR\x02"


def _chosen(pages: list[Page]) -> Page | None:
    whole = [page for page in pages if not page.is_mask and page.area]
    full = [page for page in whole if not page.is_reduced]
    if not full:
        return max(whole, key=lambda page: page.area, default=None)
    first = next((page for page in full if page.number is not None), full[0])
    # What only a pointer leads to is the same picture in another size; what follows in the chain is another picture.
    return max((page for page in full if page is first or page.number is None), key=lambda page: page.area)


def _pages(file: BinaryIO, form: Form, first: int) -> Iterator[tuple[Page, Directory]]:
    """Yield the directories of the chain, each followed by those that it points to."""
    seen: set[int] = set()
    offset, number = first, 0
    while offset and offset not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(offset)
        layout = _layout(file, form, offset)
        if layout is None:
            return
        directory, following = layout
        yield _page(directory, form, offset, number), directory
        for inner in directory.get(_SUB_DIRECTORIES, Entry(4, b"")).numbers(form.order):
            if inner not in seen and len(seen) < _MAX_DIRECTORIES:
                seen.add(inner)
                if sub := _layout(file, form, inner):
                    yield _page(sub[0], form, inner, None), sub[0]
        offset, number = following, number + 1


def _layout(file: BinaryIO, form: Form, offset: int) -> tuple[Directory, int] | None:
    try:
        return read_directory(file, form, offset, wanted=_LAYOUT_TAGS.__contains__, longest=_LAYOUT_BYTES, room=1 << 16)
    except ValueError:
        return None  # the chain ends in nothing; Pillow says so if it matters


def is_copy(directory: Directory, order: Order) -> bool:
    """Tell whether a picture says of itself that it is a smaller copy of another."""
    return bool(value_of(directory, SUBFILE, order) & 1) or value_of(directory, OLD_SUBFILE, order) == 2


def is_mask(directory: Directory, order: Order) -> bool:
    """Tell whether a picture says of itself that it is a mask of another."""
    return bool(value_of(directory, SUBFILE, order) & 4)


def value_of(directory: Directory, tag: int, order: Order) -> int:
    """Return the first number of a tag's value; 0 where there is none."""
    return (*directory.get(tag, Entry(4, b"")).numbers(order), 0)[0]


def _page(directory: Directory, form: Form, offset: int, number: int | None) -> Page:
    order = form.order

    def value(tag: int) -> int:
        return value_of(directory, tag, order)

    return Page(
        offset=offset,
        number=number,
        width=value(WIDTH),
        height=value(HEIGHT),
        is_reduced=is_copy(directory, order),
        is_mask=is_mask(directory, order),
        deep=_deep(directory, form, number),
        is_raw=value(_PHOTOMETRIC) in (_COLOUR_FILTER, _LINEAR_RAW) or value(_COMPRESSION) in _RAW_COMPRESSIONS,
    )


def _deep(directory: Directory, form: Form, number: int | None) -> DeepLayout | None:
    """Return how a page of deep channels is decoded; None for grey alone, and for inks, which Pillow decodes.

    What can be of a file that Pillow does not know is decoded so too.
    """

    def values(tag: int) -> tuple[int, ...]:
        return directory.get(tag, Entry(4, b"")).numbers(form.order)

    bits, samples, photometric = values(_BITS), (*values(_SAMPLES), 1)[0], (*values(_PHOTOMETRIC), -1)[0]
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(photometric)
    if form != _BIG_FROM_HIGH and (samples == 1 or 8 in bits):
        return None
    if tuple(sorted(set(bits))) not in _DEEP_BITS or colours is None or not 1 <= samples <= _MOST_SAMPLES:
        return None
    extra = (*values(_EXTRA_SAMPLES), 0)[0]
    width, height = ((*values(tag), 0)[0] for tag in (_TILE_WIDTH, _TILE_HEIGHT))
    return DeepLayout(
        kind="TIFF",
        bits=16,
        page=number or 0,
        tile=(width, height),
        has_alpha=samples > colours and extra in (_ASSOCIATED, _UNASSOCIATED),
        is_associated=extra == _ASSOCIATED,
        white_is_zero=photometric == _WHITE_IS_ZERO,
    )


def read_tiff_ancillary(file: BinaryIO, layout: TiffLayout, name: str) -> Ancillary:
    """Return what a TIFF says about its picture.

    Args:
        file: the TIFF.
        layout: its layout.
        name: its name, printable, for the log.
    """
    form, order = layout.form, layout.form.order
    main: dict[int, Entry] = {}
    for offset in dict.fromkeys((layout.first, layout.page.offset if layout.page else layout.first)):
        with left_out_when_broken("description", name):
            main.update(_description(file, form, offset))
    exif, gps = (_pointed(file, form, main.pop(tag, None), name) for tag in (EXIF_TAG, GPS_TAG))
    index = _pointed(file, form, exif.pop(_INTEROPERABILITY, None), name).get(_INTEROPERABILITY_INDEX)
    is_srgb = _EXIF_SPACE in exif and exif[_EXIF_SPACE].numbers(order) == (_SRGB,)
    if index is not None and index.data.startswith(b"R03") and not is_srgb:
        # The directory of interoperability stays behind, but what it says does not.
        exif[_EXIF_SPACE] = Entry(SHORT, struct.pack(f"{order}H", _ADOBE_RGB))
    packet = main.pop(XMP_TAG, None)
    iptc = main.pop(IPTC_TAG, None) or main.pop(RESOURCES_TAG, None)
    profile = main.pop(PROFILE_TAG, None)
    return Ancillary(
        exif=block_bytes(main, {EXIF_TAG: exif, GPS_TAG: gps}, Form(order)) if main or exif or gps else b"",
        xmp=packet.data if packet else b"",
        iptc=iptc_of(iptc.data) if iptc else b"",
        profile=profile.data if profile else b"",
        space=_space(main, order, name),
    )


def _description(file: BinaryIO, form: Form, offset: int) -> dict[int, Entry]:
    def is_description(tag: int) -> bool:
        return tag not in _NOT_DESCRIPTIONS and tag != PROFILE_TAG

    def is_profile(tag: int) -> bool:
        return tag == PROFILE_TAG

    longest, room = _DESCRIPTION_BYTES, 4 * _DESCRIPTION_BYTES
    found = _read(file, form, offset, wanted=is_description, longest=longest, room=room)
    longest = room = MAX_PROFILE_BYTES
    return found | _read(file, form, offset, wanted=is_profile, longest=longest, room=room)


def _read(
    file: BinaryIO, form: Form, offset: int, *, wanted: Callable[[int], bool], longest: int, room: int
) -> dict[int, Entry]:
    """Read a directory. Of the kinds that only BigTIFF has there are places alone, and they describe nothing."""
    found, _ = read_directory(file, form, offset, wanted=wanted, longest=longest, room=room)
    return {tag: entry for tag, entry in found.items() if entry.kind in SIZE_OF_KIND or tag in (EXIF_TAG, GPS_TAG)}


def _pointed(file: BinaryIO, form: Form, pointer: Entry | None, name: str) -> dict[int, Entry]:
    with left_out_when_broken("EXIF", name):
        if pointer and (offsets := pointer.numbers(form.order)):
            limit = _DESCRIPTION_BYTES
            return _read(file, form, offsets[0], wanted=lambda _: True, longest=limit, room=MAX_EXIF_BYTES)
    return {}


def _space(main: Directory, order: Order, name: str) -> ColourSpace | None:
    with left_out_when_broken("chromaticities", name):
        if _PRIMARIES in main:
            red_x, red_y, green_x, green_y, blue_x, blue_y = main[_PRIMARIES].ratios(order)
            white = main[_WHITE_POINT].ratios(order) if _WHITE_POINT in main else D65
            primaries = Primaries(
                red=(red_x, red_y), green=(green_x, green_y), blue=(blue_x, blue_y), white=(white[0], white[1])
            )
            return measured_space("its chromaticities", primaries, None)
    return None

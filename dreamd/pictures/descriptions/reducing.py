"""What is taken out of a description before it is written: all of it, or where the picture was taken.

Sources: CIPA DC-008 (the directory GPS), IPTC-IIM 4.2 (record 2), the namespaces of IPTC Photo Metadata 2023.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from dreamd.pictures.descriptions.description import Description
from dreamd.pictures.descriptions.exif import MAX_KEPT_BYTES
from dreamd.pictures.descriptions.exif_block import parsed_exif
from dreamd.pictures.descriptions.xmp import without_location

Metadata = Literal["keep", "strip", "strip_location"]
"""What a recipe wants of the description."""

_APPLICATION_RECORD = 2

_LOCATION_DATASETS = {26, 27, 90, 92, 95, 100, 101}
"""These data sets of record 2 tell the place: of the content, city, sublocation, province, country by code and name."""

_LOCATION_WORDS = ("gps", "location", "latitude", "longitude", "geotag")
"""A text whose keyword holds one of these tells the place."""


def reduced(description: Description, metadata: Metadata) -> Description:
    """Return a description without what a recipe does not want written."""
    if metadata == "keep":
        return description
    if metadata == "strip":
        return Description()
    exif = parsed_exif(description.exif, longest=MAX_KEPT_BYTES)
    return replace(
        description,
        exif=replace(exif, gps={}).block(),
        xmp=without_location(description.xmp),
        iptc=_iptc_without_location(description.iptc),
        texts=tuple(text for text in description.texts if not _tells_place(text.keyword)),
    )


def _tells_place(keyword: str) -> bool:
    return any(word in keyword.lower() for word in _LOCATION_WORDS)


def _iptc_without_location(records: bytes) -> bytes:
    kept = b""
    for record, dataset, whole in _datasets(records):
        if record != _APPLICATION_RECORD or dataset not in _LOCATION_DATASETS:
            kept += whole
    return kept


def _datasets(records: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the record, the number and the bytes of each data set; what is broken ends it."""
    at = 0
    while records[at : at + 1] == b"\x1c" and at + 5 <= len(records):
        record, dataset = records[at + 1], records[at + 2]
        length, head = int.from_bytes(records[at + 3 : at + 5], "big"), 5
        if length & 0x8000:  # an extended one: so many bytes tell the length
            head += length & 0x7FFF
            length = int.from_bytes(records[at + 5 : at + head], "big")
        if at + head + length > len(records):
            return
        yield record, dataset, records[at : at + head + length]
        at += head + length

"""Photoshop's image resources, which hold the IPTC of JPEG and TIFF (Adobe Photoshop File Formats, 2019)."""

from __future__ import annotations

import struct

from dreamd.pictures.containers.ancillary import MAX_IPTC_BYTES

IDENTIFIER = b"Photoshop 3.0\0"
"""A JPEG's segment of image resources begins with these bytes."""

_SIGNATURE = b"8BIM"
_IPTC = 0x0404


def iptc_of(resources: bytes) -> bytes:
    """Return the IPTC records among image resources; b"" when there are none."""
    if not resources.startswith(_SIGNATURE):
        return resources[:MAX_IPTC_BYTES] if resources.startswith(b"\x1c") else b""
    at = 0
    while resources.startswith(_SIGNATURE, at) and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        name_length = resources[at + 6] + 1
        at += 6 + name_length + name_length % 2
        length = int.from_bytes(resources[at : at + 4], "big")
        if number == _IPTC:
            return resources[at + 4 : at + 4 + length][:MAX_IPTC_BYTES]
        at += 4 + length + length % 2
    return b""


def resources_with(iptc: bytes) -> bytes:
    """Return image resources that hold these IPTC records alone."""
    return _SIGNATURE + struct.pack(">HHI", _IPTC, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)

"""BMP: the colour space that its longer headers tell (BITMAPV4HEADER, BITMAPV5HEADER)."""

from __future__ import annotations

import struct
from typing import BinaryIO

from dreamd.pictures.colours.spaces import D65, ColourSpace, Point, Primaries, measured_space
from dreamd.pictures.containers.ancillary import MAX_PROFILE_BYTES, Ancillary
from dreamd.pictures.damage import left_out_when_broken

_FILE_HEADER_BYTES = 14
_V4_BYTES, _V5_BYTES = 108, 124
_SPACE_OFFSET, _ENDPOINTS_OFFSET, _GAMMA_OFFSET, _PROFILE_OFFSET = 56, 60, 96, 112
_CALIBRATED, _EMBEDDED = 0, 0x4D424544


def read_bitmap(file: BinaryIO, name: str) -> Ancillary:
    """Return the colour space or the profile that a BMP tells.

    Args:
        file: the BMP.
        name: its name, printable, for the log.
    """
    file.seek(_FILE_HEADER_BYTES)
    header = file.read(_V5_BYTES)
    with left_out_when_broken("colour space", name):
        if len(header) < _V4_BYTES or struct.unpack_from("<I", header)[0] < _V4_BYTES:
            return Ancillary()
        (kind,) = struct.unpack_from("<I", header, _SPACE_OFFSET)
        if kind == _CALIBRATED:
            return Ancillary(space=_space(header))
        if kind == _EMBEDDED and len(header) == _V5_BYTES:
            start, length = struct.unpack_from("<II", header, _PROFILE_OFFSET)
            if length > MAX_PROFILE_BYTES:
                raise ValueError(f"a profile of {length} bytes is too long")
            file.seek(_FILE_HEADER_BYTES + start)
            return Ancillary(profile=file.read(length))
    return Ancillary()


def _space(header: bytes) -> ColourSpace | None:
    """Return the calibrated space; None where the numbers were left at zero, as most programs do."""
    values = [value / (1 << 30) for value in struct.unpack_from("<9i", header, _ENDPOINTS_OFFSET)]
    gammas = [value / (1 << 16) for value in struct.unpack_from("<3I", header, _GAMMA_OFFSET)]
    primaries = None
    if all(sum(values[at : at + 3]) > 0 for at in (0, 3, 6)):
        red, green, blue = (_point(values[at : at + 3]) for at in (0, 3, 6))
        # Some programs write chromaticities, whose sum is 1, where light should stand: they do not tell the white.
        is_light = any(abs(sum(values[at : at + 3]) - 1) > 0.01 for at in (0, 3, 6))
        white = _point([sum(values[at::3]) for at in range(3)]) if is_light else D65
        primaries = Primaries(red=red, green=green, blue=blue, white=white)
    gamma = sum(gammas) / 3
    return measured_space("its endpoints and gamma", primaries, gamma or None)


def _point(xyz: list[float]) -> Point:
    return xyz[0] / sum(xyz), xyz[1] / sum(xyz)

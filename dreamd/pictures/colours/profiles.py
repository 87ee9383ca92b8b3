"""ICC profiles that say by three colours and three curves what a space is, read and written.

Source: ICC.1:2022 (4.4). Pillow's colour management computes in 8 bit and clips what sRGB lacks, so these, which are
nearly all of cameras' and screens', are computed here, in floats. Profiles with tables are left to it.
"""

from __future__ import annotations

import struct

import numpy as np

from dreamd.pictures.colours.curves import Curve
from dreamd.pictures.colours.spaces import SRGB_TO_D50, ColourSpace, Matrix

_HEADER_BYTES = 128
_MOST_TAGS = 256
_MOST_POINTS = 65_536
_FIXED = 65_536

_COLOURS, _CURVES, _GREY_CURVE = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC"), b"kTRC"
_TABLES = (b"A2B0", b"A2B1", b"D2B0", b"D2B1")

_PARAMETERS = {0: "g", 1: "gab", 2: "gabe", 3: "gabcd", 4: "gabcdef"}
"""The parameters that a curve of each kind has, in order; e of kind 2 is added to both parts."""


def space_of_profile(profile: bytes) -> ColourSpace | None:
    """Return the colour space of an ICC profile of RGB or grey; None for one with tables, or of other channels.

    Raises:
        ValueError: it is broken.
    """
    if len(profile) < _HEADER_BYTES + 4 or profile[36:40] != b"acsp":
        raise ValueError("it does not begin as profiles do")
    channels, connection = profile[16:20], profile[20:24]
    tags = _tags(profile)
    if connection != b"XYZ " or any(table in tags for table in _TABLES):
        return None
    if channels == b"GRAY" and _GREY_CURVE in tags:
        curve = _curve(tags[_GREY_CURVE])
        return ColourSpace(name="its profile", matrix=np.eye(3), curves=(curve,) * 3, is_grey=True)
    if channels != b"RGB " or not all(tag in tags for tag in (*_COLOURS, *_CURVES)):
        return None
    curves = {data: _curve(data) for data in {tags[tag] for tag in _CURVES}}
    colours = np.stack([_point(tags[tag]) for tag in _COLOURS], axis=1)
    if abs(np.linalg.det(colours)) < 1e-4:
        raise ValueError("its colours span no space")
    matrix: Matrix = np.linalg.inv(SRGB_TO_D50) @ colours
    red, green, blue = (curves[tags[tag]] for tag in _CURVES)
    return ColourSpace(name="its profile", matrix=matrix, curves=(red, green, blue))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    if count > _MOST_TAGS or _HEADER_BYTES + 4 + 12 * count > len(profile):
        raise ValueError("its table of tags is cut off")
    found = {}
    for number in range(count):
        tag, start, length = struct.unpack_from(">4sII", profile, _HEADER_BYTES + 4 + 12 * number)
        found[tag] = profile[start : start + length]
    return found


def _point(data: bytes) -> Matrix:
    if len(data) < 20:
        raise ValueError("one of its colours is cut off")
    return np.array(struct.unpack_from(">3i", data, 8)) / _FIXED


def _curve(data: bytes) -> Curve:
    kind = data[:4]
    if kind == b"curv" and len(data) >= 12:
        return _sampled(data)
    if kind == b"para" and len(data) >= 12:
        return _parametric(data)
    raise ValueError("one of its curves is cut off, or of a kind that does not exist")


def _sampled(data: bytes) -> Curve:
    (count,) = struct.unpack_from(">I", data, 8)
    if count == 0:
        return Curve()
    if count > _MOST_POINTS or len(data) < 12 + 2 * count:
        raise ValueError("one of its curves is cut off")
    points = np.frombuffer(data, ">u2", count, 12)
    if count == 1:
        return Curve(gamma=_likely(points[0] / 256))
    return Curve(table=np.maximum.accumulate(points).astype(np.float32) / np.float32(65_535))


def _parametric(data: bytes) -> Curve:
    names = _PARAMETERS.get(int.from_bytes(data[8:10], "big"))
    if names is None or len(data) < 12 + 4 * len(names):
        raise ValueError("one of its curves is cut off, or of a kind that does not exist")
    given = dict(zip(names, (value / _FIXED for value in struct.unpack_from(f">{len(names)}i", data, 12)), strict=True))
    gamma, a, b = _likely(given["g"]), given.get("a", 1.0), given.get("b", 0.0)
    if a <= 0:
        raise ValueError("one of its curves falls")
    if names in ("gab", "gabe"):  # the power begins where its inside is above 0
        e = given.get("e", 0.0)
        return Curve(gamma=gamma, a=a, b=b, start=max(0.0, -b / a), e=e, f=e)
    return Curve(
        gamma=gamma, a=a, b=b, c=given.get("c", 0.0), start=given.get("d", 0.0),
        e=given.get("e", 0.0), f=given.get("f", 0.0),
    )  # fmt: skip


def _likely(gamma: float) -> float:
    if not 0.1 <= gamma <= 10:
        raise ValueError(f"a gamma of {gamma:g}")
    return float(gamma)


def profile_of(space: ColourSpace) -> bytes:
    """Return an ICC profile, of version 4.3, of a space that a format or a camera told by numbers."""
    colours = SRGB_TO_D50 @ space.matrix
    text = _text(f"{space.name}, as dreamd was told it")
    white = struct.pack(">4s4x3i", b"XYZ ", *_fixed(SRGB_TO_D50 @ np.ones(3)))
    tags = {b"desc": text, b"cprt": _text("No copyright, use freely"), b"wtpt": white}
    tags |= {tag: struct.pack(">4s4x3i", b"XYZ ", *_fixed(colours[:, at])) for at, tag in enumerate(_COLOURS)}
    tags |= {tag: _written(curve) for tag, curve in zip(_CURVES, space.curves, strict=True)}
    return _assembled(tags)


def _fixed(values: Matrix) -> list[int]:
    return [round(float(value) * _FIXED) for value in values]


def _text(words: str) -> bytes:
    data = words.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(data), 28) + data


def _written(curve: Curve) -> bytes:
    if curve.table is not None:
        points = np.rint(curve.table * 65_535).astype(">u2")
        return struct.pack(">4s4xI", b"curv", len(points)) + points.tobytes()
    values = [curve.gamma, curve.a, curve.b, curve.c, curve.start, curve.e, curve.f]
    return struct.pack(">4s4xH2x7i", b"para", 4, *_fixed(np.array(values)))


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    at = _HEADER_BYTES + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, at + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", *_fixed(SRGB_TO_D50 @ np.ones(3)))
    return header.ljust(_HEADER_BYTES, b"\0") + table + body

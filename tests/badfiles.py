"""Odd and hostile picture files, made on the spot: nothing of the kind is kept in the repository.

`write_bad_files` writes them all; the makers below it build single files and profiles for other tests.
"""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Outcome = Literal["picture", "failure"]
BadFile = tuple[str, bytes, Outcome]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112


def write_bad_files(folder: Path) -> dict[str, Outcome]:
    """Write every odd file into `folder`.

    Returns:
        The file's name, and what must come of it under max_pixels=200_000_000 and max_bytes=512 MiB. A name may hold
        surrogates: it is what `os.fsdecode` makes of bytes that are no UTF-8.
    """
    outcomes: dict[str, Outcome] = {}
    groups = (
        _broken,
        _sizes,
        _bombs,
        _modes,
        _orientations,
        _profiles,
        _spaces,
        _metadata,
        _strangers,
        _raws,
        _names,
        _deep,
    )
    for group in groups:
        for name, data, outcome in group():
            (folder / name).write_bytes(data)
            outcomes[name] = outcome
    return outcomes


# ---- the groups


def _broken() -> Iterator[BadFile]:
    yield "empty.jpg", b"", "failure"
    for extension, kind in (("jpg", "JPEG"), ("png", "PNG"), ("gif", "GIF"), ("webp", "WEBP"), ("tif", "TIFF")):
        whole = saved(noise(64, 48), kind)
        yield f"truncated.{extension}", whole[: len(whole) // 2], "failure"
        yield f"first-bytes-only.{extension}", whole[:9], "failure"
    whole = saved(noise(64, 48), "JPEG")
    yield "no-end-mark.jpg", whole[:-2], "picture"
    yield "half-an-end-mark.jpg", whole[:-1], "picture"
    yield "no-end-mark-progressive.jpg", saved(noise(64, 48), "JPEG", progressive=True)[:-2], "picture"
    yield "chunk-with-a-wrong-sum.png", png_with(chunk(b"pHYs", bytes(9), sum_is_right=False)), "picture"
    yield "random.png", random.Random(0).randbytes(4096), "failure"
    yield "wrong-extension.jpg", saved(noise(8, 8), "PNG"), "picture"
    yield "no-extension", saved(noise(8, 8), "JPEG"), "picture"


def _sizes() -> Iterator[BadFile]:
    yield "zero-width.png", png(0, 4, 8, 0, b""), "failure"
    yield "zero-height.gif", b"GIF89a" + struct.pack("<HHBBB", 4, 0, 0, 0, 0) + b";", "failure"
    yield "one-pixel.png", saved(noise(1, 1), "PNG"), "picture"
    yield "one-wide.png", saved(noise(1, 700), "PNG"), "picture"
    yield "one-high.png", saved(noise(700, 1), "PNG"), "picture"
    yield "100000-wide.png", saved(Image.new("RGB", (100_000, 1), "red"), "PNG"), "picture"
    yield "100000-high.png", saved(Image.new("RGB", (1, 100_000), "red"), "PNG"), "picture"
    yield "100000-square.png", png(100_000, 100_000, 8, 2, b""), "failure"


def _bombs() -> Iterator[BadFile]:
    yield "bomb.png", png_bomb(60_000), "failure"
    yield "bomb.gif", gif_bomb(30_000), "failure"
    yield "bomb-inside.ico", icon(png_bomb(60_000)), "failure"
    yield "bomb-tile.tif", tile_bomb(20_000), "failure"
    yield "many-frames.gif", endless_gif(300), "picture"


def _modes() -> Iterator[BadFile]:
    cmyk = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG")
    yield "cmyk.jpg", cmyk, "picture"
    yield "ycck.jpg", ycck(cmyk), "picture"
    yield "bilevel.png", saved(noise(9, 9).convert("1"), "PNG"), "picture"
    yield "lab.tif", saved(Image.new("LAB", (8, 8), (128, 0, 0)), "TIFF"), "picture"
    yield "palette-clear-index.gif", saved(palette(), "GIF", transparency=1), "picture"
    yield "palette-clear-bytes.png", saved(palette(), "PNG", transparency=b"\x80\x00\xff"), "picture"
    yield "grey-alpha.png", saved(Image.new("LA", (8, 8), (100, 50)), "PNG"), "picture"
    yield "alpha.png", saved(Image.new("RGBA", (8, 8), (10, 20, 30, 40)), "PNG"), "picture"
    yield "grey16.png", saved(Image.new("I;16", (8, 8), 300), "PNG"), "picture"
    yield "grey16-little.tif", saved(Image.new("I;16", (8, 8), 300), "TIFF"), "picture"
    yield "grey16-big.tif", saved(Image.new("I;16B", (8, 8), 300), "TIFF"), "picture"
    yield "grey32.tif", saved(Image.new("I", (8, 8), 70_000), "TIFF"), "picture"
    yield "colour16.png", png(2, 1, 16, 2, struct.pack(">6H", 65_535, 0, 0, 0, 32_896, 0)), "picture"
    yield "float.tif", saved(Image.new("F", (8, 8), 0.5), "TIFF"), "picture"
    yield "float-nan.tif", saved(Image.new("F", (8, 8), float("nan")), "TIFF"), "picture"


def _orientations() -> Iterator[BadFile]:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        yield f"orientation-{orientation}.jpg", saved(noise(16, 8), "JPEG", exif=exif), "picture"


def _profiles() -> Iterator[BadFile]:
    picture = noise(8, 8)
    yield "icc-srgb.png", saved(picture, "PNG", icc_profile=srgb_profile()), "picture"
    yield "icc-swapped.jpg", saved(picture, "JPEG", icc_profile=swapped_profile()), "picture"
    yield "icc-linear-grey.png", saved(picture.convert("L"), "PNG", icc_profile=linear_grey_profile()), "picture"
    yield "icc-ink.tif", saved(picture.convert("CMYK"), "TIFF", icc_profile=ink_profile()), "picture"
    yield "icc-of-another-space.png", saved(picture, "PNG", icc_profile=ink_profile()), "picture"
    yield "icc-broken.png", saved(picture, "PNG", icc_profile=b"no profile at all"), "picture"
    yield "icc-cut.jpg", saved(picture, "JPEG", icc_profile=srgb_profile()[:200]), "picture"


def _spaces() -> Iterator[BadFile]:
    picture = noise(8, 8)
    plain = saved(picture, "PNG")
    yield "gamma-linear.png", png_with(chunk(b"gAMA", struct.pack(">I", 100_000)), plain), "picture"
    yield "gamma-zero.png", png_with(chunk(b"gAMA", bytes(4)), plain), "picture"
    yield "chromaticities-of-nothing.png", png_with(chunk(b"cHRM", bytes(32)), plain), "picture"
    yield "cicp-pq.png", png_with(chunk(b"cICP", b"\x09\x10\x00\x01"), plain), "picture"
    yield "cicp-cut.png", png_with(chunk(b"cICP", b"\x09"), plain), "picture"
    adobe = b"Exif\0\0" + exif({}, {0xA001: shorts(65_535)}, {1: ascii_text("R03")})
    yield "adobe-rgb.jpg", saved(picture, "JPEG", exif=adobe), "picture"


def _deep() -> Iterator[BadFile]:
    pixels = random.Random(3).randbytes(16 * 12 * 6)
    whole = png(16, 12, 16, 2, pixels)
    yield "deep.png", whole, "picture"
    yield "deep-cut.png", whole[: len(whole) // 2], "failure"
    yield "deep-huge.png", png(60_000, 60_000, 16, 6, b""), "failure"
    page = deep_page(16, 12, pixels)
    yield "deep.tif", tiff_of(page), "picture"
    yield "deep-cut.tif", tiff_of(page)[:-300], "failure"
    yield "deep-huge.tif", tiff_of(({**page[0], 256: longs(60_000), 257: longs(60_000)}, pixels)), "failure"
    yield "deep-tile.tif", tiff_of(({**page[0], 322: longs(60_000), 323: longs(60_000)}, pixels)), "failure"
    yield "pages-without-end.tif", tiff_of(*[deep_page(16, 12, pixels)] * 300), "picture"


def _raws() -> Iterator[BadFile]:
    yield "camera.dng", camera_raw(), "failure"
    yield "camera-by-another-name.tif", camera_raw(), "failure"
    yield "photo.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100), "failure"
    yield "photo.raf", b"FUJIFILMCCD-RAW 0201FF129502" + bytes(100), "failure"
    yield "preview-first.tif", tiff_of(tiff_page(noise(8, 6), t254=longs(1)), tiff_page(noise(32, 24))), "picture"


def _metadata() -> Iterator[BadFile]:
    picture = noise(8, 8)
    for name, exif in hostile_exifs().items():
        yield f"exif-{name}.jpg", saved(picture, "JPEG", exif=exif), "picture"
    yield "text-huge.png", png_with(chunk(b"tEXt", b"Comment\0" + b"a" * 500_000)), "picture"
    yield "text-bomb.png", png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000)))), "picture"
    yield "icc-bomb.png", png_with(chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(50_000_000)))), "picture"
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    xmp = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x:xmpmeta>&l9;</x:xmpmeta>'
    yield "xmp-laughs.png", png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode())), "picture"


def _strangers() -> Iterator[BadFile]:
    yield "text.png", "Dear diary,\ntoday I dreamed of dogs. Ü\n".encode(), "failure"
    yield "drawing.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "failure"
    yield "drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "failure"
    yield "document.jpg", b"%PDF-1.7\n1 0 obj\n", "failure"
    yield "photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "failure"


def _names() -> Iterator[BadFile]:
    picture = saved(noise(8, 8), "PNG")
    yield "new\nline.png", picture, "picture"
    yield "bell\a and escape\x1b[31m.png", picture, "picture"
    yield 'it\'s "quoted" $(here) `there`.png', picture, "picture"
    yield "bidi\u202egnp.exe.png", picture, "picture"
    yield "-rf.png", picture, "picture"
    yield "a" * 251 + ".png", picture, "picture"
    yield os.fsdecode(b"not-utf8-\xff\xfe.png"), picture, "picture"
    yield "Case.png", picture, "picture"
    yield "case.png", picture, "picture"
    yield "broken\nname.png", b"\0\0", "failure"
    yield os.fsdecode(b"broken-not-utf8-\xff.png"), b"\0\0", "failure"


# ---- pictures


def noise(width: int, height: int) -> Image.Image:
    """A picture of random colours, always the same."""
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def palette() -> Image.Image:
    """Three columns of the palette's first three colours: red, green and blue."""
    image = Image.new("P", (3, 2))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2] * 2)
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as Pillow writes it in the format `kind`."""
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def chunk(name: bytes, data: bytes, *, sum_is_right: bool = True) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(name + data) ^ (not sum_is_right)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """A PNG by hand; `colour` 0 is grey, 2 is RGB; `pixels` are its bytes row by row."""
    row = len(pixels) // height if height else 0
    rows = b"".join(b"\0" + pixels[top : top + row] for top in range(0, len(pixels), row or 1))
    return _png(width, height, depth, colour, zlib.compress(rows))


def png_with(extra: bytes, whole: bytes | None = None) -> bytes:
    """A PNG, a small good one by default, with more chunks after its header."""
    whole = saved(noise(8, 8), "PNG") if whole is None else whole
    head = len(PNG_MAGIC) + 25
    return whole[:head] + extra + whole[head:]


def jpeg_with(*segments: tuple[int, bytes], whole: bytes | None = None) -> bytes:
    """A JPEG, a small good one by default, with more segments, `(mark, data)`, after its start."""
    whole = saved(noise(16, 16), "JPEG", quality=95) if whole is None else whole
    extra = b"".join(bytes((0xFF, mark)) + struct.pack(">H", len(data) + 2) + data for mark, data in segments)
    return whole[:2] + extra + whole[2:]


def webp_with(whole: bytes, **chunks: bytes) -> bytes:
    """A lossless WebP with more chunks behind its pixels, such as `EXIF=…`."""
    pixels = whole[12:]
    width, height = Image.open(io.BytesIO(whole)).size
    flags = 0x08 * ("EXIF" in chunks) | 0x04 * ("XMP" in chunks)
    head = (
        b"VP8X"
        + struct.pack("<IB3x", 10, flags)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    rest = b"".join(
        name.ljust(4).encode() + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        for name, data in chunks.items()
    )
    body = b"WEBP" + head + pixels + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _png(width: int, height: int, depth: int, colour: int, compressed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG_MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


# ---- bombs


def png_bomb(side: int) -> bytes:
    """A valid black PNG of `side` by `side` bits: a thousandth of that as a file, 8 times that in memory."""
    return _png(side, side, 1, 0, zeros(side * (1 + (side + 7) // 8)))


def zeros(count: int) -> bytes:
    """A zlib stream of `count` zeros, in the time that it takes to compress a million."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(bytes(1_000_000)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    last = rest.compress(bytes(count % 1_000_000)) + rest.flush()
    adler = count % 65_521 << 16 | 1
    return b"\x78\xda" + block * (count // 1_000_000) + last + struct.pack(">I", adler)


def gif_bomb(side: int) -> bytes:
    """A GIF of one pixel whose first frame is `side` wide and is to be cleared: Pillow fills it on opening."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    control = b"!\xf9\x04\x08\0\0\0\0"
    return screen + control + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\0;"


def endless_gif(frames: int) -> bytes:
    """A GIF of `frames` equal frames and no end mark."""
    whole = saved(noise(4, 4).convert("L"), "GIF")
    first = 13 + (3 << ((whole[10] & 7) + 1))
    return whole[:-1] + whole[first:-1] * (frames - 1)


def icon(inside: bytes) -> bytes:
    """An ICO that says 16 by 16 and holds another picture."""
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22) + inside


def tile_bomb(side: int) -> bytes:
    """A TIFF of 16 by 16 pixels, cut from one compressed tile of `side` by `side`."""
    tile = zeros(side * side)
    entries = ((256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side))
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    directory = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in (*entries, (324, start), (325, len(tile)))
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries) + 2) + directory + bytes(4) + tile


# ---- TIFF and EXIF by hand

Tags = dict[int, tuple[int, bytes]]
"""A tag leads to the number of a kind of value and the value's bytes, little endian."""

_KIND_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8, 129: 1}


def shorts(*values: int) -> tuple[int, bytes]:
    """A value of 16-bit numbers."""
    return 3, struct.pack(f"<{len(values)}H", *values)


def longs(*values: int) -> tuple[int, bytes]:
    """A value of 32-bit numbers."""
    return 4, struct.pack(f"<{len(values)}I", *values)


def fractions(*values: float) -> tuple[int, bytes]:
    """A value of fractions."""
    return 5, b"".join(struct.pack("<II", round(value * 100_000), 100_000) for value in values)


def ascii_text(text: str) -> tuple[int, bytes]:
    """A value of kind ASCII, which holds UTF-8 all the same, as many programs write it."""
    return 2, text.encode() + b"\0"


def directory(tags: Tags, start: int, following: int = 0) -> bytes:
    """A directory as it stands at the offset `start`, with its values behind it."""
    table, values = struct.pack("<H", len(tags)), b""
    for tag, (kind, data) in sorted(tags.items()):
        table += struct.pack("<HHI", tag, kind, len(data) // _KIND_BYTES[kind])
        if len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack("<I", start + 2 + 12 * len(tags) + 4 + len(values))
            values += data + bytes(len(data) % 2)
    return table + struct.pack("<I", following) + values


def exif(main: Tags, inner: Tags | None = None, interoperability: Tags | None = None) -> bytes:
    """An EXIF block without the mark in front of it: a main directory, an inner one and one of interoperability."""
    inner = dict(inner or {})
    at = 8 + len(directory({**main, 0x8769: longs(0)}, 8))
    if interoperability:
        inner[0xA005] = longs(at + len(directory({**inner, 0xA005: longs(0)}, at)))
    whole = b"II*\0" + struct.pack("<I", 8)
    whole += directory({**main, 0x8769: longs(at)}, 8) + directory(inner, at)
    return whole + (directory(interoperability, len(whole)) if interoperability else b"")


def tiff_page(image: Image.Image, **extra: tuple[int, bytes]) -> tuple[Tags, bytes]:
    """The tags of an uncompressed RGB page, whose strip is yet to be placed, and that strip; `t254=` adds a tag."""
    pixels = image.convert("RGB").tobytes()
    tags: Tags = {
        256: longs(image.width),
        257: longs(image.height),
        258: shorts(8, 8, 8),
        259: shorts(1),
        262: shorts(2),
        273: longs(0),
        277: shorts(3),
        278: longs(image.height),
        279: longs(len(pixels)),
    }
    return tags | {int(name[1:]): value for name, value in extra.items()}, pixels


def deep_page(width: int, height: int, pixels: bytes) -> tuple[Tags, bytes]:
    """A page of 16-bit RGB, for `tiff_of`."""
    tags, _ = tiff_page(Image.new("RGB", (width, height)))
    return {**tags, 258: shorts(16, 16, 16), 279: longs(len(pixels))}, pixels


def tiff_of(*pages: tuple[Tags, bytes], inside: tuple[Tags, bytes] | None = None, front: bytes = b"") -> bytes:
    """A TIFF of these pages, one after the other; the first one points to `inside`, if there is one.

    `front` stands behind the header, at the offset 8.
    """
    placed: list[tuple[Tags, int]] = []
    body = front
    for tags, pixels in (*pages, *((inside,) if inside else ())):
        placed.append(({**tags, 273: longs(8 + len(body))}, 0))
        body += pixels + bytes(len(pixels) % 2)
    at = 8 + len(body)
    if inside:
        hidden, _ = placed.pop()
        inner = directory(hidden, at)
        placed[0][0][330] = longs(at)
        body, at = body + inner, at + len(inner)
    head = b"II*\0" + struct.pack("<I", at)
    for number, (tags, _) in enumerate(placed):
        size = len(directory(tags, at))
        body += directory(tags, at, at + size if number + 1 < len(placed) else 0)
        at += size
    return head + body


def camera_raw(width: int = 80, height: int = 60) -> bytes:
    """A DNG: a preview of this size comes first, and points to the four times larger values of the sensor."""
    preview = tiff_page(noise(width, height), t254=longs(1), t50706=(1, b"\1\4\0\0"), t271=ascii_text("Acme"))
    sensor, values = tiff_page(noise(width * 4, height * 4), t254=longs(0), t262=shorts(32_803))
    return tiff_of(preview, inside=(sensor, values))


# ---- metadata


def ycck(cmyk: bytes) -> bytes:
    """The same JPEG, with an Adobe marker that calls its data YCCK."""
    transform = cmyk.index(b"Adobe") + 11
    return cmyk[:transform] + b"\x02" + cmyk[transform + 1 :]


def hostile_exifs() -> dict[str, bytes]:
    """EXIF blocks that lie about where their values are."""
    head = b"Exif\0\0II*\0"
    return {
        "nothing": b"Exif\0\0",
        "noise": b"Exif\0\0" + random.Random(2).randbytes(300),
        "offset-past-end": head + struct.pack("<I", 2**31),
        "count-of-65535": head + struct.pack("<IH", 8, 65_535) + bytes(24),
        "value-past-end": head + struct.pack("<IHHHII", 8, 1, 0x010E, 2, 2**31, 2**31) + bytes(4),
        "directory-in-itself": head + struct.pack("<IHHHII", 8, 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8),
        "orientation-of-text": head + struct.pack("<IHHHI4s", 8, 1, ORIENTATION, 2, 4, b"six\0") + bytes(4),
        "orientation-of-99": head + struct.pack("<IHHHII", 8, 1, ORIENTATION, 3, 1, 99) + bytes(4),
    }


def srgb_profile() -> bytes:
    """The sRGB profile, as Pillow makes it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """An sRGB profile with red and blue exchanged: under it a red picture is blue."""
    return srgb_profile().replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")


def linear_grey_profile() -> bytes:
    """A grey profile of gamma 1: under it 128 is much lighter than in sRGB."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(0.9642, 1, 0.8249), b"kTRC": _gamma_1()})


def linear_colour_profile() -> bytes:
    """A profile of sRGB's primaries and gamma 1."""
    primaries = {
        b"rXYZ": _xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": _xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": _xyz(0.1431, 0.0606, 0.7139),
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma_1())
    return _profile(b"mntr", b"RGB ", b"XYZ ", {b"wtpt": _xyz(0.9642, 1, 0.8249), **primaries, **curves})


def matrix_profile(
    primaries: tuple[tuple[float, float], ...], white: tuple[float, float], gamma: float | None
) -> bytes:
    """A profile of these chromaticities and a gamma; None: sRGB's own curve."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    light = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    matrix = columns * np.linalg.solve(columns, light)
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    to_d50 = np.linalg.inv(cone) @ np.diag((cone @ (0.9642, 1, 0.8249)) / (cone @ light)) @ cone
    red, green, blue = (to_d50 @ matrix).T
    values = np.arange(1024) / 1023
    light_of = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    if gamma is not None:
        light_of = values**gamma
    curve = b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *np.rint(light_of * 65_535).astype(int))
    points = {b"wtpt": _xyz(0.9642, 1, 0.8249), b"rXYZ": _xyz(*red), b"gXYZ": _xyz(*green), b"bXYZ": _xyz(*blue)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**points, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


def ink_profile() -> bytes:
    """A CMYK profile in which no ink is white and any full ink is black."""
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65_536 if i % 4 == 0 else 0 for i in range(9)))
    cells = b"\xff\x80\x80" + b"\x00\x80\x80" * 15
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + cells + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(0.9642, 1, 0.8249), b"A2B0": table})


def _gamma_1() -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65_536) for value in values))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2004, section 7)."""
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"", 0x02400000, kind, space, connection)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    rest = b"acsp" + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return (head + date + rest).ljust(128, b"\0") + table + body

"""Picture files to arrays and back, with Pillow. Knows files and pixels; no recipe, no folder, no torch.

Runs in worker processes only: a decoder is the first thing that a hostile file reaches. Whatever a file holds, reading
it ends in a `Picture` or in a `PictureError` that says what is wrong with it.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin, UnidentifiedImageError

from dreamd.errors import PictureError, SpaceError, UnknownNameError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Pillow's own limit warns at one size and raises at twice that size. `_check_pixels` holds ours instead, exactly and
# for every size that a file declares, before anything is allocated for it.
Image.MAX_IMAGE_PIXELS = None

_log = logging.getLogger(__name__)

_Bytes = NDArray[np.uint8]
_Numbers = NDArray[np.integer] | NDArray[np.floating]

Decode = Callable[[BinaryIO, Callable[[int, int], None]], _Bytes]
"""A plugin's decoder: `(file, check_size(width, height)) → [H, W, 3 or 4]`."""

READABLE = (
    *("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "PPM", "ICO"),
    *("JPEG2000", "QOI", "PCX", "SGI", "TGA"),  # TGA last: it has no magic number and tries anything
)
"""Pillow's names of the formats that are decoded; JPEG's decoder makes "MPO" of some files.

EPS is not among them, for it starts ghostscript; nor is what hardly anyone keeps a picture in: each decoder is a risk.
"""

_BAD_DATA = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, struct.error, zlib.error, ImageCms.PyCMSError),
)
"""What Pillow raises on a broken file. Not among them: MemoryError, which says nothing about the file."""

_MACHINE_FAULTS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""Errors of the disk, the network or the process: the same picture may be read the next time."""

_MAX_EXIF_BYTES = 65_533  # what one JPEG segment holds; a longer one is no camera's
_MAX_LOGGED_WARNINGS = 5  # a picture; a hostile file can bring thousands
_MEGABYTE = 1_000_000
_BAND_ROWS = 256

_one_decode = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture in memory.

    Attributes:
        pixels: `[H, W, 3]` uint8, sRGB, upright: the EXIF orientation is applied.
        alpha: `[H, W]` uint8, 255 is opaque; None when the whole picture is opaque.
        format: Pillow's name of the format it was read from: "JPEG", "PNG"; "PNG" when a plugin decoded it.
        exif: without orientation, thumbnail and whatever describes the old file; ready to be written again.
        dpi: dots per inch, across and down.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    format: str
    exif: bytes | None
    dpi: tuple[float, float] | None


# ---- reading


def read_picture(path: Path, *, max_pixels: int, max_bytes: int, decode: Decode | None = None) -> Picture:
    """Read a picture; of an animation, the first frame.

    The content says what it is, not the name, unless a plugin's decoder is given. Grey of 16 bit is scaled, floats in
    [0, 1] are taken as they are and other floats are stretched to their own range; an ICC profile is applied, a broken
    one is logged and left out.

    Args:
        path: the file; a symbolic link is not followed.
        max_pixels: the most pixels that the picture, and any size its header declares, may have.
        max_bytes: the longest file to read.
        decode: a plugin's decoder `(file, check_size) → [H, W, 3 or 4]`; None: Pillow decodes.

    Raises:
        PictureError: it is no picture, a broken one, or too large.
        PluginError: the plugin's decoder is at fault.
        OSError: the disk or the machine failed, not the picture.
    """
    name = printable(path.name)
    try:
        with _open_file(path, name) as file:
            length = _check_bytes(file, name, max_bytes)
            with _one_decode, _warnings_logged(name):
                if decode is not None:
                    return _decoded_by_plugin(decode, file, name, max_pixels)
                return _decode(file, name, length, max_pixels)
    except OSError as error:
        if error.errno in _MACHINE_FAULTS:
            raise
        raise PictureError(f"{name}: cannot be opened ({error.strerror or printable(str(error))})") from error


def shrunk(picture: Picture, max_side: int | None) -> Picture:
    """The picture made smaller, so that no side is longer than `max_side` pixels; None leaves it as it is."""
    height, width = picture.pixels.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    scale = max_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    colour = Image.fromarray(picture.pixels)
    if picture.alpha is None:
        return replace(picture, pixels=np.array(colour.resize(size, Image.Resampling.LANCZOS)))
    # Premultiplied while it shrinks, or the colours hidden under transparent pixels would bleed into their edges.
    colour.putalpha(Image.fromarray(picture.alpha))
    small = np.array(colour.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA"))
    return replace(picture, pixels=np.ascontiguousarray(small[:, :, :3]), alpha=np.ascontiguousarray(small[:, :, 3]))


def _open_file(path: Path, name: str) -> BinaryIO:
    # O_NONBLOCK: without it, opening a named pipe waits for a writer.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            advice = "links are not followed; put the picture itself here"
            raise PictureError(f"{name}: a symbolic link; {advice}") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PictureError(f"{name}: not a regular file; put a picture's file here")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_bytes(file: BinaryIO, name: str, max_bytes: int) -> int:
    length = os.fstat(file.fileno()).st_size
    if length == 0:
        raise PictureError(f"{name}: the file is empty; copy it again")
    if length > max_bytes:
        allowed = _amount(max_bytes)
        raise PictureError(f"{name}: {_amount(length)}, more than limits.max_bytes allows ({allowed})")
    return length


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PictureError(f"{name}: {width} x {height} pixels, more than limits.max_pixels allows ({max_pixels})")


def _amount(length: int) -> str:
    return f"{length} bytes" if length < _MEGABYTE else f"{length / _MEGABYTE:.1f} MB"


@contextmanager
def _warnings_logged(name: str) -> Iterator[None]:
    # `catch_warnings` changes the whole process: the caller holds `_one_decode`.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            texts = list(dict.fromkeys(_told(str(warning.message)) for warning in caught))
            for text in texts[:_MAX_LOGGED_WARNINGS]:
                _log.info("%s: %s", name, text)
            if len(texts) > _MAX_LOGGED_WARNINGS:
                _log.info("%s: and %d more warnings", name, len(texts) - _MAX_LOGGED_WARNINGS)


def _decode(file: BinaryIO, name: str, length: int, max_pixels: int) -> Picture:
    try:
        for size in _sizes_used_on_opening(file):
            _check_pixels(size, name, max_pixels)
        file.seek(0)
        with Image.open(file, formats=READABLE) as image:
            for size in (image.size, *_sizes_used_on_loading(image)):
                _check_pixels(size, name, max_pixels)
            image.load()
            return _picture(image, name)
    except UnidentifiedImageError as error:
        raise PictureError(f"{name}: not a picture that can be read: {_looks_like(file)}") from error
    except _BAD_DATA as error:
        if isinstance(error, OSError) and error.errno in _MACHINE_FAULTS:
            raise
        broken = f"not a picture that can be read ({_what_broke(error, length)})"
        raise PictureError(f"{name}: {broken}; copy it again or save it anew") from error


def _decoded_by_plugin(decode: Decode, file: BinaryIO, name: str, max_pixels: int) -> Picture:
    def check_size(width: int, height: int) -> None:
        _check_pixels((width, height), name, max_pixels)

    try:
        values = decode(file, check_size)
        check_size(values.shape[1], values.shape[0])
    except PictureError as error:
        raise PictureError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
    alpha = np.ascontiguousarray(values[:, :, 3]) if values.shape[2] == 4 else None
    return Picture(
        pixels=np.ascontiguousarray(values[:, :, :3]),
        alpha=None if alpha is None or alpha.min() == 255 else alpha,
        format="PNG",
        exif=None,
        dpi=None,
    )


def _what_broke(error: BaseException, length: int) -> str:
    text = str(error).lower()
    if isinstance(error, EOFError) or any(word in text for word in ("truncated", "not enough", "end of file")):
        return f"it is cut off after {_amount(length)}"
    if "could not create decoder" in text:  # all that WebP's decoder says
        return f"it is broken, or cut off after {_amount(length)}"
    return _told(str(error) or type(error).__name__)


def _told(text: str) -> str:
    return printable(text[:200])  # Pillow quotes the file's own bytes at times


# ---- sizes that a header declares beside the picture's own


def _sizes_used_on_opening(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Sizes for which Pillow allocates or decodes while it opens the file."""
    file.seek(0)
    magic = file.read(4)
    try:
        if magic == b"GIF8":
            yield from _gif_frame_size(file)
        elif magic == b"\0\0\1\0":
            yield from _icon_sizes(file)
    except (struct.error, IndexError):
        return  # the header ends here; Pillow then says what is wrong with it


def _gif_frame_size(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """The first frame's box: it may be larger than the screen, and is filled at once when it is to be disposed of."""
    file.seek(6)
    width, height, flags = struct.unpack("<HHB2x", file.read(7))
    yield width, height
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), os.SEEK_CUR)
    while (mark := file.read(1)) and mark != b";":
        if mark == b",":
            left, top, width, height = struct.unpack("<4H", file.read(8))
            yield left + width, top + height
            return
        if mark == b"!":
            file.seek(1, os.SEEK_CUR)
            while block := file.read(1)[0]:
                file.seek(block, os.SEEK_CUR)


def _icon_sizes(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """What the pictures inside an ICO declare themselves: its own index cannot say more than 256."""
    (count,) = struct.unpack("<H", file.read(2))
    entries = [file.read(16) for _ in range(count)]
    for entry in entries:
        file.seek(struct.unpack_from("<I", entry, 12)[0])
        header = file.read(24)
        if header.startswith(b"\x89PNG"):
            yield struct.unpack_from(">II", header, 16)
        else:
            core = header[0] == 12  # the old OS/2 header has 16-bit sides
            width, height = struct.unpack_from("<HH" if core else "<ii", header, 4)
            yield abs(width), abs(height) // 2


def _sizes_used_on_loading(image: Image.Image) -> Iterator[tuple[int, int]]:
    """A TIFF's tile is decoded whole, however small the picture that it is cut to."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        width, height = (image.tag_v2.get(tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
        yield int(width), int(height)


# ---- from Pillow's image to a picture


def _picture(image: Image.Image, name: str) -> Picture:
    colour, alpha = _colour_and_alpha(image)
    orientation = _orientation(image, name)
    pixels = _upright(np.asarray(_in_srgb(colour, image.info.get("icc_profile"), name)), orientation)
    across, down = _resolution(image, name) or (None, None)
    dpi = None if across is None or down is None else (down, across) if orientation >= 5 else (across, down)
    return Picture(
        pixels=pixels,
        alpha=None if alpha is None or alpha.min() == 255 else _upright(alpha, orientation),
        format=str(image.format),
        exif=_exif(image, name),
        dpi=dpi,
    )


def _colour_and_alpha(image: Image.Image) -> tuple[Image.Image, _Bytes | None]:
    """The colour in a mode that an ICC profile may describe (L, RGB, CMYK or LAB), and the alpha channel."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bit_grey(image)
    if image.mode in ("CMYK", "LAB"):
        return image, None
    grey = image.mode in ("1", "L", "LA", "La")
    if not image.has_transparency_data:
        return image.convert("L" if grey else "RGB"), None
    if image.mode == "La":  # Pillow undoes the premultiplication on the way to LA only
        image = image.convert("LA")
    full = image.convert("RGBA")
    return full.getchannel("R") if grey else full.convert("RGB"), np.array(full.getchannel("A"))


def _eight_bit_grey(image: Image.Image) -> tuple[Image.Image, _Bytes | None]:
    values = np.array(image)
    clear = image.info.get("transparency")
    alpha = np.where(values == clear, 0, 255).astype(np.uint8) if isinstance(clear, int) else None
    if image.mode == "F":
        grey = _from_float(values)
    elif image.mode == "I":
        grey = _from_int(values, white=65_535 if image.format == "PPM" else None)
    else:
        grey = _from_int(values, white=_white(image))
    return Image.fromarray(~grey if _white_is_zero(image) else grey), alpha


def _tiff_tag(image: Image.Image, tag: int) -> object:
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _white(image: Image.Image) -> int:
    """The value of white in a 16-bit mode: Pillow leaves 12-bit TIFFs unscaled."""
    return 4095 if _tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) == (12,) else 65_535


def _white_is_zero(image: Image.Image) -> bool:
    """True for a TIFF whose zero is white: Pillow turns that round for 8 bit only."""
    return _tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0


def _from_int(values: NDArray[np.integer], *, white: int | None) -> _Bytes:
    """Scale to 8 bit. `white` None guesses: a range that fits 8 or 16 bit is that, any other is stretched."""
    if white is not None:
        return _stretched(values, 0, white)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65_535:
        return _stretched(values, low, high)
    return _stretched(values, 0, 255 if high <= 255 else 65_535)


def _from_float(values: NDArray[np.floating]) -> _Bytes:
    """[0, 1] as it is, else stretched over the finite values' range. NaN is black, infinities are the range's ends."""
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=math.inf))
    high = float(values.max(where=finite, initial=-math.inf))
    if low > high or (low >= 0 and high <= 1):
        low, high = 0, 1
    return _stretched(values, low, high)


def _stretched(values: _Numbers, low: float, high: float) -> _Bytes:
    grey = np.empty(values.shape, np.uint8)
    scale = 255 / ((high - low) or 1)
    for top in range(0, len(values), _BAND_ROWS):  # in bands: doubles of the whole picture take eight times its size
        band = np.nan_to_num(values[top : top + _BAND_ROWS].astype(np.float64), nan=low, posinf=high, neginf=low)
        grey[top : top + _BAND_ROWS] = np.rint(np.clip((band - low) * scale, 0, 255))
    return grey


def _in_srgb(colour: Image.Image, profile: object, name: str) -> Image.Image:
    if profile:
        with _left_out_when_broken("ICC profile", name):
            if not isinstance(profile, bytes):
                raise TypeError("not bytes")
            return _through_profile(colour, profile)
    return colour.convert("RGB")


def _through_profile(colour: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}.get(space)
    if mode == "RGB" and colour.mode == "L":
        colour = colour.convert("RGB")
    if colour.mode != mode:
        raise ValueError(f"it describes {space}, the picture is {colour.mode}")
    converted = ImageCms.profileToProfile(colour, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None  # only an in-place conversion returns nothing
    return converted


def _upright(array: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A contiguous, writable copy of `array` (`[H, W, …]`), turned as EXIF orientation 1 to 8 says."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.array(array, order="C")


# ---- metadata


@contextmanager
def _left_out_when_broken(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except _BAD_DATA as error:
        _log.warning("%s: its %s is broken and left out (%s)", name, what, _told(str(error) or type(error).__name__))


def _orientation(image: Image.Image, name: str) -> int:
    with _left_out_when_broken("EXIF orientation", name):
        orientation = _checked_exif(image).get(ExifTags.Base.Orientation, 1)
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return 1


def _checked_exif(image: Image.Image) -> Image.Exif:
    raw = image.info.get("exif") or image.info.get("Raw profile type exif") or b""
    # Every entry of a directory may point at all of the data: the longer it is, the more memory that takes, squared.
    if len(raw) > 2 * _MAX_EXIF_BYTES:
        raise ValueError(f"{len(raw)} bytes is too long")
    return image.getexif()


_KEPT_TAGS = (
    *(ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software),
    *(ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.HostComputer, ExifTags.Base.Copyright),
    *(ExifTags.Base.Rating, ExifTags.Base.XPTitle, ExifTags.Base.XPComment, ExifTags.Base.XPAuthor),
    *(ExifTags.Base.XPKeywords, ExifTags.Base.XPSubject),
)
"""What speaks of the picture and not of the file: a TIFF's directory holds its strips and compression as well."""

_DROPPED_TAGS = frozenset(
    {
        *(ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),  # of the picture before it was dreamed
        *(ExifTags.Base.MakerNote, ExifTags.Base.ExifInteroperabilityOffset),  # full of offsets into the old file
        *(ExifTags.Base.ExifOffset, ExifTags.Base.GPSInfo, ExifTags.Base.Orientation),  # none belongs this deep
        ExifTags.Base.ColorSpace,  # the pixels are sRGB now
    }
)


def _exif(image: Image.Image, name: str) -> bytes | None:
    with _left_out_when_broken("EXIF", name):
        old = _checked_exif(image)
        new = Image.Exif()
        for tag in _KEPT_TAGS:
            if tag in old:
                new[tag] = old[tag]
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            kept = {tag: value for tag, value in old.get_ifd(directory).items() if tag not in _DROPPED_TAGS}
            if kept:
                new[directory] = kept
        return _exif_bytes(new)
    return None


def _exif_bytes(exif: Image.Exif) -> bytes | None:
    if not len(exif):
        return None
    written = exif.tobytes()
    if len(written) > _MAX_EXIF_BYTES:
        raise ValueError(f"{len(written)} bytes is too long")
    Image.Exif().load(written)  # what cannot be read again must not be written
    return written


def _resolution(image: Image.Image, name: str) -> tuple[float, float] | None:
    with _left_out_when_broken("resolution", name):
        across, down = (float(value) for value in image.info.get("dpi", (0, 0)))
        # Pillow gives 1 for a TIFF that says nothing; JPEG has 16 bits for it.
        if all(math.isfinite(value) and 1 < value <= 65_535 for value in (across, down)):
            return across, down
    return None


# ---- what else it may be

_READABLE_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavif", "AVIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
)
_OTHER_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%!PS", "an EPS or PostScript drawing"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (0, b"%PDF", "a PDF document"),
    (0, b"8BPS", "a Photoshop (PSD) picture"),
    (0, b"DDS ", "a DDS texture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"ftyp", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
    (8, b"AVI ", "a video"),
    (8, b"WAVE", "sound"),
    (0, b"\xd7\xcd\xc6\x9a", "a WMF drawing"),
    (40, b" EMF", "an EMF drawing"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office, FPX or MIC document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x7fELF", "a program"),
)


def _looks_like(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(1024)
    if kind := _by_magic(head, _READABLE_MAGICS):
        return f"it begins as {kind}, but is broken, cut off or of a rare kind; copy it again or save it as PNG"
    other = _by_magic(head, _OTHER_MAGICS) or _kind_of_text(head) or "nothing known"
    return f"it looks like {other}; save it as JPEG or PNG"


def _by_magic(head: bytes, magics: tuple[tuple[int, bytes, str], ...]) -> str | None:
    return next((kind for offset, magic, kind in magics if head.startswith(magic, offset)), None)


def _kind_of_text(head: bytes) -> str | None:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # else the excerpt ends inside a character
            return None
        text = head[: error.start].decode("utf-8")
    if any(not sign.isprintable() and sign not in "\n\r\t\f\ufeff" for sign in text):
        return None
    if "<svg" in text:
        return "an SVG drawing"
    return "a web page" if "<html" in text.lower() else "text"


# ---- writing


@dataclass(frozen=True, kw_only=True)
class _Target:
    """A format that can be written.

    Attributes:
        word: its name in a recipe.
        format: its name in Pillow.
        extension: of the file, with its dot.
        max_side: the longest side it can hold, in pixels.
        alpha: whether it holds an alpha channel.
        exif: whether Pillow writes EXIF into it.
    """

    word: str
    format: str
    extension: str
    max_side: int
    alpha: bool = False
    exif: bool = False


_UNBOUNDED = 2**31 - 1

_TARGETS = (
    _Target(word="jpeg", format="JPEG", extension=".jpg", max_side=65_500, exif=True),
    _Target(word="png", format="PNG", extension=".png", max_side=_UNBOUNDED, alpha=True, exif=True),
    _Target(word="webp", format="WEBP", extension=".webp", max_side=16_383, alpha=True, exif=True),
    _Target(word="avif", format="AVIF", extension=".avif", max_side=32_768, alpha=True, exif=True),
    _Target(word="tiff", format="TIFF", extension=".tif", max_side=_UNBOUNDED, alpha=True, exif=True),
    _Target(word="gif", format="GIF", extension=".gif", max_side=65_535, alpha=True),
    _Target(word="bmp", format="BMP", extension=".bmp", max_side=_UNBOUNDED),
    _Target(word="jpeg2000", format="JPEG2000", extension=".jp2", max_side=_UNBOUNDED, alpha=True),
    _Target(word="ppm", format="PPM", extension=".ppm", max_side=_UNBOUNDED),
    _Target(word="tga", format="TGA", extension=".tga", max_side=65_535, alpha=True),
    _Target(word="pcx", format="PCX", extension=".pcx", max_side=65_535),
    _Target(word="sgi", format="SGI", extension=".sgi", max_side=65_535, alpha=True),
)
_TARGET_OF_WORD = {target.word: target for target in _TARGETS}
_TARGET_OF_FORMAT = {target.format: target for target in _TARGETS}
_SAME_AS = {"MPO": "JPEG", "DIB": "BMP"}  # one still picture of it is that

WRITABLE = tuple(_TARGET_OF_WORD)
"""The words that `output.format` may have, besides "same"."""


def output_format(wanted: str, source: str) -> tuple[str, str]:
    """The format to write.

    Args:
        wanted: "same" or a word of `WRITABLE`.
        source: `Picture.format` of what was read.

    Returns:
        Pillow's name of the format and the file's extension: `("JPEG", ".jpg")`. "same" of a format that cannot be
        written is PNG.

    Raises:
        UnknownNameError: `wanted` is none of these words.
    """
    if wanted == "same":
        target = _TARGET_OF_FORMAT.get(_SAME_AS.get(source, source), _TARGET_OF_WORD["png"])
    elif wanted in _TARGET_OF_WORD:
        target = _TARGET_OF_WORD[wanted]
    else:
        raise UnknownNameError("output format", wanted, ("same", *WRITABLE))
    return target.format, target.extension


def write_picture(picture: Picture, path: Path, *, format: str, quality: int) -> None:  # noqa: A002 (its name in Pillow)
    """Write a picture and wait until the disk has it; the folder's entry is the caller's to sync.

    Alpha, EXIF and dots per inch go into formats that have a place for them; alpha is laid over white in others.
    A file that is there is replaced. After an error a part of the file may be there.

    Args:
        picture: what to write.
        path: where.
        format: Pillow's name, as `output_format` gives it.
        quality: 1 to 100, for JPEG, WebP and AVIF; the other formats are without loss (GIF: 256 colours).

    Raises:
        PictureError: the format cannot hold a picture this large.
        SpaceError: the disk or the quota is full.
    """
    target = _TARGET_OF_FORMAT[format]
    height, width = picture.pixels.shape[:2]
    if max(width, height) > target.max_side:
        limit = f"{width} x {height} pixels, but {target.word} holds {target.max_side} a side"
        raise PictureError(f"{printable(path.name)}: {limit}; set output.format to png")
    _write_durably(path, _encoded(picture, target, quality))


def _encoded(picture: Picture, target: _Target, quality: int) -> io.BytesIO:
    """The file in memory: writing straight to the disk, Pillow takes a short write for a whole one."""
    image, options = _prepared(picture, target), _options(target.format, quality)
    if target.exif and picture.exif is not None:
        options["exif"] = picture.exif
    if picture.dpi is not None:
        options["dpi"] = picture.dpi
    encoded = io.BytesIO()
    try:
        image.save(encoded, target.format, **options)
    except RuntimeError as error:
        # libtiff refuses some cameras' EXIF and GPS folders as a whole; the picture is worth more than they are.
        if target.format != "TIFF" or picture.exif is None:
            raise
        _log.warning("the TIFF is written without its EXIF and GPS folders: %s", error)
        options["exif"] = _without_folders(picture.exif)
        encoded = io.BytesIO()
        image.save(encoded, target.format, **options)
    # To optimise, libjpeg gets a buffer of one byte a pixel, and fails where fine detail at 4:4:4 does not fit in it.
    if target.format == "JPEG" and encoded.tell() <= image.width * image.height:
        encoded = io.BytesIO()
        image.save(encoded, target.format, optimize=True, **options)
    return encoded


def _without_folders(exif: bytes) -> bytes:
    """EXIF with what stands in its main folder alone: maker, model, date."""
    main = Image.Exif()
    main.load(exif)
    for folder in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        main.pop(folder, None)
    return main.tobytes()


def _options(format: str, quality: int) -> dict[str, object]:  # noqa: A002 (its name in Pillow)
    options: dict[str, dict[str, object]] = {
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},  # half of a dream's detail is in its colours
        "WEBP": {"quality": quality},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "PNG": {"compress_level": 4},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    return options.get(format, {})


def _prepared(picture: Picture, target: _Target) -> Image.Image:
    image = Image.fromarray(picture.pixels)
    alpha = None if picture.alpha is None else Image.fromarray(picture.alpha)
    if alpha is not None and not target.alpha:
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
    elif target.format == "GIF":
        image = _with_palette(image, alpha)
    elif alpha is not None:
        image.putalpha(alpha)
    return image


def _with_palette(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """256 colours, one of them clear where the picture is more than half transparent."""
    if alpha is None:
        return image.quantize(256)
    clear = 255
    indexed = image.quantize(clear)
    indexed.paste(clear, mask=alpha.point(lambda value: 255 * (value < 128)))
    indexed.info["transparency"] = clear
    return indexed


def _write_durably(path: Path, data: io.BytesIO) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
            file.write(data.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = f"{error.strerror} while writing {printable(path.name)}"
        raise SpaceError(f"{printable(str(path.parent))}: {problem}; free some space") from error

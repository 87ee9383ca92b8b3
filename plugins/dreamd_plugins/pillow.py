"""Animations by Pillow: GIF, APNG, animated WebP and AVIF, frame by frame, in and out.

Pillow lays each frame over those before it, as the file says. GIF and APNG are written piece by piece, since Pillow
would hold all of their frames until the last one is there.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dreamd.api import CheckSize, FilmPlan, Frame, PictureError, RegisterFilm, Timing, hookimpl
from dreamd.api import Film as AnyFilm

Pixels = NDArray[np.uint8]

_FORMATS = {"GIF": "GIF", "PNG": "PNG", "WEBP": "WEBP", "AVIF": "AVIF"}
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, UnidentifiedImageError)
"""What Pillow raises for a file that is broken or cut off."""

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_MOST_SAMPLES = 64
"""The most frames that a GIF's palette is made from."""

_SAMPLE_SIDE = 160
"""The longest side in pixels to which a frame is shrunk for the palette."""

_DITHER = 12.0
"""How far the pattern of dots moves a colour of 0 to 255 at most, up and down: about as far as a palette's colours lie
from each other. The pattern stands still, so that nothing shimmers."""

_WEBP_FLAGS, _WEBP_ALPHA = 20, 0x10
"""Where a WebP says what it has, and the bit that says that it has alpha: RFC 9649, 2.7.1."""

_MOST_DELAY = 65_535
"""The longest time of a frame, in the units of GIF and of APNG."""


class _Animation:
    """An animation that is open."""

    def __init__(self, file: BinaryIO, check_size: CheckSize) -> None:
        self._file, self._check_size = file, check_size
        frames_clear = False
        for width, height, is_clear in _gif_frames(file):
            check_size(width, height)
            frames_clear |= is_clear
        file.seek(0)
        try:
            image = Image.open(file, formats=tuple(_FORMATS))
            check_size(*image.size)
            count: int = getattr(image, "n_frames", 1)
        except _BROKEN as error:
            raise PictureError(f"no animation that can be read: {error}") from error
        self.width, self.height = image.size
        self.alpha = frames_clear or image.has_transparency_data
        self._first = 1 if getattr(image, "default_image", False) else 0  # of an APNG, what older programs show
        self.frames: int | None = count - self._first
        self.seconds: float | None = None
        self.loop: int | None = image.info.get("loop")
        self.notes: tuple[str, ...] = ()
        self._count = count

    def read(self, start: Fraction | None = None) -> Iterator[Frame]:
        """Yield the frames, each laid over those before."""
        self._file.seek(0)
        time = Fraction(0)
        try:
            with Image.open(self._file, formats=tuple(_FORMATS)) as image:
                for number in range(self._first, self._count):
                    image.seek(number)
                    self._check_size(*image.size)
                    image.load()
                    duration = Fraction(image.info.get("duration") or 0) / 1000
                    if start is None or time >= start:
                        yield Frame(pixels=self._pixels(image), timing=Timing(time=time, duration=duration))
                    time += duration or Fraction(1, 1000)
        except _BROKEN as error:
            raise PictureError(f"broken or cut off at frame {number + 1} of {self._count}: {error}") from error

    def _pixels(self, image: Image.Image) -> Pixels:
        whole = image.convert("RGBA" if self.alpha else "RGB")
        if whole.size != (self.width, self.height):  # a GIF's later frame may reach beyond the first
            whole = whole.crop((0, 0, self.width, self.height))
        return np.asarray(whole)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _gif_frames(file: BinaryIO) -> Iterator[tuple[int, int, bool]]:
    """Yield the far corner of each frame of a GIF, and whether some of it may be clear.

    Pillow takes memory for a frame before one can ask how large it is.
    """
    file.seek(0)
    head = file.read(13)
    if head[:4] != b"GIF8" or len(head) < 13:
        return
    file.seek(_table_bytes(head[10]), 1)
    is_clear = False
    while (kind := file.read(1)) in (b",", b"!"):
        place = file.read(9 if kind == b"," else 3)
        if kind == b"!" and place[:2] == b"\xf9\x04":
            is_clear = bool(place[2:] and place[2] & 1)
        if kind == b"!":
            file.seek(-2, 1)
        elif len(place) == 9:
            left, top, width, height = struct.unpack("<4H", place[:8])
            yield left + width, top + height, is_clear
            file.seek(_table_bytes(place[8]) + 1, 1)
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], 1)


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def open_animation(file: BinaryIO, check_size: CheckSize) -> _Animation | None:
    """Open a GIF, PNG, WebP or AVIF that has several frames."""
    animation = _Animation(file, check_size)
    return animation if (animation.frames or 0) > 1 else None


class _Writer:
    """Writes an animation. Its parts are APNGs without loss."""

    deep = False

    def __init__(self, plan: FilmPlan) -> None:
        self._plan = plan

    def part(self, frames: Iterable[Frame], file: BinaryIO) -> None:
        """Keep frames as they are."""
        _write_apng(frames, file, self._plan, loop=0, level=1)

    def join(self, parts: Sequence[BinaryIO], timings: Sequence[Timing], file: BinaryIO) -> tuple[str, ...]:
        """Write the animation."""
        milliseconds = _steps(timings, 1000)
        if self._plan.extension == ".gif":
            _write_gif(parts, _steps(timings, 100), file, self._plan)
        elif self._plan.extension in (".apng", ".png"):
            lasts = [Timing(time=Fraction(0), duration=Fraction(step, 1000)) for step in milliseconds]
            timed = (Frame(pixels=each, timing=last) for each, last in zip(_frames_of(parts), lasts, strict=True))
            _write_apng(timed, file, self._plan, loop=self._plan.loop or 0, level=6)
        else:
            self._write_by_pillow(parts, milliseconds, file)
        return ()

    def _write_by_pillow(self, parts: Sequence[BinaryIO], milliseconds: list[int], file: BinaryIO) -> None:
        """Write formats whose encoder takes one frame after the other; each part is read frame by frame."""
        first, *rest = [Image.open(part, formats=("PNG",)) for part in parts]
        is_webp = self._plan.extension == ".webp"
        options: dict[str, object] = {"subsampling": "4:4:4"}
        if is_webp:
            options = {"loop": self._plan.loop or 0, "allow_mixed": False}
        options |= {"append_images": rest, "duration": milliseconds, "quality": self._plan.quality}
        first.save(file, "WEBP" if is_webp else "AVIF", save_all=True, **options)
        if is_webp and self._plan.alpha:  # libwebp says so only of an animation whose first frame has something clear
            file.seek(_WEBP_FLAGS)
            flags = file.read(1)[0]
            file.seek(_WEBP_FLAGS)
            file.write(bytes([flags | _WEBP_ALPHA]))


def _steps(timings: Sequence[Timing], a_second: int) -> list[int]:
    """Return the duration of each frame in parts of a second, so that the rounding never adds up."""
    ends = [timing.time + timing.duration for timing in timings]
    begins = [timing.time for timing in timings]
    following = [*begins[1:], ends[-1]]
    zero = [timing.duration == 0 for timing in timings]
    return [
        0 if instant else round(end * a_second) - round(begin * a_second)
        for begin, end, instant in zip(begins, following, zero, strict=True)
    ]


def _frames_of(parts: Sequence[BinaryIO]) -> Iterator[Pixels]:
    for part in parts:
        part.seek(0)
        with Image.open(part, formats=("PNG",)) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                yield np.asarray(image)


# APNG: https://www.w3.org/TR/png-3/#apng-frame-based-animation


def _write_apng(frames: Iterable[Frame], file: BinaryIO, plan: FilmPlan, *, loop: int, level: int) -> None:
    file.write(_PNG_HEAD)
    colour = 6 if plan.alpha else 2
    file.write(_chunk(b"IHDR", struct.pack(">2I5B", plan.width, plan.height, 8, colour, 0, 0, 0)))
    place = file.tell()
    file.write(_chunk(b"acTL", struct.pack(">2I", 0, loop)))
    count = sequence = 0
    for count, frame in enumerate(frames, 1):
        milliseconds = min(_MOST_DELAY, round(frame.timing.duration * 1000))
        control = struct.pack(">5I2H2B", sequence, plan.width, plan.height, 0, 0, milliseconds, 1000, 0, 0)
        file.write(_chunk(b"fcTL", control))
        data = _deflated(_with_channels(frame.pixels.astype(np.uint8, copy=False), plan), level)
        file.write(_chunk(b"IDAT", data) if count == 1 else _chunk(b"fdAT", struct.pack(">I", sequence + 1) + data))
        sequence += 1 if count == 1 else 2
    file.write(_chunk(b"IEND", b""))
    end = file.tell()
    file.seek(place)
    file.write(_chunk(b"acTL", struct.pack(">2I", count, loop)))
    file.seek(end)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _deflated(pixels: Pixels, level: int) -> bytes:
    """Compress rows, each less the row above it: the filter `up`, which costs next to nothing."""
    height = len(pixels)
    rows = np.empty((height, 1 + pixels[0].size), np.uint8)
    rows[:, 0] = 2
    flat = pixels.reshape(height, -1)
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    return zlib.compress(rows.tobytes(), level)


def _with_channels(pixels: Pixels, plan: FilmPlan) -> Pixels:
    if pixels.shape[:2] != (plan.height, plan.width):
        raise PictureError(f"a frame is {pixels.shape[1]} x {pixels.shape[0]}, and not {plan.width} x {plan.height}")
    if plan.alpha and pixels.shape[2] == 3:
        return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    return np.ascontiguousarray(pixels if plan.alpha else pixels[:, :, :3])


# GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt


def _write_gif(parts: Sequence[BinaryIO], hundredths: list[int], file: BinaryIO, plan: FilmPlan) -> None:
    """Write a GIF of one palette for all of its frames, so that no colour changes where the picture does not."""
    palette = _palette_of(_frames_of(parts), len(hundredths))
    table = bytes(palette.getpalette() or ()).ljust(768, b"\0")[:768]
    file.write(b"GIF89a" + struct.pack("<2H3B", plan.width, plan.height, 0xF7, 0, 0) + table)
    if plan.loop is not None:
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", min(plan.loop, _MOST_DELAY)) + b"\0")
    for pixels, delay in zip(_frames_of(parts), hundredths, strict=True):
        # Where something may be clear, each frame is taken away before the next: that would show through it otherwise.
        flags, clear = (2 << 2 | 1, _CLEAR) if plan.alpha else (1 << 2, 0)
        file.write(b"!\xf9\x04" + struct.pack("<BHB", flags, min(delay, _MOST_DELAY), clear) + b"\0")
        file.write(_gif_block(_indexed(pixels, palette)))
    file.write(b";")


_CLEAR = 255
"""The colour of a GIF's palette that is none: what lies there is transparent."""


def _palette_of(frames: Iterator[Pixels], count: int) -> Image.Image:
    """Return an image with the 255 colours that suit frames from all over the animation."""
    step = max(1, count // _MOST_SAMPLES)
    samples = []
    for pixels in islice(frames, 0, None, step):
        sample = Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
        sample.thumbnail((_SAMPLE_SIDE, _SAMPLE_SIDE))
        samples.append(np.asarray(sample).reshape(-1, 3))
    strip = Image.fromarray(np.concatenate(samples)[None])
    return strip.quantize(_CLEAR, method=Image.Quantize.MEDIANCUT)


_BAYER = np.array([[0, 32, 8, 40, 2, 34, 10, 42], [48, 16, 56, 24, 50, 18, 58, 26], [12, 44, 4, 36, 14, 46, 6, 38],
                   [60, 28, 52, 20, 62, 30, 54, 22], [3, 35, 11, 43, 1, 33, 9, 41], [51, 19, 59, 27, 49, 17, 57, 25],
                   [15, 47, 7, 39, 13, 45, 5, 37], [63, 31, 55, 23, 61, 29, 53, 21]])  # fmt: skip
"""The order in which the dots of a cell of 8 by 8 are set: B. E. Bayer, 1973."""


def _indexed(pixels: Pixels, palette: Image.Image) -> Image.Image:
    """Return a frame in the colours of the palette."""
    height, width = pixels.shape[:2]
    pattern = ((_BAYER + 0.5) / 64 - 0.5) * _DITHER
    tiled = np.tile(pattern, (-(-height // 8), -(-width // 8)))[:height, :width, None]
    dotted = np.clip(pixels[:, :, :3] + tiled, 0, 255).round().astype(np.uint8)
    indexed = Image.fromarray(dotted).quantize(palette=palette, dither=Image.Dither.NONE)
    if pixels.shape[2] == 4:
        indexed.paste(_CLEAR, mask=Image.fromarray(255 * (pixels[:, :, 3] < 128).astype(np.uint8)))
    return indexed


def _gif_block(indexed: Image.Image) -> bytes:
    """Return a frame as it stands in a GIF: where it lies, and its compressed colours."""
    encoded = io.BytesIO()
    indexed.save(encoded, "GIF", optimize=False, interlace=0)
    data = encoded.getvalue()
    place = 13 + _table_bytes(data[10])
    while data[place] == 0x21:  # what Pillow says of the frame; ours stands before it
        place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    start = place + 10 + _table_bytes(data[place + 9])
    end = start + 1
    while data[end]:
        end += 1 + data[end]
    return data[place : place + 9] + b"\0" + data[start : end + 1]


def create_animation(plan: FilmPlan, _source: AnyFilm | None) -> _Writer:
    """Write an animation."""
    return _Writer(plan)


@hookimpl
def dreamd_films(register: RegisterFilm) -> None:
    """Bring animations."""
    register("pillow", open_animation, create_animation, extensions=(".gif", ".apng", ".png", ".webp", ".avif"))

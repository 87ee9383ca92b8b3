"""The pages of a file: opened within limits, and read one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from dreamd.errors import PictureError
from dreamd.pictures.containers import jpeg, tiff
from dreamd.pictures.decoding.decode import decode
from dreamd.pictures.kinds import is_named_raw
from dreamd.pictures.paging.boxes import pages_of_boxes
from dreamd.pictures.paging.jpeg import pages_of_jpeg
from dreamd.pictures.paging.page import Found, Page
from dreamd.pictures.paging.tiff import pages_of_tiff
from dreamd.pictures.picture import Picture
from dreamd.pictures.reading import check_bytes, damage_told, decoding, open_regular, sha256_of, size_check
from dreamd.wording import printable

_HEAD_BYTES = 256
"""The kind of a file is told by so many of its first bytes."""


class PageLimits(Protocol):
    """What the pages of a file may cost."""

    @property
    def max_pixels(self) -> int:
        """The most pixels of a page."""
        ...

    @property
    def max_bytes(self) -> int:
        """The most bytes of the file."""
        ...

    @property
    def max_pages(self) -> int:
        """The most pages; smaller copies and masks between them count too."""
        ...

    @property
    def max_pages_pixels(self) -> int:
        """The most pixels of all pages together."""
        ...


class Pages:
    """A file of several pages that is open.

    Attributes:
        name: its name, printable.
        is_tiff: whether it is a TIFF.
    """

    def __init__(self, file: BinaryIO, name: str, pages: Sequence[Page], max_pixels: int, *, is_tiff: bool) -> None:
        """Read nothing yet.

        Args:
            file: the file, which is closed with this.
            name: its name, printable.
            pages: its pages.
            max_pixels: the most pixels of a page.
            is_tiff: whether it is a TIFF.
        """
        self.name, self.is_tiff = name, is_tiff
        self._file, self._pages, self._max_pixels = file, pages, max_pixels
        self._length = check_bytes(file, name, file.seek(0, 2))
        self._sha256 = ""

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each page, as the file says before anything is decoded."""
        return [page.size for page in self._pages]

    def read(self, number: int) -> Picture:
        """Decode a page, by its number from 0. Raises as `dreamd.pictures.reading.read_picture` does."""
        page = self._pages[number]
        name = f"{self.name}, page {number + 1} of {len(self._pages)}"
        with decoding(name), damage_told(page.stream, name, self._length):
            picture = decode(page.stream, name, size_check(name, self._max_pixels), page.number)
        return replace(picture, sha256=self.sha256())

    def sha256(self) -> str:
        """Return the checksum of the file."""
        self._sha256 = self._sha256 or sha256_of(self._file)
        return self._sha256

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_pages(path: Path, limits: PageLimits) -> Pages | None:
    """Open a file of several pages; None for a file of one picture, and for what cannot be read at all.

    Args:
        path: the file; a symbolic link is not followed.
        limits: what it may cost.

    Raises:
        PictureError: it is broken between its pages, or has too many or too large ones.
        OSError: the file is not there or cannot be opened, or the disk failed.
    """
    name = printable(path.name)
    file = open_regular(path, name)
    try:
        length = check_bytes(file, name, limits.max_bytes)
        with decoding(name), damage_told(file, name, length):
            head = file.read(_HEAD_BYTES)
            is_tiff = head.startswith(tiff.MAGICS)
            pages = [] if is_named_raw(name) else list(_within(_found(file, head, name), name, limits))
    except BaseException:
        file.close()
        raise
    if len(pages) < 2:
        file.close()
        return None
    return Pages(file, name, pages, limits.max_pixels, is_tiff=is_tiff)


def _found(file: BinaryIO, head: bytes, name: str) -> Found:
    if head.startswith(tiff.MAGICS):
        return iter(()) if tiff.read_tiff(file).is_raw else pages_of_tiff(file)
    if head.startswith(jpeg.MAGIC):
        return pages_of_jpeg(file, name)
    if head[4:8] == b"ftyp":
        return pages_of_boxes(file, head, name)
    return iter(())


def _within(found: Found, name: str, limits: PageLimits) -> Iterator[Page]:
    """Yield the pages. Raises PictureError as soon as the limits are passed."""
    check_size = size_check(name, limits.max_pixels)
    pixels = 0
    for number, page in enumerate(found, 1):
        if number > limits.max_pages:
            raise PictureError(f"{name}: more pages than limits.max_pages allows ({limits.max_pages})")
        if page is None:
            continue
        check_size(*page.size)
        pixels += page.size[0] * page.size[1]
        if pixels > limits.max_pages_pixels:
            most = f"limits.max_pages_pixels allows ({limits.max_pages_pixels})"
            raise PictureError(f"{name}: its pages have more pixels together than {most}")
        yield page

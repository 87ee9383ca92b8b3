"""The process that makes small pictures: `python -m dreamd.page.gallery.thumbnailer PARENT_PID ABOUT`.

Decodes pictures from anywhere, so it is a process of its own, with limits, that has nothing to lose and does not last.
ABOUT is a `Reading` as JSON. Takes one line of JSON a picture on its standard input, and answers each with a line:
`null`, or what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from dreamd.errors import DreamdError, PictureError
from dreamd.files.durable import draft_of
from dreamd.files.nofollow import opened_file, opened_folder
from dreamd.files.problems import refusal
from dreamd.json_text import to_json
from dreamd.page.gallery.before_after import before_after
from dreamd.page.gallery.first_frame import Reading, first_frame
from dreamd.pictures.picture import Picture, in_bytes, shrunk
from dreamd.pictures.reading import read_picture
from dreamd.processes import confine, die_with_parent

_QUALITY = 82
"""The quality of a thumbnail, as WebP counts it."""

_SHARED_QUALITY = 88
"""The JPEG quality of a picture of before and after, 1 to 100."""

_BASE_BYTES = 1 << 30
"""The bytes that the process may hold beside the picture."""

_BYTES_A_PIXEL = 40
"""The most bytes a pixel that decoding, colour conversion and shrinking hold together, with room to spare."""

_OUTPUT_BYTES = 32 << 20
"""The largest file that the process may write, in bytes."""


def main() -> None:
    """Answer until the input ends."""
    die_with_parent(int(sys.argv[1]))
    reading = Reading.model_validate_json(sys.argv[2])
    confine(memory_bytes=_BASE_BYTES + _BYTES_A_PIXEL * reading.max_pixels, output_bytes=_OUTPUT_BYTES)
    for line in sys.stdin.buffer:
        answer = _answer(json.loads(line), reading)
        sys.stdout.buffer.write(to_json(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _answer(request: dict[str, Any], reading: Reading) -> str | None:
    """Make the thumbnail, or the picture of before and after, that is asked for; return what is wrong, or None."""
    try:
        pictures = [_small(source, request["side"], reading) for source in request["sources"]]
        target = Path(request["target"])
        if request["layout"] is None:
            _write(pictures[0], target, "WEBP", quality=_QUALITY, method=3)
        else:
            before, after = pictures
            together = before_after(before, after, request["layout"], request["caption"])
            _write(together, target, "JPEG", quality=_SHARED_QUALITY, optimize=True)
    except (DreamdError, MemoryError) as error:
        return str(error) or "it is too large for the memory there is"
    except OSError as error:
        return refusal(error)
    return None


def _small(source: dict[str, Any], side: int, reading: Reading) -> Image.Image:
    """Read a source and shrink it."""
    picture = shrunk(in_bytes(_read(source["places"], source["sha256"], source["film"], reading)), side)
    image = Image.fromarray(picture.pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return image


def _read(places: Sequence[Sequence[str]], sha256: str | None, film: str | None, reading: Reading) -> Picture:
    """Read the file that has these bytes, or any without a digest. Raises PictureError for none.

    One that is moved from a place to a later one meanwhile, as an original is that is put away, is found there.
    """
    for place in places:
        root, path = Path(place[0]), PurePosixPath(place[1])
        try:
            if sha256 is None or _digest(root, path) == sha256:
                return _read_at(root, path, film, reading)
        except OSError:
            continue
    raise PictureError("the picture is not there any more")


def _digest(root: Path, path: PurePosixPath) -> str:
    with opened_file(root, path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_at(root: Path, path: PurePosixPath, film: str | None, reading: Reading) -> Picture:
    if film is not None:
        with opened_file(root, path) as file:
            return first_frame(file, path, film, reading)
    with opened_folder(root, path.parts[:-1]) as folder:
        os.fchdir(folder)  # its name could lead elsewhere by now
    return read_picture(Path(path.name), max_pixels=reading.max_pixels, max_bytes=reading.max_bytes)


def _write(image: Image.Image, target: Path, form: str, **options: int) -> None:
    with draft_of(target, durable=False) as draft:
        image.save(draft, form, **options)


if __name__ == "__main__":
    main()

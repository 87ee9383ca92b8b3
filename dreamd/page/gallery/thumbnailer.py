"""The process that makes small pictures: `python -m dreamd.page.gallery.thumbnailer PARENT_PID MAX_PIXELS MAX_BYTES`.

Decodes pictures from anywhere, so it is a process of its own, with limits, that has nothing to lose and does not last.
Takes one line of JSON a picture on its standard input, and answers each with a line: `null`, or what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from PIL import Image

from dreamd.errors import DreamdError, PictureError
from dreamd.files.durable import draft_of
from dreamd.files.nofollow import opened_file, opened_folder
from dreamd.files.problems import refusal
from dreamd.json_text import to_json
from dreamd.page.gallery.before_after import before_after
from dreamd.pictures.picture import Picture, in_bytes, shrunk
from dreamd.pictures.reading import read_picture
from dreamd.processes import confine, die_with_parent

_IDLE_SECONDS = 60.0
"""The time in seconds after which the process ends when nothing has come."""

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

_CHUNK_BYTES = 1 << 20
"""The bytes of the pieces in which a file is read for its digest."""


def main() -> None:
    """Answer until the input ends, or nothing comes for a while."""
    die_with_parent(int(sys.argv[1]))
    max_pixels, max_bytes = int(sys.argv[2]), int(sys.argv[3])
    confine(memory_bytes=_BASE_BYTES + _BYTES_A_PIXEL * max_pixels, output_bytes=_OUTPUT_BYTES)
    while select.select([0], [], [], _IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()  # the server waits for each answer, so no second line is in the buffer
        if not line:
            return
        answer = _answer(json.loads(line), max_pixels, max_bytes)
        sys.stdout.buffer.write(to_json(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _answer(request: dict[str, Any], max_pixels: int, max_bytes: int) -> str | None:
    """Make the thumbnail, or the picture of before and after, that is asked for; return what is wrong, or None."""
    try:
        pictures = [_small(source, request["side"], max_pixels, max_bytes) for source in request["sources"]]
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


def _small(source: dict[str, Any], side: int, max_pixels: int, max_bytes: int) -> Image.Image:
    """Read a source and shrink it."""
    root = Path(source["root"])
    path = _choose(root, [PurePosixPath(path) for path in source["paths"]], source["sha256"])
    picture = shrunk(in_bytes(_read(root, path, max_pixels, max_bytes)), side)
    image = Image.fromarray(picture.pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return image


def _choose(root: Path, paths: Sequence[PurePosixPath], sha256: str | None) -> PurePosixPath:
    """Choose the file that has these bytes; without a digest, the first. Raises PictureError for none."""
    if sha256 is None:
        return paths[0]
    for path in paths:
        try:
            with opened_file(root, path) as file:
                if _digest(file) == sha256:
                    return path
        except OSError:
            continue
    raise PictureError("the original is not there any more")


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _read(root: Path, path: PurePosixPath, max_pixels: int, max_bytes: int) -> Picture:
    with opened_folder(root, path.parts[:-1]) as folder:
        os.fchdir(folder)  # its name could lead elsewhere by now
    return read_picture(Path(path.name), max_pixels=max_pixels, max_bytes=max_bytes)


def _write(image: Image.Image, target: Path, form: str, **options: int) -> None:
    with draft_of(target, durable=False) as draft:
        image.save(draft, form, **options)


if __name__ == "__main__":
    main()

"""How a file of somebody's is sent: as data of a known type, which no browser runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from dreamd.job import Job
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.outbox import opened_result
from dreamd.page.recipes.cards import sample_file

_CHUNK_BYTES = 1 << 18
"""The bytes of the pieces in which a file is read and sent."""

FOR_GOOD = "private, max-age=31536000, immutable"
"""What belongs to a job that has ended never changes, so a browser may keep it for a year."""

_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".jp2": "image/jp2",
}
"""The type of a result by the name that dreamd gave it, so that no content decides what a browser takes it for."""


async def sent_result(job: Job, outbox: Path, name: str, *, with_trash: bool = False) -> Response:
    """Answer with a job's own file in the outbox. Raises NotThereError when it is not there any more.

    Args:
        job: a done job.
        outbox: the folder.
        name: the file's name, which is the result's or of what lies beside it.
        with_trash: send it from the trash too.
    """
    file = await asyncio.to_thread(opened_result, job, outbox, name, with_trash=with_trash)
    if file is None:
        raise NotThereError("it was deleted, or taken out of the outbox")
    return sent_file(file, name)


def sent_file(file: BinaryIO, name: str) -> Response:
    """Answer with an open file, under a name; the name alone decides what a browser takes it for."""
    headers = {
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'))}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": FOR_GOOD,
    }
    media_type = _TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")
    return StreamingResponse(_chunks(file), media_type=media_type, headers=headers)


def sent_sample(name: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with the small picture of a preset. Raises NotThereError when there is none."""
    file = sample_file(name)
    if file is None:
        raise NotThereError("there is no small picture of this preset")
    return FileResponse(file, media_type="image/webp", headers=headers)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk

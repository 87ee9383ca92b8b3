"""How a file of somebody's is sent: as data of a known type, which no browser runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from dreamd.job import Job
from dreamd.page.handlers.answers import NotThereError
from dreamd.page.media import media_type
from dreamd.page.outbox import opened_result
from dreamd.page.recipes.cards import sample_file

_CHUNK_BYTES = 1 << 18
"""The bytes of the pieces in which a file is read and sent."""

FOR_GOOD = "private, max-age=31536000, immutable"
"""What belongs to a job that has ended never changes, so a browser may keep it for a year."""

_POLICY = "default-src 'none'; sandbox"
"""What a file may do in a browser that opens it by itself: nothing."""

_FILM_POLICY = "default-src 'none'; media-src 'self'; sandbox allow-same-origin"
"""The same for a film: nothing but to be played. It is asked for again, by the player, from where it came."""


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


class _OpenedFileResponse(FileResponse):
    """Sends an open file, the whole or the parts that are asked for, and closes it."""

    chunk_size = _CHUNK_BYTES

    def __init__(self, file: BinaryIO, media_type: str, headers: dict[str, str]) -> None:
        # By its number, since its name may lead elsewhere by now.
        path = f"/proc/self/fd/{file.fileno()}"
        super().__init__(path, media_type=media_type, headers=headers, stat_result=os.fstat(file.fileno()))
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        with self._file:
            await super().__call__(scope, receive, send)


def sent_file(file: BinaryIO, name: str) -> Response:
    """Answer with an open file, or the parts of it that are asked for, under a name.

    The name alone decides what a browser takes it for.
    """
    kind = media_type(name)
    headers = {
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'))}",
        "Content-Security-Policy": _FILM_POLICY if kind.startswith("video/") else _POLICY,
        "Cache-Control": FOR_GOOD,
    }
    return _OpenedFileResponse(file, kind, headers)


def sent_sample(name: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with the small picture of a preset. Raises NotThereError when there is none."""
    file = sample_file(name)
    if file is None:
        raise NotThereError("there is no small picture of this preset")
    return FileResponse(file, media_type="image/webp", headers=headers)

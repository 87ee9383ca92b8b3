"""What has ended: results with their pictures, and what failed or is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dreamd.files.names import parts_of
from dreamd.job import Job, JobState
from dreamd.page.handlers.answers import JsonAnswer, NotThereError, answering
from dreamd.page.handlers.requests import number, query_of
from dreamd.page.outbox import opened_result
from dreamd.page.recipe_editor import Recipes
from dreamd.page.shown_jobs import JobView, ShownResult
from dreamd.page.state import StateView
from dreamd.page.thumbnails import KINDS, SIDES, Thumbnails
from dreamd.settings.config import Config
from dreamd.tree.layout import steps_name

_CHUNK_BYTES = 1 << 18
"""The bytes of the pieces in which a result is read and sent."""

_RESULTS = "60"
"""The number of results that are listed at a time, unless another is asked for."""

_FOR_GOOD = "private, max-age=31536000, immutable"
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


class Jobs:
    """Answers from the journal, the outbox and the originals."""

    def __init__(self, config: Config, state: StateView, recipes: Recipes) -> None:
        self._config = config
        self._state = state
        self._view = JobView(config)
        self._recipes = recipes
        self._thumbnails = Thumbnails(config)

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/results", answering(self.results), methods=["GET"]),
            Route("/api/results/{job}", answering(self.details), methods=["GET"]),
            Route("/api/failures", answering(self.failures), methods=["GET"]),
            Route("/thumbnails/{job}/{kind}/{size}", answering(self.thumbnail), methods=["GET"]),
            Route("/results/{job}", answering(self.result), methods=["GET"]),
            Route("/results/{job}/steps", answering(self.steps), methods=["GET"]),
        ]

    async def close(self) -> None:
        """End the process that makes thumbnails."""
        await self._thumbnails.close()

    async def results(self, request: Request) -> Response:
        """List results, the newest first; `before` is the end and the id of the last one that is known."""
        query = query_of(request)
        before = None
        if "before" in query:
            end, _, job = query["before"].partition(",")
            before = (number(end), job)
        limit = int(number(query.get("limit", _RESULTS)))
        folder = query.get("folder")
        if folder is not None:
            parts_of(folder)
        found = await asyncio.to_thread(self._view.results, before=before, folder=folder, limit=max(1, limit))
        return JsonAnswer([asdict(result) for result in found])

    async def details(self, request: Request) -> Response:
        """Answer with a result, its sidecar and the recipe that repeats it."""
        job = await self._done_job(request)
        facts = await asyncio.to_thread(self._view.facts, job)
        return JsonAnswer({**asdict(ShownResult.of(job)), **facts, "recipe": self._recipes.text_of(job.recipe)})

    async def failures(self, _request: Request) -> Response:
        """List what failed, what is held and what is left in the inbox, and why."""
        failed = await asyncio.to_thread(self._view.failures)
        held = await asyncio.to_thread(self._view.held)
        left = await asyncio.to_thread(self._state.left)
        return JsonAnswer({"failed": [*map(asdict, failed)], "held": [*map(asdict, held)], "left": left})

    async def thumbnail(self, request: Request) -> Response:
        """Answer with a result or its original, small."""
        kind, size = request.path_params["kind"], request.path_params["size"]
        if kind not in KINDS or size not in SIDES:
            raise NotThereError("there is nothing here")
        job = await self._done_job(request)
        file = await self._thumbnails.get(job, kind, size, request.is_disconnected)
        if file is None:
            raise NotThereError("there is nothing here")
        return FileResponse(file, media_type="image/webp", headers={"Cache-Control": _FOR_GOOD})

    async def result(self, request: Request) -> Response:
        """Answer with a result as it lies in the outbox, never with what bears its name now."""
        job = await self._done_job(request)
        return await self._sent(job, PurePosixPath(job.result or ""))

    async def steps(self, request: Request) -> Response:
        """Answer with the film strip of a result."""
        job = await self._done_job(request)
        facts = await asyncio.to_thread(self._view.facts, job)
        if not facts["steps"]:
            raise NotThereError("there is no film strip of this job")
        result = PurePosixPath(job.result or "")
        return await self._sent(job, result.with_name(steps_name(result.name)))

    async def _sent(self, job: Job, path: PurePosixPath) -> Response:
        """Answer with a job's own file in the outbox. Raises NotThereError when it is not there any more."""
        file = await asyncio.to_thread(opened_result, job, self._config.outbox, path)
        if file is None:
            raise NotThereError("it was taken out of the outbox")
        headers = {
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.name.encode('utf-8', 'replace'))}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": _FOR_GOOD,
        }
        media_type = _TYPES.get(path.suffix.lower(), "application/octet-stream")
        return StreamingResponse(_chunks(file), media_type=media_type, headers=headers)

    async def _done_job(self, request: Request) -> Job:
        """Find the job of a request's address. Raises NotThereError when it has no result."""
        job = await asyncio.to_thread(self._view.job, request.path_params["job"])
        if job is None or job.state is not JobState.DONE or not job.result:
            raise NotThereError("there is no result of this job")
        return job


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk

"""What a person does on the page: try again, pause and resume, drop a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.errors import UsageError
from dreamd.files.names import parts_of
from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.handlers.requests import length_of, query_of, read_json, read_texts
from dreamd.page.uploading.uploads import Uploads
from dreamd.settings.config import Config
from dreamd.tree import control


class Actions:
    """Does what the commands `retry`, `cancel`, `dismiss`, `pause` and `resume` do, and takes uploads."""

    def __init__(self, config: Config, uploads: Uploads) -> None:
        self._config = config
        self._uploads = uploads

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/retry", answering(self.retry), methods=["POST"]),
            Route("/api/cancel", answering(self.cancel), methods=["POST"]),
            Route("/api/dismiss", answering(self.dismiss), methods=["POST"]),
            Route("/api/pause", answering(self.pause), methods=["POST"]),
            Route("/api/resume", answering(self.resume), methods=["POST"]),
            Route("/api/upload", answering(self.upload), methods=["PUT"]),
        ]

    async def retry(self, request: Request) -> Response:
        """Try failed or held jobs again: those of `jobs`, or all failed ones."""
        jobs = _ids_in(await read_json(request))
        return await _do(lambda: list(control.retry(self._config, jobs or [], all_failed=jobs is None)))

    async def cancel(self, request: Request) -> Response:
        """Cancel jobs that wait or run: those of `jobs`, or all of `folder` and below."""
        values = await read_json(request)
        jobs, folder = _ids_in(values), values.get("folder")
        if (jobs is None) == (folder is None) or not isinstance(folder, str | None):
            raise UsageError("give jobs, a list of ids, or folder, a text")
        place = None if folder is None else self._place(folder)
        return await _do(lambda: list(control.cancel(self._config, jobs or [], folder=place)))

    async def dismiss(self, request: Request) -> Response:
        """Show the failures of `jobs` no more."""
        jobs = _ids_in(await read_json(request))
        if not jobs:
            raise UsageError("jobs must be a list of ids")
        return await _do(lambda: [control.dismiss(self._config, jobs)])

    async def pause(self, request: Request) -> Response:
        """Start no more jobs from a folder."""
        folder = await self._folder_of(request)
        return await _do(lambda: [control.pause(self._config, folder)])

    async def resume(self, request: Request) -> Response:
        """Start jobs from a folder again, or from all where `folder` is null."""
        folder = (await read_json(request)).get("folder")
        if not (folder is None or isinstance(folder, str)):
            raise UsageError("folder must be text or null")
        place = None if folder is None else self._place(folder)
        return await _do(lambda: [control.resume(self._config, place)])

    async def upload(self, request: Request) -> Response:
        """Take a picture into a folder of the inbox."""
        query = query_of(request)
        placed = await self._uploads.take(
            query.get("folder", "."),
            query.get("name", ""),
            length_of(request),
            request.stream(),
        )
        return JsonAnswer({"picture": placed}, 201)

    async def _folder_of(self, request: Request) -> str:
        (folder,) = await read_texts(request, "folder")
        return self._place(folder)

    def _place(self, folder: str) -> str:
        """Return the path of a folder of the inbox. Raises UsageError for a name that leads elsewhere."""
        return str(self._config.inbox.joinpath(*parts_of(folder)))


def _ids_in(values: Mapping[str, object]) -> list[str] | None:
    """Return the ids that an order gives as `jobs`; None where it gives none. Raises UsageError for anything else."""
    jobs = values.get("jobs")
    if jobs is None:
        return None
    if not (isinstance(jobs, list) and all(isinstance(job, str) for job in jobs)):
        raise UsageError("jobs must be a list of ids")
    return jobs


async def _do(act: Callable[[], list[str]]) -> Response:
    """Do something in a thread, and answer with the lines that the command would print."""
    return JsonAnswer({"said": await asyncio.to_thread(act)})

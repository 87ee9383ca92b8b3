"""Results: those that are sought, one of them, and their pictures, small and whole."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from dreamd.job import Job, JobState
from dreamd.page.gallery.results import ResultView, Sought
from dreamd.page.gallery.thumbnails import KINDS, LAYOUTS, SIDES, Thumbnails
from dreamd.page.handlers.answers import JsonAnswer, NotThereError, answering
from dreamd.page.handlers.requests import number, query_of
from dreamd.page.handlers.stored_files import FOR_GOOD, sent_result
from dreamd.page.recipes.editor import Recipes
from dreamd.settings.config import Config
from dreamd.tree.layout import steps_name

_RESULTS = "60"
"""The number of results that are listed at a time, unless another is asked for."""


class Results:
    """Answers from the journal, the outbox and the originals."""

    def __init__(self, config: Config, view: ResultView, recipes: Recipes) -> None:
        self._config = config
        self._view = view
        self._recipes = recipes
        self.thumbnails = Thumbnails(config, recipes.offered)

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/results", answering(self.results), methods=["GET"]),
            Route("/api/results/{job}", answering(self.details), methods=["GET"]),
            Route("/thumbnails/{job}/{kind}/{size}", answering(self.thumbnail), methods=["GET"]),
            Route("/results/{job}", answering(self.result), methods=["GET"]),
            Route("/results/{job}/steps", answering(self.steps), methods=["GET"]),
            Route("/results/{job}/share/{layout}", answering(self.share), methods=["GET"]),
        ]

    async def close(self) -> None:
        """End the process that makes thumbnails."""
        await self.thumbnails.close()

    async def results(self, request: Request) -> Response:
        """List results as they are sought; `before` is the place of the last one that is known."""
        query = query_of(request)
        limit = max(1, int(number(query.get("limit", _RESULTS))))
        sought = Sought.of(query)
        found = await asyncio.to_thread(self._view.listed, sought, before=query.get("before"), limit=limit)
        return JsonAnswer([asdict(result) for result in found])

    async def details(self, request: Request) -> Response:
        """Answer with a result, its sidecar, the recipe that repeats it, and its neighbours among what is sought."""
        sought = Sought.of(query_of(request))
        job = await self._done_job(request)
        facts = await asyncio.to_thread(self._view.facts, job)
        neighbours = await asyncio.to_thread(self._view.neighbours, job, sought)
        shown = await asyncio.to_thread(self._view.shown, job, sought)
        return JsonAnswer({**asdict(shown), **facts, **neighbours, "recipe": self._recipes.text_of(job.recipe)})

    async def thumbnail(self, request: Request) -> Response:
        """Answer with a result or an original, small; of a film that nothing here reads, with a drawing."""
        kind, size = request.path_params["kind"], request.path_params["size"]
        if kind not in KINDS or size not in SIDES:
            raise NotThereError("there is nothing here")
        job = await self._pictured_job(request, kind)
        file = await self.thumbnails.get(job, kind, size, request.is_disconnected)
        if file is None:
            drawn = await asyncio.to_thread(self._view.drawn, job, kind)
            if drawn is None:
                raise NotThereError("there is nothing here")
            return Response(drawn, media_type="image/svg+xml")
        return FileResponse(file, media_type="image/webp", headers={"Cache-Control": FOR_GOOD})

    async def share(self, request: Request) -> Response:
        """Answer with one picture of the original and the dream together."""
        layout = request.path_params["layout"]
        if layout not in LAYOUTS:
            raise NotThereError("there is nothing here")
        job = await self._done_job(request)
        file = await self.thumbnails.shared(job, layout, request.is_disconnected)
        if file is None:
            raise NotThereError("the original or the dream is not there any more, or cannot be shown")
        name = f"{PurePosixPath(job.result or '').stem}-before-after.jpg"
        return FileResponse(file, media_type="image/jpeg", filename=name, headers={"Cache-Control": FOR_GOOD})

    async def result(self, request: Request) -> Response:
        """Answer with a result as it lies in the outbox, never with what bears its name now."""
        job = await self._done_job(request)
        name = PurePosixPath(job.result or "").name
        return await sent_result(job, self._config.outbox, name, with_trash=True)

    async def steps(self, request: Request) -> Response:
        """Answer with the film strip of a result."""
        job = await self._done_job(request)
        facts = await asyncio.to_thread(self._view.facts, job)
        if not facts["steps"]:
            raise NotThereError("there is no film strip of this job")
        name = steps_name(PurePosixPath(job.result or "").name)
        return await sent_result(job, self._config.outbox, name, with_trash=True)

    async def _pictured_job(self, request: Request, kind: str) -> Job:
        """Find the job of a request's address. Raises NotThereError when it has no result, and no failed original."""
        job = await asyncio.to_thread(self._view.any_job, request.path_params["job"])
        if job is not None and job.state is JobState.FAILED and kind == "before":
            return job
        return await self._done_job(request)

    async def _done_job(self, request: Request) -> Job:
        """Find the job of a request's address. Raises NotThereError when it has no result."""
        job = await asyncio.to_thread(self._view.job, request.path_params["job"])
        if job is None:
            raise NotThereError("there is no result of this job")
        return job

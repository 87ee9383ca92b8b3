"""What has ended: results with their pictures, and what failed or is held."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import PurePosixPath
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from dreamd.files.names import parts_of
from dreamd.job import Job, JobState
from dreamd.page.handlers.answers import JsonAnswer, NotThereError, answering
from dreamd.page.handlers.requests import number, one_id, query_of
from dreamd.page.handlers.stored_files import FOR_GOOD, sent_result
from dreamd.page.recipe_editor import Recipes
from dreamd.page.shown_jobs import JobView, ShownResult
from dreamd.page.state import StateView
from dreamd.page.thumbnails import KINDS, SIDES, Thumbnails
from dreamd.settings.config import Config
from dreamd.tree.layout import steps_name

_RESULTS = "60"
"""The number of results that are listed at a time, unless another is asked for."""


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
            before = (number(end), one_id(job))
        limit = max(1, int(number(query.get("limit", _RESULTS))))
        found = await asyncio.to_thread(self._view.results, before=before, limit=limit, **_sought(query))
        return JsonAnswer([asdict(result) for result in found])

    async def details(self, request: Request) -> Response:
        """Answer with a result, its sidecar, the recipe that repeats it, and its neighbours among what is sought."""
        sought = _sought(query_of(request))
        job = await self._done_job(request)
        facts = await asyncio.to_thread(self._view.facts, job)
        neighbours = await asyncio.to_thread(partial(self._view.neighbours, job, **sought))
        shown = await asyncio.to_thread(ShownResult.of, job, self._config)
        return JsonAnswer({**asdict(shown), **facts, **neighbours, "recipe": self._recipes.text_of(job.recipe)})

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
        return FileResponse(file, media_type="image/webp", headers={"Cache-Control": FOR_GOOD})

    async def result(self, request: Request) -> Response:
        """Answer with a result as it lies in the outbox, never with what bears its name now."""
        job = await self._done_job(request)
        return await sent_result(job, self._config.outbox, PurePosixPath(job.result or ""))

    async def steps(self, request: Request) -> Response:
        """Answer with the film strip of a result."""
        job = await self._done_job(request)
        facts = await asyncio.to_thread(self._view.facts, job)
        if not facts["steps"]:
            raise NotThereError("there is no film strip of this job")
        result = PurePosixPath(job.result or "")
        return await sent_result(job, self._config.outbox, result.with_name(steps_name(result.name)))

    async def _done_job(self, request: Request) -> Job:
        """Find the job of a request's address. Raises NotThereError when it has no result."""
        job = await asyncio.to_thread(self._view.job, request.path_params["job"])
        if job is None or job.state is not JobState.DONE or not job.result:
            raise NotThereError("there is no result of this job")
        return job


class _Sought(TypedDict):
    """Which results are asked for, as `Journal.results` takes it."""

    folder: str | None
    search: str


def _sought(query: Mapping[str, str]) -> _Sought:
    """Read which results are asked for. Raises UsageError where the folder cannot be."""
    folder = query.get("folder")
    if folder is not None:
        parts_of(folder)
    return {"folder": folder, "search": query.get("search", "")}

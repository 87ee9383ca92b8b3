"""The operation that dreams a job's picture again."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dreamd.page.access.callers import caller_of
from dreamd.page.again.sources import source_name
from dreamd.page.api.models import AgainQuery, ApiJob
from dreamd.page.api.operations.operation import IDEMPOTENCY_KEY, Answer, Operation, operation
from dreamd.page.handlers.answers import JsonAnswer
from dreamd.page.parts import Parts
from dreamd.page.posting.posting import Wanted


class AgainOperations:
    """Answers programs that want a picture dreamed again."""

    def __init__(self, parts: Parts) -> None:
        self._again = parts.again
        self._jobs = parts.jobs

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        return [
            operation(
                "POST",
                "/jobs/{id}/again",
                self.dream_again,
                query=AgainQuery,
                answers={
                    201: Answer(words="The new job.", model=ApiJob),
                    200: Answer(words="The job of an earlier request with this key.", model=ApiJob),
                },
                problems={
                    404: "There is no such job, or its original or result is not there (any more).",
                    409: "The key was used for something else, or the recipe's folder has another recipe by now.",
                    422: "Recipe, folder or key cannot be.",
                    507: "The disk is full.",
                },
                needs={"drop", "all"},
                headers=(IDEMPOTENCY_KEY,),
            )
        ]

    async def dream_again(self, request: Request, query: AgainQuery) -> Response:
        """Dream the original of a job that is done or failed, or a result, again with another recipe."""
        caller = caller_of(request)
        job = await asyncio.to_thread(self._jobs.over, request.path_params["id"], caller)
        folder = query.folder
        if folder is None:
            folder = await asyncio.to_thread(self._again.home_of, job)
        wanted = Wanted(name=source_name(job, query.of), folder=folder, recipe=query.recipe)
        key = request.headers.get("idempotency-key")
        receipt, is_new = await self._again.post(job, query.of, wanted, caller.name, key)
        told = (await asyncio.to_thread(self._jobs.find, receipt.id, caller)).told
        return JsonAnswer(told.model_dump(mode="json"), 201 if is_new else 200)

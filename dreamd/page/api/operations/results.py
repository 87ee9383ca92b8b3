"""The operations on results: list and search, favourites, delete and bring back, many as one ZIP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dreamd.errors import UsageError
from dreamd.job import Job
from dreamd.page.access.callers import caller_of
from dreamd.page.access.clients import household_of
from dreamd.page.api.models import Nothing
from dreamd.page.api.operations.operation import Answer, Operation, operation, read_model
from dreamd.page.api.result_models import (
    ApiResult,
    Deletion,
    Marked,
    Restoration,
    ResultList,
    ResultQuery,
    Selection,
    ZipQuery,
)
from dreamd.page.gallery.deeds import MOST_SELECTED
from dreamd.page.gallery.results import Sought
from dreamd.page.gallery.zipping import zipped
from dreamd.page.handlers.answers import FullError, JsonAnswer, NotThereError
from dreamd.page.outbox import result_of
from dreamd.page.parts import Parts
from dreamd.page.posting.receipts import is_receipt_id

T = TypeVar("T")

ZIPS = 4
"""The most ZIPs that are sent at a time."""

ZIPS_OF_A_CLIENT = ZIPS // 2
"""The most of them that one client takes."""

_NO_RESULT = {422: "None of the jobs has a result, or there are too many of them."}


class ResultOperations:
    """Answers what is asked about results."""

    def __init__(self, parts: Parts) -> None:
        self._config = parts.config
        self._clients = parts.clients
        self._view = parts.results
        self._deeds = parts.deeds
        self._jobs = parts.jobs
        self._zips: Counter[str] = Counter()

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        return [*self._that_look(), *self._that_change()]

    def _that_look(self) -> list[Operation]:
        return [
            operation(
                "GET",
                "/results",
                self.list_results,
                query=ResultQuery,
                answers={200: Answer(words="The results.", model=ResultList)},
                needs={"read", "all"},
            ),
            operation(
                "GET",
                "/results/zip",
                self.zip_results,
                query=ZipQuery,
                answers={200: Answer(words="The pictures, stored in their folders.", media_type="application/zip")},
                problems={404: "None of the jobs has a result (any more).", 503: "Too many are sent already."},
                needs={"read", "all"},
            ),
        ]

    def _that_change(self) -> list[Operation]:
        marked = Answer(words="The jobs whose results were marked.", model=Marked)
        return [
            operation(
                "POST", path, handler, query=Nothing, answers={200: answer}, problems=_NO_RESULT, needs={"all"},
                takes=Selection,
            )
            for path, handler, answer in (
                ("/results/star", self.star_results, marked),
                ("/results/unstar", self.unstar_results, marked),
                ("/results/dismiss", self.dismiss_results, marked),
                ("/results/delete", self.delete_results, Answer(words="What became of them.", model=Deletion)),
                ("/results/restore", self.restore_results, Answer(words="What became of them.", model=Restoration)),
            )
        ]  # fmt: skip

    async def list_results(self, _request: Request, query: ResultQuery) -> Response:
        """List the dreams that came out; search them, sort them, or take the favourites or the trash alone."""
        fields = query.model_dump(exclude={"before", "limit"}, exclude_none=True)
        sought = Sought.of(fields)
        found = await asyncio.to_thread(self._view.listed, sought, before=query.before, limit=query.limit)
        told = ResultList(
            results=[ApiResult.model_validate(result, from_attributes=True) for result in found],
            more=found[-1].place if len(found) == query.limit else None,
        )
        return JsonAnswer(told.model_dump(mode="json"))

    async def zip_results(self, request: Request, query: ZipQuery) -> Response:
        """Send results as one ZIP."""
        ids = list(dict.fromkeys(query.jobs.split(",")))
        if len(ids) > MOST_SELECTED:
            raise UsageError(f"these are {len(ids)} results; ask for {MOST_SELECTED} at a time")
        jobs = await asyncio.to_thread(self._there, await self._jobs_of(request, ids))
        if not jobs:
            raise NotThereError("none of these results is there (any more)")
        client = household_of(self._clients.address_of(request))
        if self._zips.total() >= ZIPS or self._zips[client] >= ZIPS_OF_A_CLIENT:
            raise FullError("too many ZIPs are sent already; ask again later")
        self._zips[client] += 1
        return _ZipAnswer(zipped(jobs, self._config.outbox), partial(self._zips.subtract, [client]))

    async def star_results(self, request: Request, _query: Nothing) -> Response:
        """Make results favourites: they can be listed alone, and the journal does not forget them."""
        return await self._marked(request, self._deeds.star)

    async def unstar_results(self, request: Request, _query: Nothing) -> Response:
        """Make results favourites no more."""
        return await self._marked(request, self._deeds.unstar)

    async def dismiss_results(self, request: Request, _query: Nothing) -> Response:
        """List results no more; their files stay where they are."""
        return await self._marked(request, self._deeds.dismiss)

    async def delete_results(self, request: Request, _query: Nothing) -> Response:
        """Move results and their sidecars out of the outbox into its trash, which `dreamd prune` empties."""
        deleted = await self._do(request, self._deeds.delete)
        return JsonAnswer(Deletion.model_validate(deleted, from_attributes=True).model_dump(mode="json"))

    async def restore_results(self, request: Request, _query: Nothing) -> Response:
        """Bring results back that were deleted or dismissed."""
        restored = await self._do(request, self._deeds.restore)
        return JsonAnswer(Restoration.model_validate(restored, from_attributes=True).model_dump(mode="json"))

    async def _marked(self, request: Request, mark: Callable[[Sequence[str]], list[str]]) -> Response:
        return JsonAnswer(Marked(jobs=await self._do(request, mark)).model_dump(mode="json"))

    async def _do(self, request: Request, deed: Callable[[Sequence[str]], T]) -> T:
        selection = await read_model(request, Selection)
        return await asyncio.to_thread(deed, await self._jobs_of(request, selection.jobs))

    async def _jobs_of(self, request: Request, ids: Sequence[str]) -> list[str]:
        """Return the ids in the journal of what a program may know by what it was given when it posted a picture."""
        caller = caller_of(request)

        def look() -> list[str]:
            found = [self._jobs.find(id_, caller).job if is_receipt_id(id_) else None for id_ in ids]
            return [job.id if job is not None else id_ for id_, job in zip(ids, found, strict=True)]

        return await asyncio.to_thread(look)

    def _there(self, ids: Sequence[str]) -> list[Job]:
        found = (self._view.job(id_) for id_ in ids)
        return [job for job in found if job is not None and result_of(job, self._config.outbox) is not None]


class _ZipAnswer(StreamingResponse):
    """A ZIP, whose place is free again when it is sent or nobody wants it any more."""

    def __init__(self, pieces: Iterator[bytes], leave: Callable[[], None]) -> None:
        headers = {"Content-Disposition": 'attachment; filename="dreams.zip"'}
        super().__init__(_taken(pieces), media_type="application/zip", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _taken(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece

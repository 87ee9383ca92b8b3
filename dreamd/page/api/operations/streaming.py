"""Jobs as server-sent events, as they change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

from starlette.responses import StreamingResponse

from dreamd.json_text import to_json
from dreamd.page.api.models import ApiJob

T = TypeVar("T")

EVENT_STREAM = "text/event-stream"
"""The media type of events."""

_SILENCE = b":\n\n"
"""A comment, which keeps proxies from ending a silent connection."""


async def streamed(changes: AsyncGenerator[T | None, None], event: Callable[[T], bytes]) -> StreamingResponse:
    """Answer with an event for each change, and with a comment for each None.

    Raises:
        DreamdError: what taking the first of them raises.
    """
    first = await anext(changes)

    async def written() -> AsyncIterator[bytes]:
        async with aclosing(changes):
            yield _SILENCE if first is None else event(first)
            async for change in changes:
                yield _SILENCE if change is None else event(change)

    return StreamingResponse(written(), media_type=EVENT_STREAM)


def job_event(job: ApiJob, number: int | None = None) -> bytes:
    """Write an event that tells a job; with a number, a browser names it when it asks for what has changed since."""
    id_ = "" if number is None else f"id: {number}\n"
    return f"{id_}event: job\ndata: {to_json(job.model_dump(mode='json'))}\n\n".encode()

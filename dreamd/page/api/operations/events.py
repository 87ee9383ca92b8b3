"""The stream of all jobs: each is told whenever its state has changed."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dreamd.errors import UsageError
from dreamd.page.access.clients import household_of
from dreamd.page.api.following import Following
from dreamd.page.api.models import ApiJob, Nothing
from dreamd.page.api.operations.operation import Answer, Header, Operation, operation
from dreamd.page.api.operations.streaming import EVENT_STREAM, job_event, streamed
from dreamd.page.parts import Parts

_MOST_DIGITS = 18
"""The most digits of an event's id; SQLite counts no further."""


class EventOperations:
    """Tells of all jobs as they change."""

    def __init__(self, parts: Parts, following: Following) -> None:
        self._clients = parts.clients
        self._jobs = parts.jobs
        self._following = following

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        return [
            operation(
                "GET",
                "/events",
                self.follow_jobs,
                query=Nothing,
                answers={
                    200: Answer(
                        words="Events named `job`, each with a job as its data and an id, until an hour is over.",
                        media_type=EVENT_STREAM,
                    )
                },
                problems={422: "`Last-Event-ID` is no id of an event.", 503: "Too many follow already."},
                needs={"read", "all"},
                headers=(
                    Header(
                        name="Last-Event-ID",
                        words="The id of the last event that came: what has changed since is told first. Left out, "
                        "only what changes from now on is told. Browsers send it by themselves.",
                    ),
                ),
            )
        ]

    async def follow_jobs(self, request: Request, _query: Nothing) -> Response:
        """Tell every job whenever its state has changed."""
        last = _number_in(request.headers.get("last-event-id"))
        known = await asyncio.to_thread(self._jobs.last_change) if last is None else last

        def look() -> list[tuple[int, ApiJob]]:
            nonlocal known
            found = self._jobs.changed_after(known)
            known = found[-1][0] if found else known
            return found

        client = household_of(self._clients.address_of(request))
        changes = self._following.all_changes(client, look)
        return await streamed(changes, lambda change: job_event(change[1], change[0]))


def _number_in(text: str | None) -> int | None:
    """Return the number of an event's id; None for none. Raises UsageError."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise UsageError("Last-Event-ID: this is no id of an event")
    return int(text)

"""What is going on now: the state of everything, once or again whenever it changes, and pictures of what is dreamed."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dreamd.files.nofollow import opened_file
from dreamd.page.feed import Feed
from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.state import StateView
from dreamd.settings.config import Config
from dreamd.tree.layout import StateFolder


class Now:
    """Answers from the daemon's snapshot and the previews."""

    def __init__(self, config: Config, view: StateView) -> None:
        self._config = config
        self._view = view
        self._feed = Feed(view, config.state)

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/status", answering(self.state), methods=["GET"]),
            Route("/api/events", answering(self.events), methods=["GET"]),
            Route("/previews/{job}", answering(self.preview), methods=["GET"]),
        ]

    async def state(self, _request: Request) -> Response:
        """Answer with the state of everything, and what a page needs to know of the config."""
        values = await asyncio.to_thread(self._view.state)
        return JsonAnswer({**values, "max_bytes": int(self._config.limits.max_bytes)})

    async def events(self, _request: Request) -> Response:
        """Send the state of everything, again whenever it changes."""
        if self._feed.is_full:
            return PlainTextResponse("too many pages are open\n", 503)
        return StreamingResponse(self._feed.listen(), media_type="text/event-stream")

    async def preview(self, request: Request) -> Response:
        """Answer with a dream that goes on, as it was a moment ago; with nothing when it is over."""
        name = f"{request.path_params['job']}.jpg"
        try:
            previews = StateFolder(self._config.state).previews
            with await asyncio.to_thread(opened_file, previews, PurePosixPath(name)) as file:
                return Response(file.read(), media_type="image/jpeg")
        except OSError:
            return Response(status_code=204)  # the dream has ended since the page heard of it, and nothing is wrong

"""What is going on now: the state of everything, once or again whenever it changes, and pictures of what is dreamed."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from dreamd.files.nofollow import opened_file
from dreamd.page.access.clients import Clients, household_of
from dreamd.page.feed import Feed, Listener
from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.state import StateView
from dreamd.page.uploading.sizes import Sizes
from dreamd.settings.config import Config
from dreamd.tree.layout import StateFolder


class EventsAnswer(StreamingResponse):
    """Events for one listener, whose place is free again when the answer is over, however that came about."""

    def __init__(self, feed: Feed, listener: Listener) -> None:
        super().__init__(feed.listen(listener), media_type="text/event-stream")
        self._leave = partial(feed.leave, listener)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


class Now:
    """Answers from the daemon's snapshot and the previews."""

    def __init__(self, config: Config, view: StateView, clients: Clients, sizes: Sizes) -> None:
        self._config = config
        self._view = view
        self._clients = clients
        self._sizes = sizes
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
        endings = await asyncio.to_thread(self._sizes.film_endings)
        sizes = {
            "max_bytes": self._sizes.picture.most,
            "max_film_bytes": self._sizes.film.most,
            "film_endings": endings,
        }
        return JsonAnswer({**values, **sizes})

    async def events(self, request: Request) -> Response:
        """Send the state of everything, again whenever it changes."""
        listener = self._feed.enter(household_of(self._clients.address_of(request)))
        if listener is None:
            return PlainTextResponse("too many pages are open\n", 503)
        return EventsAnswer(self._feed, listener)

    async def preview(self, request: Request) -> Response:
        """Answer with a dream that goes on, as it was a moment ago; with nothing when it is over."""
        await self._feed.mark()
        name = f"{request.path_params['job']}.jpg"
        try:
            previews = StateFolder(self._config.state).previews
            with await asyncio.to_thread(opened_file, previews, PurePosixPath(name)) as file:
                return Response(file.read(), media_type="image/jpeg")
        except OSError:
            return Response(status_code=204)  # the dream has ended since the page heard of it, and nothing is wrong

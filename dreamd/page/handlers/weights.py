"""Weights that are not here: which, and orders to fetch them or to stop that."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.handlers.requests import query_of, read_texts
from dreamd.page.recipes.weights_needed import WeightsNeeded
from dreamd.settings.config import Config
from dreamd.tree.fetch_orders import cancel_fetch


class WeightsHandlers:
    """Answers from the cache of weights, and gives orders to the daemon."""

    def __init__(self, config: Config, needed: WeightsNeeded) -> None:
        self._config = config
        self._needed = needed

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/weights", answering(self.missing), methods=["GET"]),
            Route("/api/weights", answering(self.missing_of_draft), methods=["POST"]),
            Route("/api/weights/fetch", answering(self.fetch), methods=["POST"]),
            Route("/api/weights/cancel", answering(self.cancel), methods=["POST"]),
        ]

    async def missing(self, request: Request) -> Response:
        """List the weights that a folder's recipe needs and that are not here."""
        folder = query_of(request).get("folder", ".")
        found = await asyncio.to_thread(self._needed.of_folder, folder)
        return JsonAnswer([asdict(each) for each in found])

    async def missing_of_draft(self, request: Request) -> Response:
        """List the weights that a folder's recipe would need by a text, and that are not here."""
        folder, text = await read_texts(request, "folder", "text")
        found = await asyncio.to_thread(self._needed.of_folder, folder, text)
        return JsonAnswer([asdict(each) for each in found])

    async def fetch(self, request: Request) -> Response:
        """Have the weights of a backbone fetched."""
        (backbone,) = await read_texts(request, "backbone")
        return JsonAnswer({"said": [await asyncio.to_thread(self._needed.fetch, backbone)]})

    async def cancel(self, request: Request) -> Response:
        """Have the weights of a backbone fetched no more."""
        (backbone,) = await read_texts(request, "backbone")
        return JsonAnswer({"said": [await asyncio.to_thread(cancel_fetch, self._config, backbone)]})

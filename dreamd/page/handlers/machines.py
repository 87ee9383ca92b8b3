"""What machines ask for: `/metrics`, `/healthz`, `/readyz`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from dreamd.errors import DreamdError
from dreamd.page.access.entrance import Entrance
from dreamd.page.access.guesses import TooSoonError
from dreamd.page.handlers.answers import answering
from dreamd.page.monitoring.health import not_alive, not_ready
from dreamd.page.monitoring.metrics import registry
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.wording import printable


class Machines:
    """Answers scrapers and probes."""

    def __init__(self, config: Config, entrance: Entrance | None) -> None:
        self._config = config
        self._entrance = entrance
        self._registry = registry(config)
        self._scraping = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/metrics", answering(self.metrics), methods=["GET"]),
            Route("/healthz", answering(self.healthz), methods=["GET"]),
            Route("/readyz", answering(self.readyz), methods=["GET"]),
        ]

    async def metrics(self, _request: Request) -> Response:
        """Answer with numbers for Prometheus."""
        async with self._scraping:
            text = await asyncio.to_thread(generate_latest, self._registry)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def healthz(self, request: Request) -> Response:
        """Tell whether dreamd lives."""
        return await self._judge(request, not_alive)

    async def readyz(self, request: Request) -> Response:
        """Tell whether a picture that is dropped now is dreamed now."""
        return await self._judge(request, not_ready)

    async def _judge(self, request: Request, reasons_of: Callable[[dict[str, Any] | None], list[str]]) -> Response:
        try:
            reasons = reasons_of(await asyncio.to_thread(snapshot.read, self._config.state))
        except DreamdError as error:
            reasons = [str(error)]
        if not reasons:
            return PlainTextResponse("ok\n")
        # Anybody may know that it is not well; why is for those who may see the page.
        lines = map(printable, reasons if await self._may_know(request) else ["not well"])
        return PlainTextResponse("".join(f"{line}\n" for line in lines), 503)

    async def _may_know(self, request: Request) -> bool:
        if self._entrance is None:
            return True
        try:
            return await self._entrance.is_signed_in(request)
        except TooSoonError:  # health is told all the same
            return False

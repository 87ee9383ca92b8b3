"""What needs a person: what is held, what failed, and what is left in the inbox."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.page.attention import Attention
from dreamd.page.handlers.answers import JsonAnswer, answering


class AttentionHandlers:
    """Answers from the journal, the snapshot and the failed pictures."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [Route("/api/attention", answering(self.troubles), methods=["GET"])]

    async def troubles(self, _request: Request) -> Response:
        """List what keeps pictures from being dreamed, by cause."""
        found = await asyncio.to_thread(self._attention.troubles)
        return JsonAnswer([asdict(each) for each in found])

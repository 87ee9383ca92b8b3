"""What failed, what is held and what is left in the inbox."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.shown_jobs import JobView
from dreamd.page.state import StateView
from dreamd.settings.config import Config


class Jobs:
    """Answers from the journal and the failed pictures."""

    def __init__(self, config: Config, state: StateView) -> None:
        self._state = state
        self._view = JobView(config)

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [Route("/api/failures", answering(self.failures), methods=["GET"])]

    async def failures(self, _request: Request) -> Response:
        """List what failed, what is held and what is left in the inbox, and why."""
        failed = await asyncio.to_thread(self._view.failures)
        held = await asyncio.to_thread(self._view.held)
        left = await asyncio.to_thread(self._state.left)
        return JsonAnswer({"failed": [*map(asdict, failed)], "held": [*map(asdict, held)], "left": left})

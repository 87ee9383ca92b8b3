"""The recipe that a file carries which somebody drops: a sidecar's, or one inside a picture."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.page.carried.recipes import CarriedRecipes
from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.handlers.requests import length_of, query_of


class CarriedHandlers:
    """Answers what a file carries."""

    def __init__(self, carried: CarriedRecipes) -> None:
        self._carried = carried

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [Route("/api/carried", answering(self.look), methods=["PUT"])]

    async def look(self, request: Request) -> Response:
        """Take a file, look for a recipe in it, and forget the file."""
        name = query_of(request).get("name", "")
        return JsonAnswer(asdict(await self._carried.look(name, length_of(request), request.stream())))

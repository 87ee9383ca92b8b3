"""Recipes: what each folder has, what a text would make of it, and saving it."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.handlers.requests import query_of, read_texts
from dreamd.page.recipe_editor import Recipes


class RecipeHandlers:
    """Answers from the inbox's recipe files, and changes them."""

    def __init__(self, recipes: Recipes) -> None:
        self._recipes = recipes

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/folders", answering(self.folders), methods=["GET"]),
            Route("/api/recipes", answering(self.names), methods=["GET"]),
            Route("/api/recipe", answering(self.show), methods=["GET"]),
            Route("/api/recipe", answering(self.save), methods=["PUT"]),
            Route("/api/recipe/check", answering(self.check), methods=["POST"]),
        ]

    async def folders(self, _request: Request) -> Response:
        """List the inbox's folders."""
        return JsonAnswer(await asyncio.to_thread(self._recipes.folders))

    async def names(self, _request: Request) -> Response:
        """List what a recipe can extend."""
        return JsonAnswer(await asyncio.to_thread(self._recipes.names))

    async def show(self, request: Request) -> Response:
        """Answer with a folder's recipe: its own text, its fields and their origins."""
        return JsonAnswer(await asyncio.to_thread(self._recipes.show, query_of(request).get("folder", ".")))

    async def check(self, request: Request) -> Response:
        """Tell what a text would make of a folder's recipe."""
        folder, text = await read_texts(request, "folder", "text")
        return JsonAnswer(await asyncio.to_thread(self._recipes.check, folder, text))

    async def save(self, request: Request) -> Response:
        """Give a folder a recipe, unless it was changed since `mark` was told."""
        folder, text, mark = await read_texts(request, "folder", "text", "mark")
        return JsonAnswer(await asyncio.to_thread(self._recipes.save, folder, text, mark))

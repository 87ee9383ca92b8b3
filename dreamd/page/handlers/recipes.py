"""Recipes: what each folder has, what a text would make of it, and saving it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.handlers.requests import query_of, read_texts
from dreamd.page.handlers.stored_files import FOR_GOOD, sent_sample
from dreamd.page.recipe_cards import UNDREAMED, RecipeCards
from dreamd.page.recipe_editor import Recipes


class RecipeHandlers:
    """Answers from the inbox's recipe files, and changes them."""

    def __init__(self, recipes: Recipes, cards: RecipeCards) -> None:
        self._recipes = recipes
        self._cards = cards

    def routes(self) -> list[BaseRoute]:
        """List the addresses that are answered here."""
        return [
            Route("/api/folders", answering(self.folders), methods=["GET"]),
            Route("/api/recipes", answering(self.names), methods=["GET"]),
            Route("/api/presets", answering(self.presets), methods=["GET"]),
            Route("/presets/{name}.webp", answering(self.sample), methods=["GET"]),
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

    async def presets(self, _request: Request) -> Response:
        """List presets and named recipes by what one chooses them by, each with the address of its small picture."""
        cards = await asyncio.to_thread(self._cards.cards)
        shown = [
            {**asdict(card), "picture": card.sample and f"presets/{card.name}.webp?{card.sample}"} for card in cards
        ]
        return JsonAnswer({"undreamed": f"presets/{UNDREAMED}.webp", "presets": shown})

    async def sample(self, request: Request) -> Response:
        """Answer with a preset's small picture; its address has a mark that changes with it."""
        return sent_sample(request.path_params["name"], {"Cache-Control": FOR_GOOD})

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

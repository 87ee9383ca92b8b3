"""Recipes: what each folder has, what a text would make of it, and saving it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dreamd.errors import UsageError
from dreamd.page.handlers.answers import JsonAnswer, answering
from dreamd.page.handlers.requests import query_of, read_json, read_texts, texts_of
from dreamd.page.handlers.stored_files import FOR_GOOD, sent_sample
from dreamd.page.recipes.cards import UNDREAMED, RecipeCards
from dreamd.page.recipes.editor import Change, Recipes
from dreamd.page.recipes.standing import path_of

_MOST_CHANGES = 64
"""The most fields of a text that are changed at a time."""


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
            Route("/api/recipe/form", answering(self.form), methods=["GET"]),
            Route("/api/recipe/change", answering(self.change), methods=["POST"]),
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

    async def form(self, _request: Request) -> Response:
        """Answer with the controls of a recipe."""
        return JsonAnswer(asdict(await asyncio.to_thread(self._recipes.form)))

    async def change(self, request: Request) -> Response:
        """Change fields of a text.

        `changes` is a list of `{path, value}`, of `{path}` for a field to inherit or an entry of a list to go, and of
        `{path, to}` for an entry to have another number.
        """
        values = await read_json(request)
        folder, text = texts_of(values, "folder", "text")
        changes = values.get("changes")
        if not isinstance(changes, list) or len(changes) > _MOST_CHANGES:
            raise UsageError(f"changes must be a list of at most {_MOST_CHANGES}")
        made = [_change_of(change) for change in changes]
        return JsonAnswer(await asyncio.to_thread(self._recipes.change, folder, text, made))

    async def save(self, request: Request) -> Response:
        """Give a folder a recipe, unless it was changed since `mark` was told."""
        folder, text, mark = await read_texts(request, "folder", "text", "mark")
        return JsonAnswer(await asyncio.to_thread(self._recipes.save, folder, text, mark))


def _change_of(values: object) -> Change:
    """Read a change of a field. Raises UsageError for what is none."""
    path = path_of(values.get("path")) if isinstance(values, dict) else None
    if path is None or not isinstance(values, dict):
        raise UsageError('a change is {"path": ["ascent", "lr"], "value": 0.1}, or without a value to inherit it')
    to = values.get("to")
    if to is not None and (not isinstance(to, int) or isinstance(to, bool)):
        raise UsageError("an entry is moved to a number, from 0")
    return Change(path=path, value=values.get("value"), is_removal="value" not in values, moved_to=to)

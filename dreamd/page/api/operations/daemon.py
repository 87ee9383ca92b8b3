"""The operations on the daemon: what it is doing, what a recipe may name, pause and resume."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from dreamd.files.names import parts_of
from dreamd.page.api.models import (
    ApiTrouble,
    FolderQuery,
    NetworkNeed,
    Nothing,
    Overview,
    Paused,
    Preset,
    PresetList,
    RecipeNames,
    TroubleList,
)
from dreamd.page.api.operations.operation import ANY_RIGHT, Answer, Operation, operation
from dreamd.page.attention import Attention
from dreamd.page.handlers.answers import JsonAnswer
from dreamd.page.handlers.stored_files import sent_sample
from dreamd.page.parts import Parts
from dreamd.page.recipes.cards import UNDREAMED
from dreamd.tree import control


class DaemonOperations:
    """Answers what is asked about the daemon."""

    def __init__(self, parts: Parts) -> None:
        self._config = parts.config
        self._state = parts.state
        self._recipes = parts.recipes
        self._cards = parts.cards
        self._attention = Attention(parts.config)

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        return [*self._that_tell(), *self._that_change()]

    def _that_tell(self) -> list[Operation]:
        return [
            *(
                operation(
                    "GET", path, handler, query=Nothing, answers={200: Answer(words=words, model=model)},
                    needs=ANY_RIGHT,
                )
                for path, handler, words, model in (
                    ("/status", self.get_status, "The state of the daemon.", Overview),
                    ("/recipes", self.list_recipes, "The names.", RecipeNames),
                    ("/presets", self.list_presets, "What there is to choose from.", PresetList),
                )
            ),
            operation(
                "GET", "/presets/{name}/picture", self.get_preset_picture, query=Nothing,
                answers={200: Answer(words="The picture.", media_type="image/webp")},
                problems={404: "There is no such preset, or no picture of it."}, needs=ANY_RIGHT,
            ),
            operation(
                "GET", "/attention", self.list_troubles, query=Nothing,
                answers={200: Answer(words="What needs a person.", model=TroubleList)}, needs={"read", "all"},
            ),
        ]  # fmt: skip

    def _that_change(self) -> list[Operation]:
        paused = {200: Answer(words="What is paused now.", model=Paused)}
        no_folder = {422: "It is no folder of the inbox."}
        return [
            operation("POST", path, handler, query=FolderQuery, answers=paused, problems=no_folder, needs={"all"})
            for path, handler in (("/pause", self.pause), ("/resume", self.resume))
        ]

    async def get_status(self, _request: Request, _query: Nothing) -> Response:
        """Tell what the daemon is doing."""
        values = await asyncio.to_thread(self._state.state)
        return JsonAnswer(Overview.model_validate(values).model_dump())

    async def list_troubles(self, _request: Request, _query: Nothing) -> Response:
        """List what keeps pictures from being dreamed, by cause."""
        found = await asyncio.to_thread(self._attention.troubles)
        told = [ApiTrouble.model_validate(each, from_attributes=True) for each in found]
        return JsonAnswer(TroubleList(troubles=told).model_dump())

    async def list_recipes(self, _request: Request, _query: Nothing) -> Response:
        """List the presets and named recipes, which `recipe` may name."""
        names = await asyncio.to_thread(self._recipes.names)
        return JsonAnswer(RecipeNames(recipes=[each["name"] for each in names]).model_dump())

    async def list_presets(self, _request: Request, _query: Nothing) -> Response:
        """List the presets and named recipes with what each makes, and what it takes."""
        cards = await asyncio.to_thread(self._cards.cards)
        presets = [
            Preset(
                name=card.name,
                kind=card.kind,
                words=card.words,
                networks=[NetworkNeed.model_validate(each, from_attributes=True) for each in card.networks],
                picture=None if card.sample is None else f"presets/{card.name}/picture",
                problem=card.problem,
            )
            for card in cards
        ]
        return JsonAnswer(PresetList(undreamed=f"presets/{UNDREAMED}/picture", presets=presets).model_dump())

    async def get_preset_picture(self, request: Request, _query: Nothing) -> Response:
        """Send the small picture of a preset, or with `undreamed` the one that it is a dream of."""
        return sent_sample(request.path_params["name"])

    async def pause(self, _request: Request, query: FolderQuery) -> Response:
        """Start no more jobs from a folder and those below it; what runs is finished."""
        return JsonAnswer({"said": await asyncio.to_thread(control.pause, self._config, self._folder(query))})

    async def resume(self, _request: Request, query: FolderQuery) -> Response:
        """Start jobs from a folder again."""
        return JsonAnswer({"said": await asyncio.to_thread(control.resume, self._config, self._folder(query))})

    def _folder(self, query: FolderQuery) -> str:
        return str(self._config.inbox.joinpath(*parts_of(query.folder)))

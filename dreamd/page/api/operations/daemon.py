"""The operations on the daemon: what it is doing, what a recipe may name, pause and resume."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

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
from dreamd.page.api.operations.operation import Answer, Operation, operation
from dreamd.page.attention import Attention
from dreamd.page.handlers.answers import JsonAnswer
from dreamd.page.handlers.stored_files import sent_sample
from dreamd.page.recipes.cards import UNDREAMED, RecipeCards
from dreamd.page.recipes.editor import Recipes
from dreamd.page.state import StateView
from dreamd.settings.config import Config
from dreamd.tree import control
from dreamd.tree.attention import Trouble


def _fields(trouble: Trouble) -> dict[str, Any]:
    """Return what the API tells of a trouble."""
    values = asdict(trouble)
    return {name: values[name] for name in ApiTrouble.model_fields}


class DaemonOperations:
    """Answers what is asked about the daemon."""

    def __init__(self, config: Config, state: StateView, recipes: Recipes, cards: RecipeCards) -> None:
        self._config = config
        self._state = state
        self._recipes = recipes
        self._cards = cards
        self._attention = Attention(config)

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        paused = {200: Answer(words="What is paused now.", model=Paused)}
        no_folder = {422: "It is no folder of the inbox."}
        return [
            operation(
                "GET",
                "/status",
                self.get_status,
                query=Nothing,
                answers={200: Answer(words="The state of the daemon.", model=Overview)},
                needs={"read", "drop", "all"},
            ),
            operation(
                "GET",
                "/attention",
                self.list_troubles,
                query=Nothing,
                answers={200: Answer(words="What needs a person.", model=TroubleList)},
                needs={"read", "all"},
            ),
            operation(
                "GET",
                "/recipes",
                self.list_recipes,
                query=Nothing,
                answers={200: Answer(words="The names.", model=RecipeNames)},
                needs={"read", "drop", "all"},
            ),
            operation(
                "GET",
                "/presets",
                self.list_presets,
                query=Nothing,
                answers={200: Answer(words="What there is to choose from.", model=PresetList)},
                needs={"read", "drop", "all"},
            ),
            operation(
                "GET",
                "/presets/{name}/picture",
                self.get_preset_picture,
                query=Nothing,
                answers={200: Answer(words="The picture.", media_type="image/webp")},
                problems={404: "There is no such preset, or no picture of it."},
                needs={"read", "drop", "all"},
            ),
            operation(
                "POST", "/pause", self.pause, query=FolderQuery, answers=paused, problems=no_folder, needs={"all"}
            ),
            operation(
                "POST", "/resume", self.resume, query=FolderQuery, answers=paused, problems=no_folder, needs={"all"}
            ),
        ]

    async def get_status(self, _request: Request, _query: Nothing) -> Response:
        """Tell what the daemon is doing."""
        values = await asyncio.to_thread(self._state.state)
        return JsonAnswer(Overview.model_validate(values).model_dump())

    async def list_troubles(self, _request: Request, _query: Nothing) -> Response:
        """List what keeps pictures from being dreamed, by cause."""
        found = await asyncio.to_thread(self._attention.troubles)
        return JsonAnswer(TroubleList(troubles=[ApiTrouble(**_fields(each)) for each in found]).model_dump())

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
                networks=[NetworkNeed(name=each.name, weights=each.weights) for each in card.networks],
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

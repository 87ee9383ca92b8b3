"""The operations on recipes as texts: what may stand in one, and what a text would make of a folder's recipe."""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from dreamd.errors import UsageError
from dreamd.json_text import to_json
from dreamd.page.api.models import FolderQuery, Nothing
from dreamd.page.api.operations.operation import ANY_RIGHT, Answer, Operation, operation
from dreamd.page.handlers.answers import JsonAnswer
from dreamd.page.handlers.requests import read_body
from dreamd.page.parts import Parts
from dreamd.settings.recipes.schema import recipe_schema


class RecipeProblem(BaseModel):
    """What is wrong with a recipe."""

    text: Annotated[str, Field(description="What is wrong, and what to do.")]
    line: Annotated[int | None, Field(description="The line of the text, from 1; null: it is not in the text.")]


class RecipeField(BaseModel):
    """A field of an effective recipe."""

    name: Annotated[str, Field(description="Its name, dotted: `ascent.lr`.")]
    value: Annotated[str, Field(description="Its value, as JSON.")]
    origin: Annotated[str, Field(description="Where the value is from: a file with its line, a preset, a default.")]


class CheckedRecipe(BaseModel):
    """What a text would make of a folder's recipe."""

    problem: Annotated[RecipeProblem | None, Field(description="Null: the recipe is right.")]
    fields: Annotated[list[RecipeField], Field(description="Every effective field; none where something is wrong.")]


class RecipeOperations:
    """Answers what is asked about recipes."""

    def __init__(self, parts: Parts) -> None:
        self._recipes = parts.recipes

    def operations(self) -> list[Operation]:
        """List them, in the order of the document."""
        return [
            operation(
                "GET",
                "/recipes/schema",
                self.get_recipe_schema,
                query=Nothing,
                answers={200: Answer(words="The schema.", media_type="application/schema+json")},
                needs=ANY_RIGHT,
            ),
            operation(
                "POST",
                "/recipes/check",
                self.check_recipe,
                query=FolderQuery,
                answers={200: Answer(words="The verdict.", model=CheckedRecipe)},
                problems={422: "It is no folder of the inbox, or the text is not UTF-8."},
                needs=ANY_RIGHT,
                body="The text of a `recipe.yaml`, YAML or JSON.",
            ),
        ]

    async def get_recipe_schema(self, _request: Request, _query: Nothing) -> Response:
        """Get the JSON Schema of recipes, with the plugins there are: for editors and forms."""
        catalogue = await asyncio.to_thread(self._recipes.offered)
        schema = await asyncio.to_thread(recipe_schema, catalogue)
        return Response(to_json(schema), media_type="application/schema+json")

    async def check_recipe(self, request: Request, query: FolderQuery) -> Response:
        """Tell what a text would make of a folder's recipe, or what is wrong with it and where; nothing is saved."""
        try:
            text = (await read_body(request)).decode()
        except UnicodeDecodeError as error:
            raise UsageError("the recipe is not UTF-8") from error
        verdict = await asyncio.to_thread(self._recipes.check, query.folder, text)
        fields = verdict["standing"]["fields"] if verdict["standing"] else []
        told = CheckedRecipe.model_validate({"problem": verdict["problem"], "fields": fields})
        return JsonAnswer(told.model_dump())

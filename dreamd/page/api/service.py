"""The API as one application: every operation with its route, the document, and problems for what goes wrong."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from dreamd.errors import DreamdError
from dreamd.json_text import to_json
from dreamd.page.access.clients import Clients
from dreamd.page.api.daemon_operations import DaemonOperations
from dreamd.page.api.job_operations import JobOperations
from dreamd.page.api.openapi import openapi
from dreamd.page.api.operations import Operation
from dreamd.page.api.posting import Posting
from dreamd.page.api.problems import problem_of, problem_of_address, problem_of_fault
from dreamd.page.api.receipts import Receipts
from dreamd.page.problems import API_PATH
from dreamd.page.recipe_cards import RecipeCards
from dreamd.page.recipe_editor import Recipes
from dreamd.page.state import StateView
from dreamd.page.uploading.uploads import Uploads
from dreamd.settings.config import Config


def api_operations(
    config: Config, clients: Clients, uploads: Uploads, state: StateView, recipes: Recipes, cards: RecipeCards
) -> list[Operation]:
    """List every operation of the API."""
    receipts = Receipts(config.state, config.inbox)
    posting = Posting(config, uploads, recipes, receipts)
    return [
        *JobOperations(config, clients, posting, receipts).operations(),
        *DaemonOperations(config, state, recipes, cards).operations(),
    ]


def api_route(operations: list[Operation]) -> Mount:
    """Make the route to the API."""
    document = to_json(openapi(operations))

    async def describe(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    app = Starlette(
        routes=[Route("/openapi.json", describe, methods=["GET"]), *(each.route() for each in operations)],
        exception_handlers={
            DreamdError: problem_of,
            HTTPException: problem_of_address,
            Exception: problem_of_fault,
        },
    )
    return Mount(API_PATH, app=app)

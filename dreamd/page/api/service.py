"""The API as one application: every operation with its route, the document, and problems for what goes wrong."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from dreamd.errors import DreamdError
from dreamd.json_text import to_json
from dreamd.page.api.following import Following
from dreamd.page.api.openapi import openapi
from dreamd.page.api.operations.again import AgainOperations
from dreamd.page.api.operations.daemon import DaemonOperations
from dreamd.page.api.operations.events import EventOperations
from dreamd.page.api.operations.jobs import JobOperations
from dreamd.page.api.operations.operation import Operation
from dreamd.page.api.operations.recipes import RecipeOperations
from dreamd.page.api.operations.results import ResultOperations
from dreamd.page.api.problems import problem_of, problem_of_address, problem_of_fault
from dreamd.page.parts import Parts
from dreamd.page.problems import API_PATH


def api_operations(parts: Parts) -> list[Operation]:
    """List every operation of the API."""
    following = Following(parts.config.state)
    return [
        *JobOperations(parts, following).operations(),
        *EventOperations(parts, following).operations(),
        *ResultOperations(parts).operations(),
        *AgainOperations(parts).operations(),
        *RecipeOperations(parts).operations(),
        *DaemonOperations(parts).operations(),
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

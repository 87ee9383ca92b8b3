"""An operation of the API: the one source of its route, of its checks and of its place in the OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dreamd.errors import UnknownNameError, UsageError
from dreamd.page.access.callers import ForbiddenError, caller_of
from dreamd.page.api.models import Nothing, Query
from dreamd.page.handlers.requests import query_of, read_json
from dreamd.settings.sections import Right

Q = TypeVar("Q", bound=Query)
M = TypeVar("M", bound=BaseModel)

ANY_RIGHT: frozenset[Right] = frozenset(get_args(Right))
"""What whoever may do anything at all may ask for."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an operation answers when all is well.

    Attributes:
        words: what it is.
        model: the type of its JSON; None where it is something else.
        media_type: the type of the body.
    """

    words: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Header:
    """A header that an operation takes; it may be left out."""

    name: str
    words: str


IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    words="A name for this one request, up to 255 characters. Sent again with it, for 30 days, the picture is not "
    "taken twice.",
)
"""The header that makes a request safe to send again."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method at one address.

    Attributes:
        method: the HTTP method.
        path: the address below `/api/v1`.
        name: what programs made from the document call it.
        summary: what it does, in one sentence.
        answers: by HTTP status.
        problems: the statuses of its problems, each with its words.
        needs: who may ask has one of these rights.
        query: the parameters behind the question mark.
        headers: the headers it takes.
        body: what the body is, in words; None for none.
        takes: the type of a body of JSON; None where the body is something else.
        endpoint: answers a request.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, Answer]
    problems: dict[int, str]
    needs: frozenset[Right]
    query: type[Query]
    headers: tuple[Header, ...]
    body: str | None
    takes: type[BaseModel] | None
    endpoint: Callable[[Request], Awaitable[Response]]

    def route(self) -> Route:
        """Return the route to it."""
        return Route(self.path, self.endpoint, methods=[self.method])


def operation(
    method: str,
    path: str,
    handler: Callable[[Request, Q], Awaitable[Response]],
    *,
    query: type[Q],
    answers: dict[int, Answer],
    problems: dict[int, str] | None = None,
    needs: AbstractSet[Right],
    headers: tuple[Header, ...] = (),
    body: str | None = None,
    takes: type[BaseModel] | None = None,
) -> Operation:
    """Describe an operation by its handler, whose docstring's first line is its summary.

    The endpoint asks for the right first, and gives the handler its parameters when they are what they should be.
    """
    rights = frozenset(needs)

    async def endpoint(request: Request) -> Response:
        caller = caller_of(request)
        if not caller.may & rights:
            raise ForbiddenError(f"the token {caller.name!r} may not do this; it takes: {' or '.join(sorted(rights))}")
        return await handler(request, parse_query(request, query))

    summary = (inspect.getdoc(handler) or "").partition("\n")[0]
    name = getattr(handler, "__name__", path)
    return Operation(
        method=method,
        path=path,
        name=name,
        summary=summary,
        answers=answers,
        problems=problems or {},
        needs=rights,
        query=query,
        headers=headers,
        body=body,
        takes=takes,
        endpoint=endpoint,
    )


async def read_model(request: Request, model: type[M]) -> M:
    """Read a body of JSON. Raises UsageError for a field that is unknown, missing or wrong."""
    try:
        return model.model_validate(await read_json(request))
    except ValidationError as error:
        raise _explained(error) from error


def parse_query(request: Request, query: type[Q]) -> Q:
    """Read the parameters of a request. Raises UsageError for one that is unknown, missing or wrong."""
    values = query_of(request)
    for name in values:
        if name not in query.model_fields:
            raise (
                UnknownNameError("parameter", name, query.model_fields)
                if query is not Nothing
                else UsageError(f"there is no parameter {name!r}; this takes none")
            )
    try:
        return query.model_validate_strings(values)
    except ValidationError as error:
        raise _explained(error) from error


def _explained(error: ValidationError) -> UsageError:
    first = error.errors()[0]
    return UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

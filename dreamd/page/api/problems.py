"""What the API answers to an error: each kind of error a status, with its words."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dreamd.errors import DreamdError
from dreamd.page.handlers.answers import code_of
from dreamd.page.problems import problem

_RETRY_SECONDS = "5"
"""The time in seconds after which who was refused for want of room may ask again."""


def problem_of(_request: Request, error: Exception) -> Response:
    """Tell an error of dreamd's. The rest of a body that was not read must not be waited for."""
    assert isinstance(error, DreamdError)
    code = code_of(error)
    headers = {} if code == HTTPStatus.NOT_FOUND else {"Connection": "close"}
    if code == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = _RETRY_SECONDS
    return problem(code, str(error), headers)


def problem_of_address(request: Request, error: Exception) -> Response:
    """Tell that an address, or a method at it, is not there."""
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path} is not in the API; openapi.json lists what is"
    return problem(error.status_code, detail, dict(error.headers or {}))


def problem_of_fault(_request: Request, _error: Exception) -> Response:
    """Tell that dreamd itself is at fault; the log has the rest."""
    return problem(500, "this is a fault of dreamd's own; its log says more")

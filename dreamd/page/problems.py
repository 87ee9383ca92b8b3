"""How the API tells that something went wrong: `application/problem+json` (RFC 9457) with words."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, Field
from starlette.responses import Response

from dreamd.json_text import to_json
from dreamd.wording import printable

API_PATH = "/api/v1"
"""Where the API is; another first version number will stand beside it, not in its place."""

PROBLEM_TYPE = "application/problem+json"
"""The media type of a problem."""


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    title: Annotated[str, Field(description="The status in words.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong, and what to do.")]


def problem(code: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Make the answer that tells a problem."""
    text = "\n".join(map(printable, detail.splitlines()))
    told = Problem(title=HTTPStatus(code).phrase, status=code, detail=text)
    return Response(to_json(told.model_dump()), code, headers, PROBLEM_TYPE)

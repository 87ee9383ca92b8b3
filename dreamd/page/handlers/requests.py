"""What comes with a request: bodies within limits, and values of the type that is wanted."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from dreamd.errors import UsageError
from dreamd.page.uploading.places import SlowError
from dreamd.page.uploading.sizes import TooLargeError

_BODY_BYTES = 256 * 1024
"""The largest request that is no picture, in bytes."""

_BODY_SECONDS = 20.0
"""The time in seconds after which a request that is no picture must have come to its end."""


async def read_body(request: Request) -> bytes:
    """Read a small body. Raises UsageError for a large one, and for one that does not come."""
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > _BODY_BYTES:
                    raise TooLargeError("this request is too large")
    except TimeoutError:
        raise SlowError("this request does not come to its end") from None
    return bytes(data)


async def read_json(request: Request) -> dict[str, Any]:
    """Read a body that is a JSON object. Its type is asked for, because a form of another site cannot send it.

    Raises:
        UsageError: the body is something else.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UsageError("send application/json")
    try:
        values = json.loads(await read_body(request))
    except (ValueError, RecursionError) as error:
        raise UsageError("this is no JSON") from error
    if not isinstance(values, dict):
        raise UsageError("this is no JSON object")
    return values


async def read_texts(request: Request, *names: str) -> tuple[str, ...]:
    """Read a JSON object and return the texts of these names. Raises UsageError."""
    return texts_of(await read_json(request), *names)


def texts_of(values: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Return the texts of these names in a JSON object. Raises UsageError."""
    for name in names:
        if not isinstance(values.get(name), str):
            raise UsageError(f"{name} must be text")
    return tuple(values[name] for name in names)


def query_of(request: Request) -> dict[str, str]:
    """Return the fields of a request's query. A name in it may be no text: its bytes are kept as `os.fsdecode` does."""
    query: bytes = request.scope["query_string"]
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"))


def length_of(request: Request) -> int | None:
    """Return how many bytes the body has, if the sender has said it."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def number(text: str) -> float:
    """Return the number that a text says. Raises UsageError for what is none, and for infinity."""
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError("this is no number") from error
    if not math.isfinite(value):
        raise UsageError("this is no finite number")
    return value

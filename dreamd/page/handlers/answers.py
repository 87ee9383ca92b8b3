"""How a request is answered when something is not there or went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from dreamd.errors import DreamdError, SpaceError, UsageError
from dreamd.json_text import to_json
from dreamd.page.access.callers import ForbiddenError
from dreamd.page.recipes.editor import ChangedError
from dreamd.page.uploading.places import SlowError
from dreamd.page.uploading.sizes import TooLargeError

Handler = Callable[[Request], Awaitable[Response]]
"""What answers a request."""


class JsonAnswer(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Write the content, whatever names are in it."""
        return to_json(content).encode()


class NotThereError(UsageError):
    """What was asked for is not there."""


class FullError(DreamdError):
    """So many ask already that nobody else may."""


_CODES: tuple[tuple[type[DreamdError], int], ...] = (
    (NotThereError, 404),
    (ForbiddenError, 403),
    (TooLargeError, 413),
    (SlowError, 408),
    (ChangedError, 409),
    (UsageError, 422),
    (FullError, 503),
    (SpaceError, 507),
    (DreamdError, 500),
)
"""The HTTP status code of each error; the first that fits counts."""


def code_of(error: DreamdError) -> int:
    """Return the HTTP status code of an error."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def answering(handler: Handler) -> Handler:
    """Wrap a handler so that an error which a person can understand is told to the person."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except DreamdError as error:
            code = code_of(error)
            # The rest of a body that was not read must not be waited for; a look at what is not there has none.
            headers = None if isinstance(error, NotThereError) else {"Connection": "close"}
            return JsonAnswer({"error": str(error)}, code, headers)

    return answer

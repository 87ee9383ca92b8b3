"""The guard before every handler: it refuses who may not ask, and tells browsers what they may do with an answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dreamd.page.access.callers import SCOPE
from dreamd.page.access.entrance import Entrance
from dreamd.page.access.guesses import TooSoonError
from dreamd.page.access.hosts import Hosts
from dreamd.page.access.origin import foreign_origin
from dreamd.page.problems import API_PATH, problem
from dreamd.settings.sections import StatusConfig

_OPEN_PATHS = frozenset({"/login", "/healthz", "/readyz"})
"""These need no token: they show one, or tell only whether dreamd lives."""

_OPEN_FOLDER = "/static/"
"""Nothing below this path needs a token: the page for signing in is made of it."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every answer."""


class Guard:
    """Lets through what may be answered, and adds to each answer what a browser may do with it."""

    def __init__(self, app: ASGIApp, config: StatusConfig, entrance: Entrance | None) -> None:
        self._app = app
        self._hosts = Hosts(config)
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application around another."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = await self._refusal(Request(scope))
        await (refusal or self._app)(scope, receive, send_guarded)

    async def _refusal(self, request: Request) -> Response | None:
        """Make the answer to who may not go on; None for who may."""
        if not self._hosts.is_known(request.headers.get("host", "")):
            return _refused(request, 421, "this name is not known here; add it to status.hosts in dreamd's config")
        if words := foreign_origin(request.headers, request.method, request.url.path):
            return _refused(request, 403, words)
        if self._entrance is None or _is_open(request.url.path):
            return None
        try:
            caller = await self._entrance.caller(request)
        except TooSoonError as error:
            return _refused(request, 429, str(error), {"Retry-After": str(error.seconds)})
        if caller is not None:
            request.scope[SCOPE] = caller
            if caller.may_ask(request.url.path):
                return None
            return _refused(request, 403, f"the token {caller.name!r} is for {API_PATH} only")
        if request.url.path == "/" and request.method == "GET":
            return RedirectResponse("login", 303)
        return _refused(request, 401, "show the token", {"WWW-Authenticate": "Bearer"})


def _is_open(path: str) -> bool:
    """Tell whether a path needs no token."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _refused(request: Request, code: int, words: str, headers: dict[str, str] | None = None) -> Response:
    headers = {"Connection": "close", **(headers or {})}
    if request.url.path.startswith(f"{API_PATH}/"):
        return problem(code, words, headers)
    return PlainTextResponse(f"{words}\n", code, headers)

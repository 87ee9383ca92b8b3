"""Who may speak to the page, and what a browser may do with what it gets.

Stands before every handler. A page of another site that a person has open must reach nothing here: not by a name that
it made point to this machine (Host), not by a form or script of its own (Origin), not by showing a picture. Where
others than this machine can connect, everybody must show the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import socket
import stat
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dreamd.errors import ConfigError
from dreamd.settings.config import TOKEN_RULE, Config, StatusConfig, is_loopback, is_token

SESSION_COOKIE = "dreamd_session"
SESSION_SECONDS = 30 * 86_400

_WRONG_TOKEN_SECONDS = 1.0
"""Before a wrong token is answered."""

_OPEN_PATHS = frozenset({"/login", "/healthz", "/readyz"})
_OPEN_FOLDER = "/static/"
_LARGEST_TOKEN_FILE = 4096

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Sessions:
    """Proof that somebody has shown the token: a time with a signature that only who knows the token can make.

    So nothing is kept here, and a page stays open over a restart of the daemon; a new token ends them all.
    """

    token: str

    def new(self) -> str:
        """A session that begins now."""
        end = str(int(time.time()) + SESSION_SECONDS)
        return f"{end}.{self._signature(end)}"

    def is_valid(self, session: str) -> bool:
        """Whether a session was made here, and is not over."""
        end, _, signature = session.partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signature(end).encode())
        return is_ours and int(end) > time.time()

    def is_token(self, token: str) -> bool:
        """Whether it is the token; takes as long for a wrong one, wherever it is wrong."""
        return hmac.compare_digest(_digest(token), _digest(self.token))

    def _signature(self, end: str) -> str:
        return hmac.new(self.token.encode(), f"dreamd session {end}".encode(), hashlib.sha256).hexdigest()


class Guard:
    """Lets through what may be answered, and says with each answer what a browser may do with it."""

    def __init__(self, app: ASGIApp, config: StatusConfig, sessions: Sessions | None) -> None:
        self._app = app
        self._hosts = _Hosts(config)
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application around another."""
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
        """The answer to who may not go on."""
        if not self._hosts.is_known(request.headers.get("host", "")):
            return _refused(421, "this name is not known here; add it to status.hosts in dreamd's config")
        if problem := foreign(request.headers, request.method, request.url.path):
            return _refused(403, problem)
        if self._sessions is None or is_open(request.url.path) or is_signed_in(request, self._sessions):
            return None
        if "authorization" in request.headers:
            await asyncio.sleep(_WRONG_TOKEN_SECONDS)
        if request.url.path == "/" and request.method == "GET":
            return RedirectResponse("/login", 303)
        return _refused(401, "show the token", {"WWW-Authenticate": "Bearer"})


def is_open(path: str) -> bool:
    """Whether a path needs no token: what is needed to show one, and what tells only that dreamd lives."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def is_signed_in(request: Request, sessions: Sessions) -> bool:
    """Whether a request comes with the token, or with a session of somebody who has shown it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return sessions.is_token(token.strip())
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return False
    return cookie is not None and sessions.is_valid(cookie.value)


async def sign_in(sessions: Sessions, token: str) -> Response | None:
    """The answer to who shows the token, with a session for it; None, a while later, for a wrong one."""
    if not sessions.is_token(token):
        await asyncio.sleep(_WRONG_TOKEN_SECONDS)
        return None
    response = RedirectResponse("/", 303)
    response.set_cookie(
        SESSION_COOKIE, sessions.new(), max_age=SESSION_SECONDS, path="/", httponly=True, samesite="strict"
    )
    return response


def foreign(headers: Headers, method: str, path: str) -> str | None:
    """Why a request comes from another site, as far as its browser tells; None: it does not.

    A program that is no browser sends none of these headers, and carries nobody's session unless it was given it.
    """
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in {f"{scheme}://{headers['host'].lower()}" for scheme in _SCHEMES}:
        return "this request comes from a page of another site"
    is_visit = method == "GET" and path in ("/", "/login") and headers.get("sec-fetch-mode", "navigate") == "navigate"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_visit:
        return "this request comes from a page of another site"
    return None


def token_of(config: Config) -> str | None:
    """The token that a config asks for; None where only this machine can connect, and no token is set.

    Raises:
        ConfigError: its file cannot be read, can be read by everybody, or holds no token.
    """
    status = config.status
    if status.token_file is None:
        return status.token.get_secret_value() if status.token is not None else None
    field = ("status", "token_file")
    try:
        descriptor = os.open(status.token_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        problem = f"{status.token_file} cannot be read: {error.strerror}"
        raise ConfigError(problem, file=config.file, field=field) from error
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & stat.S_IRWXO:
            problem = f"everybody can read it; do `chmod o= {status.token_file}`"
            raise ConfigError(problem, file=config.file, field=field)
        token = file.read(_LARGEST_TOKEN_FILE).decode("utf-8", "replace").strip()
    if not is_token(token):
        raise ConfigError(f"{status.token_file} must hold {TOKEN_RULE}", file=config.file, field=field)
    return token


_SCHEMES = ("http", "https")


class _Hosts:
    """The names by which this machine may be asked for the page.

    A foreign name that was made to point here is how a page of another site would come to be of the same origin. An
    address is no name, so nobody can make it point elsewhere.
    """

    def __init__(self, config: StatusConfig) -> None:
        self._is_local = config.is_local
        self._names = {name.lower() for name in config.hosts} | {"localhost"}
        if not self._is_local:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower(), config.address[0].lower()}

    def is_known(self, host: str) -> bool:
        """Whether a Host header names this machine."""
        host = host.lower()
        if host in self._names:
            return True
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdecimal() or host.endswith("]"):
            name = host
        if name.startswith("["):
            name = name[1:].removesuffix("]")
        return name in self._names or self._is_own_address(name)

    def _is_own_address(self, name: str) -> bool:
        if self._is_local:
            return is_loopback(name)
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _refused(status: int, problem: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{problem}\n", status, {"Connection": "close", **(headers or {})})

"""The way in: who shows the token or a session of somebody who has shown it, and who shows a wrong one."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dreamd.page.access.clients import Clients, household_of
from dreamd.page.access.guesses import FIRST_SECONDS, Guesses
from dreamd.page.access.sessions import SESSION_COOKIE, SESSION_SECONDS, Sessions, has_session

log = logging.getLogger(__name__)


class Entrance:
    """Lets in who shows the token, tells browsers to remember it, and logs who shows a wrong one."""

    def __init__(self, sessions: Sessions, clients: Clients, *, secure_cookies: bool) -> None:
        """Open it.

        Args:
            sessions: the token and its sessions.
            clients: tells who comes.
            secure_cookies: whether browsers may send a session by TLS only, even where no proxy says that it came so.
        """
        self._sessions = sessions
        self._clients = clients
        self._secure_cookies = secure_cookies
        self._guesses = Guesses()

    async def is_signed_in(self, request: Request) -> bool:
        """Tell whether a request comes with the token or a session; of a wrong token a while later.

        Raises:
            TooSoonError: it comes with a token, and its client has shown too many wrong ones.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._is_right(request, token.strip())
        return has_session(request, self._sessions)

    async def sign_in(self, request: Request, token: str) -> Response | None:
        """Answer who shows the token with a session; return None, a while later, for a wrong one.

        Raises:
            TooSoonError: the client has shown too many wrong ones.
        """
        if not await self._is_right(request, token):
            return None
        sessions, response = self._sessions, RedirectResponse("./", 303)
        response.set_cookie(
            SESSION_COOKIE, sessions.new(), max_age=SESSION_SECONDS, path=sessions.path,
            secure=self._is_secure(request), httponly=True, samesite="strict",
        )  # fmt: skip
        return response

    def sign_out(self, request: Request) -> Response:
        """Make an answer that has the browser forget its session."""
        response = Response(status_code=204)
        response.delete_cookie(
            SESSION_COOKIE, self._sessions.path, secure=self._is_secure(request), httponly=True, samesite="strict"
        )
        return response

    async def _is_right(self, request: Request, token: str) -> bool:
        address = self._clients.address_of(request)
        client = household_of(address)
        self._guesses.check(client)
        if self._sessions.is_token(token):
            self._guesses.note_right(client)
            return True
        seconds = self._guesses.note_wrong(client)
        log.warning("sign-in refused: wrong token from %s", address)  # systemd/fail2ban/ looks for these words
        await asyncio.sleep(min(seconds, FIRST_SECONDS))
        return False

    def _is_secure(self, request: Request) -> bool:
        return self._secure_cookies or self._clients.is_secure(request)

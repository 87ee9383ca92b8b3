"""The way in: who shows the token or a session of somebody who has shown it, and who shows a wrong one."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dreamd.page.access.callers import PERSON, Caller
from dreamd.page.access.clients import Clients, household_of
from dreamd.page.access.guesses import FIRST_SECONDS, Guesses
from dreamd.page.access.programs import Programs, program_with
from dreamd.page.access.sessions import SESSION_COOKIE, SESSION_SECONDS, Sessions, has_session

log = logging.getLogger(__name__)


class Entrance:
    """Lets in who shows the token, tells browsers to remember it, and logs who shows a wrong one."""

    def __init__(
        self, sessions: Sessions | None, programs: Programs, clients: Clients, *, secure_cookies: bool
    ) -> None:
        """Open it.

        Args:
            sessions: the page's token and its sessions; None where no person needs a token.
            programs: the programs that have tokens of their own.
            clients: tells who comes.
            secure_cookies: whether browsers may send a session by TLS only, even where no proxy says that it came so.
        """
        self._sessions = sessions
        self._programs = programs
        self._clients = clients
        self._secure_cookies = secure_cookies
        self._guesses = Guesses()

    @property
    def asks_persons(self) -> bool:
        """Whether persons need a token."""
        return self._sessions is not None

    async def is_signed_in(self, request: Request) -> bool:
        """Tell whether `caller` knows who asks. Raises TooSoonError as it does."""
        return await self.caller(request) is not None

    async def caller(self, request: Request) -> Caller | None:
        """Find out who asks, by the token or session of a request; None, a while later, for a wrong token.

        Raises:
            TooSoonError: it comes with a token, and its client has shown too many wrong ones.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._owner(request, token.strip())
        return PERSON if self._sessions is None or has_session(request, self._sessions) else None

    async def sign_in(self, request: Request, token: str) -> Response | None:
        """Answer who shows the token with a session; return None, a while later, for a wrong one.

        Raises:
            TooSoonError: the client has shown too many wrong ones.
        """
        sessions = self._sessions
        if sessions is None or await self._owner(request, token) is not PERSON:
            return None
        response = RedirectResponse("./", 303)
        response.set_cookie(
            SESSION_COOKIE, sessions.new(), max_age=SESSION_SECONDS, path=sessions.path,
            secure=self._is_secure(request), httponly=True, samesite="strict",
        )  # fmt: skip
        return response

    def sign_out(self, request: Request) -> Response:
        """Make an answer that has the browser forget its session."""
        response = Response(status_code=204)
        if self._sessions is not None:
            response.delete_cookie(
                SESSION_COOKIE, self._sessions.path, secure=self._is_secure(request), httponly=True, samesite="strict"
            )
        return response

    async def _owner(self, request: Request, token: str) -> Caller | None:
        address = self._clients.address_of(request)
        client = household_of(address)
        self._guesses.check(client)
        is_persons = self._sessions is not None and self._sessions.is_token(token)
        owner = PERSON if is_persons else program_with(token, await self._programs.current())
        if owner is not None:
            self._guesses.note_right(client)
            return owner
        seconds = self._guesses.note_wrong(client)
        log.warning("sign-in refused: wrong token from %s", address)  # systemd/fail2ban/ looks for these words
        await asyncio.sleep(min(seconds, FIRST_SECONDS))
        return None

    def _is_secure(self, request: Request) -> bool:
        return self._secure_cookies or self._clients.is_secure(request)

"""The token, the sessions of those who have shown it, and who comes with one."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass

from starlette.requests import Request

SESSION_COOKIE = "dreamd_session"
"""The name of the cookie that carries a session."""

SESSION_SECONDS = 30 * 86_400
"""The time in seconds after which a session is over."""


@dataclass(frozen=True)
class Sessions:
    """Makes and checks sessions: an end with a signature that only who knows the token can make.

    So nothing is kept here, and a page stays open over a restart of the daemon; a new token ends them all.

    Attributes:
        token: the token.
        path: the path of the page; a browser sends its session there only.
    """

    token: str
    path: str = "/"

    def new(self) -> str:
        """Begin a session now."""
        end = str(int(time.time()) + SESSION_SECONDS)
        return f"{end}.{self._signature(end)}"

    def is_valid(self, session: str) -> bool:
        """Tell whether a session was made here, and is not over."""
        end, _, signature = session.partition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signature(end).encode())
        return is_ours and int(end) > time.time()

    def is_token(self, token: str) -> bool:
        """Tell whether a text is the token; this takes as long for a wrong one, wherever it is wrong."""
        return is_same_text(token, self.token)

    def _signature(self, end: str) -> str:
        return hmac.new(self.token.encode(), f"dreamd session {end}".encode(), hashlib.sha256).hexdigest()


def has_session(request: Request, sessions: Sessions) -> bool:
    """Tell whether a request comes with a session of somebody who has shown the token."""
    # Other programs of this host set cookies too, and may do so in ways that a strict parser gives up on.
    cookies = (cookie.partition("=") for line in request.headers.getlist("cookie") for cookie in line.split(";"))
    return any(sessions.is_valid(value.strip()) for name, _, value in cookies if name.strip() == SESSION_COOKIE)


def is_same_text(text: str, other: str) -> bool:
    """Tell whether two texts are the same; this takes as long wherever they differ."""
    return hmac.compare_digest(_digest(text), _digest(other))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

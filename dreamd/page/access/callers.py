"""Who asks: a person, or a program with a token of its own, and what that one may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from dreamd.errors import UsageError
from dreamd.page.problems import API_PATH
from dreamd.settings.sections import Right


class ForbiddenError(UsageError):
    """Who asks is known, and may not do this."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: the token's name in the config; "" for a person.
        may: the rights.
    """

    name: str
    may: frozenset[Right]

    def may_ask(self, path: str) -> bool:
        """Tell whether an address is for this one: a program without the right `all` has the API, and its numbers."""
        return "all" in self.may or path.startswith(f"{API_PATH}/") or (path == "/metrics" and "read" in self.may)

    def may_see(self, owner: str | None) -> bool:
        """Tell whether this one may look at what that one has posted, or for None at what nobody has."""
        return bool(self.may & {"read", "all"}) or ("drop" in self.may and self.name == owner)


PERSON: Final = Caller("", frozenset({"all"}))
"""A person who has signed in, or who uses this machine where no token is set."""


SCOPE = "dreamd.caller"
"""Where in a request's scope the guard says who asks."""


def caller_of(request: Request) -> Caller:
    """Return who asks, as the guard found out."""
    caller = request.scope.get(SCOPE, PERSON)
    assert isinstance(caller, Caller)
    return caller

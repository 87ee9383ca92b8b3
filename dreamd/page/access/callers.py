"""Who asks: a person, or a program with a token of its own, and what that one may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request

from dreamd.errors import UsageError

Right = Literal["read", "drop", "all"]
"""`read`: look at everything. `drop`: post pictures, and look at those. `all`: everything that the page can do."""


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

    def may_see(self, owner: str) -> bool:
        """Tell whether this one may look at what that one has posted."""
        return bool(self.may & {"read", "all"}) or ("drop" in self.may and self.name == owner)


PERSON: Final = Caller("", frozenset({"all"}))
"""A person who has signed in, or who uses this machine where no token is set."""


def caller_of(request: Request) -> Caller:
    """Return who asks, as the guard found out."""
    caller = request.scope.get("dreamd.caller", PERSON)
    assert isinstance(caller, Caller)
    return caller

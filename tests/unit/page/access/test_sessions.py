"""Sessions: a browser's cookies, among which may be those of other programs on the same host."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from dreamd.page.access.sessions import SESSION_COOKIE, Sessions, has_session

SESSIONS = Sessions("correct-horse-battery")


def comes_in(*cookies: str) -> bool:
    """Tell whether who sends these headers, each with its cookies, is signed in; GOOD stands for a session."""
    lines = (line.replace("GOOD", SESSIONS.new()).replace("session", SESSION_COOKIE) for line in cookies)
    return has_session(Request({"type": "http", "headers": [(b"cookie", line.encode()) for line in lines]}), SESSIONS)


@pytest.mark.parametrize(
    "cookies",
    [
        ["session=GOOD"],
        ['prefs={"a":1}; session=GOOD'],
        ['session=GOOD; prefs={"a":1}'],
        ["session=GOOD; session=1.bad"],
        ["session=1.bad; session=GOOD"],
        ["prefs=1", "session=GOOD"],
        ["=;;no cookie;session = GOOD ;"],
    ],
)
def test_a_session_counts_whatever_other_cookies_come_with_it(cookies: list[str]) -> None:
    assert comes_in(*cookies)


@pytest.mark.parametrize("cookie", ["", "session", "session=", "session=1.bad", "other=GOOD", "session=GOODx"])
def test_without_a_session_of_its_own_nobody_has_session(cookie: str) -> None:
    assert not comes_in(cookie)

"""Signing out in a browser: the page is left before its session ends, so that nothing on it is refused meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser_site import MARKS, TOKEN, Gate, Site

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Page, Route

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]
    Visit = Callable[..., Page]

pytestmark = MARKS


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    """A site that asks for a token."""
    tree = make(tmp_path_factory.mktemp("guarded") / "tree")
    tree.echo()
    return Site(tree, started, token=TOKEN)


def signed_in(site: Site, visit: Visit, *, quiet: bool = False) -> Page:
    page = visit(site, quiet=quiet)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("waiting for pictures").wait_for()
    return page


def test_the_session_ends_on_the_sign_in_page(guarded: Site, visit: Visit) -> None:
    page = signed_in(guarded, visit)
    places = []

    def note_place(route: Route) -> None:
        places.append(page.url)
        route.continue_()

    page.route("**/logout", note_place)
    with page.expect_response("**/logout"):
        page.get_by_role("button", name="Sign out").click()
    assert places == [f"{guarded.url}login"]
    assert page.context.cookies() == []
    page.get_by_label("Token").wait_for()


def test_nobody_signs_in_before_the_sign_in_page_is_ready(guarded: Site, visit: Visit) -> None:
    page = visit(guarded, "login#gallery?folder=sea")
    gate = Gate()
    page.route("**/leaving.js", gate.hold)
    page.reload(wait_until="commit")
    page.get_by_label("Token").fill(TOKEN)
    button = page.get_by_role("button", name="Sign in")
    expect(button).to_be_disabled()
    gate.open()
    button.click()
    page.wait_for_url(f"{guarded.url}#gallery?folder=sea")


def test_a_session_that_does_not_end_is_told_with_a_way_back(guarded: Site, visit: Visit) -> None:
    page = signed_in(guarded, visit, quiet=True)  # the browser itself writes of answers that are refusals
    page.route("**/logout", lambda route: route.fulfill(status=502, content_type="text/plain", body="no\n"))
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("alert").get_by_text("You are still signed in here: dreamd answered 502.").wait_for()
    page.get_by_role("link", name="Go back").click()
    page.get_by_text("waiting for pictures").wait_for()
    page.unroute("**/logout")
    with page.expect_response("**/logout"):
        page.get_by_role("button", name="Sign out").click()
    page.goto(guarded.url)
    page.get_by_label("Token").wait_for()

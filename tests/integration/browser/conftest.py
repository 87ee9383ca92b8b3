"""A Chromium for the tests of this folder, which opens the page as persons of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser_site import CHROMIUM, WAIT_MILLISECONDS, Site

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Browser, ConsoleMessage, Page

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-proxy-server"),
)

EAGER = """
import dreamd.worker.previews
dreamd.worker.previews._SECONDS = 0.0
dreamd.worker.previews._SHARE = 1.0
"""
"""Said in a worker, by way of a plugin: here a preview is waited for, and the one before it was a moment ago."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Site:
    tree = make(tmp_path_factory.mktemp("browser") / "tree", limits={"attempts": 1})
    tree.configure(watch={"settle_seconds": 0.3, "patience_seconds": 0.3, "rescan_seconds": 1})
    plugin = tree.root / "plugins" / "tiny.py"
    plugin.write_text(plugin.read_text() + EAGER)
    return Site(tree, started)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield chromium
        chromium.close()


_MAY_BE_MISSING = "/previews/"
"""A picture of a dream as it is now may be gone when it is asked for: its dream is done."""


def is_trouble(message: ConsoleMessage) -> bool:
    """Tell whether a browser's message is of something that went wrong."""
    return message.type in ("error", "warning") and _MAY_BE_MISSING not in message.location["url"]


def told(message: ConsoleMessage) -> str:
    """A message, with what it is about: a resource that is missing says no more than that."""
    return f"{message.text} ({message.location['url']})"


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`visit(site)` opens a page as a person of its own; at the end nothing may have gone wrong in it unseen."""
    troubles: list[str] = []
    contexts = []

    def open_page(site: Site, place: str = "", *, quiet: bool = False, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MILLISECONDS)
        if not quiet:
            page.on("console", lambda message: is_trouble(message) and troubles.append(told(message)))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: request.url.startswith((site.url, "blob:")) or troubles.append(request.url))
        page.goto(f"{site.url}{place}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []

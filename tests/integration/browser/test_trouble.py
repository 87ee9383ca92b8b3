"""What needs a person, in a real Chromium: fetching weights, failures by cause, cancelling and taking it back."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser_site import MARKS, Site

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Page

    Visit = Callable[..., Page]

pytestmark = MARKS

PHONE = {"width": 390, "height": 844}
FITS = "() => document.documentElement.scrollWidth <= innerWidth"
UNLUCKY = 13

over = threading.Event()


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends a tenth of what it has promised, and then nothing more."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "10000000")
        self.end_headers()
        self.wfile.write(bytes(1_000_000))
        self.wfile.flush()
        over.wait(60)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def troubled(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Tree], started: Callable[..., RunningDaemon]
) -> Iterator[Site]:
    tree = make(tmp_path_factory.mktemp("trouble") / "tree", limits={"attempts": 1}, weights={"fetch": "ask"})
    tree.recipe("far", "backbone: {name: far, weights: default}\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server, pytest.MonkeyPatch.context() as patch:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        patch.setenv("DREAMD_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        patch.setenv("XDG_CACHE_HOME", str(tree.root / "cache"))
        site = Site(tree, started)
        site.daemon.worker()
        yield site
        over.set()
        server.shutdown()


def test_weights_are_fetched_and_cancelled_by_a_button_before_a_picture_is_dropped(
    troubled: Site, visit: Visit
) -> None:
    page = visit(troubled)
    page.locator("#drop-folder").fill("far")
    page.get_by_role("button", name="Fetch far").click()
    page.get_by_text("1.0 MB of 10.0 MB").wait_for()
    page.get_by_text("The weights of far are on their way.").wait_for()
    page.locator("#drop-weights").get_by_role("button", name="Cancel").click()
    page.get_by_text("Their download was cancelled.").wait_for()
    page.get_by_role("button", name="Go on fetching far").wait_for()
    page.get_by_text("Put the file there by hand").click()
    page.locator("#drop-weights code", has_text="far.safetensors").first.wait_for()
    page.wait_for_function(FITS)


def test_what_waits_for_weights_is_one_entry_with_the_button(troubled: Site, visit: Visit) -> None:
    tree = troubled.tree
    for name in ("a", "b"):
        tree.drop(f"far/{name}.png")
    tree.hold("far")
    page = visit(troubled, "#attention", viewport=PHONE)
    card = page.locator("article", has_text="The weights of far are missing")
    card.get_by_text("2 pictures in far").wait_for()
    card.get_by_role("button", name="etch").first.wait_for()
    page.wait_for_function(FITS)
    card.get_by_role("button", name="Cancel: ").click()
    page.locator("#notices p").nth(1).wait_for()
    expect(page.locator("#notices button")).to_have_count(0)  # nothing but words
    page.locator("article", has_text="Cancelled").get_by_role("button", name="Dream after all").wait_for()
    card.wait_for(state="detached")


def test_failures_are_one_entry_a_cause_and_retry_is_offered_where_it_helps(troubled: Site, visit: Visit) -> None:
    tree = troubled.tree
    for name in ("x", "y", "z"):
        tree.drop(f"{name}.png", b"\x89PNG\r\n\x1a\n no picture")
        tree.failure(f"{name}.png")
    page = visit(troubled, "#attention")
    card = page.locator("article", has_text="Pictures that cannot be dreamed")
    card.get_by_text("3 pictures in inbox").wait_for()
    expect(card.get_by_role("button", name="Retry")).to_have_count(0)
    card.get_by_text("To retry would not help").wait_for()
    card.get_by_text("Which pictures").click()
    card.get_by_role("button", name="Dismiss x.png").click()
    card.get_by_text("2 pictures in inbox").wait_for()
    card.get_by_role("button", name="Dismiss: ").click()
    card.wait_for(state="detached")


def test_what_runs_and_what_waits_is_cancelled_and_taken_up_again(troubled: Site, visit: Visit) -> None:
    tree = troubled.tree
    gate = tree.mood("slow", "wait")
    tree.drop("slow/runs.png", tree.picture(UNLUCKY))
    tree.wait_for(Path(f"{gate}.waiting").exists, "the dream to run")
    tree.drop("slow/waits.png", tree.picture(UNLUCKY))
    page = visit(troubled)
    page.get_by_role("button", name="Cancel slow/waits.png").click()
    page.get_by_text("Cancelled: slow/waits.png").wait_for()
    assert "waits.png was cancelled" in tree.failure("slow/waits.png")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Cancel slow/waits.png").wait_for()
    page.get_by_role("button", name="Cancel runs.png").click()
    assert "runs.png was cancelled" in tree.failure("slow/runs.png")
    gate.touch()
    tree.result("slow/waits.png")

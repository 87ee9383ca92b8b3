"""What every test of the page in a browser uses: a daemon with a page, and what a person does and sees on it."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Locator, Page, Route

CHROMIUM = shutil.which("chromium")

MARKS = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `apt-get install chromium`, then `make browser`"),
]
"""The marks of a module of such tests: its `pytestmark`."""

WAIT_MILLISECONDS = 60_000
expect.set_options(timeout=WAIT_MILLISECONDS)
TOKEN = "correct-horse-battery"

STEADY = """
import dreamd.daemon.jobs.holds
dreamd.daemon.jobs.holds._HOLD_SECONDS = (300.0,)
"""
"""Said in a daemon before it begins: what is held stays so while a test looks at it. At each look whether the cause is
gone it is held no longer, for a moment, which on a busy machine is seen."""

DROP = """([name, data, kind]) => {
    const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], name, {type: kind}));
    for (const event of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(event, {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""
"""What a browser does when a person lets go of a file over a page."""

FINGERS = """(steps) => {
    const stage = document.getElementById("compare"), box = stage.getBoundingClientRect();
    for (const [kind, id, x, y] of steps)
        stage.dispatchEvent(new PointerEvent(kind, {bubbles: true, pointerType: "touch", pointerId: id,
            isPrimary: id === 1, clientX: box.left + box.width * x, clientY: box.top + box.height * y}));
}"""
"""Fingers on the viewer's stage: what each does, which one it is, and where, in shares of its width and height."""

STILL = """async () => {
    const ends = (animation) => Number.isFinite(animation.effect.getComputedTiming().endTime);
    await Promise.allSettled(document.getAnimations().filter(ends).map((animation) => animation.finished));
}"""
"""Waits for the end of what fades or moves: meanwhile colours are others, and too weak."""

HELD = "HTMLElement.prototype.setPointerCapture = () => {}"
"""A finger that a test makes up cannot be captured."""


class Site:
    """A daemon with a page, at an address that stays the same when it is started again."""

    def __init__(self, tree: Tree, start: Callable[..., RunningDaemon], **status: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{status.get('base_path', '')}/"
        self.tree = tree
        self._start = start
        tree.configure(status={"listen": f"127.0.0.1:{self.port}", **status})
        self.start()

    def start(self) -> None:
        self.daemon = self._start(self.tree, preface=STEADY)
        self.tree.wait_for(self._answers, "the page")

    def stop(self) -> None:
        assert self.daemon.stop() == 0, self.daemon.log

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Gate:
    """Holds requests back until it is opened: `page.route("**/login", gate.hold)`."""

    def __init__(self) -> None:
        self._held: list[Route] = []
        self._is_open = False

    def hold(self, route: Route) -> None:
        if self._is_open:
            route.continue_()
        else:
            self._held.append(route)

    def open(self) -> None:
        self._is_open = True
        for route in self._held:
            route.continue_()


def drop(page: Page, name: str, data: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(data).decode(), "image/png"])


def drop_into(page: Page, folder: str, name: str, data: bytes) -> None:
    page.locator("#drop-folder").fill(folder)
    drop(page, name, data)


def seen(page: Page, name: str) -> Any:
    """The tile of a result in what is shown."""
    return page.locator(f"section:not([hidden]) .tile:has-text('{name}')")


def seeing(page: Page, *names: str) -> None:
    """Wait until the gallery shows these results and no others."""
    page.wait_for_function("(names) => JSON.stringify([...document.querySelectorAll('#gallery .tile b')]"
                           ".map((each) => each.textContent)) === JSON.stringify(names)", arg=list(names))  # fmt: skip


def wait_for_picture(image: Locator, width: int) -> None:
    """Wait until a picture is here; it is looked for again each time, since the page may draw it anew meanwhile."""
    expect(image).to_have_js_property("naturalWidth", width)


def faults(page: Page) -> list[str]:
    """What axe has to say once nothing fades in or out any more."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(STILL)
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]} {node['failureSummary']}" for each in found for node in each["nodes"]]

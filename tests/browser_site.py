"""What every test of the page in a browser uses: a daemon with a page, and what a person does and sees on it."""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")

MARKS = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: `apt-get install chromium`, then `make browser`"),
]
"""The marks of a module of such tests: its `pytestmark`."""

WAIT_MILLISECONDS = 60_000
TOKEN = "correct-horse-battery"

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
        self.daemon = self._start(self.tree)
        self.tree.wait_for(self._answers, "the page")

    def stop(self) -> None:
        assert self.daemon.stop() == 0, self.daemon.log

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


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


def faults(page: Page) -> list[str]:
    """What axe has to say."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]} {node['failureSummary']}" for each in found for node in each["nodes"]]

"""What the page has dreamed small: trials that are nowhere but in memory, and atlases that are kept."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.processes import processes_of

if TYPE_CHECKING:
    from conftest import Tree

    Make = Callable[..., Tree]

WAIT_SECONDS = 90


class Page:
    """A page's process on a tree without a daemon."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        tree.configure(status={"listen": "127.0.0.1:0"})
        self.log = tree.root / "page.log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "dreamd.page.server", str(tree.config), str(os.getpid())]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        found = tree.wait_for(lambda: re.search(r"http://[\d.]+:(\d+)/", self.log.read_text()), "the page")
        self.port = int(found[1])

    def close(self) -> None:
        self.process.terminate()
        assert self.process.wait(WAIT_SECONDS) in (0, -signal.SIGTERM)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def told(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        status, data = self.ask(method, path, body)
        assert status < 300, data
        return json.loads(data)

    def begin(self, text: str = "", **more: Any) -> Any:
        return self.told("POST", "/api/trials", {"folder": ".", "text": text, "picture": {}, **more})

    def ended(self, trial: Any) -> Any:
        def look() -> Any:
            found = self.told("GET", f"/api/trials/{trial['id']}")
            return found if found["state"] in ("done", "failed") else None

        return self.tree.wait_for(look, "the trial", WAIT_SECONDS)

    def studios(self) -> list[int]:
        """The processes in which it has things dreamed."""
        return processes_of("dreamd.sheets.studio.main", self.process.pid)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make: Make) -> Iterator[Page]:
    with contextlib.closing(Page(make(tmp_path_factory.mktemp("studio") / "tree"))) as served:
        yield served


def files_of(tree: Tree) -> set[Path]:
    return {path for path in tree.root.rglob("*") if "__pycache__" not in path.parts}


def picture(width: int, height: int) -> dict[str, str]:
    file = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize((width, height)).save(file, "PNG")
    return {"data": base64.b64encode(file.getvalue()).decode()}


def test_a_trial_shows_before_and_after_and_leaves_nothing_behind(page: Page) -> None:
    before = files_of(page.tree)
    trial = page.ended(page.begin("ascent: {lr: 5}\n"))
    assert (trial["state"], trial["problem"], trial["share"]) == ("done", None, 1.0)
    shown = {name: page.ask("GET", f"/{trial[name]}")[1] for name in ("before", "after")}
    with Image.open(io.BytesIO(shown["after"])) as after, Image.open(io.BytesIO(shown["before"])) as start:
        assert (after.format, after.size) == ("WEBP", start.size)
        assert after.convert("RGB").tobytes() != start.convert("RGB").tobytes()
    assert files_of(page.tree) == before


def test_a_picture_of_ones_own_is_tried_on_small(page: Page) -> None:
    trial = page.ended(page.begin(picture=picture(600, 300)))
    with Image.open(io.BytesIO(page.ask("GET", f"/{trial['after']}")[1])) as after:
        assert after.size == (256, 128)


def test_a_new_trial_ends_the_former(page: Page) -> None:
    former = page.begin("ascent: {iterations: 10000}\n")
    trial = page.ended(page.begin(former=former["id"]))
    assert trial["state"] == "done"
    assert page.ask("GET", f"/api/trials/{former['id']}")[0] == 404


def test_a_trial_is_cancelled(page: Page) -> None:
    trial = page.begin("ascent: {iterations: 10000}\n")
    assert page.ask("DELETE", f"/api/trials/{trial['id']}")[0] == 204
    assert page.ask("GET", f"/api/trials/{trial['id']}")[0] == 404
    assert page.ended(page.begin())["state"] == "done"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"text": "seed: ["}, 422, "is not YAML"),
        ({"picture": None}, 422, "picture must be an object"),
        ({"picture": {"data": "no base64!"}}, 422, "must be base64"),
        ({"picture": {"job": "nobody"}}, 404, "choose another picture"),
        ({"folder": "../out"}, 422, ""),
    ],
)
def test_what_cannot_be_tried_is_refused_in_words(page: Page, body: dict[str, Any], status: int, words: str) -> None:
    asked = {"folder": ".", "text": "", "picture": {}, **body}
    code, data = page.ask("POST", "/api/trials", asked)
    assert (code, words in json.loads(data)["error"]) == (status, True)


def test_what_is_no_picture_is_told(page: Page) -> None:
    trial = page.ended(page.begin(picture={"data": base64.b64encode(b"no picture").decode()}))
    assert (trial["state"], trial["problem"]) == ("failed", "this is no picture that can be read")


def test_a_recipe_that_ends_the_process_costs_its_own_trial_only(page: Page) -> None:
    unlucky = picture(13, 13)
    trial = page.ended(page.begin("schedule: {mood: segfault}\n", picture=unlucky))
    assert (trial["state"], "has ended" in trial["problem"]) == ("failed", True)
    assert page.ended(page.begin(picture=unlucky))["state"] == "done"


def test_an_atlas_is_made_shown_and_kept(page: Page) -> None:
    assert page.told("GET", "/api/atlas?backbone=tiny")["tiles"] == []
    page.told("POST", "/api/atlas", {"backbone": "tiny"})

    def made() -> Any:
        shown = page.told("GET", "/api/atlas?backbone=tiny")
        return shown if shown["making"] is None else None

    shown = page.tree.wait_for(made, "the atlas", WAIT_SECONDS)
    assert shown["problem"] is None
    tiles = {tile["layer"]: tile for tile in shown["tiles"]}
    assert tiles.keys() == {"conv1", "relu1", "conv2"}
    assert (tiles["relu1"]["depth"], tiles["relu1"]["of"], tiles["relu1"]["sees"]) == (2, 3, 3)
    status, data = page.ask("GET", f"/{tiles['relu1']['picture']}")
    with Image.open(io.BytesIO(data)) as tile:
        assert (status, tile.format, tile.width) == (200, "WEBP", 192)


def test_an_atlas_of_no_network_is_told(page: Page) -> None:
    page.told("POST", "/api/atlas", {"backbone": "nobody"})

    def told() -> str:
        problem: str = page.told("GET", "/api/atlas?backbone=nobody")["problem"]
        return problem

    assert "no backbone 'nobody'" in page.tree.wait_for(told, "the reason", WAIT_SECONDS)


@pytest.mark.parametrize("name", ["..%2F..%2Fconfig.yaml", "x.json", "nothing.webp"])
def test_no_tile_is_anything_else(page: Page, name: str) -> None:
    assert page.ask("GET", f"/atlas/made/{name}")[0] == 404
    assert page.ask("GET", f"/atlas/efficientnet_lite0/{name}")[0] == 404


def test_the_atlas_of_the_network_that_comes_with_dreamd_is_there_at_once(tmp_path: Path, make: Make) -> None:
    tree = make(tmp_path / "tree")
    with contextlib.closing(Page(tree)) as page:
        tiles = page.told("GET", "/api/atlas?backbone=efficientnet_lite0")["tiles"]
        assert "blocks.4.2" in [tile["layer"] for tile in tiles]
        assert page.ask("GET", f"/{tiles[0]['picture']}")[0] == 200
        assert page.studios() == []


def test_the_studio_dies_with_the_page(tmp_path: Path, make: Make) -> None:
    tree = make(tmp_path / "tree")
    page = Page(tree)
    page.begin("ascent: {iterations: 10000}\n")
    tree.wait_for(page.studios, "the studio")
    page.process.send_signal(signal.SIGKILL)
    page.process.wait(WAIT_SECONDS)
    tree.wait_for(lambda: not page.studios(), "its end")

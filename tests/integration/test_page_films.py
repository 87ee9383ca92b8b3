"""Films on the page: sent in the pieces that a player asks for, and shown small by their first frames."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from dreamd.page import originals
from dreamd.settings.config import load_config
from dreamd.tree.journal import Journal
from tests.api_client import Api, served
from tests.films import panning, write_film

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]

WIDTH, HEIGHT = 64, 48


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self.body))


@dataclass(frozen=True)
class Page:
    """The page of a tree in which films were dreamed."""

    tree: Tree

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        url = load_config(self.tree.config).status.url
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(url + path, headers=named, method=method)) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def job(self, path: str) -> str:
        return str(self.tree.sidecar(path)["job"])

    def shown(self, path: str) -> dict[str, Any]:
        return next(each for each in Api(self.tree).get("/results")["results"] if each["result"] == path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Page:
    tree = make(tmp_path_factory.mktemp("films") / "tree")
    served(tree, started)
    films = tmp_path_factory.mktemp("made")
    tree.drop("a.mp4", write_film(films / "a.mp4", panning(5, WIDTH, HEIGHT)).read_bytes())
    tree.recipe("zoom", "film: {frames: 3, fps: 10}\noutput: {film: webm}\n")
    tree.drop("zoom/cat.png")
    for result in ("a.mp4", "zoom/cat.webm"):
        tree.result(result)
    tree.wait_for(lambda: len(Api(tree).get("/results")["results"]) == 2, "the gallery to have both")
    return Page(tree)


@pytest.mark.parametrize("address", ["results/{}", "api/v1/jobs/{}/result", "api/v1/jobs/{}/original"])
def test_a_film_comes_in_the_pieces_that_a_player_asks_for(page: Page, address: str) -> None:
    path = address.format(page.job("a.mp4"))
    is_original = address.endswith("original")
    film = (page.tree.done / "a.mp4" if is_original else page.tree.outbox / "a.mp4").read_bytes()
    whole = page.get(path)
    assert (whole.status, whole.body) == (200, film)
    assert (whole.headers["Content-Type"], whole.headers["Accept-Ranges"]) == ("video/mp4", "bytes")
    assert int(whole.headers["Content-Length"]) == len(film)
    piece = page.get(path, Range="bytes=100-299")
    assert (piece.status, piece.body) == (206, film[100:300])
    assert piece.headers["Content-Range"] == f"bytes 100-299/{len(film)}"
    assert page.get(path, Range="bytes=-50").body == film[-50:]
    assert page.get(path, Range=f"bytes={len(film) - 7}-").body == film[-7:]
    beyond = page.get(path, Range=f"bytes={len(film)}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(film)}")
    same, other = whole.headers["ETag"], '"of-another-film"'
    assert page.get(path, Range="bytes=1-2", If_Range=same).status == 206
    assert page.get(path, Range="bytes=1-2", If_Range=other).body == film
    head = page.get(path, method="HEAD", Range="bytes=1-2")
    assert (head.status, head.body) == (206, b"")


def test_an_original_is_read_whole_once_however_many_pieces_of_it_are_asked_for(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    digest = originals.hashlib.file_digest
    monkeypatch.setattr(originals.hashlib, "file_digest", lambda *given: read.append(given) or digest(*given))
    job = Journal.open(page.tree.state / "journal.sqlite3").get(page.job("a.mp4"))
    assert job is not None
    for _ in range(3):
        file = originals.opened_original(job, load_config(page.tree.config))
        assert file is not None
        with file:
            assert file.read() == (page.tree.done / "a.mp4").read_bytes()
    assert len(read) == 1


def test_a_film_is_shown_small_by_its_first_frame_and_its_original_too(page: Page) -> None:
    after, before = (page.get(f"thumbnails/{page.job('a.mp4')}/{kind}/small") for kind in ("after", "before"))
    for answer in (after, before):
        assert (answer.headers["Content-Type"], answer.picture.size) == ("image/webp", (WIDTH, HEIGHT))
    first = panning(1, WIDTH, HEIGHT)[0].astype(int)
    assert np.abs(np.asarray(before.picture.convert("RGB")) - first).mean() < 6
    assert after.body != before.body


def test_a_film_that_nothing_reads_is_shown_by_a_drawing_with_its_format_and_length(page: Page) -> None:
    path = f"thumbnails/{page.job('zoom/cat.webm')}"
    film = page.tree.outbox / "zoom" / "cat.webm"
    whole = film.read_bytes()
    film.write_bytes(b"no film")
    try:
        drawn = page.get(f"{path}/after/large")
        assert (drawn.status, drawn.headers["Content-Type"]) == (200, "image/svg+xml")
        assert "WEBM · 0:01" in drawn.body.decode()
        assert drawn.headers["Cache-Control"] == "no-store"  # what reads it may be installed tomorrow
    finally:
        film.write_bytes(whole)
    assert page.get(f"{path}/before/large").picture.format == "WEBP"  # it was a picture
    film.rename(film.with_suffix(".away"))
    assert page.get(f"{path}/after/medium").status == 404
    film.with_suffix(".away").rename(film)


def test_the_gallery_tells_what_is_a_film_how_long_it_is_and_what_it_was(page: Page) -> None:
    measures = {path: page.shown(path) for path in ("a.mp4", "zoom/cat.webm")}
    assert {path: (each["frames"], each["film_seconds"]) for path, each in measures.items()} == {
        "a.mp4": (5, 0.2), "zoom/cat.webm": (3, 0.3),
    }  # fmt: skip
    details = [json.loads(page.get(f"api/results/{page.job(path)}").body) for path in measures]
    assert [(each["media"], each["original_media"]) for each in details] == [("film", "film"), ("film", "picture")]

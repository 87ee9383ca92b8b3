"""The page's process on loopback: what it answers, what it does, and what it refuses to whom."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from PIL import Image
from pydantic import SecretStr

import dreamd
from dreamd.commands.by_page import asked
from dreamd.errors import DreamdError, UsageError
from dreamd.files.durable import only_draft_of
from dreamd.job import Job, JobState
from dreamd.page.access.sessions import SESSION_COOKIE, Sessions
from dreamd.page.feed import LISTENERS
from dreamd.page.uploading.places import AT_ONCE
from dreamd.settings.config import load_config
from dreamd.tree.control import WAKE
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.lock import lock
from dreamd.tree.looking import is_looked_at
from dreamd.tree.snapshot import Hold, Left, RunningJob, Snapshot, WorkerStatus
from dreamd.tree.spool import Spool
from tests.processes import processes_of

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]

WAIT_SECONDS = 60.0
TOKEN = "correct-horse-battery"
MAX_BYTES = 300_000

HASTY = """
import sys
from dreamd.page import connection, server
from dreamd.page.uploading import places
from dreamd.page.access import entrance, guesses
connection.HEAD_SECONDS = 0.5
server._TICK_SECONDS = 0.05
places._CHUNK_SECONDS = 0.5
places._KEEP_SECONDS = 0.1
entrance.FIRST_SECONDS = guesses.FIRST_SECONDS = 0.05
sys.argv = ["server", *sys.argv[1:]]
server.main()
"""
"""Said in place of `-m dreamd.page.server`, so that nobody has to wait for its patience."""


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A page's process, on a tree without a daemon: this test holds the daemon's lock, and says what it would say."""

    def __init__(self, tree: Tree, **status: Any) -> None:
        self.tree = tree
        tree.configure(
            status={"listen": "127.0.0.1:0", **status},
            limits={"max_bytes": MAX_BYTES, "max_pixels": 4_000_000},
        )
        self.config = load_config(tree.config)
        self.spool = Spool(Folders(inbox=tree.inbox, outbox=tree.outbox, failed=tree.failed, done=tree.done))
        self.spool.prepare()
        tree.state.mkdir(exist_ok=True)
        self._lock = lock(StateFolder(tree.state).lock, taken="{holder}")
        self.wakes = 0
        self._handler = signal.signal(WAKE, self._woken)  # the page wakes whoever holds the lock
        self.journal = Journal.open(tree.state / "journal.sqlite3")
        self.say()
        self.log = tree.root / "page.log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-c", HASTY, str(tree.config), str(os.getpid())]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        found = tree.wait_for(lambda: re.search(r"http://[\d.]+:(\d+)/", self.log.read_text()), "the page")
        self.port = int(found[1])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)
        self.journal.close()
        self._lock.close()
        signal.signal(WAKE, self._handler)

    def _woken(self, *_: object) -> None:
        self.wakes += 1

    def say(self, **values: Any) -> None:
        """Writes what a daemon would say of itself."""
        replace(idle(StateFolder(self.tree.state).lock, self.tree.inbox), **values).write(self.tree.state)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request; names of headers with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            named.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            return Answer(connection.getresponse())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def upload(self, name: str, data: bytes, folder: str = ".", **headers: str) -> Answer:
        return self.ask("PUT", f"/api/upload?folder={folder}&name={name}", data, **headers)

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WAIT_SECONDS)

    def staged(self) -> list[Path]:
        return list((self.tree.inbox / ".dreamd" / "uploads").glob("*"))

    def result(self, job: str, path: str, at: float, *, original: bytes | None = None, steps: bool = False) -> Job:
        """A picture that has been dreamed."""
        folder, name = PurePosixPath(path).parent, PurePosixPath(path).name
        target = self.tree.outbox / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.tree.picture(64, 48))
        sidecar = {"job": job, "device": "cpu", "size": [64, 48], "loss_before": 1.0, "loss_after": 2.0, "steps": steps}
        if original is not None:
            sidecar["input_sha256"] = hashlib.sha256(original).hexdigest()
        target.with_name(f"{name}.json").write_text(json.dumps(sidecar))
        recipe = load_config(self.tree.config).recipe_book().for_default().json
        made = Job(id=job, folder=folder, name=name, state=JobState.DONE, recipe=recipe, attempts=1, claimed_at=at - 5,
                   started_at=at - 3, finished_at=at, result=path, seconds=2.5)  # fmt: skip
        self.journal.save([made])
        return made


def idle(lock: Path, inbox: Path) -> Snapshot:
    """What a daemon with nothing to do says."""
    worker = WorkerStatus(device="cpu", device_name="x", precision="fp32", state="idle", pid=os.getpid(), error=None)
    return Snapshot(
        state="running", pid=os.getpid(), version="0", started_at=1000.0, inbox=str(inbox), lock=str(lock),
        watching="inotify", found_by_rescan_only=0, overflows=0, queued=0, running=0, held=0, done=0, failed=0,
        folders={}, done_per_hour=0.0, eta_seconds=None, paused=[], workers=[worker], holds=[], plugins_not_loaded={},
    )  # fmt: skip


@pytest.fixture
def serve(tmp_path: Path, make: Make) -> Iterator[Callable[..., Served]]:
    with contextlib.ExitStack() as stack:

        def start(**status: Any) -> Served:
            served = Served(make(tmp_path / "tree"), **status)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make: Make) -> Iterator[Served]:
    """A page that the tests of this module share; each works in folders of its own."""
    with contextlib.closing(Served(make(tmp_path_factory.mktemp("page") / "tree"))) as served:
        yield served


# What a browser may do


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/status", "/nothing", "/api/results/none", "/metrics"])
def test_every_answer_says_that_nothing_foreign_may_run_or_be_shown_elsewhere(page: Served, path: str) -> None:
    headers = page.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def static_texts() -> list[Path]:
    """What the page is made of, but for pictures."""
    files = (Path(dreamd.__file__).parent / "page" / "static").rglob("*.*")
    return [file for file in files if file.suffix in {".js", ".css", ".svg"}]


def test_the_page_asks_no_other_host_for_anything(page: Served) -> None:
    folder = Path(dreamd.__file__).parent / "page"
    texts = [page.get("/").text] + [
        file.read_text() for file in (folder / "static").rglob("*.*") if file.suffix in {".js", ".css", ".svg"}
    ]
    for text in texts:
        assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9.-]+\.[a-z]{2,}", text)
        assert "innerHTML" not in text
        assert " style=" not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", "", "["])
def test_another_name_for_this_machine_gets_nothing(page: Served, host: str) -> None:
    for path in ("/", "/api/status", "/healthz", "/static/page.js"):
        answer = page.get(path, Host=host.format(port=page.port))
        assert answer.status == 421
        assert "dreamd" not in answer.text.replace("dreamd's config", "")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:{port}", "127.0.0.1:{port}", "127.0.0.2", "[::1]:{port}", "[::1]"]
)
def test_this_machine_by_its_own_names_gets_the_page(page: Served, host: str) -> None:
    assert page.get("/", Host=host.format(port=page.port)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_a_page_of_another_site_can_do_and_read_nothing(page: Served, headers: dict[str, str]) -> None:
    assert page.ask("POST", "/api/pause", {"folder": "."}, **headers).status == 403
    assert page.upload("foreign.png", page.tree.picture(), "foreign", **headers).status == 403
    assert page.get("/api/status", **headers).status == 403
    assert page.get("/thumbnails/x/after/small", **headers).status == 403
    assert page.journal.paused() == frozenset()
    assert not (page.tree.inbox / "foreign").exists()


def test_a_link_from_another_site_opens_the_page_and_nothing_else(page: Served) -> None:
    visit = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert page.get("/", **visit).status == 200
    assert page.get("/api/status", **visit).status == 403


def test_the_page_itself_may_act(page: Served) -> None:
    own = {"Origin": f"http://127.0.0.1:{page.port}", "Sec_Fetch_Site": "same-origin"}
    (page.tree.inbox / "own").mkdir(exist_ok=True)
    assert page.ask("POST", "/api/pause", {"folder": "own"}, **own).json == {"said": ["paused: own"]}
    assert page.journal.paused() == {"own"}
    page.tree.wait_for(lambda: page.wakes, "the daemon to be woken")
    assert page.ask("POST", "/api/resume", {"folder": "own"}, **own).json == {"said": ["nothing is paused"]}
    assert page.journal.paused() == frozenset()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_can_send_is_no_order(page: Served, kind: str) -> None:
    answer = page.ask("POST", "/api/pause", b'{"folder": "."}', Content_Type=kind)
    assert (answer.status, answer.json) == (422, {"error": "send application/json"})
    assert page.journal.paused() == frozenset()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"folder": 3}', b'{"folder": "../x"}', b"\xff"])
def test_an_order_that_is_none_is_explained(page: Served, body: bytes) -> None:
    answer = page.ask("POST", "/api/pause", body, Content_Type="application/json")
    assert answer.status == 422
    assert answer.json["error"]
    assert page.journal.paused() == frozenset()


def test_an_order_without_end_is_cut_off(page: Served) -> None:
    answer = page.ask("POST", "/api/pause", b" " * 1_000_000, Content_Type="application/json")
    assert answer.status == 413


# Seeing


def test_the_status_is_what_the_daemon_says(page: Served) -> None:
    job = RunningJob(job="j", picture="a/b.png", ascent=1, ascents=2, iteration=3, iterations=4, share=0.4)
    worker = WorkerStatus(device="cpu", device_name="x", precision="fp32", state="busy", pid=os.getpid(), error=None,
                          jobs=[job])  # fmt: skip
    page.say(workers=[worker], running=1, folders={"a": 3})
    (page.tree.state / "preview").mkdir(exist_ok=True)
    (page.tree.state / "preview" / "j.jpg").write_bytes(b"picture")
    status = page.get("/api/status").json
    assert (status["running"], status["folders"], status["max_bytes"]) == (1, {"a": 3}, MAX_BYTES)
    assert status["workers"][0]["jobs"][0]["share"] == 0.4
    assert status["workers"][0]["jobs"][0]["preview"] > 0
    assert status["workers"][0]["memory_bytes"] > 1_000_000
    assert page.get("/previews/j").body == b"picture"
    assert page.get("/previews/over").status == 204
    assert page.get("/previews/..%2fstatus").status in (204, 404)
    page.say()


def test_what_is_paused_counts_the_folders_below_it(page: Served) -> None:
    page.say(folders={"a": 1, "a/b": 2, "ab": 4, ".": 8}, paused=[".", "a", "ab"])
    assert page.get("/api/status").json["paused_pictures"] == {".": 15, "a": 3, "ab": 4}
    page.say()


def test_a_worker_that_starts_is_told_in_plain_words(page: Served) -> None:
    worker = WorkerStatus(device="auto:0", device_name="", precision="", state="starting", pid=None, error=None)
    page.say(workers=[worker])
    assert page.get("/readyz").text == "the worker is getting ready\n"
    page.say()


def test_changes_are_told_as_they_happen_to_everybody_who_listens(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        listeners = []
        for _ in range(3):
            connection = stack.enter_context(page.connected())
            connection.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            listeners.append(stack.enter_context(connection.makefile("rb")))
        for number in (1, 2):
            page.say(done=number)
            for listener in listeners:
                assert next(done for done in told(listener) if done == number)
    page.say()


@pytest.mark.parametrize("path", ["/api/events", "/previews/j"])
def test_workers_are_told_that_somebody_looks(page: Served, path: str) -> None:
    previews = StateFolder(page.tree.state).previews
    previews.mkdir(exist_ok=True)

    def is_told() -> bool:
        with page.connected() as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            connection.recv(12)
        return is_looked_at(previews)

    for mark in previews.glob("looked-at"):
        mark.unlink()
    assert not is_looked_at(previews)
    page.tree.wait_for(is_told, "the mark")


def test_listeners_that_vanish_leave_their_places_to_others(page: Served) -> None:
    ask = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for number in range(2 * LISTENERS):
        with page.connected() as connection:
            connection.sendall(ask)
            assert connection.recv(12) == b"HTTP/1.1 200", number
            if number % 2:  # gone without a word, as by a cable that is pulled
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def listens(page: Served, stack: contextlib.ExitStack, address: str) -> socket.socket:
    """A connection from an address of this machine that asks for events."""
    connection = socket.create_connection(("127.0.0.1", page.port), WAIT_SECONDS, source_address=(address, 0))
    stack.enter_context(contextlib.closing(connection))
    connection.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection


def test_one_client_cannot_take_all_event_streams_even_at_once(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        crowd = [listens(page, stack, "127.0.0.1") for _ in range(LISTENERS + 30)]
        codes = sorted(connection.recv(12)[-3:] for connection in crowd)
        assert codes == [b"200"] * LISTENERS + [b"503"] * 30
        assert listens(page, stack, "127.0.0.1").recv(12) == b"HTTP/1.1 503"
        others = [listens(page, stack, "127.0.0.2") for _ in range(LISTENERS)]
        codes = [connection.recv(12)[-3:] for connection in others]
        assert codes.count(b"200") == LISTENERS // 2
        assert listens(page, stack, "127.0.0.3").recv(12) == b"HTTP/1.1 200"


def test_who_asks_for_a_websocket_does_not_fill_the_log_with_advice(page: Served) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    for protocol in ("websocket", "h2c"):
        assert page.get("/api/status", **{**headers, "Upgrade": protocol}).status == 200
    assert not re.search("websocket|upgrade|install", page.log.read_text(), re.IGNORECASE)


def told(listener: Any) -> Iterator[int]:
    """The counts of done jobs that a listener is told."""
    while line := listener.readline():
        if line.startswith(b"data: "):
            yield json.loads(line[6:])["done"]


def test_results_come_newest_first_and_page_by_page_each_once(page: Served) -> None:
    jobs = [
        Job(id=f"p{number:03}", folder=PurePosixPath("many" if number % 2 else "few"), name="a.png",
            state=JobState.DONE, finished_at=5000.0 + number // 4, result=f"many/{number}.png")
        for number in range(150)
    ]  # fmt: skip
    page.journal.save(jobs)
    page.journal.save([Job(id="pf", folder=PurePosixPath("many"), name="b", state=JobState.FAILED, finished_at=9000.0)])
    seen: list[str] = []
    before = ""
    while found := page.get(f"/api/results?limit=40{before}").json:
        seen += [each["id"] for each in found if each["id"].startswith("p")]
        before = f"&before={found[-1]['finished_at']},{found[-1]['id']}"
    assert seen == [job.id for job in reversed(jobs)]
    assert {each["folder"] for each in page.get("/api/results?folder=many&limit=100").json} == {"many"}
    (first, second), last = jobs[-1:-3:-1], jobs[0]
    assert page.get(f"/api/results/{second.id}?folder=few").json["previous"] is None
    assert page.get(f"/api/results/{second.id}?search=MANY/").json["previous"] == first.id
    assert page.get(f"/api/results/{last.id}?folder=few").json["next"] is None
    assert page.get(f"/api/results/{first.id}?folder=many&search=many/14").json["next"] == jobs[-3].id
    assert page.get("/api/results?before=soon,x").status == 422
    assert page.get("/api/results?folder=../x").status == 422


def test_a_result_tells_how_it_came_about_and_gives_a_recipe_that_repeats_it(page: Served) -> None:
    page.result("r1", "told/cat.png", 6000.0)
    details = page.get("/api/results/r1").json
    assert (details["name"], details["device"], details["loss_after"]) == ("cat.png", "cpu", 2.0)
    verdict = page.ask("POST", "/api/recipe/check", {"folder": "told", "text": details["recipe"]}).json
    assert verdict["problem"] is None
    assert {field["name"]: field["value"] for field in verdict["standing"]["fields"]}["ascent.iterations"] == "1"


# Pictures


def size_of(answer: Answer, tmp_path: Path) -> tuple[int, int]:
    file = tmp_path / "seen.webp"
    file.write_bytes(answer.body)
    with Image.open(file) as image:
        assert image.format == "WEBP"
        return image.size


def test_thumbnails_of_result_and_original_are_made_once_and_kept(page: Served, tmp_path: Path) -> None:
    original = page.tree.picture(1000, 500)
    other = page.tree.picture(10, 10)
    (page.tree.done / "thumbs").mkdir()
    (page.tree.done / "thumbs" / "cat.png").write_bytes(other)  # somebody else's, who came first
    (page.tree.done / "thumbs" / "cat-2.png").write_bytes(original)
    page.result("t1", "thumbs/cat.png", 6001.0, original=original)
    assert size_of(page.get("/thumbnails/t1/after/small"), tmp_path) == (64, 48)
    assert size_of(page.get("/thumbnails/t1/before/small"), tmp_path) == (320, 160)
    assert size_of(page.get("/thumbnails/t1/before/large"), tmp_path) == (1000, 500)
    (page.tree.outbox / "thumbs" / "cat.png").unlink()
    again = page.get("/thumbnails/t1/after/small")
    assert (again.status, again.headers["Content-Type"]) == (200, "image/webp")
    assert "immutable" in again.headers["Cache-Control"]


def test_the_thumbnail_of_an_original_is_there_before_the_original_is_put_away(page: Served, tmp_path: Path) -> None:
    original = page.tree.picture(100, 50)
    page.result("c1", "claimed/cat.png", 6000.5, original=original)
    claimed = page.tree.inbox / ".dreamd" / "work" / "c1" / "claimed"
    claimed.mkdir(parents=True)
    (claimed / "cat.png").write_bytes(original)
    assert size_of(page.get("/thumbnails/c1/before/small"), tmp_path) == (100, 50)


@pytest.mark.parametrize(
    "path", ["t1/after/huge", "t1/beside/small", "none/after/small", "../after/small", "%2e%2e/after/small"]
)
def test_there_are_no_other_thumbnails(page: Served, path: str) -> None:
    assert page.get(f"/thumbnails/{path}").status == 404


def test_no_picture_is_reached_through_a_symlink(page: Served) -> None:
    secret = page.tree.root / "secret.png"
    secret.write_bytes(page.tree.picture(50, 50))
    page.result("s1", "linked/cat.png", 6002.0, original=secret.read_bytes())
    (page.tree.outbox / "linked" / "cat.png").unlink()
    (page.tree.outbox / "linked" / "cat.png").symlink_to(secret)
    (page.tree.done / "linked").symlink_to(page.tree.root)
    (page.tree.root / "cat.png").write_bytes(secret.read_bytes())
    assert page.get("/results/s1").status == 404
    assert page.get("/thumbnails/s1/after/small").status == 404
    assert page.get("/thumbnails/s1/before/small").status == 404


def test_a_hostile_picture_costs_its_own_thumbnail_only(page: Served, tmp_path: Path) -> None:
    page.result("h1", "hostile/bomb.png", 6003.0)
    page.result("h2", "hostile/fine.png", 6004.0)
    Image.new("L", (3000, 3000)).save(page.tree.outbox / "hostile" / "bomb.png")  # limits.max_pixels is 4,000,000
    assert page.get("/thumbnails/h1/after/small").status == 404
    assert size_of(page.get("/thumbnails/h2/after/small"), tmp_path) == (64, 48)


def test_a_result_is_sent_as_the_picture_that_its_name_says_and_can_run_nothing(page: Served) -> None:
    page.result("f1", "full/cat.png", 6005.0)
    (page.tree.outbox / "full" / "cat.png").write_bytes(b"<script>alert(1)</script>")
    answer = page.get("/results/f1")
    assert (answer.headers["Content-Type"], answer.body) == ("image/png", b"<script>alert(1)</script>")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    page.result("f2", "full/cat.html", 6006.0)
    assert page.get("/results/f2").headers["Content-Type"] == "application/octet-stream"


def test_a_result_that_was_moved_away_is_gone_and_never_what_now_bears_its_name(page: Served, tmp_path: Path) -> None:
    page.result("n1", "again/cat.png", 6010.0)
    seen = page.get("/thumbnails/n1/after/small").body
    for file in (page.tree.outbox / "again").iterdir():
        file.rename(tmp_path / file.name)
    page.result("n2", "again/cat.png", 6011.0)
    (page.tree.outbox / "again" / "cat.png").write_bytes(page.tree.picture(20, 20))
    assert page.get("/results/n2").body == page.tree.picture(20, 20)
    assert page.get("/results/n1").status == 404
    assert page.get("/thumbnails/n1/after/large").status == 404
    assert page.get("/thumbnails/n1/after/small").body == seen  # it was made in time
    assert page.get("/api/results/n1").json["size"] is None
    assert page.get("/api/results/n1").json["is_known"] is False
    assert page.get("/api/results/n2").json["size"] == [64, 48]
    (page.tree.outbox / "again" / "cat.png.json").unlink()
    assert page.get("/results/n2").status == 404  # nobody can tell whose it is
    there = {each["id"]: each["is_there"] for each in page.get("/api/results?folder=again").json}
    assert there == {"n1": True, "n2": True}
    (page.tree.outbox / "again" / "cat.png").unlink()
    assert [each["is_there"] for each in page.get("/api/results?folder=again").json] == [False, False]


# Failures


def test_a_failure_is_shown_with_its_reason_and_retried(page: Served) -> None:
    job = Job(id="01", folder=PurePosixPath("broken"), name="a.png", state=JobState.FAILED, attempts=3,
              finished_at=7000.0, reason="it is cut off")  # fmt: skip
    page.tree.drop("broken/a.png")
    assert page.spool.claim(job.path, job.id)
    page.spool.fail(job, "it is cut off")
    page.journal.save(
        [job, replace(job, id="02", state=JobState.HELD, hold="recipe", reason=f"{page.tree.inbox}/x:2: no")]
    )
    hold = Hold(folder="broken", cause="recipe", reason=f"{page.tree.inbox}/x:2: no", jobs=1)
    page.say(held=1, failed=1, holds=[hold])
    held, failed = page.get("/api/attention").json
    assert (failed["kind"], failed["cause"], failed["count"]) == ("failed", "error", 1)
    assert failed["reason"] == "it is cut off"
    assert [(each["path"], each["attempts"]) for each in failed["pictures"]] == [("broken/a.png", 3)]
    assert (held["kind"], held["cause"], held["reason"]) == ("held", "recipe", "x:2: no")
    assert held["remedy"].startswith("mend the recipe")
    page.tree.failed.rename(page.tree.root / "away")
    assert ["01"] in [each["jobs"] for each in page.get("/api/attention").json]
    (page.tree.root / "away").rename(page.tree.failed)
    assert page.ask("POST", "/api/retry", {"jobs": ["01"]}).json == {"said": ["broken/a.png: back in the inbox"]}
    assert (page.tree.inbox / "broken" / "a.png").exists()
    assert [each["kind"] for each in page.get("/api/attention").json] == ["held"]
    assert page.ask("POST", "/api/retry", {"jobs": ["nobody"]}).status == 422
    assert page.ask("POST", "/api/retry", {"jobs": [3]}).status == 422


def test_what_is_left_in_the_inbox_is_shown_with_its_reason(page: Served) -> None:
    page.say(left=[Left(folder="usb", reason=f"{page.tree.inbox}/usb is on another filesystem", files=3)])
    (left,) = page.get("/api/attention").json
    assert (left["kind"], left["folders"], left["count"]) == ("left", ["usb"], 3)
    assert left["reason"] == "usb is on another filesystem"
    assert page.get("/api/status").json["left"][0]["files"] == 3
    page.say()


# Names that are no text


ODD = os.fsdecode(b"odd/caf\xe9")


def test_names_that_are_no_text_break_nothing_and_keep_their_bytes(page: Served) -> None:
    folder = page.tree.inbox / ODD
    folder.mkdir(parents=True)
    job = RunningJob(job="j", picture=f"{ODD}/\udcff\ud800.png")
    worker = WorkerStatus(
        device="cpu", device_name="x", precision="fp32", state="busy", pid=None, error=ODD, jobs=[job]
    )
    page.say(
        folders={ODD: 3},
        paused=[ODD],
        workers=[worker],
        done_per_hour=float("inf"),
        plugins_not_loaded={"x": ODD},
        holds=[Hold(folder=ODD, cause="recipe", reason=ODD, jobs=1)],
    )
    made = page.result("odd", f"{ODD}/\udcff.png", 6500.0)
    page.journal.save(
        [
            replace(made, id="odd-failed", state=JobState.FAILED, reason="half a character: \ud800"),
            replace(made, id="odd-held", state=JobState.HELD, hold="recipe", reason=f"{ODD}/recipe.yaml:1: \ud800"),
        ]
    )
    status = page.get("/api/status").json
    assert (status["folders"], status["paused"], status["done_per_hour"]) == ({ODD: 3}, [ODD], None)
    assert ODD in [each["folder"] for each in page.get("/api/folders").json]
    assert page.get("/api/results?folder=odd/caf%E9").json[0]["folder"] == ODD
    assert page.get("/api/results/odd").json["folder"] == ODD
    assert page.get("/results/odd").body == page.tree.picture(64, 48)
    assert page.get("/api/attention").json[0]["folders"] == [ODD]
    assert page.get("/api/recipe?folder=odd/caf%E9").json["folder"] == ODD
    stuck = replace(worker, state="stopped", error=f"{ODD}: \ud800", jobs=[])
    page.say(workers=[stuck])
    ready = page.get("/readyz")
    assert (ready.status, "caf\\udce9: \\ud800" in ready.text) == (503, True)
    assert page.get("/metrics").status == 200
    page.say()


def test_what_is_half_a_character_or_no_number_is_refused_in_words(page: Served) -> None:
    for path in ("/api/results?limit=nan", "/api/results?limit=inf", "/api/results?limit=1&before=inf,x"):
        assert page.get(path).status == 422
    assert page.ask("POST", "/api/retry", {"jobs": ["\ud800"]}).status == 422
    assert page.ask("POST", "/api/pause", {"folder": "\ud800"}).status == 422
    (page.tree.inbox / "\udcff").mkdir(exist_ok=True)
    assert page.ask("POST", "/api/pause", {"folder": "\udcff"}).json == {"said": ["paused: \udcff"]}
    assert page.ask("POST", "/api/resume", {"folder": "\udcff"}).status == 200
    saved = page.ask("PUT", "/api/recipe", {"folder": "\udcff", "text": "seed: 1\n", "mark": ""})
    assert (saved.status, saved.json["folder"]) == (200, "\udcff")
    assert (page.tree.inbox / os.fsdecode(b"\xff") / "recipe.yaml").read_text() == "seed: 1\n"
    assert "Traceback" not in page.log.read_text()


# Uploads


def test_an_upload_lands_whole_in_its_folder(page: Served) -> None:
    data = page.tree.picture(100, 100)
    answer = page.upload("caf%C3%A9%20%F0%9F%90%88.png", data, "up/new")
    assert (answer.status, answer.json) == (201, {"picture": "up/new/café 🐈.png"})
    assert (page.tree.inbox / "up" / "new" / "café 🐈.png").read_bytes() == data
    assert page.upload("caf%C3%A9%20%F0%9F%90%88.png", b"other", "up/new").json == {"picture": "up/new/café 🐈-2.png"}
    assert (page.tree.inbox / "up" / "new" / "café 🐈.png").read_bytes() == data
    assert page.staged() == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("up", ".."), ("up", "."), ("up", ""), ("up", ".hidden.png"), ("up", "a/b.png"), ("up", "../b.png"),
        ("up", "%2e%2e%2fb.png"), ("up", "a%00.png"), ("up", "a%0ab.png"), ("up", "%E2%80%AEgnp.exe"),
        ("up", "recipe.yaml"), ("up", "Recipe.YML"), ("up", "a.part"), ("up", "Thumbs.db"), ("up", "x" * 300),
        ("..", "a.png"), ("up/..", "a.png"),
        ("/etc", "a.png"), (".dreamd/work", "a.png"), ("up//x", "a.png"), (".", "a%ff.tmp"), ("a/" * 40 + "a", "a.png"),
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(page: Served, folder: str, name: str) -> None:
    before = set(page.tree.files(page.tree.root))
    answer = page.upload(name, b"data", folder)
    assert answer.status == 422, answer.text
    new = {file for file in set(page.tree.files(page.tree.root)) - before if not file.name.startswith("journal")}
    assert new == set()


def test_a_film_strip_is_shown_where_there_is_one(page: Served) -> None:
    with_strip = page.result("1filmstrip001", "film/a.png", time.time(), steps=True)
    without = page.result("1filmstrip002", "film/b.png", time.time())
    strip = page.tree.outbox / f"{with_strip.result}.steps.jpg"
    strip.write_bytes(page.tree.picture(form="JPEG"))
    answer = page.get(f"/results/{with_strip.id}/steps")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.body == strip.read_bytes()
    assert page.get(f"/api/results/{with_strip.id}").json["steps"] is True
    assert page.get(f"/results/{without.id}/steps").status == 404
    strip.unlink()
    assert page.get(f"/results/{with_strip.id}/steps").status == 404


def test_pages_of_a_result_and_notes_about_it_are_told(page: Served) -> None:
    made = page.result("1severalpages", "pages/a.png", time.time())
    assert page.get(f"/api/results/{made.id}").json["pages"] is None
    assert page.get(f"/api/results/{made.id}").json["notes"] == []
    sidecar = page.tree.outbox / f"{made.result}.json"
    told = {**json.loads(sidecar.read_bytes()), "pages": [{"size": [64, 48]}] * 3, "notes": ["one\u202e", 2]}
    sidecar.write_text(json.dumps(told))
    answer = page.get(f"/api/results/{made.id}").json
    assert answer["pages"] == 3
    (note,) = answer["notes"]
    assert note.startswith("one")
    assert "\u202e" not in note


def test_a_dream_file_may_be_sent_and_be_empty_but_not_large(page: Served) -> None:
    assert page.upload("a.dream.yaml", b"seed: 1\n", "up").json == {"picture": "up/a.dream.yaml"}
    assert page.upload("a.dream.yaml", b"", "up").json == {"picture": "up/a-2.dream.yaml"}
    answer = page.upload("b.dream.yaml", b"#" * 70_000, "up")
    assert (answer.status, "at most 64 KB" in answer.text) == (413, True)
    assert page.staged() == []


def test_an_upload_goes_through_no_symlink(page: Served) -> None:
    outside = page.tree.root / "outside"
    outside.mkdir()
    (page.tree.inbox / "way-out").symlink_to(outside)
    assert page.upload("a.png", b"data", "way-out").status == 500
    assert page.upload("a.png", b"data", "way-out/deeper").status == 500
    assert list(outside.iterdir()) == []
    assert page.staged() == []


def test_an_upload_that_says_it_is_too_large_is_not_even_read(page: Served) -> None:
    with page.connected() as connection:
        head = "PUT /api/upload?name=a.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000000\r\n\r\n"
        connection.sendall(head.encode())
        with connection.makefile("rb") as answer:
            assert b" 413 " in answer.readline()
            assert b"larger than limits.max_bytes (0.3 MB)" in answer.read()  # to the end: the connection is closed
    assert page.staged() == []


def test_a_film_may_be_larger_than_a_picture(page: Served) -> None:
    data = b"x" * (MAX_BYTES + 1)
    assert page.upload("long.MP4", data, "large").status == 201
    assert (page.tree.inbox / "large" / "long.MP4").read_bytes() == data
    refused = page.upload("long.gif", data, "large")  # a picture may be called so, too
    assert (refused.status, "limits.max_bytes" in refused.text) == (413, True)
    refused = page.ask("PUT", "/api/upload?name=a.mkv", None, Content_Length=str(17_000_000_000))
    assert (refused.status, refused.json["error"]) == (413, "the file is larger than limits.max_film_bytes (16000 MB)")
    status = page.get("/api/status").json
    assert (status["max_film_bytes"], status["film_endings"]) == (
        16_000_000_000, [".m4v", ".mkv", ".mov", ".mp4", ".webm"],
    )  # fmt: skip


def test_an_upload_without_end_is_cut_off_and_leaves_nothing(page: Served) -> None:
    sent = 0
    with page.connected() as connection:
        connection.sendall(
            b"PUT /api/upload?name=endless.png HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            while sent < 1_000_000_000:
                connection.sendall(chunk)
                sent += len(chunk)
    assert sent < 20_000_000  # what was on its way when the page had enough
    page.tree.wait_for(lambda: page.staged() == [], "the upload to be gone")
    assert not (page.tree.inbox / "endless.png").exists()
    assert page.get("/api/status").status == 200


def test_uploads_that_dawdle_are_sent_away_and_others_get_their_turn(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(2 * AT_ONCE):
            connection = stack.enter_context(page.connected())
            head = f"PUT /api/upload?name=slow{number}.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
            connection.sendall(head.encode())
        assert page.upload("quick.png", page.tree.picture(), "dawdle").status == 201
    assert (page.tree.inbox / "dawdle" / "quick.png").exists()
    page.tree.wait_for(lambda: page.staged() == [], "nothing to be left")
    assert not list(page.tree.inbox.glob("slow*"))


def test_slow_uploads_keep_nobody_waiting(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        begin_dripping(page, AT_ONCE, stack)
        page.tree.wait_for(lambda: len(page.staged()) == AT_ONCE, "every place to be taken")
        begun = time.monotonic()
        assert page.upload("honest.png", page.tree.picture(), "drips").status == 201
        assert time.monotonic() - begun < 5


def test_uploads_beyond_the_places_write_nothing_before_they_have_one(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        begin_dripping(page, 2 * AT_ONCE, stack)
        page.tree.wait_for(lambda: len(page.staged()) >= AT_ONCE, "every place to be taken")
        end = time.monotonic() + 1
        most = AT_ONCE
        while time.monotonic() < end:
            most = max(most, len(page.staged()))
            time.sleep(0.005)
    assert most == AT_ONCE


def begin_dripping(page: Served, count: int, stack: contextlib.ExitStack) -> None:
    """Begin so many uploads that come a little at a time, until the stack is closed."""
    over = threading.Event()
    connections = [stack.enter_context(page.connected()) for _ in range(count)]
    for number, connection in enumerate(connections):
        head = f"PUT /api/upload?name=drip{number}.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BYTES}"
        connection.sendall(head.encode() + b"\r\n\r\n")
    drip = threading.Thread(target=send_on, args=(connections, over))
    drip.start()
    stack.callback(drip.join)
    stack.callback(over.set)


def send_on(connections: list[socket.socket], over: threading.Event) -> None:
    """Send a little to each connection again and again, as slow senders do."""
    while not over.wait(0.05):
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.sendall(b"x" * 10)


def test_an_empty_upload_and_one_that_breaks_off_leave_nothing(page: Served) -> None:
    assert page.upload("empty.png", b"").status == 422
    with page.connected() as connection:
        connection.sendall(
            b"PUT /api/upload?name=half.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf"
        )
        page.tree.wait_for(page.staged, "the half to be there")
    page.tree.wait_for(lambda: page.staged() == [], "the half to be gone")
    assert not {"empty.png", "half.png"} & {file.name for file in page.tree.inbox.iterdir()}


# Slowness


def test_a_thousand_silent_connections_do_not_keep_anybody_out(page: Served) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(page.connected())
            if number % 2:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        begun = time.monotonic()
        assert page.get("/api/status").status == 200
        assert time.monotonic() - begun < 10
        first = stack.enter_context(page.connected())
        assert first.recv(1) == b""  # one that says nothing is closed
    assert page.get("/healthz").text == "ok\n"


def test_a_request_that_is_no_http_does_no_harm(page: Served) -> None:
    for data in (b"\x16\x03\x01\x02\x00" + b"\0" * 100, b"GET " + b"/" * 100_000, b"\r\n" * 1000, os.urandom(10_000)):
        with page.connected() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert page.get("/healthz").status == 200


# Recipes


def test_a_recipe_is_shown_with_where_each_field_comes_from(page: Served) -> None:
    page.tree.recipe("shown", "seed: 3\nascent: {lr: 0.5}\n")
    shown = page.get("/api/recipe?folder=shown").json
    assert shown["text"] == "seed: 3\nascent: {lr: 0.5}\n"
    fields = {field["name"]: (field["value"], field["origin"]) for field in shown["standing"]["fields"]}
    assert fields["seed"] == ("3", "shown/recipe.yaml:1")
    assert fields["backbone.name"][1].startswith("config.yaml:")
    assert {"folder": "shown", "has_recipe": True} in page.get("/api/folders").json
    assert "animals" in [each["name"] for each in page.get("/api/recipes").json]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("seed: 1\nsed: 2\n", 2, "sed: is not a field; did you mean seed?"),
        ("seed: [", 1, "is not YAML"),
        ("\n\next ends: 1", 3, "is not a field"),
        ("extends: nobody", 1, "no preset or named recipe 'nobody'"),
        ("seed: " + "1" * 70_000, None, "larger than 64 KB"),
    ],
)
def test_a_recipe_is_judged_with_the_line_that_is_wrong(page: Served, text: str, line: int | None, words: str) -> None:
    problem = page.ask("POST", "/api/recipe/check", {"folder": "judged", "text": text}).json["problem"]
    assert words in problem["text"]
    assert problem["line"] == line
    assert page.ask("PUT", "/api/recipe", {"folder": "judged", "text": text, "mark": ""}).status == 422
    assert not (page.tree.inbox / "judged").exists()


def test_a_field_is_changed_in_the_text_and_nothing_else(page: Served) -> None:
    text = "# mine\nextends: animals   # for now\nascent: {lr: 0.05}  # fast\n"
    changes = [{"path": ["ascent", "lr"], "value": 0.1}, {"path": ["extends"], "value": "weave"}]
    changed = page.ask("POST", "/api/recipe/change", {"folder": "turned", "text": text, "changes": changes}).json
    assert changed["text"] == "# mine\nextends: weave   # for now\nascent: {lr: 0.1}  # fast\n"
    assert changed["problem"] is None
    standing = changed["standing"]
    assert (standing["extends"], standing["own"]) == ("weave", ["extends", "ascent.lr"])
    inherited = {field["name"]: (field["value"], field["origin"]) for field in standing["inherited"]["fields"]}
    assert inherited["ascent.lr"][1].startswith("preset ")
    back = {"folder": "turned", "text": changed["text"], "changes": [{"path": ["ascent", "lr"]}]}
    assert page.ask("POST", "/api/recipe/change", back).json["text"] == ("# mine\nextends: weave   # for now\n# fast\n")
    assert not (page.tree.inbox / "turned").exists()


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("seed: [", [{"path": ["seed"], "value": 1}], "is not YAML"),
        ("a: &b {c: 1}\nd: *b\n", [{"path": ["d", "c"], "value": 2}], "change it in the text"),
        ("", [{"value": 1}], "a change is"),
        ("stages: [{}, {}]", [{"path": ["stages", 0], "to": "below"}], "moved to a number"),
        ("stages: [{}, {}]", [{"path": ["stages", 0], "to": 2}], "no such place"),
        ("", "seed", "changes must be a list"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_in_words(page: Served, text: str, changes: object, words: str) -> None:
    answer = page.ask("POST", "/api/recipe/change", {"folder": "turned", "text": text, "changes": changes})
    assert (answer.status, words in answer.json["error"]) == (422, True)


def test_a_sidecars_recipe_is_changed_where_it_stands(page: Served) -> None:
    text = '{"job": "x", "recipe": {"seed": 1}, "precision": "fp32"}'
    changes = [{"path": ["seed"], "value": 2}]
    changed = page.ask("POST", "/api/recipe/change", {"folder": "turned", "text": text, "changes": changes}).json
    assert changed["text"] == text.replace("1", "2", 1)


def test_names_are_judged_once_a_worker_has_said_what_there_is(page: Served) -> None:
    catalogue = {"entries": [{"kind": "backbone", "name": "tiny", "plugin": "tiny", "origin": "tiny.py"},
                             {"kind": "loss", "name": "l2", "plugin": "l2", "origin": "l2.py"},
                             {"kind": "schedule", "name": "moody", "plugin": "tiny", "origin": "tiny.py"},
                             {"kind": "gradient", "name": "smooth", "plugin": "s", "origin": "s"},
                             {"kind": "gradient", "name": "normalize", "plugin": "n", "origin": "n"}]}  # fmt: skip
    file = page.tree.state / "catalogue.json"
    file.write_text(json.dumps(catalogue))
    check = {"folder": "named", "text": "seed: 1\nloss: l3\n"}
    assert "no loss 'l3'; there are l2" in page.ask("POST", "/api/recipe/check", check).json["problem"]["text"]
    fields = page.ask("POST", "/api/recipe/check", {"folder": "named", "text": "seed: 1\n"}).json["standing"]["fields"]
    assert {"name": "backbone.name", "value": '"tiny"', "origin": "config.yaml:3"}.keys() == fields[0].keys()
    assert "backbone.name" in [field["name"] for field in fields]
    form = page.get("/api/recipe/form").json
    assert [plugin["name"] for plugin in form["plugins"]["gradient"]] == ["normalize", "smooth"]
    file.unlink()


def test_a_recipe_is_saved_whole_and_over_nobodys_change(page: Served) -> None:
    saved = page.ask("PUT", "/api/recipe", {"folder": "saved", "text": "seed: 1\n", "mark": ""}).json
    file = page.tree.inbox / "saved" / "recipe.yaml"
    assert file.read_text() == "seed: 1\n"
    file.write_text("seed: 7\n")
    answer = page.ask("PUT", "/api/recipe", {"folder": "saved", "text": "seed: 2\n", "mark": saved["mark"]})
    assert (answer.status, file.read_text()) == (409, "seed: 7\n")
    mark = page.get("/api/recipe?folder=saved").json["mark"]
    assert page.ask("PUT", "/api/recipe", {"folder": "saved", "text": "seed: 2\n", "mark": mark}).status == 200
    assert file.read_text() == "seed: 2\n"
    assert [each.name for each in file.parent.iterdir()] == ["recipe.yaml"]


def test_no_recipe_is_read_or_written_through_a_symlink(page: Served) -> None:
    outside = page.tree.root / "elsewhere"
    outside.mkdir()
    (outside / "recipe.yaml").write_text("seed: 9\n")
    (page.tree.inbox / "away").symlink_to(outside)
    assert page.get("/api/recipe?folder=away").status == 422
    assert page.ask("PUT", "/api/recipe", {"folder": "away", "text": "seed: 1\n", "mark": ""}).status in (409, 500)
    assert (outside / "recipe.yaml").read_text() == "seed: 9\n"
    assert page.get("/api/recipe?folder=../..").status == 422


# The token


def test_where_a_token_is_set_nothing_but_health_is_open(serve: Callable[..., Served]) -> None:
    page = serve(token=TOKEN)
    for path in ("/api/status", "/api/events", "/metrics", "/api/results", "/thumbnails/x/after/small", "/nothing"):
        answer = page.get(path)
        assert (answer.status, answer.text) == (401, "show the token\n")
    assert page.upload("a.png", b"data").status == 401
    assert page.ask("POST", "/api/pause", {"folder": "."}).status == 401
    visit = page.get("/")
    assert (visit.status, visit.headers["Location"]) == (303, "login")
    assert page.get("/healthz").text == "ok\n"
    page.say(paused=["."])
    assert (page.get("/readyz").status, page.get("/readyz").text) == (503, "not well\n")
    assert "everything is paused" in page.get("/readyz", Authorization=f"Bearer {TOKEN}").text


def test_the_token_opens_the_page_by_form_or_by_header(serve: Callable[..., Served]) -> None:
    page = serve(token=TOKEN)
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    wrong = page.ask("POST", "/login", b"token=wrong-horse-battery", **form)
    assert wrong.status == 401
    assert "That is not the token" in wrong.text
    welcome = page.ask("POST", "/login", f"token={TOKEN}".encode(), **form)
    cookie = welcome.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    session = cookie.split(";")[0]
    assert TOKEN not in cookie
    assert page.get("/api/status", Cookie=session).status == 200
    assert page.get("/api/status", Cookie=session[:-1] + ("0" if session[-1] != "0" else "1")).status == 401
    end, _, signature = session.partition("=")[2].partition(".")
    assert page.get("/api/status", Cookie=f"dreamd_session={int(end) + 1}.{signature}").status == 401
    for odd in ("dreamd_session=", "dreamd_session=é.x", "dreamd_session=.", "=;;", "dreamd_session=9999999999."):
        assert page.get("/api/status", Cookie=odd.encode().decode("latin-1")).status == 401
    assert page.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
    assert page.get("/metrics", Authorization="Bearer wrong-horse-battery").status == 401
    assert page.get("/metrics", Authorization=f"Basic {TOKEN}").status == 401
    assert TOKEN not in page.log.read_text()


def guess(page: Served, way: str, address: str, token: str = "wrong-horse-battery") -> int:
    """Shows a token in one of the ways from an address of this machine; returns the answer's code."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, WAIT_SECONDS, source_address=(address, 0))
    with contextlib.closing(connection):
        if way == "/login":
            connection.request("POST", way, f"token={token}".encode())
        else:
            connection.request("GET", way, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status


@pytest.mark.parametrize("way", ["/login", "/api/status", "/readyz"])
def test_who_guesses_waits_whatever_the_way_and_nobody_else_does(serve: Callable[..., Served], way: str) -> None:
    page = serve(token=TOKEN)
    page.say(paused=["."])  # so that there is something that only who has the token is told
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda _: guess(page, way, "127.0.0.2"), range(40)))
    seen = page.log.read_text().count("sign-in refused: wrong token from 127.0.0.2\n")
    assert 1 <= seen < 8  # at once means one after the other, and each takes longer than the one before
    while page.log.read_text().count("sign-in refused: wrong token from 127.0.0.3\n") < 6:
        guess(page, way, "127.0.0.3")
    assert guess(page, "/api/status", "127.0.0.3", TOKEN) == 429
    assert guess(page, "/api/status", "127.0.0.1", TOKEN) == 200


def test_a_session_goes_on_while_somebody_guesses_from_the_same_address(serve: Callable[..., Served]) -> None:
    page = serve(token=TOKEN)
    cookie = page.ask("POST", "/login", f"token={TOKEN}".encode()).headers["Set-Cookie"].split(";")[0]
    while guess(page, "/login", "127.0.0.1") != 429:
        pass
    refused = page.ask("POST", "/login", f"token={TOKEN}".encode())
    assert refused.status == 429
    assert "Too many wrong tokens" in refused.text
    assert page.get("/api/status", Cookie=cookie).status == 200


def test_fail2ban_finds_the_address_of_who_guesses_in_the_log(serve: Callable[..., Served]) -> None:
    page = serve(token=TOKEN, trusted_proxy="127.0.0.0/8")
    page.ask("POST", "/login", b"token=wrong", X_Forwarded_For="6.6.6.6, 198.51.100.7")
    filters = configparser.ConfigParser(interpolation=None)
    filters.read(Path(__file__).parents[2] / "systemd" / "fail2ban" / "dreamd.filter.conf")
    rule = filters["Definition"]["failregex"].replace("<HOST>", r"(?P<host>[\d.]+|[\da-f:]+)")
    found = [re.match(rule, f"box dreamd[42]: {line}") for line in page.log.read_text().splitlines()]
    assert [match["host"] for match in found if match] == ["198.51.100.7"]
    forged = "box dreamd[42]: a.png: page: sign-in refused: wrong token from 192.0.2.1"
    assert not re.match(rule, forged)


@pytest.mark.parametrize(
    ("status", "scheme", "is_secure"),
    [
        ({}, "https", False),
        ({"trusted_proxy": "192.0.2.1"}, "https", False),
        ({"trusted_proxy": "127.0.0.1"}, "https", True),
        ({"trusted_proxy": "127.0.0.1"}, "http", False),
        ({"secure_cookies": True}, "http", True),
    ],
)
def test_a_session_is_for_tls_only_where_the_browser_came_by_it(
    serve: Callable[..., Served], status: dict[str, Any], scheme: str, is_secure: bool
) -> None:
    page = serve(token=TOKEN, **status)
    welcome = page.ask("POST", "/login", f"token={TOKEN}".encode(), X_Forwarded_Proto=scheme)
    cookie = welcome.headers["Set-Cookie"]
    left = page.ask("POST", "/logout", Cookie=cookie.split("; ")[0], X_Forwarded_Proto=scheme)
    for set_cookie in (cookie, left.headers["Set-Cookie"]):
        assert ("Secure" in set_cookie.split("; ")) is is_secure


@pytest.mark.parametrize(("days", "code"), [(29, 200), (31, 401)])
def test_a_session_is_over_after_thirty_days(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, days: int, code: int
) -> None:
    page = serve(token=TOKEN)
    then = time.time() - days * 86_400
    with monkeypatch.context() as patch:
        patch.setattr("dreamd.page.access.sessions.time.time", lambda: then)
        session = Sessions(TOKEN).new()
    assert page.get("/api/status", Cookie=f"{SESSION_COOKIE}={session}").status == code


# Orders of who may not write the state folder


def test_the_page_does_what_a_member_of_the_group_orders_by_a_command(serve: Callable[..., Served]) -> None:
    page = serve(token=TOKEN)
    config = page.config.model_copy(
        update={"status": page.config.status.model_copy(update={"listen": f"127.0.0.1:{page.port}"})}
    )
    assert asked(config, "pause", {"folder": "animals"}) == ["paused: animals"]
    assert asked(config, "pause", {"folder": "weave"}) == ["paused: weave"]
    assert asked(config, "resume", {"folder": "weave"}) == ["still paused: animals"]
    assert asked(config, "resume", {"folder": None}) == ["nothing is paused"]
    assert asked(config, "retry", {}) == []
    with pytest.raises(UsageError, match="there is no job 'none'"):
        asked(config, "retry", {"jobs": ["none"]})
    with pytest.raises(UsageError, match="nowhere is no folder of the inbox"):
        asked(config, "pause", {"folder": "nowhere"})
    wrong = config.status.model_copy(update={"token": SecretStr("wrong-horse-battery")})
    with pytest.raises(UsageError, match="the page says: show the token"):
        asked(config.model_copy(update={"status": wrong}), "retry", {})


def test_the_token_is_shown_to_nobody_but_the_owner_of_the_state_folder(page: Served, tmp_path: Path) -> None:
    state = Path("/") if os.getuid() else tmp_path  # another user's folder
    if not os.getuid():
        os.chown(state, 12345, -1)
    with socket.create_server(("127.0.0.1", 0)) as thief:
        status = page.config.status.model_copy(update={"listen": f"127.0.0.1:{thief.getsockname()[1]}"})
        config = page.config.model_copy(update={"status": status, "state": state})
        with pytest.raises(DreamdError, match=r"can be written by its owner alone, and dreamd serves no page at"):
            asked(config, "retry", {})
        thief.setblocking(False)
        with pytest.raises(BlockingIOError):
            thief.accept()
    off = page.config.status.model_copy(update={"listen": None})
    with pytest.raises(DreamdError, match="the page, which could do it, is off"):
        asked(page.config.model_copy(update={"status": off}), "retry", {})


# Below a path


@pytest.mark.parametrize("prefix", ["/nas/dreams", ""])
def test_below_a_path_the_page_answers_whether_the_proxy_passes_it_on_or_not(
    serve: Callable[..., Served], prefix: str
) -> None:
    page = serve(token=TOKEN, base_path="/nas/dreams/")
    visit = page.get(f"{prefix}/")
    assert (visit.status, visit.headers["Location"]) == (303, "login")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    welcome = page.ask("POST", f"{prefix}/login", f"token={TOKEN}".encode(), **form)
    assert (welcome.status, welcome.headers["Location"]) == (303, "./")
    cookie = welcome.headers["Set-Cookie"].split("; ")
    assert "Path=/nas/dreams/" in cookie
    for path in ("/", "/api/status", "/static/page.js", "/metrics"):
        assert page.get(f"{prefix}{path}", Cookie=cookie[0]).status == 200, path
    left = page.ask("POST", f"{prefix}/logout", Cookie=cookie[0])
    assert "Path=/nas/dreams/" in left.headers["Set-Cookie"].split("; ")
    assert page.get(f"{prefix}/api/status").status == 401


def test_below_a_path_other_paths_are_not_there_and_its_own_gets_its_slash(serve: Callable[..., Served]) -> None:
    page = serve(base_path="/nas/dreams")
    moved = page.get("/nas/dreams")
    assert (moved.status, moved.headers["Location"]) == (308, "/nas/dreams/")
    for path in ("/nas/dreamsx/", "/nas/", "/nas/dreams/nas/dreams/"):
        assert page.get(path).status == 404
    assert page.ask("POST", "/nas/dreams/api/pause", {"folder": "."}, Origin="http://evil.example").status == 403


def test_every_address_of_the_page_is_relative_to_its_own(page: Served) -> None:
    texts = {name: page.get(name).text for name in ("/", "/login")}
    texts |= {file.name: file.read_text() for file in static_texts()}
    for name, text in texts.items():
        assert not re.findall(
            r"""(?:src|href|action)="/[^"]*|["'`(]/(?:api|static|login|logout|results|previews|thumbnails)\b""", text
        ), name


def test_elsewhere_than_on_loopback_any_address_of_the_machine_is_a_name_of_it(serve: Callable[..., Served]) -> None:
    page = serve(listen="0.0.0.0:0", token=TOKEN, hosts=["dreams.example.org"])
    for host in ("10.1.2.3", "[fe80::1]:80", "dreams.example.org", "dreams.example.org:8443", socket.gethostname()):
        assert page.get("/login", Host=host).status == 200, host
    assert page.get("/login", Host="evil.example").status == 421


# Metrics and health


def metric(text: str, name: str) -> float:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


def test_metrics_tell_what_ended_since_the_daemon_started(serve: Callable[..., Served]) -> None:
    page = serve()
    page.say(started_at=1000.0, queued=4, running=1, held=3, folders={"dogs": 7}, overflows=2, found_by_rescan_only=5,
             holds=[Hold(folder="dogs", cause="weights", reason="none", jobs=3)])  # fmt: skip
    page.result("m0", "dogs/old.png", 900.0)
    page.result("m1", "dogs/a.png", 1100.0)
    before = page.get("/metrics").text
    assert metric(before, 'dreamd_jobs_total{folder="dogs",outcome="done"}') == 1
    assert metric(before, 'dreamd_jobs_total{folder="dogs",outcome="failed"}') == 0
    assert metric(before, 'dreamd_jobs_total{folder="animals",outcome="done"}') == 0  # made before there is anything
    assert metric(before, 'dreamd_jobs_held{cause="weights"}') == 3
    assert metric(before, 'dreamd_jobs_held{cause="space"}') == 0
    assert metric(before, 'dreamd_queue_depth{folder="dogs"}') == 7
    assert metric(before, "dreamd_watch_overflows_total") == 2
    assert metric(before, "dreamd_watch_found_by_rescan_only_total") == 5
    assert metric(before, 'dreamd_wait_seconds_bucket{le="2.5"}') == 1
    assert metric(before, "dreamd_dream_seconds_sum") == 2.5
    page.result("m2", "dogs/b.png", 1090.0)  # written down later than m1, though it ended before
    page.journal.save([Job(id="m3", folder=PurePosixPath("dogs"), name="x", state=JobState.FAILED, attempts=3,
                           claimed_at=1.0, started_at=1.0, finished_at=1200.0)])  # fmt: skip
    shutil.copy(page.tree.outbox / "dogs" / "a.png", page.tree.failed / "x.png")
    (page.tree.failed / "x.png.reason.txt").write_text("no")
    for _ in range(2):  # a second look counts nothing twice
        after = page.get("/metrics").text
        assert metric(after, 'dreamd_jobs_total{folder="dogs",outcome="done"}') == 2
        assert metric(after, 'dreamd_jobs_total{folder="dogs",outcome="failed"}') == 1
        assert metric(after, "dreamd_attempts_total") == 5
        assert metric(after, "dreamd_last_success_timestamp_seconds") == 1100.0
        assert metric(after, "dreamd_quarantined_pictures") == 1


def test_metrics_have_so_many_series_whatever_folders_there_are(serve: Callable[..., Served]) -> None:
    page = serve()
    for number in range(300):
        (page.tree.inbox / f"folder{number}").mkdir()
    page.journal.save([
        Job(id=f"{number}", folder=PurePosixPath(f"gone{number}"), name="x", state=JobState.DONE, finished_at=2000.0)
        for number in range(300)
    ])  # fmt: skip
    page.say(folders={f"queue{number}": number for number in range(500)})
    text = page.get("/metrics").text
    assert len(re.findall("^dreamd_jobs_total", text, re.M)) <= 2 * 201
    assert metric(text, 'dreamd_jobs_total{folder="(others)",outcome="done"}') == 300
    assert len(re.findall("^dreamd_queue_depth", text, re.M)) == 201
    check(text)


def check(text: str) -> None:
    """What Prometheus's own tool says of it, where that is installed."""
    if promtool := shutil.which("promtool"):
        found = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
        assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_health_says_what_is_the_matter(serve: Callable[..., Served]) -> None:
    page = serve()
    assert (page.get("/healthz").status, page.get("/readyz").text) == (200, "ok\n")
    worker = WorkerStatus(device="cuda:0", device_name="", precision="", state="stopped", pid=None, error="no driver")
    page.say(state="draining", watching="waiting: the inbox is gone", workers=[worker], paused=["."])
    ready = page.get("/readyz")
    assert ready.status == 503
    assert ready.text.splitlines() == [
        "the daemon is draining",
        "the inbox is not watched: waiting: the inbox is gone",
        "everything is paused",
        "the worker on cuda:0 is stopped: no driver",
    ]
    assert page.get("/healthz").status == 200
    page.say(workers=[replace(worker, error=None)])
    assert page.get("/readyz").text == "ok\n"  # it is unloaded, and started for the next picture
    (page.tree.state / "status.json").unlink()
    assert page.get("/healthz").status == 503
    assert "dreamd_ready 0.0" in page.get("/metrics").text


# Beside the daemon


def pages_of(daemon: RunningDaemon) -> list[int]:
    """The process of its page."""
    return processes_of("dreamd.page.server", daemon.process.pid)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_the_page_is_started_again_and_dies_with_the_daemon(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    tree.configure(status={"listen": f"127.0.0.1:{free_port()}"})
    daemon = run_daemon(tree)
    (first,) = tree.wait_for(lambda: pages_of(daemon), "the page")
    os.kill(first, signal.SIGKILL)
    tree.drop("a.png")
    tree.result("a.png")  # the daemon goes on
    (second,) = tree.wait_for(lambda: [pid for pid in pages_of(daemon) if pid != first], "another page")
    assert "the page is not served: its process ended with code -9; trying again in 0.1 s" in daemon.log
    daemon.process.kill()
    daemon.wait()
    tree.wait_for(lambda: not tree.is_alive(second), "the page to be gone")


def test_a_page_whose_address_is_taken_is_told_in_the_status_until_it_is_served(tree: Tree, run_daemon: Run) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    tree.configure(status={"listen": f"127.0.0.1:{port}"})
    with taken:
        daemon = run_daemon(tree)
        problem = tree.wait_for(lambda: daemon.status().get("page_problem"), "the problem")
    assert problem == f"{tree.config}: status.listen: 127.0.0.1:{port}: Address already in use; choose another"
    tree.wait_for(lambda: daemon.status().get("page_problem") is None, "the page to be served")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=WAIT_SECONDS) as answer:
        assert answer.status == 200


def test_a_reload_has_the_page_judge_by_the_recipes_that_count_now(tree: Tree, run_daemon: Run) -> None:
    tree.configure(status={"listen": "127.0.0.1:0"})
    daemon = run_daemon(tree)
    port = int(tree.wait_for(lambda: re.search(r"http://127.0.0.1:(\d+)/", daemon.log), "the page")[1])

    def seed() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/recipe?folder=.", timeout=WAIT_SECONDS) as answer:
            return next(
                str(field["value"]) for field in json.load(answer)["standing"]["fields"] if field["name"] == "seed"
            )

    assert seed() == "0"
    (before,) = pages_of(daemon)
    config = yaml.safe_load(tree.config.read_text())
    tree.configure(defaults={**config["defaults"], "seed": 7})
    daemon.signal(signal.SIGHUP)
    tree.wait_for(lambda: seed() == "7", "the new defaults")
    assert pages_of(daemon) == [before]  # who is uploading goes on


def test_no_preview_outlives_its_dream_whoever_was_killed(tree: Tree, run_daemon: Run) -> None:
    tree.configure(status={"listen": "127.0.0.1:0"}, limits={"attempts": 1})
    previews = tree.state / "preview"
    previews.mkdir(parents=True)
    (previews / "earlier.jpg").write_bytes(b"left by a daemon that was killed")
    gate = tree.mood("killed", "wait")
    daemon = run_daemon(tree)
    assert list(previews.iterdir()) == []
    tree.drop("killed/a.png", tree.picture(13, 13))
    worker = daemon.worker("busy")
    (job,) = tree.jobs(JobState.RUNNING)
    (previews / f"{job.id}.jpg").write_bytes(b"as the worker has shown it")
    only_draft_of(previews / f"{job.id}.jpg").write_bytes(b"as it was about to show it")
    os.kill(worker, signal.SIGKILL)
    tree.failure("killed/a.png")
    assert list(previews.iterdir()) == []
    gate.touch()


def test_a_port_that_is_taken_is_told_and_keeps_nobody_from_dreaming(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        tree.configure(status={"listen": f"127.0.0.1:{port}"})
        daemon = run_daemon(tree)
        tree.drop("a.png")
        tree.result("a.png")
        tree.wait_for(lambda: f"127.0.0.1:{port}: Address already in use; choose another" in daemon.log, "the reason")
        assert "Traceback" not in daemon.log
        assert daemon.stop() == 0


@pytest.mark.slow
def test_attacks_on_the_page_do_not_slow_the_dreaming(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    port = free_port()
    tree.configure(status={"listen": f"127.0.0.1:{port}"}, limits={"max_bytes": MAX_BYTES})
    daemon = run_daemon(tree)
    tree.wait_for(lambda: f"127.0.0.1:{port}/" in daemon.log, "the page")
    endless = "PUT /api/upload?name=big.png HTTP/1.1\r\nHost: localhost\r\nContent-Length: 299999\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), WAIT_SECONDS))
            with contextlib.suppress(ConnectionError):
                connection.sendall(endless.encode() if number % 10 == 0 else b"GET / HTTP/1.1\r\nHost: ")
        for number in range(20):
            begun = time.monotonic()
            tree.drop(f"attacked/{number}.png")
            tree.wait_for((tree.outbox / "attacked" / f"{number}.png").exists, "the result")
            assert time.monotonic() - begun < 10
    assert daemon.stop() == 0
    assert not (tree.outbox / "big.png").exists()

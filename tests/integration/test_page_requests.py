"""Requests at random to every address of the page: whatever is in them, the answer is none of a fault in dreamd."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount, Route

from dreamd.job import Job, JobState
from dreamd.page.access.clients import Clients
from dreamd.page.app import make_app, make_routes
from dreamd.settings.config import Config, load_config
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.snapshot import Snapshot
from dreamd.tree.spool import Spool

if TYPE_CHECKING:
    from conftest import Tree

DONE = "0123456789abc"
"""The id of a job that has a result."""

ODD = [
    *(b"", b".", b"..", b"/", b"//", b"%", b"%25", b"\0", b"a\0b", b"#", b"?", b"&=", b"\xff", b"\xed\xa0\x80", b"\n"),
    *(b"50% off", "ünï".encode(), b"inf", b"-inf", b"nan", b"-1", b"0", b"1e308", b"1e999", b"1,x", b"1,\xff"),
    *(b"1,\0", b"nan,x", b"9" * 5000, b"a" * 5000, b"a/" * 40, b"../../etc/passwd", DONE.encode(), b"after", b"small"),
    *(b"before", b"large", b"page.js", b"own"),
]
"""What goes wrong more often than anything that is drawn at random."""

VALUES = st.sampled_from(ODD) | st.binary(max_size=12) | st.text(max_size=8).map(lambda text: text.encode())
TEXTS = VALUES.map(lambda value: value.decode("utf-8", "surrogateescape")) | st.just("\ud800")
JSON = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
QUERY = st.dictionaries(
    st.sampled_from(["folder", "limit", "before", "name", "search", "job", "mark", "recipe", "state"]),
    VALUES,
    max_size=4,
)
BODY = st.dictionaries(st.sampled_from(["folder", "text", "mark", "jobs", "token"]), TEXTS | JSON, max_size=4)
ENDLESS = "/events"
"""Answers of addresses that end so have no end."""

PROBES = ("/healthz", "/readyz")
"""These say 503 where no daemon runs, as here."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Tree]) -> Config:
    tree = make(tmp_path_factory.mktemp("requests") / "tree")
    tree.configure(status={"listen": "127.0.0.1:8420"})
    config = load_config(tree.config)
    Spool(Folders.of(config)).prepare()
    tree.state.mkdir(exist_ok=True)
    StateFolder(config.state).previews.mkdir()
    snapshot_of(config).write(config.state)
    with Journal.open(StateFolder(config.state).journal) as journal:
        recipe = config.recipe_book().for_default().json
        done = Job(id=DONE, folder=PurePosixPath("own"), name="a.png", state=JobState.DONE, recipe=recipe,
                   finished_at=1.0, result="own/a.png")  # fmt: skip
        journal.save([done])
    return config


def snapshot_of(config: Config) -> Snapshot:
    """What a daemon with nothing to do says, which has ended meanwhile."""
    return Snapshot(
        state="running", pid=os.getpid(), version="0", started_at=1000.0, inbox=str(config.inbox), lock=os.devnull,
        watching="inotify", found_by_rescan_only=0, overflows=0, queued=0, running=0, held=0, done=0, failed=0,
        folders={}, done_per_hour=0.0, eta_seconds=None, paused=[], workers=[], holds=[], plugins_not_loaded={},
    )  # fmt: skip


def addresses(config: Config) -> Iterator[tuple[str, str]]:
    """The method and the path of every address there is."""
    for route in make_routes(config, Clients(None), None, threading.Event()).all:
        if isinstance(route, Mount) and route.routes:
            yield from ((method, f"{route.path}{path}") for inner in route.routes for method, path in of_route(inner))
        else:
            yield from of_route(route)


def of_route(route: BaseRoute) -> Iterator[tuple[str, str]]:
    """The methods and the path of one route."""
    if isinstance(route, Route):
        yield from ((method, route.path) for method in route.methods or () if method != "HEAD")
    elif isinstance(route, Mount):
        yield "GET", f"{route.path}/{{file}}"


async def ask(app: Any, method: str, path: str, query: bytes, body: bytes) -> int:
    """Ask as a server would, and return the status of the answer; what the application raises is raised."""
    messages: list[MutableMapping[str, Any]] = []
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(sent, {"type": "http.disconnect"})

    async def send(message: MutableMapping[str, Any]) -> None:
        messages.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query, "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8420"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8420),
    }  # fmt: skip
    await app(scope, receive, send)
    return int(messages[0]["status"])


def test_no_request_is_a_fault_of_the_page(config: Config) -> None:
    places = [place for place in sorted(addresses(config)) if not place[1].endswith(ENDLESS)]
    assert len(places) > 20

    @settings(max_examples=600, deadline=None, database=None)
    @given(st.sampled_from(places), st.lists(VALUES, min_size=3, max_size=3), QUERY, BODY)
    def answered(place: tuple[str, str], parts: list[bytes], query: dict[str, bytes], body: dict[str, Any]) -> None:
        method, template = place
        path = "/".join(
            quote_from_bytes(parts.pop(), safe="") if part.startswith("{") else part for part in template.split("/")
        )
        fields = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in query.items())
        status = runner.run(ask(app, method, path, fields.encode(), json.dumps(body).encode()))
        assert status < 500 or path in PROBES, (method, path, fields, body)

    app = make_app(config, None, (), threading.Event())
    with asyncio.Runner() as runner:
        answered()


@pytest.mark.parametrize("path", ["/previews/%00", "/static/%00", "/results/%00", "/thumbnails/%00/after/small"])
def test_a_name_that_no_file_can_have_is_not_there(config: Config, path: str) -> None:
    app = make_app(config, None, (), threading.Event())
    assert asyncio.run(ask(app, "GET", path, b"", b"")) in (204, 404)

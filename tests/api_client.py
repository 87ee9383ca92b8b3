"""A client of the API, for its tests."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dreamd.settings.config import load_config

if TYPE_CHECKING:
    from conftest import Tree


class RefusedError(Exception):
    """An answer that is a problem."""

    def __init__(self, error: urllib.error.HTTPError) -> None:
        self.status = error.code
        self.headers = error.headers
        self.media_type = error.headers["Content-Type"]
        self.problem = json.loads(error.read())
        super().__init__(self.problem["detail"])


@dataclass(frozen=True)
class Api:
    """A client of the API of a tree whose daemon serves it."""

    tree: Tree
    token: str | None = None

    @property
    def url(self) -> str:
        return load_config(self.tree.config).status.url + "api/v1"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                data = answer.read()
                return json.loads(data) if answer.headers["Content-Type"] == "application/json" else data
        except urllib.error.HTTPError as error:
            raise RefusedError(error) from None

    def status_of(self, path: str, form: bytes | None = None) -> int:
        """The status of an address of the page's own."""
        request = urllib.request.Request(self.url.removesuffix("api/v1") + path, form)
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def post(self, name: str, key: str | None = None, data: bytes | None = None, **query: str) -> dict[str, Any]:
        given = urllib.parse.urlencode({"name": name, **query})
        headers = {} if key is None else {"Idempotency-Key": key}
        told: dict[str, Any] = self.ask("POST", f"/jobs?{given}", data or self.tree.picture(), **headers)
        return told

    def wait(self, id_: str) -> dict[str, Any]:
        """Waits until a job is over."""
        while (told := self.get(f"/jobs/{id_}?wait=30"))["state"] not in ("done", "failed", "gone"):
            pass
        job: dict[str, Any] = told
        return job


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve(tree: Tree, **status: Any) -> None:
    tree.configure(status={"listen": f"127.0.0.1:{free_port()}", **status})


def served(tree: Tree, started: Callable[[Tree], object], **status: Any) -> Api:
    """The API of a tree that is served by a daemon which is started for it; `status` is of the config."""
    serve(tree, **status)
    started(tree)
    wait_for_page(tree)
    return Api(tree, status.get("token"))


def wait_for_page(tree: Tree) -> None:
    def answers() -> bool:
        try:
            Api(tree).get("/status")
        except urllib.error.URLError:
            return False
        except RefusedError:
            return True
        return True

    tree.wait_for(answers, "the page to answer")


@contextmanager
def refusal(status: int, *words: str) -> Iterator[None]:
    with pytest.raises(RefusedError) as caught:
        yield
    assert caught.value.status == caught.value.problem["status"] == status, caught.value.problem
    assert caught.value.media_type == "application/problem+json"
    for word in words:
        assert word in caught.value.problem["detail"]

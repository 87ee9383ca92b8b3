"""Tokens of programs: each opens what its program may do, and nothing beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api_client import Api, RefusedError, refusal, serve, served, wait_for_page

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]

PAGE = "correct-horse-battery"
RIGHTS: dict[str, Any] = {"camera": "drop", "other": "drop", "wall": "read", "hub": ["read", "drop"], "admin": "all"}


def token(name: str) -> str:
    return f"the-token-of-{name}-0123"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Api:
    """A page that asks persons for a token, and programs for theirs."""
    tree = make(tmp_path_factory.mktemp("tokens") / "tree")
    tree.echo()
    tokens = {}
    for name, may in RIGHTS.items():
        file = tree.root / f"{name}-token"
        file.write_text(token(name))
        file.chmod(0o600)
        tokens[name] = {"token_file": file.name, "may": may}
    return served(tree, started, token=PAGE, tokens=tokens)


def as_program(api: Api, name: str) -> Api:
    return replace(api, token=token(name))


def test_a_program_that_drops_sees_what_it_has_posted_and_nothing_else(api: Api) -> None:
    camera, other = as_program(api, "camera"), as_program(api, "other")
    posted = camera.post("cat.png", "key", folder="camera")
    done = camera.wait(posted["id"])
    assert camera.get(f"/jobs/{posted['id']}/result")
    for path in ("", "/result", "/events", "/sidecar"):
        with refusal(404, "this token has posted"):
            other.get(f"/jobs/{posted['id']}{path}")
        with refusal(404, "this token has posted"):
            camera.get(f"/jobs/{done['job']}{path}")
    with refusal(404, "this token has posted"):
        other.ask("POST", f"/jobs/{posted['id']}/retry")
    with refusal(403, "'camera'", "all or read"):
        camera.get("/jobs")
    assert other.post("cat.png", "key", folder="camera")["id"] != posted["id"]
    assert api.get(f"/jobs/{posted['id']}")["state"] == "done"


def test_a_program_that_drops_dreams_again_what_it_has_posted_and_nothing_else(api: Api) -> None:
    camera = as_program(api, "camera")
    posted = camera.post("cat.png", folder="again")
    camera.wait(posted["id"])
    address = f"/jobs/{posted['id']}/again?of=result&recipe=weave"
    assert camera.wait(camera.ask("POST", address)["id"])["result"].startswith("again/weave-")
    with refusal(404, "this token has posted"):
        as_program(api, "other").ask("POST", address)
    with refusal(403, "may not do this"):
        as_program(api, "wall").ask("POST", address)


def test_a_program_that_reads_changes_nothing(api: Api) -> None:
    wall, camera = as_program(api, "wall"), as_program(api, "camera")
    posted = camera.post("broken.png", folder="wall")
    assert wall.wait(posted["id"])["state"] == "failed"
    assert wall.get("/jobs")["jobs"]
    for method, path in (
        ("POST", "/jobs?name=a.png"), ("POST", f"/jobs/{posted['id']}/retry"), ("POST", "/pause"), ("POST", "/resume"),
    ):  # fmt: skip
        with refusal(403, "'wall'"):
            wall.ask(method, path, b"x")


def test_the_command_of_the_manual_shows_a_token(api: Api, tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^```bash\n(.*?)^```$", manual, re.MULTILINE | re.DOTALL)
    (tmp_path / "camera-token").write_text(f"{token('camera')}\n")
    (tmp_path / "cat.jpg").write_bytes(api.tree.picture(form="JPEG"))
    ran = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env={**os.environ, "api": api.url}, capture_output=True, check=True
    )
    assert as_program(api, "camera").wait(json.loads(ran.stdout)["id"])["state"] == "done"


def test_rights_add_up(api: Api) -> None:
    hub = as_program(api, "hub")
    hub.wait(hub.post("hub.png", folder="hub")["id"])
    assert hub.get("/jobs")["jobs"]
    with refusal(403, "'hub'"):
        hub.ask("POST", "/pause")
    assert as_program(api, "admin").ask("POST", "/resume")["said"]


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("camera", "api/status", 403),
        ("camera", "metrics", 403),
        ("camera", "", 403),
        ("wall", "api/status", 403),
        ("wall", "results/x", 403),
        ("wall", "metrics", 200),
        ("admin", "api/status", 200),
        ("admin", "", 200),
    ],
)
def test_a_program_without_all_gets_nothing_but_the_api(api: Api, name: str, path: str, status: int) -> None:
    assert as_program(api, name).status_of(path) == status


def test_a_program_is_nobody_who_may_sign_in_as_a_person(api: Api) -> None:
    assert api.status_of("login", f"token={token('admin')}".encode()) == 401
    assert api.status_of("login", f"token={PAGE}".encode()) == 200


def test_a_wrong_token_or_none_is_a_problem_with_words(api: Api) -> None:
    for wrong in ("the-token-of-nobody-0123", None):
        with refusal(401, "token"):
            replace(api, token=wrong).get("/status")


def test_where_the_page_needs_no_token_a_program_may_do_what_its_own_allows(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    (tree.root / "wall-token").write_text(token("wall"))
    (tree.root / "wall-token").chmod(0o600)
    serve(tree, tokens={"wall": {"token_file": "wall-token", "may": "read"}})
    run_daemon(tree)
    wait_for_page(tree)
    api = Api(tree)
    assert api.ask("POST", "/resume")["said"]
    wall = as_program(api, "wall")
    assert wall.get("/status")["state"] == "running"
    with refusal(403, "'wall'"):
        wall.ask("POST", "/resume")


def test_the_tokens_of_programs_are_read_anew_when_the_config_is_reloaded(tree: Tree, run_daemon: Run) -> None:
    def tokens(*names: str) -> dict[str, Any]:
        for name in names:
            file = tree.root / f"{name}-token"
            file.write_text(token(name))
            file.chmod(0o600)
        return {name: {"token_file": f"{name}-token", "may": "read"} for name in names}

    tree.echo()
    serve(tree, token=PAGE, tokens=tokens("wall"))
    daemon = run_daemon(tree)
    wait_for_page(tree)
    api = Api(tree, PAGE)
    assert as_program(api, "wall").get("/status")["state"] == "running"
    tree.configure(status={"tokens": tokens("hub")})
    daemon.signal(signal.SIGHUP)

    def is_let_in(name: str) -> bool:
        try:
            return bool(as_program(api, name).get("/status"))
        except RefusedError:
            return False

    tree.wait_for(lambda: is_let_in("hub"), "the new token to count")
    assert not is_let_in("wall")

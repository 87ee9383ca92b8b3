"""The API: what a program posts, waits for and fetches, at a real page and a real daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from dreamd.page.api.following import FOLLOWERS_OF_A_CLIENT
from dreamd.settings.config import load_config
from tests.api_client import Api, refusal, serve, served, wait_for_page

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]

ROOT = Path(__file__).parents[2]
PNG = "image/png"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Api:
    """The API of a daemon that the tests of this module share; each posts into a folder of its own."""
    tree = make(tmp_path_factory.mktemp("api") / "tree")
    tree.echo()
    return served(tree, started)


# What is posted comes out


def test_a_posted_picture_can_be_waited_for_and_all_of_it_fetched(api: Api) -> None:
    data = api.tree.picture(20, 10)
    posted = api.post("cat.png", data=data, folder="whole")
    assert posted["state"] in ("received", "queued", "running", "done")
    done = api.wait(posted["id"])
    assert (done["state"], done["id"], done["result"]) == ("done", posted["id"], "whole/cat.png")
    assert api.get(f"/jobs/{posted['id']}/result") == (api.tree.outbox / "whole" / "cat.png").read_bytes()
    assert api.get(f"/jobs/{posted['id']}/sidecar")["job"] == done["job"]
    assert api.get(f"/jobs/{done['job']}")["state"] == "done"
    with refusal(404, "film strip"):
        api.get(f"/jobs/{posted['id']}/steps")


def test_a_key_takes_a_picture_once(api: Api) -> None:
    first = api.post("once.png", "a-key", folder="keys")
    again = api.post("once.png", "a-key", folder="keys")
    assert again["id"] == first["id"]
    api.wait(first["id"])
    assert api.post("once.png", "a-key", folder="keys")["state"] == "done"
    other = api.post("once.png", "another-key", folder="keys")
    assert api.wait(other["id"])["result"] == "keys/once-2.png"
    assert sorted(file.name for file in (api.tree.outbox / "keys").glob("*.png")) == ["once-2.png", "once.png"]
    with refusal(409, "used for another"):
        api.post("twice.png", "a-key", folder="keys")


def test_a_key_that_is_being_used_is_refused_until_its_picture_has_come(api: Api) -> None:
    data = api.tree.picture()
    path = "/api/v1/jobs?name=slow.png&folder=slow"
    host, port = load_config(api.tree.config).status.address
    with socket.create_connection((host, port), 60) as slow:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nIdempotency-Key: slow\r\nContent-Length: {len(data)}\r\n\r\n"
        slow.sendall(head.encode() + data[:-1])
        api.tree.wait_for(lambda: list((api.tree.inbox / ".dreamd" / "uploads").glob("*")), "the upload to begin")
        with refusal(409, "coming just now"):
            api.post("slow.png", "slow", data=data, folder="slow")
        slow.sendall(data[-1:])
        assert slow.recv(64).startswith(b"HTTP/1.1 201")
    api.wait(api.post("slow.png", "slow", data=data, folder="slow")["id"])
    assert [file.name for file in (api.tree.outbox / "slow").glob("*.png")] == ["slow.png"]


def test_an_upload_that_breaks_off_leaves_its_key_free(api: Api) -> None:
    data = api.tree.picture()
    host, port = load_config(api.tree.config).status.address
    with socket.create_connection((host, port), 60) as broken:
        head = "POST /api/v1/jobs?name=off.png&folder=off HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: off\r\n"
        broken.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[:9])
        uploads = api.tree.inbox / ".dreamd" / "uploads"
        api.tree.wait_for(lambda: list(uploads.glob("*")), "the upload to begin")
    api.tree.wait_for(lambda: not list(uploads.glob("*")), "the upload to be over")
    assert api.wait(api.post("off.png", "off", data=data, folder="off")["id"])["result"] == "off/off.png"


def test_pictures_of_one_name_have_jobs_of_their_own(api: Api) -> None:
    ids = [api.post("same.png", folder="same")["id"] for _ in range(5)]
    done = [api.wait(id_) for id_ in ids]
    assert len({job["job"] for job in done}) == 5
    assert len({job["result"] for job in done}) == 5


def test_a_picture_has_a_recipe_of_its_own_in_a_folder_of_that_recipe(api: Api) -> None:
    named = api.post("named.png", folder="own", recipe="weave")
    fields = api.post("fields.png", folder="own", recipe='{"seed": 7}')
    same = api.post("same.png", folder="own", recipe='{"seed": 7}')
    assert re.fullmatch(r"own/weave-[0-9a-f]{10}", named["folder"])
    assert (api.tree.inbox / named["folder"] / "recipe.yaml").read_text() == 'extends: "weave"\n'
    assert fields["folder"] == same["folder"] != named["folder"]
    assert api.wait(fields["id"])["state"] == "done"
    recipe = next(job.recipe for job in api.tree.jobs() if job.name == "fields.png")
    assert json.loads(recipe)["seed"] == 7


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("weafe", ["no preset or named recipe 'weafe'", "weave"]),
        ("{sed: 7}", ["sed", "did you mean seed?"]),
        ("seed: [", ["YAML"]),
        ("- seed", ["mapping"]),
        (" ", ["empty"]),
    ],
)
def test_a_wrong_recipe_is_refused_before_the_picture_is_taken(api: Api, recipe: str, words: list[str]) -> None:
    with refusal(422, *words):
        api.post("wrong.png", folder="wrong", recipe=recipe)
    assert not (api.tree.inbox / "wrong").exists()


def test_a_recipe_that_somebody_has_changed_is_not_replaced(api: Api) -> None:
    posted = api.post("first.png", folder="edited", recipe="{seed: 1}")
    file = api.tree.inbox / posted["folder"] / "recipe.yaml"
    file.write_text("seed: 2\n")
    with refusal(409, posted["folder"]):
        api.post("second.png", folder="edited", recipe="{seed: 1}")
    assert file.read_text() == "seed: 2\n"


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("name=../x.png", 422, ["../x.png"]),
        ("name=a.png&folder=../up", 422, [".."]),
        ("name=a.png&foldr=b", 422, ["foldr", "did you mean folder?"]),
        ("folder=b", 422, ["name"]),
        ("name=recipe.yaml", 422, ["recipe"]),
    ],
)
def test_what_cannot_be_is_refused_with_words(api: Api, query: str, status: int, words: list[str]) -> None:
    with refusal(status, *words):
        api.ask("POST", f"/jobs?{query}", b"x")


def test_a_form_is_refused_with_the_right_command(api: Api) -> None:
    with refusal(422, "--data-binary"):
        api.ask("POST", "/jobs?name=a.png", b"x", Content_Type="multipart/form-data; boundary=x")


def test_what_is_not_in_the_api_is_a_problem_with_words(api: Api) -> None:
    with refusal(404, "openapi.json"):
        api.get("/nothing")
    with refusal(405, "PUT"):
        api.ask("PUT", "/jobs", b"")
    for path in ("/jobs/nothing", "/jobs/p-000000000000000000000000000000", "/jobs/p-..", "/jobs/%ff"):
        with refusal(404, "there is no job"):
            api.get(path)
    for query in ("wait=-1", "wait=inf", "wait=nan", "wait=61", "wait=x"):
        with refusal(422, "wait"):
            api.get(f"/jobs/nothing?{query}")


# What becomes of it meanwhile


def test_a_job_is_followed_from_the_inbox_to_its_end(api: Api) -> None:
    gate = api.tree.root / "gate"
    posted = api.post("busy.png", folder="followed")
    states = []
    with urllib.request.urlopen(f"{api.url}/jobs/{posted['id']}/events", timeout=60) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream:
            if line.startswith(b"data: "):
                states.append(json.loads(line.removeprefix(b"data: "))["state"])
                if states[-1] == "running":
                    gate.touch()
    gate.unlink()
    assert states[-1] == "done"
    assert "running" in states
    assert states == sorted(states, key=["received", "queued", "running", "done"].index)


def events_of(api: Api, last: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events of all jobs: their ids and jobs."""
    request = urllib.request.Request(f"{api.url}/events")
    if last is not None:
        request.add_header("Last-Event-ID", str(last))
    with urllib.request.urlopen(request, timeout=90) as stream:
        number = 0
        for line in stream:
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line.startswith(b"data: "):
                yield number, json.loads(line[6:])


def test_all_jobs_are_followed_and_nothing_is_missed_between_two_connections(api: Api) -> None:
    events = events_of(api, last=0)
    before = api.post("followed-1.png")
    api.wait(before["id"])
    last = next(number for number, job in events if (job["name"], job["state"]) == ("followed-1.png", "done"))
    events.close()  # type: ignore[attr-defined]
    between = api.post("followed-2.png")
    api.wait(between["id"])
    number, job = next(iter(events_of(api, last)))
    assert number > last
    assert job["name"] == "followed-2.png"
    with refusal(422, "Last-Event-ID"):
        api.ask("GET", "/events", Last_Event_ID="x")


def test_who_follows_all_jobs_and_who_waits_for_one_share_their_places(api: Api) -> None:
    posted = api.post("followed-3.png")
    with ExitStack() as stack:
        for _ in range(FOLLOWERS_OF_A_CLIENT):
            stack.enter_context(urllib.request.urlopen(f"{api.url}/events", timeout=60))
        with refusal(503, "too many"):
            api.get(f"/jobs/{posted['id']}?wait=1")


def test_a_job_is_cancelled_and_tried_again_under_the_same_id(api: Api) -> None:
    gate = api.tree.root / "gate"
    gate.unlink(missing_ok=True)
    posted = api.post("busy-cancelled.png")
    cancelled = api.ask("POST", f"/jobs/{posted['id']}/cancel")
    assert (cancelled["state"], cancelled["failure"]) == ("failed", "cancelled")
    assert "to retry takes that back" in cancelled["remedy"]
    with refusal(422, "nothing left to cancel"):
        api.ask("POST", f"/jobs/{posted['id']}/cancel")
    (trouble,) = (each for each in api.get("/attention")["troubles"] if each["cause"] == "cancelled")
    assert cancelled["job"] in trouble["jobs"]
    api.ask("POST", f"/jobs/{posted['id']}/dismiss")
    assert all(cancelled["job"] not in each["jobs"] for each in api.get("/attention")["troubles"])
    api.ask("POST", f"/jobs/{posted['id']}/retry")
    gate.touch()
    assert api.wait(posted["id"])["state"] == "done"


def test_a_wait_ends_with_the_job_or_with_its_time(api: Api) -> None:
    gate = api.tree.root / "gate"
    gate.unlink(missing_ok=True)
    posted = api.post("busy-wait.png", folder="waited")
    begun = time.monotonic()
    assert api.get(f"/jobs/{posted['id']}?wait=1")["state"] in ("received", "queued", "running")
    assert 1 <= time.monotonic() - begun < 20
    threading.Timer(0.5, gate.touch).start()
    begun = time.monotonic()
    assert api.get(f"/jobs/{posted['id']}?wait=60")["state"] == "done"
    assert time.monotonic() - begun < 30
    gate.unlink()


def test_a_picture_that_is_taken_out_of_the_inbox_is_gone(api: Api) -> None:
    daemon = api.tree.status()["pid"]
    os.kill(daemon, signal.SIGSTOP)  # so that it does not claim the picture
    try:
        posted = api.post("taken.png", folder="taken")
        assert (posted["state"], posted["job"]) == ("received", None)
        (api.tree.inbox / "taken" / "taken.png").unlink()
        assert api.get(f"/jobs/{posted['id']}")["state"] == "gone"
        with refusal(422, "nothing left to cancel"):
            api.ask("POST", f"/jobs/{posted['id']}/cancel")
    finally:
        os.kill(daemon, signal.SIGCONT)


def test_a_failed_job_is_tried_again_under_the_same_id(api: Api) -> None:
    posted = api.post("broken.png", folder="again")
    failed = api.wait(posted["id"])
    assert (failed["state"], failed["reason"]) == ("failed", "it is broken")
    retried = api.ask("POST", f"/jobs/{posted['id']}/retry")
    assert retried["id"] == posted["id"]
    assert retried["job"] != failed["job"]
    again = api.wait(posted["id"])
    assert again["state"] == "failed"
    assert again["job"] != failed["job"]


def test_a_job_that_nobody_posted_gets_an_id_to_follow_when_it_is_tried_again(api: Api) -> None:
    api.tree.drop("dropped/broken-2.png")
    api.tree.failure("dropped/broken-2.png")
    job = next(job for job in api.get("/jobs?state=failed")["jobs"] if job["folder"] == "dropped")
    retried = api.ask("POST", f"/jobs/{job['job']}/retry")
    assert api.wait(retried["id"])["state"] == "failed"
    with refusal(404):
        api.get(f"/jobs/{job['job']}")


def test_only_what_failed_or_is_held_is_tried_again(api: Api) -> None:
    done = api.wait(api.post("fine.png", folder="fine")["id"])
    with refusal(422, "done, not failed or held"):
        api.ask("POST", f"/jobs/{done['id']}/retry")


def test_jobs_are_listed_a_page_at_a_time(api: Api) -> None:
    for number in range(3):
        api.wait(api.post(f"{number}.png", folder="listed")["id"])
    first = api.get("/jobs?state=done&limit=2")
    assert [job["name"] for job in first["jobs"]] == ["2.png", "1.png"]
    rest = api.get(f"/jobs?state=done&limit=1&before={first['more']}")
    assert [job["name"] for job in rest["jobs"]] == ["0.png"]


def test_the_daemon_tells_what_it_does_and_is_paused_and_resumed(api: Api) -> None:
    assert api.get("/status")["state"] == "running"
    assert "weave" in api.get("/recipes")["recipes"]
    assert "paused: everything" in api.ask("POST", "/pause")["said"]
    assert "nothing is paused" in api.ask("POST", "/resume")["said"]


def test_a_preset_shows_what_it_makes(api: Api) -> None:
    told = api.get("/presets")
    preset = next(each for each in told["presets"] if each["name"] == "watchers")
    pictures = [api.get(f"/{address}") for address in (told["undreamed"], preset["picture"])]
    assert all(picture[8:12] == b"WEBP" for picture in pictures)
    assert pictures[0] != pictures[1]
    with refusal(404, "preset"):
        api.get("/presets/vgg/picture")


# What outlives what


def test_an_id_and_its_key_outlive_the_page_and_the_daemon(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    serve(tree)
    api = Api(tree)
    daemon = run_daemon(tree)
    wait_for_page(tree)
    posted = api.post("busy-long.png", "long", folder="lasting")
    tree.wait_for(lambda: api.get(f"/jobs/{posted['id']}")["state"] == "running", "the job to run")
    daemon.process.kill()
    daemon.wait()
    (tree.root / "gate").touch()
    run_daemon(tree)
    wait_for_page(tree)
    assert api.wait(posted["id"])["state"] == "done"
    assert api.post("busy-long.png", "long", folder="lasting")["id"] == posted["id"]
    assert [file.name for file in tree.outbox.glob("lasting/*.png")] == ["busy-long.png"]


# The document


def test_the_document_that_is_served_is_the_one_in_docs(api: Api) -> None:
    told = api.get("/openapi.json")
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert told == kept, "run `make openapi`"
    assert told["openapi"].startswith("3.1")
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            is_asked_bare = not any(parameter.get("required") for parameter in operation["parameters"])
            if method == "get" and is_asked_bare and path != "/events":  # which is answered for an hour
                api.ask("GET", path)
            assert operation["summary"].endswith("."), (path, method)


def test_what_is_answered_is_what_the_document_says(api: Api) -> None:
    document = api.get("/openapi.json")
    answers = {
        "ApiJob": api.wait(api.post("schema.png", folder="schema")["id"]),
        "JobList": api.get("/jobs"),
        "Overview": api.get("/status"),
        "RecipeNames": api.get("/recipes"),
        "ResultList": api.get("/results"),
        "PresetList": api.get("/presets"),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)
        assert set(answer) == set(document["components"]["schemas"][name]["properties"])


# The manual


JQ = """#!{python}
import json, sys
print(json.load(sys.stdin)[sys.argv[-1].removeprefix(".")])
"""
"""What the manual needs of jq: `jq -r .field`."""


def manual() -> list[str]:
    """The shell blocks of docs/api.md, in their order."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_manual_run_in_their_order(tmp_path: Path, tree: Tree, run_daemon: Run) -> None:
    serve(tree)
    recipes = tree.root / "recipes"
    recipes.mkdir(exist_ok=True)
    (recipes / "quick.yaml").write_text(yaml.safe_dump({"seed": 3}))
    tree.configure(recipes="recipes")
    run_daemon(tree)
    wait_for_page(tree)
    tools, here = tmp_path / "tools", tmp_path / "here"
    tools.mkdir()
    here.mkdir()
    (tools / "jq").write_text(JQ.format(python=sys.executable))
    (tools / "jq").chmod(0o755)
    (here / "cat.jpg").write_bytes(tree.picture(32, 32, "JPEG"))
    script = "\n".join(manual()).replace("http://127.0.0.1:8420", load_config(tree.config).status.url.rstrip("/"))
    assert script.count("curl ") >= 10
    ran = subprocess.run(
        ["bash", "-exuo", "pipefail", "-c", script],
        cwd=here,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (here / "dream.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert "problem" not in ran.stdout


def test_a_recipe_is_checked_without_being_saved(api: Api) -> None:
    told = api.ask("POST", "/recipes/check?folder=checked", b"seed: 1\nsed: 2\n")
    assert (told["problem"]["line"], told["fields"]) == (2, [])
    assert "did you mean seed?" in told["problem"]["text"]
    told = api.ask("POST", "/recipes/check?folder=checked", b"seed: 7\n")
    assert told["problem"] is None
    assert {"name": "seed", "value": "7", "origin": "checked/recipe.yaml:1"} in told["fields"]
    assert not (api.tree.inbox / "checked").exists()
    with refusal(422, "not UTF-8"):
        api.ask("POST", "/recipes/check?folder=checked", b"\xff\xfe")

"""Results over the API: searched, sorted, favourites, deleted and brought back, many as one ZIP."""

from __future__ import annotations

import io
import json
import threading
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dreamd.page.api.operations import results as result_operations
from dreamd.page.gallery.deeds import MOST_SELECTED
from dreamd.tree.journal import Journal
from tests.api_client import Api, RefusedError, refusal, serve, served, wait_for_page

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]

JSON = {"Content_Type": "application/json"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Api:
    """The API of a daemon that the tests of this module share; each posts into a folder of its own."""
    tree = make(tmp_path_factory.mktemp("results") / "tree")
    tree.echo()
    return served(tree, started)


def dreamed(api: Api, folder: str, *names: str) -> dict[str, str]:
    """Posts pictures one after another; returns the ids of their jobs by name."""
    found = {}
    for name in names:
        done = api.wait(api.post(name, folder=folder)["id"])
        found[name] = done["job"]
        work = api.tree.inbox / ".dreamd" / "work" / done["job"]
        api.tree.wait_for(lambda work=work: not work.exists(), "the original to be put away")
    return found


def do(api: Api, deed: str, *jobs: str) -> Any:
    return api.ask("POST", f"/results/{deed}", json.dumps({"jobs": jobs}).encode(), **JSON)


def listed(api: Api, **query: str) -> list[str]:
    return [each["name"] for each in api.get(f"/results?{urllib.parse.urlencode(query)}")["results"]]


def test_results_are_listed_searched_and_sorted_a_few_at_a_time(api: Api) -> None:
    dreamed(api, "listed", "b.png", "a.png", "c cat.png")
    assert listed(api, folder="listed") == ["c cat.png", "a.png", "b.png"]
    assert listed(api, folder="listed", sort="oldest") == ["b.png", "a.png", "c cat.png"]
    assert listed(api, search="LISTED cat") == ["c cat.png"]
    assert listed(api, folder="listed", search="tiny") == ["c cat.png", "a.png", "b.png"]  # the network of the recipe
    first = api.get("/results?folder=listed&sort=name&limit=2")
    assert [each["name"] for each in first["results"]] == ["a.png", "b.png"]
    rest = api.get(f"/results?folder=listed&sort=name&limit=2&{urllib.parse.urlencode({'before': first['more']})}")
    assert ([each["name"] for each in rest["results"]], rest["more"]) == (["c cat.png"], None)
    assert (first["results"][0]["width"], first["results"][0]["height"]) == (1, 1)  # as the sidecar says
    with refusal(422, "sort"):
        api.get("/results?sort=best")
    with refusal(422, "number"):
        api.get("/results?before=soon,x")


def test_favourites_are_kept_in_the_tree(api: Api) -> None:
    jobs = dreamed(api, "stars", "one.png", "two.png")
    assert do(api, "star", jobs["one.png"], "nobody") == {"jobs": [jobs["one.png"]]}
    assert listed(api, show="favourites", folder="stars") == ["one.png"]
    with Journal.open(api.tree.state / "journal.sqlite3") as journal:
        assert journal.marks.favourites_among([*jobs.values()]) == {jobs["one.png"]}
    do(api, "unstar", *jobs.values())
    assert listed(api, show="favourites", folder="stars") == []
    with refusal(422, "no result"):
        do(api, "star", "nobody")


def test_a_deleted_result_is_in_the_trash_and_comes_back_whole(api: Api) -> None:
    jobs = dreamed(api, "bin", "one.png", "two.png")
    outbox = api.tree.outbox / "bin"
    data = (outbox / "one.png").read_bytes()
    assert do(api, "delete", jobs["one.png"]) == {"trashed": [jobs["one.png"]], "dismissed": []}
    assert sorted(file.name for file in outbox.iterdir()) == ["two.png", "two.png.json"]
    assert (api.tree.done / "bin" / "one.png").exists()  # the original stays
    assert listed(api, folder="bin") == ["two.png"]
    assert listed(api, folder="bin", show="trash") == ["one.png"]
    with refusal(404, "deleted"):
        api.get(f"/jobs/{jobs['one.png']}/result")
    assert api.get(f"/jobs/{jobs['one.png']}")["state"] == "done"
    again = dreamed(api, "bin", "one.png")
    assert (outbox / "one.png").exists()  # the name was free
    assert do(api, "restore", jobs["one.png"]) == {"restored": [jobs["one.png"]], "lost": []}
    assert (outbox / "one-2.png").read_bytes() == data
    assert api.get(f"/jobs/{jobs['one.png']}")["result"] == "bin/one-2.png"
    assert api.get(f"/jobs/{jobs['one.png']}/result") == data
    assert api.get(f"/jobs/{again['one.png']}/result") == (outbox / "one.png").read_bytes()
    assert listed(api, folder="bin", show="trash") == []


def test_what_somebody_took_away_is_dismissed_and_can_be_shown_again(api: Api) -> None:
    jobs = dreamed(api, "away", "one.png", "two.png")
    for file in (api.tree.outbox / "away").glob("one*"):
        file.unlink()
    assert do(api, "delete", *jobs.values()) == {"trashed": [jobs["two.png"]], "dismissed": [jobs["one.png"]]}
    assert listed(api, folder="away") == []
    assert do(api, "restore", *jobs.values())["restored"] == [*jobs.values()]
    do(api, "dismiss", jobs["two.png"])
    assert listed(api, folder="away") == ["one.png"]
    assert (api.tree.outbox / "away" / "two.png").exists()


def test_what_the_trash_has_no_more_is_lost_and_not_listed_again(api: Api) -> None:
    jobs = dreamed(api, "lost", "one.png")
    do(api, "delete", *jobs.values())
    for file in (api.tree.outbox / ".dreamd" / "trash" / jobs["one.png"]).iterdir():
        file.unlink()
    assert do(api, "restore", *jobs.values()) == {"restored": [], "lost": [*jobs.values()]}
    assert listed(api, folder="lost", show="trash") == listed(api, folder="lost") == []


def test_two_who_delete_at_once_delete_each_result_once(api: Api) -> None:
    jobs = dreamed(api, "race", *(f"{number}.png" for number in range(6)))
    told: list[Any] = []
    threads = [threading.Thread(target=lambda: told.append(do(api, "delete", *jobs.values()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [{"trashed": [*jobs.values()], "dismissed": []}] * 4
    assert sorted(do(api, "restore", *jobs.values())["restored"]) == sorted(jobs.values())
    assert len(list((api.tree.outbox / "race").glob("*.png"))) == 6


def test_results_are_sent_as_one_zip(api: Api) -> None:
    jobs = dreamed(api, "zip", "one.png", "two.png")
    archive = zipfile.ZipFile(io.BytesIO(api.get(f"/results/zip?jobs={','.join(jobs.values())},nobody")))
    assert archive.testzip() is None
    assert archive.namelist() == ["zip/one.png", "zip/two.png"]
    assert archive.read("zip/one.png") == (api.tree.outbox / "zip" / "one.png").read_bytes()
    with refusal(404, "none of these"):
        api.get("/results/zip?jobs=nobody")


def test_no_more_is_selected_than_may_be(api: Api) -> None:
    many = [f"{number:013}" for number in range(MOST_SELECTED + 1)]
    with refusal(422, str(MOST_SELECTED)):
        do(api, "delete", *many)
    with refusal(422, str(MOST_SELECTED)):
        api.get(f"/results/zip?jobs={','.join(many)}")
    with refusal(422, "jobs"):
        api.ask("POST", "/results/star", b"{}", **JSON)
    with refusal(422, "application/json"):
        api.ask("POST", "/results/delete", b'{"jobs": ["a"]}', Content_Type="text/plain")
    with refusal(403):
        api.ask("POST", "/results/delete", b'{"jobs": ["a"]}', Origin="https://evil.example", **JSON)


def test_only_a_token_that_may_do_all_changes_anything(tmp_path: Any, make: Make, run_daemon: Run) -> None:
    tree = make(tmp_path / "tree")
    tree.echo()
    tokens = {}
    for name, may in (("reader", "read"), ("dropper", "drop"), ("owner", "all")):
        file = tree.root / f"{name}.token"
        file.write_text(f"{name}-0123456789abcdef\n")
        file.chmod(0o600)
        tokens[name] = {"token_file": str(file), "may": may}
    serve(tree, tokens=tokens)
    run_daemon(tree)
    wait_for_page(tree)
    reader, dropper, owner = (Api(tree, f"{name}-0123456789abcdef") for name in tokens)
    posted = owner.post("cat.png")["id"]
    job = owner.wait(posted)["job"]
    assert listed(reader) == ["cat.png"]
    assert zipfile.ZipFile(io.BytesIO(reader.get(f"/results/zip?jobs={job}"))).namelist() == ["cat.png"]
    for stranger in (reader, dropper):
        for deed in ("star", "unstar", "dismiss", "delete", "restore"):
            with refusal(403, "may not"):
                do(stranger, deed, job)
    with refusal(403, "may not"):
        dropper.get("/results")
    assert do(owner, "delete", posted)["trashed"] == [job]  # by the id that it was given


def test_few_zips_are_sent_at_a_time_and_a_place_is_free_when_one_is_over(api: Api) -> None:
    """Who does not read its ZIP keeps a place, and loses it with its connection."""
    jobs = dreamed(api, "places", "one.png")
    large = api.tree.outbox / "places" / "one.png"
    with large.open("r+b") as file:
        file.truncate(64 << 20)  # more than the system takes for who does not read
    path = f"/results/zip?jobs={jobs['one.png']}"
    waiting = [
        urllib.request.urlopen(f"{api.url}{path}", timeout=60) for _ in range(result_operations.ZIPS_OF_A_CLIENT)
    ]
    with refusal(503, "too many ZIPs"):
        api.get(path)
    for each in waiting:
        each.close()

    def is_free() -> bool:
        try:
            return bool(api.get(path))
        except RefusedError:
            return False

    api.tree.wait_for(is_free, "a place")

"""Dreaming a picture again, by the page and by the API, at a real page and a real daemon."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.api_client import Api, refusal, served

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Make = Callable[..., Tree]
    Run = Callable[..., RunningDaemon]


UNLUCKY = 13
"""The width in pixels of pictures that meet the mood of their folder."""


class Page:
    """Asks at the page's own addresses."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tree = api.tree

    def ask(self, path: str, values: object = None) -> Any:
        data = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(self.api.url.removesuffix("v1") + path, data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def refused(self, path: str, values: object = None) -> tuple[int, str]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.ask(path, values)
        return caught.value.code, json.loads(caught.value.read())["error"]

    def dreamed(self, name: str, folder: str) -> str:
        """Dreams a picture, and returns its job's id once all is put away."""
        job = self.api.wait(self.api.post(name, folder=folder)["id"])
        self.tree.result(f"{folder}/{name}")
        id_: str = job["job"]
        return id_

    def whole(self, comparison: str) -> dict[str, Any]:
        """Waits until all dreams of a comparison are over."""

        def look() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.ask(f"comparisons/{comparison}")
            states = {dream["told"]["state"] for dream in shown["dreams"] if dream["told"]}
            return shown if states <= {"done", "failed", "gone"} else None

        return self.tree.wait_for(look, "the comparison")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, make: Make, started: Run) -> Page:
    """The page of a daemon that the tests of this module share; each has a folder of its own."""
    tree = make(tmp_path_factory.mktemp("again") / "tree")
    recipes = tree.root / "recipes"
    recipes.mkdir(exist_ok=True)
    (recipes / "third.yaml").write_text("seed: 3\n")
    (recipes / "fourth.yaml").write_text("seed: 4\n")
    (recipes / "far.yaml").write_text("backbone: {name: far, weights: default}\n")
    (recipes / "calm.yaml").write_text("schedule: {name: moody, mood: calm}\n")
    tree.configure(recipes="recipes", limits={"attempts": 1})
    return Page(served(tree, started))


def test_an_original_is_dreamed_again_by_several_recipes_and_compared(page: Page) -> None:
    job = page.dreamed("cat.png", "several")
    choices = page.ask(f"again/{job}")
    assert choices["problems"] == {"original": None, "result": None}
    assert choices["folder"] == "several"
    made = page.ask(f"again/{job}", {"recipes": ["third", "fourth"], "text": choices["recipe"] + "# edited\n"})
    shown = page.whole(made["comparison"])
    assert [dream["label"] for dream in shown["dreams"]] == ["third", "fourth", "edited"]
    assert all(dream["told"]["state"] == "done" and dream["is_there"] for dream in shown["dreams"])
    assert {"field": "seed", "values": ["3", "4", "0"]} in shown["differences"]
    assert (shown["source"], shown["of"], shown["picture"]) == (job, "original", "cat.png")
    original = page.tree.sidecar("several/cat.png")["input_sha256"]
    for dream in shown["dreams"]:
        assert page.tree.sidecar(dream["told"]["result"])["input_sha256"] == original
    assert made["comparison"] in [each["id"] for each in page.ask("comparisons")]


def test_a_result_is_dreamed_further(page: Page) -> None:
    job = page.dreamed("cat.png", "further")
    made = page.ask(f"again/{job}", {"of": "result", "recipes": ["third"]})
    (dream,) = page.whole(made["comparison"])["dreams"]
    sidecar = page.tree.sidecar(dream["told"]["result"])
    assert sidecar["input_sha256"] != page.tree.sidecar("further/cat.png")["input_sha256"]


def test_what_was_dreamed_again_is_dreamed_again_below_the_same_folder(page: Page) -> None:
    job = page.dreamed("cat.png", "nested")
    made = page.ask(f"again/{job}", {"recipes": ["third"]})
    (dream,) = page.whole(made["comparison"])["dreams"]
    assert dream["told"]["folder"].startswith("nested/third-")
    page.tree.result(dream["told"]["result"])
    assert page.ask(f"again/{dream['told']['job']}")["folder"] == "nested"


def test_a_field_is_swept_over_values_small(page: Page) -> None:
    job = page.dreamed("cat.png", "swept")
    recipe = page.ask(f"again/{job}")["recipe"]
    fields = {field["name"]: field for field in page.ask("sweep/fields", {"folder": "swept", "recipe": recipe})}
    assert fields["ascent.iterations"]["is_number"]
    assert fields["seed"]["proposed"] == ["0", "1", "2", "3", "4"]
    assert "octaves" in fields["schedule.name"]["names"]
    made = page.ask(f"again/{job}", {"text": recipe, "sweep": "ascent.iterations=1,2,3", "small": True})
    shown = page.whole(made["comparison"])
    assert shown["field"] == "ascent.iterations"
    assert [dream["label"] for dream in shown["dreams"]] == ["1", "2", "3"]
    assert shown["differences"] == [{"field": "ascent.iterations", "values": ["1", "2", "3"]}]
    recipes = [page.tree.sidecar(dream["told"]["result"])["recipe"] for dream in shown["dreams"]]
    assert {recipe["image"]["max_side"] for recipe in recipes} == {512}
    assert [recipe["ascent"]["iterations"] for recipe in recipes] == [1, 2, 3]


def test_a_sweep_goes_over_a_recipe_by_name(page: Page) -> None:
    job = page.dreamed("cat.png", "over-name")
    made = page.ask(f"again/{job}", {"base": "fourth", "sweep": "ascent.lr=0.1,0.2"})
    recipes = [page.tree.sidecar(d["told"]["result"])["recipe"] for d in page.whole(made["comparison"])["dreams"]]
    assert [(recipe["seed"], recipe["ascent"]["lr"]) for recipe in recipes] == [(4, 0.1), (4, 0.2)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "at least one recipe"),
        ({"recipes": ["thrd"]}, "third"),
        ({"recipes": ["../third"]}, "no preset or named recipe"),
        ({"recipes": ["a: b"]}, "no recipe's name"),
        ({"text": "layrs: 3"}, "layrs"),
        ({"recipes": ["third"], "text": "layrs: 3"}, "layrs"),
        ({"base": "third", "sweep": "seed=" + ",".join(map(str, range(25)))}, "at most 24"),
        ({"recipes": [f"n{number}" for number in range(25)]}, "at most 24"),
        ({"sweep": "seed=1,2"}, "needs a recipe"),
        ({"base": "third", "sweep": "sed=1,2"}, "sed"),
        ({"base": "third", "sweep": "seed"}, "no FIELD"),
        ({"of": "nothing", "recipes": ["third"]}, "of"),
        ({"recipe": ["third"]}, "recipe"),
    ],
    ids=str,
)
def test_what_cannot_be_dreamed_is_refused_before_a_picture_is_taken(
    page: Page, values: dict[str, Any], words: str
) -> None:
    jobs = page.ask("results?folder=refused")
    job = jobs[0]["id"] if jobs else page.dreamed("cat.png", "refused")
    code, problem = page.refused(f"again/{job}", values)
    assert code == 422
    assert words in problem
    assert [file.name for file in (page.tree.inbox / "refused").iterdir()] == []


def test_an_original_that_is_gone_is_told_and_the_result_is_left(page: Page) -> None:
    job = page.dreamed("cat.png", "gone")
    (page.tree.done / "gone" / "cat.png").unlink()
    problems = page.ask(f"again/{job}")["problems"]
    assert problems == {"original": "The original is no longer where originals are kept.", "result": None}
    assert page.refused(f"again/{job}", {"recipes": ["third"]}) == (404, problems["original"])
    (page.tree.outbox / "gone" / "cat.png.json").unlink()
    problems = page.ask(f"again/{job}")["problems"]
    assert "taken out of the outbox" in problems["original"]
    assert "taken out of the outbox" in problems["result"]


def test_a_dream_from_nothing_has_no_original_to_dream_again(page: Page) -> None:
    dream_file = b"image: {size: 32x32}\n"
    page.api.wait(page.api.post("noise.dream.yaml", data=dream_file, folder="noise")["id"])
    (result,) = page.ask("results?folder=noise")
    assert "made from noise" in page.ask(f"again/{result['id']}")["problems"]["original"]


def test_jobs_are_compared_by_their_ids(page: Page) -> None:
    jobs = [page.dreamed(name, "by-id") for name in ("cat.png", "dog.png")]
    shown = page.ask(f"comparisons/{','.join(jobs)}")
    assert [dream["label"] for dream in shown["dreams"]] == ["cat.png", "dog.png"]
    assert shown["source"] == jobs[0]
    assert page.refused("comparisons/c-0123456789abcdef")[0] == 404
    assert page.refused("comparisons/nothing,nowhere")[0] == 404
    assert page.refused(f"comparisons/{','.join(map(str, range(30)))}")[0] == 422


def test_jobs_of_several_pictures_have_no_one_original(page: Page) -> None:
    first = page.dreamed("cat.png", "of-several")
    other = page.api.wait(page.api.post("dog.png", folder="of-several", data=page.tree.picture(20, 30))["id"])["job"]
    assert page.ask(f"comparisons/{first},{other}")["source"] == ""


def test_a_held_dream_of_a_comparison_says_why(page: Page) -> None:
    job = page.dreamed("cat.png", "held")
    made = page.ask(f"again/{job}", {"recipes": ["far"]})

    def held() -> dict[str, Any] | None:
        (dream,) = page.ask(f"comparisons/{made['comparison']}")["dreams"]
        return dream["told"] if dream["told"]["state"] == "held" else None

    told = page.tree.wait_for(held, "the hold")
    assert told["cause"] == "weights"
    assert "far" in told["reason"]


def test_a_picture_whose_name_is_no_text_is_dreamed_again(page: Page) -> None:
    page.tree.drop(b"odd-\xff/caf\xe9.png")
    page.tree.result(b"odd-\xff/caf\xe9.png")
    result = page.tree.wait_for(lambda: page.ask("results?search=caf"), "the result")[0]
    made = page.ask(f"again/{result['id']}", {"recipes": ["third"]})
    (dream,) = page.whole(made["comparison"])["dreams"]
    assert dream["told"]["name"] == r"caf\udce9.png"
    assert page.ask(f"comparisons/{result['id']},%ff")["dreams"][0]["label"] == r"caf\udce9.png"


# Pictures that failed


def dislike(page: Page, folder: str) -> None:
    """Has a folder's recipe fail for unlucky pictures; it dreams another first, or it would be at fault itself."""
    page.tree.mood(folder, "raise")
    page.dreamed("lucky.png", folder)


def failed(page: Page, folder: str, name: bytes = b"cat.png") -> str:
    """Has a picture fail by its folder's recipe, and returns its job's id."""
    dislike(page, folder)
    page.tree.drop(os.fsencode(folder) + b"/" + name, page.tree.picture(UNLUCKY))

    def look() -> str | None:
        troubles = page.ask("attention")
        named = [each for trouble in troubles if trouble["can_dream_again"] for each in trouble["pictures"]]
        return next((each["job"] for each in named if each["path"].startswith(f"{folder}/")), None)

    return page.tree.wait_for(look, "the failure")


def test_a_picture_that_failed_is_dreamed_again_and_stays_among_the_failed_ones(page: Page) -> None:
    job = failed(page, "unlucky")
    choices = page.ask(f"again/{job}")
    assert choices["state"] == "failed"
    assert choices["problems"] == {"original": None, "result": "It failed, so there is no dream of it."}
    assert "raise" in choices["recipe"]
    assert page.api.status_of(f"thumbnails/{job}/before/small") == 200
    assert page.api.status_of(f"thumbnails/{job}/after/small") == 404
    edited = choices["recipe"].replace("raise", "calm")
    made = page.ask(f"again/{job}", {"recipes": ["calm"], "text": edited})
    shown = page.whole(made["comparison"])
    assert [dream["told"]["state"] for dream in shown["dreams"]] == ["done", "done"]
    assert (shown["source"], shown["picture"]) == (job, "cat.png")
    assert (page.tree.failed / "unlucky" / "cat.png").read_bytes() == page.tree.picture(UNLUCKY)
    assert page.ask(f"again/{job}")["problems"]["original"] is None
    assert page.refused(f"again/{job}", {"recipes": ["calm"], "of": "result"})[0] == 404


def test_a_failed_picture_whose_name_is_no_text_is_dreamed_again(page: Page) -> None:
    job = failed(page, "unlucky-odd", b"caf\xe9.png")
    (dream,) = page.whole(page.ask(f"again/{job}", {"recipes": ["calm"]})["comparison"])["dreams"]
    assert (dream["told"]["state"], dream["told"]["name"]) == ("done", r"caf\udce9.png")


def test_a_failed_picture_that_is_gone_meanwhile_is_told_and_nothing_is_made(page: Page) -> None:
    job = failed(page, "unlucky-gone")
    (page.tree.failed / "unlucky-gone" / "cat.png").unlink()
    code, problem = page.refused(f"again/{job}", {"recipes": ["calm"]})
    assert code == 404
    assert "no longer among those that failed" in problem
    assert page.ask(f"again/{job}")["problems"]["original"] == problem
    assert sorted(file.name for file in (page.tree.inbox / "unlucky-gone").iterdir()) == ["recipe.yaml"]


# For programs


def test_a_program_dreams_a_failed_job_again_and_fetches_its_original(page: Page) -> None:
    dislike(page, "program-failed")
    id_ = page.api.post("cat.png", folder="program-failed", data=page.tree.picture(UNLUCKY))["id"]
    assert page.api.wait(id_)["state"] == "failed"
    assert page.api.get(f"/jobs/{id_}/original") == page.tree.picture(UNLUCKY)
    again = page.api.ask("POST", f"/jobs/{id_}/again?recipe=calm")
    assert page.api.wait(again["id"])["result"].startswith("program-failed/calm-")
    with refusal(404, "no dream of it"):
        page.api.ask("POST", f"/jobs/{id_}/again?recipe=calm&of=result")
    with refusal(404, "neither done nor failed"):
        held = page.api.post("dog.png", folder="program-failed", recipe="far")["id"]
        page.api.ask("POST", f"/jobs/{held}/again?recipe=calm")


def test_a_program_dreams_a_job_again_once_for_its_key(page: Page) -> None:
    job = page.dreamed("cat.png", "program")
    first = page.api.ask("POST", f"/jobs/{job}/again?recipe=third", Idempotency_Key="again-1")
    assert page.api.ask("POST", f"/jobs/{job}/again?recipe=third", Idempotency_Key="again-1")["id"] == first["id"]
    done = page.api.wait(first["id"])
    assert done["result"].startswith("program/third-")
    further = page.api.ask("POST", f"/jobs/{first['id']}/again?of=result&recipe=fourth&folder=elsewhere")
    assert page.api.wait(further["id"])["result"].startswith("elsewhere/fourth-")
    with refusal(409, "used for another"):
        page.api.ask("POST", f"/jobs/{first['id']}/again?recipe=third&folder=program", Idempotency_Key="again-1")
    with refusal(422, "third"):
        page.api.ask("POST", f"/jobs/{job}/again?recipe=thrd")
    with refusal(404, "no job"):
        page.api.ask("POST", "/jobs/none/again?recipe=third")


# What files carry


def carried(page: Page, name: str, data: bytes) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{page.api.url.removesuffix('v1')}carried?{urllib.parse.urlencode({'name': name})}", data, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        told: dict[str, Any] = json.loads(answer.read())
    assert list((page.tree.inbox / ".dreamd" / "uploads").iterdir()) == []
    return told


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "avif", "tiff"])
def test_a_picture_that_dreamd_made_carries_its_recipe(page: Page, form: str) -> None:
    folder = f"carried-{form}"
    page.tree.recipe(folder, f"seed: 11\noutput: {{embed: true, format: {form}}}\n")
    page.api.wait(page.api.post("cat.png", folder=folder)["id"])
    (result,) = (file for file in (page.tree.outbox / folder).iterdir() if file.suffix != ".json")
    told = carried(page, "anything", result.read_bytes())
    assert told["problem"] is None
    assert "seed: 11\n" in told["recipe"]
    sidecar = result.with_name(f"{result.name}.json")
    assert carried(page, sidecar.name, sidecar.read_bytes())["recipe"] == told["recipe"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("notes.json", b'{"recipe": "pancakes"}'),
        ("notes.json", b"[" * 100_000),
        ("notes.json", b'{"recipe": {"seed": 1}}'),
        ("notes.json", b"\xff"),
        ("cat.png", b"dreamd"),
        ("cat.png", b"\x89PNG\r\n\x1a\n" + b"dreamd" * 100),
    ],
    ids=str,
)
def test_other_files_carry_none(page: Page, name: str, data: bytes) -> None:
    assert carried(page, name, data) == {"recipe": None, "problem": None}


def test_a_recipe_of_another_version_is_told(page: Page) -> None:
    told = carried(page, "cat.png.json", json.dumps({"job": "x", "recipe": {"layrs": 1}}).encode())
    assert told["recipe"] is None
    assert "layrs" in told["problem"]

"""Dream files in the life of a job: claimed, held, mended, dreamed and put away as pictures are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from dreamd.job import JobState
from dreamd.messages import NotDone
from dreamd.tree.steps.retrying import give_back_failed
from tests.unit.daemon.jobs.test_lifecycle import CATALOGUE, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.journal.close()


def put(house: House, path: str, text: str) -> None:
    target = house.folders.inbox / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    assert house.life.take_in([PurePosixPath(path)]) == {}


def test_a_dream_file_is_dreamed_by_its_own_recipe_and_its_result_has_its_name(house: House) -> None:
    house.recipe("a", "seed: 3\n")
    put(house, "a/clouds.dream.yaml", "ascent: {lr: 0.25}\noutput: {name: '{stem}-{seed}'}\n")
    job, order = house.started()
    assert order.source.name == "clouds.dream.yaml"
    recipe = json.loads(job.recipe)
    assert (recipe["seed"], recipe["ascent"]["lr"]) == (3, 0.25)
    house.done(house.answer(job, order))
    assert house.files("outbox") == ["a/clouds-3.png", "a/clouds-3.png.json"]
    assert house.files("done") == ["a/clouds.dream.yaml"]


def test_several_of_one_name_all_come_out(house: House) -> None:
    for seed in (1, 2):
        put(house, "clouds.dream.yaml", f"seed: {seed}\n")
        house.dream()
    assert house.files("outbox") == ["clouds-2.png", "clouds-2.png.json", "clouds.png", "clouds.png.json"]
    assert house.files("done") == ["clouds-2.dream.yaml", "clouds.dream.yaml"]


def test_a_wrong_dream_file_is_held_alone_and_goes_on_when_a_mended_one_comes(house: House) -> None:
    put(house, "clouds.dream.yaml", "seed: 1\nlos: l2\n")
    house.drop("cat.png")
    (held,) = house.life.held
    assert (held.name, held.hold) == ("clouds.dream.yaml", "recipe")
    assert f"{house.folders.inbox}/clouds.dream.yaml:2: los: is not a field; did you mean loss?" in (held.reason or "")
    assert "put the mended file there again, by the same name" in (held.reason or "")
    assert house.dream().name == "cat.png"
    put(house, "clouds.dream.yaml", "seed: 1\nloss: l2\n")
    assert len(house.life.held) == 0
    assert house.memory(held).state is JobState.FAILED
    assert house.dream().name == "clouds.dream.yaml"
    assert house.files("failed") == ["clouds.dream.yaml", "clouds.dream.yaml.reason.txt"]
    assert "a mended one was put in its place" in (house.folders.failed / "clouds.dream.yaml.reason.txt").read_text()


def test_a_dream_file_that_waits_for_its_folders_recipe_is_not_replaced_and_goes_on_with_it(house: House) -> None:
    house.recipe("a", "los: l2\n")
    put(house, "a/clouds.dream.yaml", "seed: 1\n")
    put(house, "a/clouds.dream.yaml", "seed: 2\n")
    assert len(house.life.held) == 2
    house.recipe("a", "seed: 9\n")
    house.life.recipe_changed(PurePosixPath("a"))
    assert sorted(json.loads(job.recipe)["seed"] for job in house.life.queue) == [1, 2]


def test_a_layer_that_only_the_worker_misses_holds_the_dream_file_that_names_it(house: House) -> None:
    house.recipe("a", "layers: relu9_9\n")
    put(house, "clouds.dream.yaml", "seed: 0\nlayers: relu9_9\n")
    house.drop("a/cat.png")
    job, _ = house.started()
    assert job.name == "clouds.dream.yaml"
    answer = NotDone(job=job.id, hold="recipe", final=False, reason="no layer 'relu9_9'", field=("layers",))
    house.life.give_up(answer)
    reasons = {held.name: held.reason or "" for held in house.life.held}
    assert "clouds.dream.yaml:2: layers: no layer" in reasons["clouds.dream.yaml"]
    assert "put the mended file there again" in reasons["clouds.dream.yaml"]
    assert "mended" not in reasons["cat.png"]
    assert "a/recipe.yaml:1: layers: no layer" in reasons["cat.png"]
    put(house, "clouds.dream.yaml", "layers: relu1_1\n")
    assert [held.name for held in house.life.held] == ["cat.png"]


def test_what_the_plugins_bring_is_held_against_each_dream_file(house: House) -> None:
    put(house, "good.dream.yaml", "seed: 1\n")
    put(house, "wrong.dream.yaml", "loss: unheard\n")
    house.drop("cat.png")
    house.life.learn(CATALOGUE)
    (held,) = house.life.held
    assert "wrong.dream.yaml:1: loss: no loss 'unheard'" in (held.reason or "")
    assert [job.name for job in house.life.queue] == ["good.dream.yaml", "cat.png"]


def test_a_start_takes_up_what_was_claimed_held_or_interrupted(house: House) -> None:
    put(house, "held.dream.yaml", "los: l2\n")
    put(house, "running.dream.yaml", "seed: 4\n")
    house.started()
    house.lose_the_journal()
    house.begin_again()
    assert [held.name for held in house.life.held] == ["held.dream.yaml"]
    assert [json.loads(job.recipe)["seed"] for job in house.life.queue] == [4]


def test_a_failed_dream_file_that_is_tried_again_is_one_still(house: House) -> None:
    put(house, "clouds.dream.yaml", "seed: 1\n")
    job, _ = house.started()
    house.life.give_up(NotDone(job=job.id, hold=None, final=True, reason="it broke"))
    (house.folders.inbox / "clouds.dream.yaml").write_text("another")
    assert [is_back for _, is_back in give_back_failed(house.folders, [house.memory(job)])] == [True]
    assert house.files("inbox") == ["clouds-2.dream.yaml", "clouds.dream.yaml"]


def test_a_name_that_is_no_text_is_held_too(house: House) -> None:
    put(house, os.fsdecode(b"\xff.dream.yaml"), "los: l2\n")
    (held,) = house.life.held
    assert "did you mean loss?" in (house.memory(held).reason or "")
    put(house, os.fsdecode(b"\xff.dream.yaml"), "loss: l2\n")
    assert len(house.life.held) == 0

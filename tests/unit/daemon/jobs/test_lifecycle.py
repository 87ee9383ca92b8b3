"""What becomes of a job, with real folders, journal and recipes, and a worker that is the test itself."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

import dreamd.daemon.jobs.holds
import dreamd.tree.spool
from dreamd.daemon.jobs.endings import Endings
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.recipes import JobRecipes
from dreamd.daemon.jobs.recovery import Recovery
from dreamd.errors import SpaceError
from dreamd.job import Job, JobState
from dreamd.messages import Done, NotDone, Order, Sidecar
from dreamd.plugin_host.catalogue import Catalogue, Entry
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders
from dreamd.tree.spool import Spool

ATTEMPTS = 3
FAR = 1e12
"""A time of `time.monotonic` at which every wait is over."""

CATALOGUE = Catalogue(
    entries=tuple(
        Entry(kind=kind, name=name, plugin=name, origin="test")
        for kind, name in (
            (Kind.BACKBONE, "vgg19"),
            (Kind.LOSS, "l2"),
            (Kind.SCHEDULE, "octaves"),
            (Kind.GRADIENT, "smooth"),
            (Kind.GRADIENT, "normalize"),
            (Kind.OPTIMIZER, "plain"),
        )
    )
)


class House:
    """The folders, the journal, and a lifecycle on them that can be given up and begun anew, as a daemon is."""

    def __init__(self, root: Path, share: str | None = None) -> None:
        self.folders = Folders(inbox=root / "inbox", outbox=root / "outbox", failed=root / "failed", done=root / "done")
        self.folders.inbox.mkdir(parents=True, exist_ok=share is not None)
        self.spool = Spool(self.folders, share=share)
        self.spool.prepare()
        self.journal = Journal.open(root / f"journal{'' if share is None else f'-{share}'}.sqlite3")
        self.checkpoints = root / "checkpoints"
        self.told: list[Job] = []
        self.life = self.begin()

    def begin(self) -> Lifecycle:
        """Another life, which knows nothing of the one before."""
        self.ledger = Ledger(self.journal, self.note)
        self.recipes = JobRecipes(self.book(), self.spool.work_path)
        self.life = Lifecycle(
            spool=self.spool,
            ledger=self.ledger,
            recipes=self.recipes,
            attempts=ATTEMPTS,
            ends=Endings(spool=self.spool, ledger=self.ledger, checkpoints=self.checkpoints),
        )
        return self.life

    def note(self, job: Job) -> None:
        """What the daemon does with every job that has changed."""
        self.told.append(job)
        self.spool.note_attempts(job)

    def begin_again(self) -> None:
        """The next start of the daemon."""
        self.begin()
        self.recovery().recover()

    def recovery(self) -> Recovery:
        """What takes up pictures in this life."""
        return Recovery(
            life=self.life,
            spool=self.spool,
            journal=self.journal,
            ledger=self.ledger,
            recipes=self.recipes,
            attempts=ATTEMPTS,
            checkpoints=self.checkpoints,
        )

    def book(self) -> RecipeBook:
        return RecipeBook(self.folders.inbox, named=self.folders.inbox.parent / "recipes")

    def recipe(self, folder: str, text: str) -> None:
        path = self.folders.inbox / folder / "recipe.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def drop(self, *paths: str) -> None:
        """Pictures that have settled."""
        for path in paths:
            target = self.folders.inbox / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"the picture " + path.encode())
        assert self.life.take_in([PurePosixPath(path) for path in paths]) == {}

    def started(self) -> tuple[Job, Order]:
        batch = self.life.start()
        assert batch is not None
        (order,) = batch.orders
        return self.life.running[order.job], order

    def dream(self) -> Job:
        """The next job is dreamed, all the way."""
        job, order = self.started()
        self.done(self.answer(job, order))
        return self.memory(job)

    def done(self, answer: Done) -> None:
        """What the daemon does with a worker's answer."""
        publish = self.life.publish(answer)
        if publish is not None:
            self.life.finish(publish())

    def answer(self, job: Job, order: Order) -> Done:
        """A worker's, with the result where it should be."""
        (order.folder / "result.png").write_bytes(b"the dream of " + order.source.read_bytes())
        sidecar = Sidecar(
            job=job.id,
            picture=job.name,
            input_sha256="",
            recipe=json.loads(job.recipe),
            versions={},
            weights_sha256=None,
            device="cpu",
            precision="fp32",
            seed=0,
            size=(1, 1),
            tiling=None,
            seconds=0.5,
            loss_before=1.0,
            loss_after=2.0,
        )
        return Done(job=job.id, file="result.png", sidecar=sidecar)

    def memory(self, job: Job) -> Job:
        """What the journal says of a job."""
        self.ledger.flush()
        known = self.journal.get(job.id)
        assert known is not None
        return known

    def lose_the_journal(self) -> None:
        """Somebody deletes it while no daemon runs."""
        self.journal.close()
        for file in self.folders.inbox.parent.glob("journal.sqlite3*"):
            file.unlink()
        self.journal = Journal.open(self.folders.inbox.parent / "journal.sqlite3")

    def only(self) -> Job:
        """The one job of the journal."""
        self.ledger.flush()
        (job,) = self.journal.jobs()
        return job

    def files(self, name: str) -> list[str]:
        folder: Path = getattr(self.folders, name)
        paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        return sorted(str(path) for path in paths if path.parts[0] != ".dreamd")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.journal.close()


def refusal(job: Job, **changes: object) -> NotDone:
    values = {"job": job.id, "hold": None, "final": False, "reason": "it broke", **changes}
    return NotDone.model_validate(values)


# Out and away


def test_a_picture_comes_out_in_its_own_place_with_a_sidecar_and_its_original_is_put_away(house: House) -> None:
    house.drop("a/b/cat.png")
    job = house.dream()
    assert job.state is JobState.DONE
    assert (job.result, job.seconds, job.attempts) == ("a/b/cat.png", 0.5, 1)
    assert house.files("outbox") == ["a/b/cat.png", "a/b/cat.png.json"]
    assert house.files("done") == ["a/b/cat.png"]
    assert house.files("inbox") == []
    assert not list(house.spool.claimed())


def test_every_change_of_state_is_told_in_order(house: House) -> None:
    house.drop("cat.png")
    house.dream()
    assert [job.state for job in house.told] == [JobState.QUEUED, JobState.RUNNING, JobState.DONE]


def test_a_journal_that_takes_nothing_holds_what_has_not_begun_and_is_written_when_it_can_be(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(jobs: object) -> None:
        raise SpaceError("the disk is full")

    house.drop("cat.png")
    with monkeypatch.context() as patch:
        patch.setattr(house.journal, "save", full)
        assert house.life.start() is None
        (held,) = house.life.held
        assert (held.hold, held.attempts) == ("space", 0)
    house.life.look_again(math.inf)
    assert house.dream().state is JobState.DONE


def test_an_attempt_is_written_down_before_it_starts(house: House) -> None:
    house.drop("cat.png")
    job, _ = house.started()
    assert (house.memory(job).state, house.memory(job).attempts) == (JobState.RUNNING, 1)


def test_a_result_is_named_as_its_recipe_wants(house: House) -> None:
    house.recipe("a", "output: {name: '{stem}-{loss}-{seed}'}\nseed: 7\n")
    house.drop("a/cat.png")
    assert house.dream().result == "a/cat-l2-7.png"


def test_a_second_picture_of_the_same_name_does_not_overwrite_the_first_result(house: House) -> None:
    for _ in range(2):
        house.drop("cat.png")
        house.dream()
    assert house.files("outbox") == ["cat-2.png", "cat-2.png.json", "cat.png", "cat.png.json"]
    assert house.files("done") == ["cat-2.png", "cat.png"]


def test_a_job_answered_twice_has_one_result(house: House) -> None:
    house.drop("cat.png")
    job, order = house.started()
    answer = house.answer(job, order)
    house.done(answer)
    house.done(answer)
    house.life.give_up(refusal(job))
    house.life.lose_worker([job.id], "the worker was killed by SIGSEGV", failure="crash")
    assert house.memory(job).state is JobState.DONE
    assert house.files("outbox") == ["cat.png", "cat.png.json"]
    assert house.files("failed") == []
    assert len(house.life.queue) == 0


def test_a_job_answered_again_while_it_is_published_is_published_once(house: House) -> None:
    """Publishing goes on in another thread, and takes as long as the outbox's disk."""
    house.drop("cat.png")
    job, order = house.started()
    answer = house.answer(job, order)
    publish = house.life.publish(answer)
    assert publish is not None
    assert house.life.publish(answer) is None
    house.life.give_up(refusal(job))
    house.life.lose_worker([job.id], "the worker was killed by SIGSEGV", failure="crash")
    assert list(house.life.running) == [job.id]
    house.life.finish(publish())
    assert house.memory(job).state is JobState.DONE
    assert house.files("outbox") == ["cat.png", "cat.png.json"]
    assert (len(house.life.queue), len(house.life.held), house.life.running) == (0, 0, {})


def test_a_file_that_has_gone_before_the_claim_is_no_job(house: House) -> None:
    assert house.life.take_in([PurePosixPath("gone.png")]) == {}
    assert house.journal.jobs() == []


# Failures and retries


def test_a_failure_that_is_final_is_not_tried_again(house: House) -> None:
    house.drop("a/cat.png")
    job, _ = house.started()
    house.life.give_up(refusal(job, final=True, reason="it is no picture"))
    assert house.memory(job).state is JobState.FAILED
    assert house.files("failed") == ["a/cat.png", "a/cat.png.reason.txt"]
    reason = (house.folders.failed / "a" / "cat.png.reason.txt").read_text()
    assert "it is no picture" in reason
    assert "move it back to a in the inbox" in reason
    assert house.life.next_deadline() is None


def test_a_film_whose_turn_is_over_waits_behind_others_and_has_all_its_attempts_again(house: House) -> None:
    house.drop("film.mp4", "a.png", "b.png")
    job, _ = house.started()
    house.life.take_back(job.id, 1)
    assert (house.memory(job).state, house.memory(job).attempts) == (JobState.QUEUED, 0)
    order = [house.started()[0].name for _ in range(3)]
    assert order == ["a.png", "film.mp4", "b.png"]
    house.life.take_back(job.id, 1)
    house.life.take_back(job.id, 1)  # told twice
    assert len(house.life.queue) == 1


def test_an_attempt_that_failed_is_tried_again_later_and_ever_later(house: House) -> None:
    house.drop("cat.png")
    waits = []
    for attempt in range(1, ATTEMPTS):
        job, _ = house.started()
        assert job.attempts == attempt
        house.life.give_up(refusal(job))
        assert house.life.start() is None
        due = house.life.next_deadline()
        assert due is not None
        waits.append(due - time.monotonic())
        house.life.look_again(due)
    assert waits == [pytest.approx(2.0, abs=0.5), pytest.approx(4.0, abs=0.5)]
    job, _ = house.started()
    house.life.give_up(refusal(job))
    assert house.memory(job).state is JobState.FAILED
    assert house.memory(job).reason == "it broke (attempt 3 of 3)"


def test_a_retry_that_is_due_keeps_the_loop_from_spinning_while_no_worker_is_free(house: House) -> None:
    house.drop("cat.png")
    job, _ = house.started()
    house.life.give_up(refusal(job))
    due = house.life.next_deadline()
    assert due is not None
    house.life.look_again(due)
    assert house.life.next_deadline() is None
    assert house.started()[0].id == job.id


def test_the_death_of_a_worker_costs_its_jobs_an_attempt(house: House) -> None:
    house.drop("cat.png")
    for _ in range(ATTEMPTS):
        job, _ = house.started()
        house.life.lose_worker([job.id], "the worker was killed by SIGSEGV", failure="crash")
        house.life.look_again(FAR)
    assert house.memory(job).state is JobState.FAILED
    assert house.memory(job).reason == "the worker was killed by SIGSEGV (attempt 3 of 3)"


def test_jobs_given_together_are_begun_together_and_after_a_death_each_alone(house: House) -> None:
    house.drop("a.png", "b.png", "c.png")
    batch = house.life.start(2)
    assert batch is not None
    assert [house.memory(house.life.running[id_]).attempts for id_ in batch.jobs] == [1, 1]
    house.life.lose_worker(batch.jobs, "the worker was killed by SIGSEGV", failure="crash")
    assert "with 1 other in hand; each is tried again alone" in str(
        next(job for job in house.life.queue if job.id == batch.jobs[0]).reason
    )
    house.life.look_again(FAR)
    sizes = []
    while (batch := house.life.start(8)) is not None:
        sizes.append(len(batch.orders))
    assert sizes == [1, 1, 1]


def test_the_death_of_a_worker_that_never_was_ready_costs_no_attempt(house: House) -> None:
    house.drop("cat.png")
    for _ in range(ATTEMPTS + 1):
        job, _ = house.started()
        house.life.lose_worker([job.id], "the worker ended with code 1", failure=None)
    assert (house.memory(job).state, house.memory(job).attempts) == (JobState.QUEUED, 0)
    assert house.dream().attempts == 1


def test_a_picture_that_cannot_be_put_away_is_put_away_later(house: House) -> None:
    house.drop("cat.png")
    job, order = house.started()
    answer = house.answer(job, order)
    house.folders.done.rename(house.folders.done.with_name("away"))
    house.folders.done.write_text("in the way")
    house.done(answer)
    assert house.memory(job).state is JobState.DONE
    assert [one.id for one in house.life.ends.not_put_away] == [job.id]
    house.folders.done.unlink()
    house.folders.done.with_name("away").rename(house.folders.done)
    due = house.life.next_deadline()
    assert due is not None
    house.life.look_again(due)
    assert house.files("done") == ["cat.png"]
    assert house.life.ends.not_put_away == []
    assert house.life.next_deadline() is None


def test_many_originals_that_could_not_be_put_away_leave_the_loop_its_turns(house: House) -> None:
    house.drop(*(f"{number}.png" for number in range(200)))
    failed = house.folders.failed
    failed.rename(failed.with_name("away"))
    failed.write_text("in the way")
    for job in list(house.life.queue):
        house.life.queue.take([job])
        house.life.ends.fail(job, "it broke", "error")
    names = [job.name for job in house.life.ends.not_put_away]
    assert len(names) == 200

    due = house.life.next_deadline()
    assert due is not None
    house.life.look_again(due)
    assert [job.name for job in house.life.ends.not_put_away] == names[64:] + names[:64]
    later = house.life.next_deadline()
    assert later is not None
    assert later > time.monotonic() + 30  # what is refused again does not keep the loop turning

    failed.unlink()
    failed.with_name("away").rename(failed)
    left = []
    while (now := house.life.next_deadline()) is not None:
        assert now <= later  # the rest goes on at the next turns
        house.life.look_again(later)
        left.append(len(house.life.ends.not_put_away))
    assert left == [136, 72, 8, 0]
    assert len(house.files("failed")) == 400


# Holds


def test_a_broken_recipe_holds_its_own_folder_only_with_file_and_line(house: House) -> None:
    house.recipe("bad", "seed: 1\nlos: l2\n")
    house.drop("bad/a.png", "good/b.png")
    assert [held.name for held in house.life.held] == ["a.png"]
    (held,) = house.life.held
    assert held.hold == "recipe"
    assert "bad/recipe.yaml:2: los: is not a field; did you mean loss?" in (held.reason or "")
    assert house.life.next_deadline() is None
    assert house.dream().name == "b.png"
    assert house.life.start() is None


def test_a_mended_recipe_lets_its_folder_go_on(house: House) -> None:
    house.recipe("bad", "los: l2\n")
    house.drop("bad/below/a.png")
    house.recipe("bad", "seed: 5\n")
    house.life.recipe_changed(PurePosixPath("elsewhere"))
    assert house.life.start() is None
    house.life.recipe_changed(PurePosixPath("bad"))
    assert json.loads(house.dream().recipe)["seed"] == 5
    assert not house.life.held


def test_a_changed_recipe_counts_for_the_next_picture_and_not_for_those_queued(house: House) -> None:
    house.recipe("a", "seed: 1\n")
    house.drop("a/one.png")
    house.recipe("a", "seed: 22\n")
    house.life.recipe_changed(PurePosixPath("a"))
    house.drop("a/two.png")
    assert [json.loads(house.dream().recipe)["seed"] for _ in range(2)] == [1, 22]


def test_what_the_plugins_bring_is_held_against_the_queued_recipes(house: House) -> None:
    house.recipe("bad", "schedule: octave\n")
    house.drop("bad/a.png", "good/b.png")
    assert not house.life.held
    house.life.learn(CATALOGUE)
    (held,) = house.life.held
    assert "bad/recipe.yaml:1: schedule: no schedule 'octave'; did you mean octaves?" in (held.reason or "")
    assert house.dream().name == "b.png"


def test_a_plugin_that_comes_lets_those_go_on_that_were_held_for_want_of_it(house: House) -> None:
    house.life.learn(CATALOGUE)
    house.recipe("a", "loss: l3\n")
    house.drop("a/cat.png")
    assert len(house.life.held) == 1
    l3 = Entry(kind=Kind.LOSS, name="l3", plugin="l3", origin="test")
    house.life.learn(CATALOGUE.model_copy(update={"entries": (*CATALOGUE.entries, l3)}))
    assert not house.life.held
    assert house.dream().state is JobState.DONE


def test_when_nobody_runs_jobs_all_are_held_without_an_attempt_but_what_is_being_published(house: House) -> None:
    house.drop("a/published.png", "a/running.png", "a/waiting.png")
    published, order = house.started()
    publish = house.life.publish(house.answer(published, order))
    running, _ = house.started()
    house.life.hold_all("plugin", "executor 'mine' raised")
    assert {(job.name, job.attempts, job.hold) for job in house.life.held} == {
        ("running.png", 0, "plugin"),
        ("waiting.png", 0, "plugin"),
    }
    assert house.memory(running).reason == "executor 'mine' raised"
    assert publish is not None
    house.life.finish(publish())
    assert house.memory(published).state is JobState.DONE
    house.life.look_at_all()
    assert not house.life.held
    assert {house.dream().attempts, house.dream().attempts} == {1}


def test_what_only_a_worker_can_know_holds_the_folder_with_file_and_line(house: House) -> None:
    house.recipe("bad", "seed: 1\nlayers: [relu9_9]\n")
    house.drop("bad/a.png", "bad/b.png", "good/c.png")
    job, _ = house.started()
    house.life.give_up(refusal(job, hold="recipe", reason="no layer 'relu9_9'", field=("layers", 0)))
    assert {held.name for held in house.life.held} == {"a.png", "b.png"}
    for held in house.life.held:
        assert held.attempts == 0
        assert "bad/recipe.yaml:2: layers[0]: no layer 'relu9_9'" in (held.reason or "")
    assert house.dream().name == "c.png"


L3 = Entry(kind=Kind.LOSS, name="l3", plugin="mine", origin="/plugins/mine.py", version="sha256:1")


def catalogue(version: str = "sha256:1") -> Catalogue:
    """With a plugin that is not dreamd's own."""
    own = tuple(entry.model_copy(update={"own": True}) for entry in CATALOGUE.entries)
    return Catalogue(entries=(*own, L3.model_copy(update={"version": version})))


def test_a_broken_plugin_holds_the_picture_until_its_file_changes(house: House) -> None:
    house.life.learn(catalogue())
    house.recipe("a", "loss: l3\n")
    house.drop("a/one.png", "a/two.png", "b/other.png")
    for name in ("one.png", "two.png"):
        job = next(job for job in iter(lambda: house.started()[0], None) if job.name == name)
        house.life.give_up(refusal(job, hold="plugin", reason="loss 'l3' of plugin 'mine': ValueError: no"))
        if name == "one.png":
            assert house.dream().name == "other.png"
    assert {(job.name, job.hold, job.attempts) for job in house.life.held} == {
        ("one.png", "plugin", 0), ("two.png", "plugin", 0),
    }  # fmt: skip
    house.life.look_again(FAR)  # no time mends a plugin
    assert len(house.life.held) == 2
    house.life.learn(catalogue("sha256:2"))
    assert [house.dream().state for _ in range(2)] == [JobState.DONE] * 2


def test_where_a_plugin_dreams_others_by_the_same_recipe_the_picture_is_at_fault(house: House) -> None:
    house.life.learn(catalogue())
    house.recipe("a", "loss: l3\n")
    house.drop("a/bad.png", "a/good.png")
    job, _ = house.started()
    house.life.give_up(refusal(job, hold="plugin", reason="ValueError: no"))
    assert house.dream().name == "good.png"
    assert not house.life.held
    for attempt in range(1, ATTEMPTS + 1):
        job, _ = house.started()
        assert (job.name, job.attempts) == ("bad.png", attempt)
        house.life.give_up(refusal(job, hold="plugin", reason="ValueError: no"))
        house.life.look_again(FAR)
    assert house.memory(job).state is JobState.FAILED
    assert "ValueError: no (attempt 3 of 3)" in (house.memory(job).reason or "")


def test_a_changed_plugin_has_to_prove_itself_anew(house: House) -> None:
    house.life.learn(catalogue())
    house.recipe("a", "loss: l3\n")
    house.drop("a/one.png", "a/two.png")
    house.dream()
    house.life.learn(catalogue("sha256:2"))
    job, _ = house.started()
    house.life.give_up(refusal(job, hold="plugin", reason="ValueError: no"))
    assert [held.name for held in house.life.held] == ["two.png"]


def test_when_a_worker_dies_the_plugins_that_may_be_behind_it_are_named_but_not_dreamds_own(house: House) -> None:
    house.life.learn(catalogue())
    house.recipe("a", "loss: l3\n")
    house.drop("a/one.png", "b/two.png")
    reasons = {}
    for _ in range(2 * ATTEMPTS):
        job, _ = house.started()
        house.life.lose_worker([job.id], "it took too long", failure="time")
        house.life.look_again(FAR)
        reasons[job.name] = house.memory(job).reason
    assert reasons == {
        "one.png": "it took too long (attempt 3 of 3); its recipe uses the plugin mine (/plugins/mine.py)",
        "two.png": "it took too long (attempt 3 of 3)",
    }


def test_a_hold_that_ends_by_itself_is_looked_at_ever_less_often(house: House) -> None:
    house.drop("cat.png")
    waits = []
    for _ in range(4):
        job, _ = house.started()
        house.life.give_up(refusal(job, hold="weights", reason="there are no weights"))
        due = house.life.next_deadline()
        assert due is not None
        waits.append(round(due - time.monotonic()))
        house.life.look_again(due - 1)
        assert house.life.start() is None
        house.life.look_again(due)
    assert waits == [15, 60, 300, 300]
    assert house.dream().attempts == 1


def held_for_weights(house: House, count: int) -> None:
    house.drop(*(f"{number:02}.png" for number in range(count)))
    job, _ = house.started()
    house.life.give_up(refusal(job, hold="weights", reason="there are no weights"))
    assert len(house.life.held) == count
    house.told.clear()


def test_of_many_that_wait_for_weights_one_looks_whether_they_are_there(house: House) -> None:
    held_for_weights(house, 30)
    for _ in range(3):
        house.life.look_again(FAR)
        job, _ = house.started()
        assert house.life.start() is None
        house.life.give_up(refusal(job, hold="weights", reason="there are no weights"))
        assert {told.id for told in house.told} == {job.id}
        house.told.clear()
        assert len(house.life.held) == 30


def test_those_that_wait_for_weights_go_on_when_one_of_them_is_being_dreamed(house: House) -> None:
    held_for_weights(house, 30)
    house.recipe("other", "loss: {name: l2}\nseed: 7\n")
    house.drop("other/a.png")
    other, _ = house.started()
    house.life.give_up(refusal(other, hold="weights", reason="others are missing too"))
    house.life.look_again(FAR)
    job, _ = house.started()
    house.life.advance(job.id)
    house.life.look_again(time.monotonic())
    assert {held.id for held in house.life.held} <= {other.id}
    assert len([house.dream() for _ in range(29)]) == 29


def test_a_scout_that_falls_to_its_own_fault_is_followed_by_another(house: House) -> None:
    held_for_weights(house, 3)
    house.life.look_again(FAR)
    job, _ = house.started()
    house.life.give_up(refusal(job, final=True))
    assert house.life.start() is None
    due = house.life.next_deadline()
    assert due is not None
    assert due > time.monotonic()
    house.life.look_again(due)
    assert house.dream().name == "01.png"
    house.life.look_again(time.monotonic())
    assert house.dream().name == "02.png"


def test_a_result_has_all_go_on_that_wait_for_room_on_the_disk(house: House) -> None:
    house.recipe("other", "seed: 7\n")
    house.drop("a.png", "b.png", "other/c.png")
    for _ in range(2):
        job, _ = house.started()
        house.life.give_up(refusal(job, hold="space"))
    house.life.look_again(FAR)
    assert {house.dream().name, house.dream().name} == {"a.png", "c.png"}
    house.life.look_again(time.monotonic())
    assert house.dream().name == "b.png"


def test_a_success_has_the_next_hold_begin_with_the_short_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dreamd.daemon.jobs.holds, "_HOLD_SECONDS", (1.0, 1000.0))
    for wait in (1, 1000):
        house.drop("cat.png")
        job, _ = house.started()
        house.life.give_up(refusal(job, hold="weights"))
        due = house.life.next_deadline()
        assert due is not None
        assert round(due - time.monotonic()) == wait
        house.life.look_again(FAR)
    house.dream()
    job, _ = house.started()
    house.life.give_up(refusal(job, hold="weights"))
    due = house.life.next_deadline()
    assert due is not None
    assert due - time.monotonic() <= 1


def test_an_outbox_that_takes_nothing_holds_all_its_jobs_without_an_attempt(house: House) -> None:
    drafts = house.folders.outbox / ".dreamd"
    house.drop("a.png", "b/b.png")
    aside = drafts.with_name("aside")
    drafts.rename(aside)
    drafts.write_text("in the way")
    assert house.life.start() is None
    assert {held.hold for held in house.life.held} == {"folder"}
    assert {held.attempts for held in house.life.held} == {0}
    assert len(house.life.held) == 2
    drafts.unlink()
    aside.rename(drafts)
    house.life.look_again(FAR)
    assert {house.dream().name, house.dream().name} == {"a.png", "b.png"}


def test_a_storm_of_holds_is_written_down_together_and_leaves_the_loop_its_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM and the watchdog's ping wait while one call holds 50,000 jobs, each with a commit of its own."""
    drafts = house.folders.outbox / ".dreamd"
    house.drop(*(f"{number}.png" for number in range(600)))
    drafts.rename(drafts.with_name("aside"))
    drafts.write_text("in the way")
    saves = count_saves(house, monkeypatch)
    turns = 0
    while house.life.queue:
        assert house.life.start() is None
        turns += 1
        assert len(house.life.held) <= 256 * turns
        if house.life.queue:
            assert house.life.next_deadline() == 0.0  # the loop comes back at once
            house.life.look_again(0.0)
            assert house.life.next_deadline() != 0.0  # and not again and again, should no worker be free then
    assert len(saves) == turns
    assert len(house.life.held.counts) == 1  # one reason for all of them
    drafts.unlink()
    drafts.with_name("aside").rename(drafts)
    for _ in range(turns):
        assert house.life.next_deadline() is not None
        house.life.look_again(FAR)
    assert (len(house.life.queue), len(house.life.held)) == (600, 0)


def test_a_share_that_goes_away_holds_its_pictures_and_costs_no_attempt(house: House) -> None:
    house.drop("a.png", "b.png")
    for _ in range(2 * ATTEMPTS):
        job, _ = house.started()
        house.life.give_up(refusal(job, hold="folder", reason="a.png: cannot be read (Input/output error)"))
        other = house.dream() if len(house.life.queue) else None
        assert other is None or other.name != job.name  # nobody else waits for it
        (held,) = house.life.held
        assert (held.hold, held.attempts) == ("folder", 0)
        house.life.look_again(FAR)
        house.drop(f"{job.name}.more.png")
    assert house.files("failed") == []


def test_a_picture_that_is_looked_at_while_its_share_is_away_is_dreamed_by_its_own_recipe(house: House) -> None:
    house.recipe("a", "seed: 77\n")
    house.drop("a/cat.png")
    job, _ = house.started()
    house.life.give_up(refusal(job, hold="folder", reason="cat.png: cannot be read (Input/output error)"))
    away = house.folders.inbox.with_name("away")
    house.folders.inbox.rename(away)
    house.life.look_again(time.monotonic() + 16)
    assert len(house.life.queue) == 0
    assert [(held.hold, held.attempts) for held in house.life.held] == [("folder", 0)]
    assert house.life.next_deadline() is not None
    away.rename(house.folders.inbox)
    house.life.look_at_all()
    (queued,) = house.life.queue
    assert json.loads(queued.recipe)["seed"] == 77


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("is_queued", [False, True])
def test_a_recipe_that_cannot_be_read_for_a_moment_holds_its_pictures_for_a_while_only(
    house: House, monkeypatch: pytest.MonkeyPatch, code: int, is_queued: bool
) -> None:
    house.recipe("a", "seed: 77\n")
    if is_queued:
        house.drop("a/cat.png")
    real = Path.lstat

    def failing(path: Path) -> os.stat_result:
        if path.name == "recipe.yaml":
            raise OSError(code, os.strerror(code), str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", failing)
        if is_queued:
            house.life.learn(CATALOGUE)
        else:
            house.drop("a/cat.png")
        assert [job.hold for job in house.life.held] == ["folder"]
    due = house.life.next_deadline()
    assert due is not None
    house.life.look_again(max(due, time.monotonic() + 16))
    assert json.loads(house.dream().recipe)["seed"] == 77


def test_a_result_that_cannot_be_published_is_held_and_comes_out_later(house: House) -> None:
    house.drop("a/cat.png")
    job, order = house.started()
    answer = house.answer(job, order)
    blocked = house.folders.outbox / "a"
    blocked.write_text("in the way")
    house.done(answer)
    (held,) = house.life.held
    assert (held.hold, held.attempts) == ("folder", 0)
    assert house.files("outbox") == ["a"]
    blocked.unlink()
    house.life.look_again(FAR)
    assert house.dream().result == "a/cat.png"
    assert house.files("outbox") == ["a/cat.png", "a/cat.png.json"]


def test_another_book_has_every_held_job_looked_at_again(house: House) -> None:
    house.recipe(".", "extends: mine\n")
    house.drop("cat.png")
    assert len(house.life.held) == 1
    named = house.folders.inbox.parent / "recipes"
    named.mkdir()
    (named / "mine.yaml").write_text("seed: 3\n")
    house.life.use_book(house.book())
    assert json.loads(house.dream().recipe)["seed"] == 3


# The next start


def test_what_was_queued_is_queued_again_at_the_next_start(house: House) -> None:
    house.drop("a/one.png", "two.png")
    house.begin_again()
    assert {house.dream().name, house.dream().name} == {"one.png", "two.png"}
    assert house.files("outbox") == ["a/one.png", "a/one.png.json", "two.png", "two.png.json"]


def test_what_was_running_has_had_its_attempt_at_the_next_start(house: House) -> None:
    house.drop("cat.png")
    for _ in range(ATTEMPTS):
        job, _ = house.started()
        house.begin_again()
    assert house.life.start() is None
    assert house.memory(job).state is JobState.FAILED
    assert "each of 3 attempts" in (house.memory(job).reason or "")
    assert house.files("failed") == ["cat.png", "cat.png.reason.txt"]


def test_what_the_daemon_itself_broke_off_has_had_no_attempt(house: House) -> None:
    house.drop("cat.png")
    for _ in range(ATTEMPTS + 1):
        job, _ = house.started()
        house.life.release()
        assert house.life.running == {}
        assert (house.memory(job).state, house.memory(job).attempts) == (JobState.QUEUED, 0)
        house.begin_again()
    assert house.dream().attempts == 1


def test_what_was_held_is_looked_at_anew_at_the_next_start(house: House) -> None:
    house.recipe("bad", "los: l2\n")
    house.drop("bad/a.png")
    house.recipe("bad", "loss: l2\n")
    house.begin_again()
    assert house.dream().state is JobState.DONE


@pytest.mark.parametrize("is_journal_lost", [False, True])
@pytest.mark.parametrize("name", ["{stem}", "dream-of-{job}"])
def test_a_result_published_before_the_end_is_not_dreamed_again(house: House, name: str, is_journal_lost: bool) -> None:
    house.recipe(".", f"output: {{name: '{name}'}}\n")
    house.drop("cat.png")
    job, order = house.started()
    answer = house.answer(job, order)
    # The kill comes after the publication and before the journal knows.
    wanted = PurePosixPath(name.format(stem="cat", job=job.id) + ".png")
    house.spool.publish(job, wanted, answer.file, answer.sidecar.model_dump_json().encode())
    if is_journal_lost:
        house.lose_the_journal()
    house.begin_again()
    assert house.life.start() is None
    assert house.memory(job).state is JobState.DONE
    assert house.files("outbox") == [str(wanted), f"{wanted}.json"]
    assert house.files("done") == ["cat.png"]


def test_a_result_whose_publication_failed_at_its_last_step_is_not_published_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.drop("a/cat.png")
    real, steps = os.fsync, iter(range(9))

    def failing(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == house.folders.outbox / "a" and next(steps) == 1:
            raise OSError(errno.EIO, "the disk is broken")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    job, order = house.started()
    house.done(house.answer(job, order))
    assert house.files("outbox") == ["a/cat.png", "a/cat.png.json"]
    assert house.memory(job).state is JobState.HELD
    house.life.look_again(FAR)
    assert house.dream().state is JobState.DONE
    assert house.files("outbox") == ["a/cat.png", "a/cat.png.json"]


def test_a_claim_that_the_journal_does_not_know_is_a_job(house: House) -> None:
    """The kill came between the claim and the journal, or the journal is lost."""
    (house.folders.inbox / "a").mkdir()
    (house.folders.inbox / "a" / "cat.png").write_bytes(b"x")
    assert house.spool.claim(PurePosixPath("a/cat.png"), "0000000000001")
    house.begin_again()
    assert house.dream().result == "a/cat.png"


def test_a_job_whose_picture_is_gone_is_failed_and_not_waited_for(house: House) -> None:
    house.drop("cat.png")
    job, order = house.started()
    order.source.unlink()
    house.begin_again()
    assert house.life.start() is None
    assert house.memory(job).state is JobState.FAILED
    assert house.memory(job).reason == "its picture is gone from work"


def test_a_picture_that_comes_back_after_it_was_given_up_for_gone_is_queued_again(house: House) -> None:
    """As a share does, under which the daemon was started while it was away."""
    house.drop("cat.png")
    job, _ = house.started()
    house.life.release()
    home = house.folders.inbox / ".dreamd" / "work" / job.id
    home.rename(house.folders.inbox.parent / "away")
    house.begin_again()
    (house.folders.inbox.parent / "away").rename(home)
    house.begin_again()
    assert house.dream().id == job.id
    assert house.files("failed") == []


@pytest.mark.parametrize("recipe", ['{"octave_blend": 0.5}', "no JSON at all", '{"seed": "many"}'])
@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.QUEUED, JobState.FAILED])
def test_a_row_with_another_versions_recipe_stops_no_start(house: House, state: JobState, recipe: str) -> None:
    """What cannot be read is as good as forgotten, and the folder's recipe counts."""
    house.drop("cat.png", "dog.png")
    job, _ = house.started()
    house.journal.save([replace(job, state=state, recipe=recipe, reason="it broke")])
    house.begin_again()
    if state is not JobState.FAILED:
        assert {house.dream().name, house.dream().name} == {"cat.png", "dog.png"}
        assert house.files("outbox") == ["cat.png", "cat.png.json", "dog.png", "dog.png.json"]
    else:
        assert house.dream().name == "dog.png"
        assert house.files("failed") == ["cat.png", "cat.png.reason.txt"]


@pytest.mark.parametrize("change", ["state = 'dreaming'", "hold = 'moon'", "recipe = 99"])
def test_a_row_that_this_version_does_not_understand_is_as_good_as_forgotten(house: House, change: str) -> None:
    house.drop("cat.png")
    job, _ = house.started()
    house.journal._connection.execute(f"UPDATE jobs SET {change}")
    house.begin_again()
    assert house.dream().id == job.id


def test_a_start_writes_many_claimed_pictures_down_together(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit waits for the disk: one for each of 100,000 pictures would take a quarter of an hour."""
    for number in range(300):
        (house.folders.inbox / f"{number}.png").write_bytes(b"x")
        assert house.spool.claim(PurePosixPath(f"{number}.png"), f"{number:013}")
    saves = count_saves(house, monkeypatch)
    house.begin_again()
    assert len(house.life.queue) == 300
    assert len(saves) < 5


def count_saves(house: House, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of jobs in each commit from now on."""
    saves: list[int] = []
    real = house.journal.save

    def save(jobs: Collection[Job]) -> None:
        saves.append(len(jobs))
        real(jobs)

    monkeypatch.setattr(house.journal, "save", save)
    return saves


@pytest.mark.parametrize("final", [True, False])
def test_a_picture_put_away_only_half_is_put_away_at_the_next_start(house: House, final: bool) -> None:
    """The journal says done or failed, and the original is in work still."""
    house.drop("cat.png")
    job, order = house.started()
    if final:
        house.journal.save([replace(job, state=JobState.FAILED, reason="it broke")])
    else:
        answer = house.answer(job, order)
        house.spool.publish(job, PurePosixPath("cat.png"), answer.file, answer.sidecar.model_dump_json().encode())
        house.journal.save([replace(job, state=JobState.DONE, result="cat.png")])
    house.begin_again()
    assert house.files("failed" if final else "done")[0] == "cat.png"
    assert not list(house.spool.claimed())
    assert house.only().state is (JobState.FAILED if final else JobState.DONE)


def test_a_folder_of_the_outbox_that_cannot_be_read_at_the_start_holds_its_own_jobs_only(house: House) -> None:
    """The job in it may have its result there already, and must not get a second one."""
    house.drop("a/cat.png", "b/dog.png")
    kept, order = house.started()
    answer = house.answer(kept, order)
    house.spool.publish(kept, PurePosixPath("a/cat.png"), answer.file, answer.sidecar.model_dump_json().encode())
    (house.folders.outbox / "a").rename(house.folders.outbox / "aside")
    (house.folders.outbox / "a").symlink_to("a")
    house.begin_again()
    assert house.memory(kept).state is JobState.HELD
    assert house.memory(kept).hold == "folder"
    assert house.dream().name == "dog.png"
    (house.folders.outbox / "a").unlink()
    (house.folders.outbox / "aside").rename(house.folders.outbox / "a")
    house.life.look_again(FAR)
    assert house.dream().state is JobState.DONE
    assert house.files("outbox") == ["a/cat.png", "a/cat.png.json", "b/dog.png", "b/dog.png.json"]


def test_an_original_that_has_to_be_copied_is_left_to_a_thread(house: House) -> None:
    """A copy to another disk takes as long as it takes, and the loop has no such time."""
    far = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        house.folders = replace(house.folders, failed=far)
        house.spool = Spool(house.folders)
        house.begin()
        house.drop("cat.png")
        job, _ = house.started()
        house.life.give_up(refusal(job, final=True))
        assert house.memory(job).state is JobState.FAILED
        assert list(house.life.ends.moving) == [job.id]
        assert house.files("failed") == []
        (move,) = house.life.ends.take_moves()
        assert house.life.ends.take_moves() == []
        house.life.ends.note_put_away(move())
        assert house.files("failed") == ["cat.png", "cat.png.reason.txt"]
        assert not house.life.ends.moving
        assert house.life.next_deadline() is None
    finally:
        shutil.rmtree(far)

"""A worker that is told to stop: what it dreams, what waits in it, and what is dreamed together with others."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from dreamd.messages import Advanced, Batch, Cancel, Done, NotDone, Order, Said, from_worker
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.answers import Answers
from dreamd.worker.main import Worker

if TYPE_CHECKING:
    from conftest import Tree

UNLUCKY = 13
"""Pictures of this width wait at the gate of their recipe."""

LONG = 10_000
"""The most iterations that an ascent may have: many seconds for any picture."""

PATIENCE_SECONDS = 60.0
CANCELLED = {"hold": None, "final": True, "reason": "it was cancelled", "failure": "cancelled"}


class Line:
    """A worker in a thread of this process, and the two pipes to it."""

    def __init__(self, tree: Tree, folder: Path, **changes: Any) -> None:
        self._tree = tree
        self._folder = folder
        self._said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        self.furthest = 0
        inward, self._commands = os.pipe()
        outward, written = os.pipe()
        output = os.fdopen(written, "wb")
        worker = Worker(tree.worker_settings(**changes), Answers(output))
        self._threads = [
            threading.Thread(target=self._work, args=[worker, inward, output]),
            threading.Thread(target=self._listen, args=[outward]),
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, worker: Worker, inward: int, output: BinaryIO) -> None:
        with os.fdopen(inward, "rb") as commands, output:
            worker.run(commands)

    def _listen(self, outward: int) -> None:
        with os.fdopen(outward, "rb") as lines:
            for line in lines:
                self._said.put(from_worker(line))

    def tell(self, message: Batch | Cancel) -> None:
        os.write(self._commands, message.line())

    def order(self, count: int, recipe: str, width: int = 256, *, is_broken: bool = False) -> list[str]:
        """Order pictures of one size; returns the jobs."""
        orders = []
        for _ in range(count):
            job = str(len(list(self._folder.glob("*.png"))))
            source, folder = self._folder / f"{job}.png", self._folder / job
            folder.mkdir()
            source.write_bytes(b"no picture" if is_broken else self._tree.picture(width, 128))
            orders.append(Order(job=job, source=source, folder=folder))
        self.tell(Batch(recipe=recipe, orders=tuple(orders)))
        return [order.job for order in orders]

    def order_again(self, job: str, recipe: str) -> None:
        """Order the picture of a job once more."""
        order = Order(job=job, source=self._folder / f"{job}.png", folder=self._folder / job)
        self.tell(Batch(recipe=recipe, orders=(order,)))

    def until(self, is_wanted: Callable[[Said], bool]) -> Said:
        while not is_wanted(said := self._said.get(timeout=PATIENCE_SECONDS)):
            if isinstance(said, Advanced):
                self.furthest = said.iteration
        return said

    def end(self) -> dict[str, Done | NotDone]:
        """End its input; returns the answers that were not waited for, each given once."""
        os.close(self._commands)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        said = []
        while not self._said.empty():
            said.append(self._said.get())
        answers = [each for each in said if isinstance(each, Done | NotDone)]
        assert len({answer.job for answer in answers}) == len(answers)
        return {answer.job: answer for answer in answers}


@pytest.fixture
def begin(tree: Tree, tmp_path: Path) -> Callable[..., Line]:
    (tmp_path / "orders").mkdir()
    return lambda **changes: Line(tree, tmp_path / "orders", **changes)


def recipe(*fields: str, iterations: int = 1) -> str:
    settings = ["backbone.name=tiny", "backbone.weights=random", "schedule=moody", "ascent.jitter=0", "gradient=[]"]
    settings += ["precision=fp32", f"ascent.iterations={iterations}", *fields]
    return resolve([*RecipeBook(None).documents_of_name("classic"), set_fields(settings)]).json


def waiting_at(gate: Path) -> str:
    return recipe(f"schedule={{name: moody, mood: wait, gate: {gate}}}")


def advanced(job: str) -> Callable[[Said], bool]:
    return lambda said: isinstance(said, Advanced) and said.job == job


def answered(job: str) -> Callable[[Said], bool]:
    return lambda said: isinstance(said, Done | NotDone) and said.job == job


def test_a_dream_that_runs_is_stopped_and_the_next_one_dreamed(begin: Callable[..., Line]) -> None:
    line = begin()
    (endless,) = line.order(1, recipe(iterations=LONG))
    (after,) = line.order(1, recipe())
    line.until(advanced(endless))
    line.tell(Cancel(cancel=(endless,)))
    assert line.until(answered(endless)) == NotDone(job=endless, **CANCELLED)
    assert line.furthest < LONG // 2
    assert isinstance(line.end()[after], Done)


def test_what_waits_in_a_worker_is_answered_at_once_and_never_dreamed(
    begin: Callable[..., Line], tmp_path: Path
) -> None:
    line = begin()
    (endless,) = line.order(1, recipe(iterations=LONG))
    waiting, other = line.order(2, recipe())
    line.until(advanced(endless))
    line.tell(Cancel(cancel=(waiting,)))
    assert line.until(answered(waiting)) == NotDone(job=waiting, **CANCELLED)
    line.tell(Cancel(cancel=(waiting, endless)))  # the first once more
    answers = line.end()
    assert answers.keys() == {endless, other}
    assert isinstance(answers[other], Done)
    assert not list((tmp_path / "orders" / waiting).iterdir())


def test_one_of_those_that_are_dreamed_together_goes_and_the_others_come_out_as_they_would(
    tree: Tree, begin: Callable[..., Line], tmp_path: Path
) -> None:
    first, gate = tmp_path / "first", tmp_path / "gate"
    slow = waiting_at(gate)
    line = begin(batch=2)
    line.order(1, waiting_at(first), width=UNLUCKY)
    gone, stays = line.order(2, slow, width=UNLUCKY)
    (broken,) = line.order(1, slow, is_broken=True)
    line.until(answered(broken))  # and so the two before it are decoded, and will be dreamed together
    first.touch()
    tree.wait_for(gate.with_name("gate.waiting").exists, "the two to be dreamed")
    line.tell(Cancel(cancel=(gone,)))
    assert line.until(answered(gone)) == NotDone(job=gone, **CANCELLED)
    gate.touch()
    assert line.end().keys() == {stays}
    alone = begin()
    (same,) = alone.order(1, slow, width=UNLUCKY)
    alone.end()
    one, other = (np.asarray(Image.open(tmp_path / "orders" / job / "result.png")) for job in (stays, same))
    assert np.array_equal(one, other)


def test_what_is_unknown_or_over_is_cancelled_in_vain_and_may_be_ordered_again(begin: Callable[..., Line]) -> None:
    line = begin()
    (job,) = line.order(1, recipe())
    assert isinstance(line.until(answered(job)), Done)
    line.tell(Cancel(cancel=(job, "nobody")))
    line.order_again(job, recipe())
    assert isinstance(line.until(answered(job)), Done)
    assert line.end() == {}

"""The end of the pipeline: two threads encode and write what was dreamed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from dreamd.messages import Done
from dreamd.pictures.formats import output_format
from dreamd.pictures.writing import words_of_slow, write_durably
from dreamd.worker.answers import Answers
from dreamd.worker.cancels import Cancels
from dreamd.worker.dream import Dream, described, write_dream
from dreamd.worker.session import Session
from dreamd.worker.tasks import Exits, Task, fault_of_folder

_WRITERS = 2
"""The threads that encode and write results."""

_STEPS = "steps.jpg"
"""The name of a film strip in its order's folder."""


class Writers:
    """Write results and answer their orders."""

    def __init__(self, session: Session, answers: Answers, cancels: Cancels, exits: Exits) -> None:
        """Write nothing yet.

        Args:
            session: what dreamed.
            answers: is told of a format that takes long.
            cancels: the orders that nobody wants any more.
            exits: where orders leave.
        """
        self._session, self._answers, self._cancels, self._exits = session, answers, cancels, exits
        self._dreamed: queue.SimpleQueue[tuple[Task, Dream] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, thread: Callable[[str, Callable[[], None]], threading.Thread]) -> None:
        """Begin; `thread` makes a thread of a name that does a piece of work."""
        self._threads = [thread(f"write-{number}", self._write_all) for number in range(_WRITERS)]
        for each in self._threads:
            each.start()

    def take(self, task: Task, dream: Dream) -> None:
        """Have a dream written."""
        self._dreamed.put((task, dream))

    def finish(self) -> None:
        """Wait until all is written."""
        for _ in self._threads:
            self._dreamed.put(None)
        for each in self._threads:
            each.join()

    def _write_all(self) -> None:
        while (finished := self._dreamed.get()) is not None:
            self._write(*finished)
            del finished  # or its pixels would be held until the next one comes

    def _write(self, task: Task, dream: Dream) -> None:
        if self._cancels.is_unwanted(task.order.job):
            self._exits.drop(task)
            return
        try:
            done = self._encode(task, dream)
        except Exception as error:  # noqa: BLE001 (told to the daemon)
            self._exits.give_up(task, fault_of_folder(error, "write", "the result"))
        else:
            self._exits.answer(task, done)

    def _encode(self, task: Task, dream: Dream) -> Done:
        """Write a result into its order's folder; returns the answer to the order."""
        order, output = task.order, task.recipe.output
        with task.timed():
            name, extension = output_format(output.format, dream.picture.format)
            target = order.folder / f"result{extension}"
            dream = described(dream, name, target.name)
            if slow := words_of_slow(name, dream.picture):
                self._answers.say_writing(order.job, slow)
            dream = write_dream(dream, target, name)
            if task.steps is not None:
                strip, start = task.steps
                write_durably(order.folder / _STEPS, strip.sheet(start, dream.picture))
        sidecar = self._session.sidecar(job=order.job, source=order.source, dream=dream, seconds=task.seconds)
        return Done(
            job=order.job,
            file=target.name,
            steps=None if task.steps is None else _STEPS,
            sidecar=sidecar,
            busy_seconds=self._answers.meter.seconds,
        )

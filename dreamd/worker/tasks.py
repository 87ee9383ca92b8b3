"""Orders on their way through a worker, and the ways in which they leave it.

Knows orders and answers. Knows nothing of how they are dreamed.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dreamd.files.problems import os_error_explained
from dreamd.messages import Done, Order, Yielded
from dreamd.pictures.paging.pages import Pages
from dreamd.pictures.picture import Picture
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.answers import Answers
from dreamd.worker.cancels import Cancels
from dreamd.worker.film_strip import FilmStrip
from dreamd.worker.films.opening import Source
from dreamd.worker.machine.bounds import Room

_PROCESS_FAULTS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""These errors say nothing of a disk or a share: the worker has too little memory, or too many open files."""


@dataclass(eq=False)
class Task:
    """An order on its way through the worker.

    Attributes:
        order: the order.
        recipe: its recipe.
        picture: the picture, once it is decoded and until it is dreamed.
        film: the film, once it is open, where it is none out of a picture.
        pages: the file of several pages, once it is open, where all of them are dreamed.
        steps: the film strip of its dream, where one is wanted, and what the dream began with.
        seconds: the time spent on it so far.
    """

    order: Order
    recipe: Recipe
    picture: Picture | None = None
    film: Source | None = None
    pages: Pages | None = None
    steps: tuple[FilmStrip, Picture] | None = None
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    @property
    def takes_turns(self) -> bool:
        """Whether a film or several pages are dreamed, or a film is made out of the picture."""
        return self.film is not None or self.pages is not None or self.recipe.film.frames is not None

    def is_like(self, other: Task) -> bool:
        """Return whether two decoded pictures can be dreamed together."""
        assert self.picture is not None
        assert other.picture is not None
        return self.recipe == other.recipe and self.picture.pixels.shape == other.picture.pixels.shape


class Exits:
    """The ways in which an order leaves the worker. It is answered once, whatever comes of it."""

    def __init__(self, answers: Answers, cancels: Cancels, room: Room) -> None:
        """Set up.

        Args:
            answers: where every order is answered.
            cancels: the orders that nobody wants any more.
            room: which the orders' pictures leave.
        """
        self._answers, self._cancels, self._room = answers, cancels, room

    def answer(self, task: Task, message: Done | Yielded) -> None:
        """Be done with an order for now."""
        if self._leave(task):
            self._answers.send(message)

    def give_up(self, task: Task, error: Exception) -> None:
        """Be done with an order that failed."""
        if self._leave(task):
            self._answers.send_not_done(task.order.job, error)

    def drop(self, task: Task) -> None:
        """Be done with an order that was cancelled."""
        if self._leave(task):
            self._answers.send_cancelled(task.order.job)

    def _leave(self, task: Task) -> bool:
        """Let go of what an order holds; returns whether it is to be answered still."""
        task.picture = None
        for opened in (task.film, task.pages):
            if opened is not None:
                opened.close()
        self._room.leave(task)
        return self._cancels.close(task.order.job)


def fault_of_folder(error: Exception, doing: str, what: str) -> Exception:
    """Return the error that holds a job until its disk or share is well again; any other as it is."""
    if not isinstance(error, OSError) or error.errno is None or error.errno in _PROCESS_FAULTS:
        return error
    return os_error_explained(error, doing, what)

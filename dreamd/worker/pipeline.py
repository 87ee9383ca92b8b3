"""The pipeline of a worker: one thread decodes, the main thread dreams, two write.

So that the device need not wait, the next pictures are decoded and the last ones written while one dreams. `Room`
bounds what they hold.

Knows orders and answers. Knows nothing of the pipes that they come and go through.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dreamer import Progress
from dreamd.engine.glimpse import Glimpse, Look
from dreamd.engine.speed.devices import leaves_broken
from dreamd.files.nofollow import opened_folder, path_in
from dreamd.inbox.dream_files import is_dream_file
from dreamd.messages import Batch, Cancel
from dreamd.pictures.picture import shrunk
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.answers import Answers
from dreamd.worker.cancels import Cancels, StoppedError
from dreamd.worker.film_strip import SIDE, FilmStrip, FilmStrips
from dreamd.worker.films.opening import open_source
from dreamd.worker.films.turn import FilmTurn
from dreamd.worker.machine.bounds import Room
from dreamd.worker.machine.device import BrokenDeviceError
from dreamd.worker.previews import Previews
from dreamd.worker.recipes.builder import Built
from dreamd.worker.session import Session
from dreamd.worker.tasks import Exits, Task, fault_of_folder
from dreamd.worker.writers import Writers

log = logging.getLogger(__name__)


class Pipeline:
    """Takes orders one after the other and answers each of them once, in the order that they are finished."""

    def __init__(self, session: Session, answers: Answers, *, previews: Previews, together: int, room: Room) -> None:
        """Take no orders yet.

        Args:
            session: what dreams.
            answers: where every order is answered.
            previews: shows dreams while they go on.
            together: how many pictures to dream together at most.
            room: bounds what waits, or is written, while another picture is dreamed.
        """
        self._session = session
        self._answers = answers
        self._previews = previews
        self._together = together
        self._room = room
        self._cancels = Cancels()
        self._exits = Exits(answers, self._cancels, room)
        self._turns = FilmTurn(session, answers, previews, self._cancels, together)
        self._writers = Writers(session, answers, self._cancels, self._exits)
        self._ordered: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._decoded: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._waiting: deque[Task] = deque()
        self._is_ending = False

    def run(self, told: Iterable[Batch | Cancel]) -> None:
        """Dream batch after batch, until there are no more and every order is answered."""
        self._thread("orders", self._take_orders, told).start()
        self._thread("decode", self._decode_all).start()
        self._writers.start(self._thread)
        try:
            while tasks := self._next_tasks():
                self._dream(tasks)
        finally:
            self._writers.finish()

    def _thread(self, name: str, work: Callable[..., None], *arguments: object) -> threading.Thread:
        """Make a thread of the pipeline. The process ends when it dies, or the daemon would wait for its answers."""

        def run() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # noqa: BLE001 (the end of the process)
                self._answers.end_process(error)

        return threading.Thread(target=run, name=name, daemon=True)

    def _take_orders(self, told: Iterable[Batch | Cancel]) -> None:
        for each in told:
            if isinstance(each, Cancel):
                for job in self._cancels.add(each.cancel):
                    self._answers.send_cancelled(job)
                continue
            recipe = Recipe.from_json(each.recipe)
            for order in each.orders:
                self._cancels.enter(order.job)
                self._ordered.put(Task(order, recipe))
        self._ordered.put(None)

    # Decoding

    def _decode_all(self) -> None:
        for task in iter(self._ordered.get, None):
            self._room.enter(task)
            if self._cancels.is_unwanted(task.order.job):
                self._exits.drop(task)
                continue
            try:
                with task.timed():
                    self._decode(task)
            except Exception as error:  # noqa: BLE001 (told to the daemon)
                self._exits.give_up(task, fault_of_folder(error, "read", "the picture"))
            else:
                self._room.hold(task, 0 if task.picture is None else task.picture.nbytes)
                self._decoded.put(task)
        self._decoded.put(None)

    def _decode(self, task: Task) -> None:
        """Decode a picture, or open a film or a file of pages, by an open folder: a path could lead elsewhere.

        A dream file asks for noise.
        """
        source = task.order.source
        if is_dream_file(source.name):
            task.picture = self._session.noise(task.recipe)
            return
        root = task.order.root or source.parent
        with opened_folder(root, source.relative_to(root).parts[:-1]) as folder:
            file = path_in(folder, source.name)
            if task.recipe.film.frames is None:
                session = self._session
                task.film = open_source(session.plugins, session.bounds, file, task.recipe.image.max_side)
            if task.film is None:
                task.pages = self._session.pages(file, task.recipe)
            if task.film is None and task.pages is None:
                task.picture = self._session.read(file, task.recipe)

    # Dreaming

    def _next_tasks(self) -> list[Task]:
        """Wait for the next picture; returns it with those that may be dreamed together with it, none at the end."""
        self._take_decoded()
        while not self._waiting and not self._is_ending:
            self._take_decoded()
        if not self._waiting:
            return []
        first = self._waiting[0]
        if first.takes_turns:
            return [self._waiting.popleft()]
        alike = [task for task in self._waiting if not task.takes_turns and task.is_like(first)][: self._together]
        self._waiting = deque(task for task in self._waiting if task not in alike)
        return alike

    def _take_decoded(self) -> None:
        """Take what is decoded, once there is something; what was cancelled while it waited is dropped."""
        while not self._is_ending and (not self._waiting or not self._decoded.empty()):
            if (task := self._decoded.get()) is None:
                self._is_ending = True
            else:
                self._waiting.append(task)
        unwanted = [task for task in self._waiting if self._cancels.is_unwanted(task.order.job)]
        for task in unwanted:
            self._waiting.remove(task)
            self._exits.drop(task)

    def _dream(self, tasks: Sequence[Task]) -> None:
        """Dream pictures, as many together as memory allows."""
        first = tasks[0]
        if first.takes_turns:
            self._dream_film(first)
            return
        assert first.picture is not None
        try:
            built = self._session.build(first.recipe)
            together = self._session.count_together(first.picture, built, len(tasks))
        except Exception as error:  # noqa: BLE001 (told to the daemon)
            for task in tasks:
                self._exits.give_up(task, error)
            _check_device_after(error)
            return
        groups = deque(tasks[start : start + together] for start in range(0, len(tasks), together))
        while groups:
            group = groups.popleft()
            failure = self._dream_together(group, built)
            if isinstance(failure, StoppedError):
                for task in group:
                    self._exits.drop(task)
            elif failure is not None:
                groups.extendleft(reversed(self._halves(group, failure)))

    def _dream_together(self, tasks: Sequence[Task], built: Built) -> Exception | StoppedError | None:
        """Dream pictures in one batch, and have them written.

        Returns the error of a batch that failed, so that what the attempt held is free for the next one.
        """
        jobs = _jobs(tasks)
        strips = self._strips_of(tasks, built)
        report = partial(_check_and_report, self._cancels, self._answers.progress_of(jobs))
        start = time.perf_counter()
        try:
            with self._answers.meter.running(), self._cancels.dreaming(jobs):
                self._cancels.check()
                dreams = self._session.dream(
                    [task.picture for task in tasks if task.picture is not None],
                    built,
                    on_progress=report if strips is None else partial(_report_and_note, report, strips),
                    checkpoint=self._checkpoint_of(tasks, built),
                    on_frame=partial(self._previews.show, jobs),
                    on_glimpse=_each(None if strips is None else strips.show, self._previews.looker(jobs)),
                )
        except (Exception, StoppedError) as error:  # noqa: BLE001 (told to the daemon)
            if len(tasks) > 1:
                error.__traceback__ = None  # its frames hold the pictures
            return error
        finally:
            self._previews.drop(jobs)
        each = (time.perf_counter() - start) / len(tasks)
        for task, dream in zip(tasks, dreams, strict=True):
            task.seconds += each
            task.picture = None
            self._room.hold(task, dream.picture.nbytes)
            self._writers.take(task, dream)
        return None

    def _strips_of(self, tasks: Sequence[Task], built: Built) -> FilmStrips | None:
        """Begin the film strips of pictures that are dreamed together; None where their recipe wants none.

        The frames of one that was begun before are in the folder of its checkpoint.
        """
        if not built.recipe.output.steps:
            return None
        strips = []
        for task in tasks:
            assert task.picture is not None
            key = self._session.fingerprint(task.picture.sha256, built)[:16]
            checkpoint = task.order.checkpoint
            strip = FilmStrip(None if checkpoint is None else checkpoint / f"steps-{key}")
            task.steps = (strip, shrunk(task.picture, SIDE))
            strips.append(strip)
        return FilmStrips(strips)

    def _checkpoint_of(self, tasks: Sequence[Task], built: Built) -> CheckpointFolder | None:
        """Return the state of a dream in its order's folder; a batch has none."""
        folder, picture = tasks[0].order.checkpoint, tasks[0].picture
        if folder is None or picture is None or len(tasks) > 1:
            return None
        return self._session.checkpoint(folder, picture.sha256, built)

    def _halves(self, tasks: Sequence[Task], error: Exception) -> list[Sequence[Task]]:
        """Return what to try after a batch failed: was it too much at once, or one of them poison, its halves show it.

        A picture that failed alone is given up.

        Raises:
            BrokenDeviceError: the device can dream nothing more. Pictures that are not answered are for another worker.
        """
        if len(tasks) == 1:
            self._exits.give_up(tasks[0], error)
        _check_device_after(error)
        if len(tasks) == 1:
            return []
        log.warning("%d pictures together failed (%s); trying them in halves", len(tasks), error)
        middle = len(tasks) // 2
        return [tasks[:middle], tasks[middle:]]

    # Films

    def _dream_film(self, task: Task) -> None:
        """Dream a film, or a file of pages, for one turn, and write it when all of it is done."""
        job, given = task.order.job, task.film or task.pages or task.picture
        assert given is not None
        try:
            with task.timed(), self._cancels.dreaming([job]):
                self._cancels.check()
                message = self._turns.take(task.order, task.recipe, given)
        except StoppedError:
            self._exits.drop(task)
        except Exception as error:  # noqa: BLE001 (told to the daemon)
            self._exits.give_up(task, fault_of_folder(error, "read", "the film"))
            _check_device_after(error)
        else:
            self._exits.answer(task, message)
        finally:
            self._previews.drop([job])


def _check_device_after(error: Exception) -> None:
    """Raise BrokenDeviceError when an error leaves the device unable to dream anything more."""
    if leaves_broken(error):
        first_line = str(error).partition("\n")[0]
        raise BrokenDeviceError(f"the GPU can do nothing more for this process ({first_line}); another one goes on")


def _check_and_report(cancels: Cancels, report: Callable[[Progress], None], progress: Progress) -> None:
    """Say how far a dream is, and stop it when nobody wants it any more. Raises StoppedError."""
    cancels.check()
    report(progress)


def _report_and_note(report: Callable[[Progress], None], strips: FilmStrips, progress: Progress) -> None:
    report(progress)
    strips.note(progress)


def _each(*given: Look | None) -> Look | None:
    """Return what has each of those look that want to; None where nobody does."""
    looks = [look for look in given if look is not None]

    def look_at(progress: Progress, glimpse: Glimpse) -> None:
        for look in looks:
            look(progress, glimpse)

    return look_at if looks else None


def _jobs(tasks: Sequence[Task]) -> list[str]:
    return [task.order.job for task in tasks]

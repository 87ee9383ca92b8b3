"""What happens to a job, from the claim to `done` or `failed`. The only place that changes a job's state.

Each step is written down in the journal, done in the folders, and told to the plugins that listen, in an order after
which a restart can always tell what is left to do: the folders are the truth, the journal is the memory. Knows no
process and no clock of the loop's.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from dreamd.daemon.queue import Scheduler
from dreamd.errors import DreamdError, HoldCause, RecipeError, SpaceError, UnknownNameError
from dreamd.job import Job, JobState, new_job_id
from dreamd.messages import Batch, Done, NotDone, Order
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.recipe import Recipe, choices_of
from dreamd.settings.recipe_book import RecipeBook
from dreamd.tree.journal import Journal
from dreamd.tree.spool import Spool
from dreamd.wording import printable

log = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0
"""Before the second attempt; each further one waits twice as long."""

_HOLD_SECONDS = (15.0, 60.0, 300.0)
"""How long held jobs wait before dreamd looks whether their cause is gone: longer each time."""

_TRY_FOLDER_SECONDS = 60.0
"""Between two tries to put an original away when its folder cannot be written."""


@dataclass(frozen=True)
class Published:
    """What became of a result.

    Attributes:
        job: the job, as far as it is known now.
        result: where it is in the outbox; None when it is not there, or not for certain.
        problem: why it is not there or, when it is, why the original could not be put away.
    """

    job: Job
    result: PurePosixPath | None
    problem: DreamdError | None


class Lifecycle:
    """All jobs that are not finished, and every step they can take."""

    def __init__(
        self,
        *,
        spool: Spool,
        journal: Journal,
        book: RecipeBook,
        attempts: int,
        checkpoints: Path,
        changed: Callable[[Job], None],
    ) -> None:
        """Set up.

        Args:
            spool: the folders.
            journal: the memory.
            book: the recipes.
            attempts: how often a job is started at most.
            checkpoints: a folder for the state of long dreams, one folder a job below it.
            changed: told of every job that changes its state.
        """
        self._spool = spool
        self._journal = journal
        self._book = book
        self._attempts = attempts
        self._checkpoints = checkpoints
        self._changed = changed
        self._catalogue: Catalogue | None = None
        self._proven: set[str] = set()
        self._hold_rounds: dict[HoldCause, int] = {}
        self._hold_dues: dict[HoldCause, float] = {}
        self._unsaved: dict[str, Job] = {}
        self._publishing: set[str] = set()
        self._can_write = True
        self._put_away_due: float | None = None
        self.queue = Scheduler()
        self.running: dict[str, Job] = {}
        self.held: dict[str, Job] = {}
        self.not_put_away: list[Job] = []

    # Coming in

    def recover(self) -> None:
        """Take up what an earlier run left: every picture in work is finished, failed or queued again."""
        for job_id, path in self._spool.claimed():
            known = self._journal.get(job_id)
            job = known or Job(id=job_id, folder=path.parent, name=path.name, claimed_at=time.time())
            self._take_up(job)
        present = {job_id for job_id, _ in self._spool.claimed()}
        for job in self._journal.unfinished():
            if job.id not in present:
                self._close(job)
        if self._checkpoints.is_dir():
            for left in {folder.name for folder in self._checkpoints.iterdir()} - present:
                self._drop_checkpoint(left)

    def take_in(self, paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
        """Claim settled pictures and queue them; returns those that are still there but could not be claimed."""
        claimed, refused = [], []
        for path in paths:
            job = Job(id=new_job_id(), folder=path.parent, name=path.name, claimed_at=time.time())
            try:
                if self._spool.claim(path, job.id):
                    claimed.append(job)
            except DreamdError as error:
                log.error("%s", error)
                refused.append(path)
        self._enter(claimed)
        return refused

    def learn(self, catalogue: Catalogue) -> None:
        """Take in what the plugins bring: queued jobs whose recipes ask for something else are held, and those go on
        that were held for want of it."""
        if catalogue == self._catalogue:
            return
        self._catalogue = catalogue
        self._proven.clear()
        waiting = [*self.queue, *self.held.values()]
        self.queue.take(waiting)
        self.held.clear()
        self._enter(waiting)

    def use_book(self, book: RecipeBook) -> None:
        """Take the recipes from another book, and look at every held job again."""
        self._book = book
        self._proven.clear()
        self.look_at_all()

    @property
    def waiting(self) -> int:
        """How many jobs are neither running nor finished: queued, in a paused folder, or held."""
        return len(self.queue) + len(self.held)

    def look_at_all(self) -> None:
        """Look at every held job again, now."""
        self._look_again(list(self.held.values()))

    def recipe_changed(self, folder: PurePosixPath) -> None:
        """A recipe file changed: the held jobs at and below its folder may go on."""
        self._look_again([job for job in self.held.values() if folder in (job.folder, *job.folder.parents)])

    def look_again(self, now: float) -> None:
        """Queue the jobs whose retry is due or whose hold is over, and try again to put originals away."""
        self.queue.wake(now)
        if self._put_away_due is not None and self._put_away_due <= now:
            jobs, self.not_put_away, self._put_away_due = self.not_put_away, [], None
            for job in jobs:
                self._put_away(job)
        for cause in [cause for cause, due in self._hold_dues.items() if due <= now]:
            del self._hold_dues[cause]
            self._look_again([job for job in self.held.values() if job.hold == cause])

    def next_deadline(self) -> float | None:
        """When a held or backed-off job may go on."""
        others = [due for due in (self.queue.next_deadline(), self._put_away_due) if due is not None]
        return min([*self._hold_dues.values(), *others], default=None)

    # Going on

    def start(self, most: int = 1) -> Batch | None:
        """The next jobs of one recipe, their attempts counted and written down; None when none may start.

        Args:
            most: how many at most.
        """
        while jobs := self.queue.next(most):
            orders = self._begun(jobs)
            if orders:
                return Batch(recipe=jobs[0].recipe, orders=orders)
        return None

    def _begun(self, jobs: Iterable[Job]) -> tuple[Order, ...]:
        begun: list[Job] = []
        orders: list[Order] = []
        for job in jobs:
            try:
                folder = self._spool.temporary(job)
            except DreamdError as error:
                self._hold([job], _folder_cause(error), str(error))
                continue
            # Counted before the start, so that an attempt that takes the worker or the daemon down counts too.
            begun.append(replace(job, state=JobState.RUNNING, attempts=job.attempts + 1, started_at=time.time()))
            source, checkpoint = self._spool.work_path(job), self._checkpoints / job.id
            orders.append(Order(job=job.id, source=source, folder=folder, checkpoint=checkpoint))
        if (problem := self._save(*begun)) is not None:
            waiting = [replace(job, attempts=job.attempts - 1) for job in begun]
            self._hold(waiting, _folder_cause(problem), str(problem))
            return ()
        self.running.update((job.id, job) for job in begun)
        return tuple(orders)

    def publish(self, message: Done) -> Callable[[], Published] | None:
        """What publishes a result and puts its original away, for any thread to do: disks are slow, shares slower.

        What it returns goes to `published`; until then the job counts as running. None when the job is not running, or
        is being published already: it was answered twice, or after its worker was given up.
        """
        job = self.running.get(message.job)
        if job is None or job.id in self._publishing:
            return None
        self._publishing.add(job.id)
        return partial(_put_out, self._spool, job, message)

    def published(self, outcome: Published) -> None:
        """Take note of what became of a result."""
        job = outcome.job
        del self.running[job.id]
        self._publishing.remove(job.id)
        if outcome.result is None:
            assert outcome.problem is not None
            self._hold([replace(job, attempts=job.attempts - 1)], _folder_cause(outcome.problem), str(outcome.problem))
            return
        job = self._mark_done(job, outcome.result)
        self._prove(job.recipe)
        path, result = printable(str(job.path)), printable(str(outcome.result))
        log.info("%s dreamed in %.1f s → %s", path, job.seconds, result, extra=job.about)
        if outcome.problem is not None:
            self._put_away_later(job, outcome.problem)

    def not_done(self, message: NotDone) -> None:
        """A worker gave up on a job: hold it, try it again, or fail it."""
        job = self.running.pop(message.job, None)
        if job is None:
            return
        if message.hold == "plugin" and job.recipe in self._proven:
            self._try_again(job, message.reason)  # it works for other pictures: this one is at fault
        elif message.hold == "plugin":
            self._hold([replace(job, attempts=job.attempts - 1)], "plugin", message.reason)
        elif message.hold is not None:
            self._hold_all_like(replace(job, attempts=job.attempts - 1), message)
        elif message.final:
            self._fail(job, message.reason)
        else:
            self._try_again(job, message.reason)

    def worker_died(self, jobs: Sequence[str], reason: str, *, was_ready: bool) -> None:
        """The worker of some running jobs is gone. If it had never been ready, the attempt was none."""
        others = len(jobs) - 1
        if others:
            reason += f", with {others} other{'s' if others > 1 else ''} in hand; each is tried again alone"
        for job_id in jobs:
            job = self.running.pop(job_id, None)
            if job is None:
                continue
            if was_ready:
                self._try_again(job, reason, self._suspects(job))
            else:
                self._queue([replace(job, state=JobState.QUEUED, attempts=job.attempts - 1)])

    def flush(self) -> None:
        """Write down what is not written yet."""
        if self._unsaved:
            self._write()

    def release(self) -> None:
        """Queue what is running: the daemon ends it by its own will, so that the attempts are none."""
        self._queue([replace(job, state=JobState.QUEUED, attempts=job.attempts - 1) for job in self.running.values()])
        self.running.clear()

    # Steps

    def _take_up(self, job: Job) -> None:
        result = self._result_of(job)
        if result is not None or job.state is JobState.DONE:
            self._put_away(self._mark_done(job, result or PurePosixPath(job.result or "")))
        elif job.state is JobState.FAILED:
            self._fail(job, job.reason or "it failed before")
        elif job.attempts >= self._attempts:
            self._fail(job, f"dreamd or its worker ended in the middle of each of {job.attempts} attempts")
        else:
            self._enter([replace(job, result=None)])

    def _close(self, job: Job) -> None:
        """End a job whose original is not in work: it was put away just before the end, or somebody took it."""
        result = self._result_of(job)
        if result is not None:
            self._put_away(self._mark_done(job, result))
        else:
            gone = "its picture is gone from work"
            self._save(replace(job, state=JobState.FAILED, finished_at=time.time(), reason=gone))

    def _result_of(self, job: Job) -> PurePosixPath | None:
        """The result that an earlier run published. A job that was never started, as the journal says, has none."""
        if job.recipe and not job.attempts and job.result is None:
            return None
        return self._spool.published(job, _stem(job if job.recipe else self._with_recipe(job)))

    def _with_recipe(self, job: Job) -> Job:
        """A job that the journal does not know, with the recipe that it most likely had."""
        try:
            return replace(job, recipe=self._book.for_folder(job.folder).json)
        except RecipeError:
            return job

    def _enter(self, jobs: Iterable[Job]) -> None:
        """Give jobs their recipe as it is now, and queue them, or hold those whose recipe is wrong."""
        entered: list[Job] = []
        broken: dict[str, list[Job]] = {}
        for job in jobs:
            try:
                recipe = self._recipe(job.folder)
            except RecipeError as error:
                broken.setdefault(str(error), []).append(job)
            else:
                entered.append(replace(job, state=JobState.QUEUED, recipe=recipe, hold=None, reason=None))
        self._queue(entered)
        for reason, held in broken.items():
            self._hold(held, "recipe", reason)

    def _recipe(self, folder: PurePosixPath) -> str:
        resolved = self._book.for_folder(folder)
        if self._catalogue is not None:
            resolved.check(self._catalogue)
        return resolved.json

    def _look_again(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            del self.held[job.id]
        self._enter(jobs)

    def _queue(self, jobs: Sequence[Job]) -> None:
        self._save(*jobs)
        for job in jobs:
            self.queue.add(job)

    def _try_again(self, job: Job, reason: str, suspects: str = "") -> None:
        if job.attempts >= self._attempts:
            self._fail(job, f"{reason} (attempt {job.attempts} of {self._attempts}){suspects}")
            return
        reason += suspects
        wait = _RETRY_SECONDS * 2 ** (job.attempts - 1)
        path, attempt = printable(str(job.path)), job.attempts + 1
        log.warning("%s: %s; attempt %d of %d in %g s", path, reason, attempt, self._attempts, wait, extra=job.about)
        job = replace(job, state=JobState.QUEUED, reason=reason)
        self._save(job)
        self.queue.add_later(job, time.monotonic() + wait)

    def _suspects(self, job: Job) -> str:
        """The plugins that may be behind the end of a worker, which cannot say any more; not dreamd's own."""
        used = {}
        for kind, choice, _ in choices_of(Recipe.from_json(job.recipe)):
            with suppress(UnknownNameError):
                entry = (self._catalogue or Catalogue()).find(kind, choice.name)
                used.update({} if entry.own else {entry.plugin: f"{entry.plugin} ({entry.origin})"})
        return f"; its recipe uses the plugin {' and '.join(used.values())}" if used else ""

    def _prove(self, recipe: str) -> None:
        """The recipe's plugins work. Pictures that were held for them are tried again, and fail by their own fault."""
        if recipe not in self._proven:
            self._proven.add(recipe)
            self._look_again([job for job in self.held.values() if job.hold == "plugin" and job.recipe == recipe])

    def _hold_all_like(self, job: Job, message: NotDone) -> None:
        """Hold a job, and with it the queued ones of the same recipe, which would meet the same cause."""
        assert message.hold is not None
        reason = message.reason
        if message.hold == "recipe":
            reason = str(self._located(job, RecipeError(message.reason, field=message.field)))
        alike = [other for other in self.queue if other.recipe == job.recipe]
        self.queue.take(alike)
        self._hold([job, *alike], message.hold, reason)

    def _located(self, job: Job, error: RecipeError) -> RecipeError:
        try:
            return self._book.for_folder(job.folder).located(error)
        except RecipeError:
            return error  # the recipe changed meanwhile and is broken in another way; that shows when it is looked at

    def _hold(self, jobs: Sequence[Job], cause: HoldCause, reason: str) -> None:
        held = [replace(job, state=JobState.HELD, hold=cause, reason=reason) for job in jobs]
        if all(job.reason != reason for job in self.held.values()):
            log.warning("%s is held: %s", printable(str(held[0].path)), reason, extra=held[0].about)
        # The hold of a recipe or plugin ends when that changes; the other causes go away without a word.
        if cause not in ("recipe", "plugin") and cause not in self._hold_dues:
            round_ = self._hold_rounds[cause] = min(self._hold_rounds.get(cause, -1) + 1, len(_HOLD_SECONDS) - 1)
            self._hold_dues[cause] = time.monotonic() + _HOLD_SECONDS[round_]
        self.held.update((job.id, job) for job in held)
        self._save(*held)

    def _mark_done(self, job: Job, result: PurePosixPath) -> Job:
        if job.state is not JobState.DONE:
            finished_at = time.time()
            job = replace(job, state=JobState.DONE, result=str(result), finished_at=finished_at, hold=None, reason=None)
            # Written with the next change, or by `flush`: until then the folders say the same.
            self._unsaved[job.id] = job
            self._changed(job)
        self._drop_checkpoint(job.id)
        self._hold_rounds.clear()
        return job

    def _fail(self, job: Job, reason: str) -> None:
        job = replace(job, state=JobState.FAILED, finished_at=time.time(), hold=None, reason=reason)
        log.error("%s failed: %s", printable(str(job.path)), reason, extra=job.about)
        self._save(job)
        self._drop_checkpoint(job.id)
        self._put_away(job)

    def _drop_checkpoint(self, job_id: str) -> None:
        try:
            shutil.rmtree(self._checkpoints / job_id)
        except FileNotFoundError:  # nearly always: the dream was a short one
            return
        except OSError as error:
            log.warning("the state of job %s stays in %s: %s", job_id, self._checkpoints, error.strerror)

    def _put_away(self, job: Job) -> None:
        """Move the original of a finished job out of work; if that cannot be done now, later."""
        try:
            if job.state is JobState.DONE:
                self._spool.finish(job)
            elif os.path.lexists(self._spool.work_path(job)):
                self._spool.fail(job, _explanation(job))
        except DreamdError as error:
            self._put_away_later(job, error)

    def _put_away_later(self, job: Job, problem: DreamdError) -> None:
        log.error("%s", problem, extra=job.about)
        self.not_put_away.append(job)
        self._put_away_due = time.monotonic() + _TRY_FOLDER_SECONDS

    def _save(self, *jobs: Job) -> DreamdError | None:
        """Write down and tell that jobs have changed; the error, when the journal takes nothing now."""
        problem = self._write(*jobs)
        for job in jobs:
            self._changed(job)
        return problem

    def _write(self, *jobs: Job) -> DreamdError | None:
        """Write jobs into the journal; the error, when it takes nothing now.

        A journal that cannot be written is no reason to stop: the folders are the truth. What it missed is written with
        the next change; only what must be on disk before a step is taken looks at the error.
        """
        self._unsaved.update((job.id, job) for job in jobs)
        try:
            self._journal.save(self._unsaved.values())
        except DreamdError as error:
            if self._can_write:
                log.error("%s", error)
            self._can_write = False
            return error
        self._can_write = True
        self._unsaved.clear()
        return None


def _put_out(spool: Spool, job: Job, message: Done) -> Published:
    """Publish a result, then put its original away. Knows nothing of the lifecycle, and may run in any thread."""
    stem = _stem(job)
    job = replace(job, seconds=message.sidecar.seconds)
    try:
        result = spool.published(job, stem) if job.result else None
        if result is None:
            file = spool.draft(job, message.file)
            wanted = spool.result_name(job, stem, file.suffix)
            # Known from here on: a failure may come after the result is in its place.
            job = replace(job, result=str(wanted))
            result = spool.publish(job, wanted, file, message.sidecar.model_dump_json(indent=1).encode())
    except DreamdError as error:
        return Published(job, None, error)
    try:
        spool.finish(job)
    except DreamdError as error:
        return Published(job, result, error)
    return Published(job, result, None)


def _stem(job: Job) -> str:
    """The result's name without its extension, as the job's recipe wants it; the picture's own when it has none."""
    if not job.recipe:
        return PurePath(job.name).stem
    recipe = Recipe.from_json(job.recipe)
    return recipe.output.name.format(
        stem=PurePath(job.name).stem,
        job=job.id,
        backbone=recipe.backbone.name.replace("/", "-"),
        loss=recipe.loss.name,
        schedule=recipe.schedule.name,
        seed=recipe.seed,
    )


def _folder_cause(error: DreamdError) -> HoldCause:
    return "space" if isinstance(error, SpaceError) else "folder"


def _explanation(job: Job) -> str:
    """What stands beside a failed picture, for whoever finds it there."""
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(job.finished_at))
    folder = "the inbox" if job.folder == PurePosixPath() else f"{printable(str(job.folder))} in the inbox"
    name = printable(job.name)
    return f"{name} could not be dreamed:\n\n{job.reason}\n\n{when}. To try it again, move it back to {folder}."

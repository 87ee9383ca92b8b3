"""What happens to a job, from the claim to its end. With `endings`, the only place that changes a job's state.

Each step is written down in the journal, done in the folders, and told to the plugins that listen, in an order after
which a restart can always tell what is left to do: the folders are the truth, the journal is the memory. Knows no
process and no clock of the loop's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import PurePosixPath

from dreamd.daemon.jobs.cancelling import Cancelling
from dreamd.daemon.jobs.claiming import claim
from dreamd.daemon.jobs.endings import Endings
from dreamd.daemon.jobs.holds import Holds, folder_cause, recipe_cause
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.publishing import Publication, Published, publish_result
from dreamd.daemon.jobs.queue import Scheduler
from dreamd.daemon.jobs.recipes import JobRecipes, by_recipe
from dreamd.daemon.jobs.retries import Retries
from dreamd.daemon.jobs.starting import Starter, without_attempt
from dreamd.errors import DreamdError, FailureCause, HoldCause, RecipeError
from dreamd.inbox.dream_files import is_dream_file
from dreamd.job import Job, JobState
from dreamd.messages import Batch, Done, NotDone
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.tree.spool import Spool
from dreamd.wording import printable

log = logging.getLogger(__name__)

_TRIED_AT_A_TIME = 256
"""The number of jobs that are tried to be begun in a turn of the loop, when a folder or the journal refuses them."""


class Lifecycle:
    """All jobs that are not finished, and every step they can take.

    Attributes:
        queue: the jobs that wait for a worker.
        running: those that a worker has, or whose result is being published, by id.
        held: those that wait for something to be mended.
        ends: what becomes of those that end.
        cancelling: those that were cancelled and have not ended yet.
        recovered: the ids of those of an earlier run, of which a part may be in any folder.
    """

    def __init__(self, *, spool: Spool, ledger: Ledger, recipes: JobRecipes, attempts: int, ends: Endings) -> None:
        """Set up.

        Args:
            spool: the folders.
            ledger: the memory.
            recipes: the recipes.
            attempts: how often a job is started at most.
            ends: takes the jobs that end.
        """
        self._spool = spool
        self._ledger = ledger
        self._recipes = recipes
        self._publishing: set[str] = set()
        self._has_more = False
        self._drawn: list[Job] = []
        self.ends = ends
        self.cancelling = Cancelling(ends)
        self._cancelled_late: set[str] = set()
        self.queue = Scheduler()
        self._starter = Starter(spool, ledger, ends)
        self._retries = Retries(self.queue, ledger, ends, attempts=attempts)
        self.running: dict[str, Job] = {}
        self.recovered: set[str] = set()
        self.held = Holds()

    # Coming in

    def take_in(self, paths: Iterable[PurePosixPath]) -> dict[PurePosixPath, DreamdError]:
        """Claim settled pictures and queue them; return why others, which are still there, could not be claimed."""
        claimed, refused = claim(self._spool, paths)
        self._end_replaced(claimed)
        self.enter(claimed)
        return refused

    def _end_replaced(self, claimed: Iterable[Job]) -> None:
        """End the held jobs whose own dream file was wrong, where a new one of that name came: it is the mended one."""
        new = {job.path for job in claimed if is_dream_file(job.name)}
        if not new:
            return
        for job in self.held.take(lambda held: held.path in new and self._recipes.is_own_fault(held)):
            self.ends.fail(job, f"{job.reason}; a mended one was put in its place", "replaced")

    def enter(self, jobs: Iterable[Job]) -> None:
        """Give jobs their recipe as it is now, and queue them, or hold those whose recipe is wrong.

        All are held while the inbox is away: its recipes then count as none, so that it is asked for after them.
        """
        jobs = list(jobs)
        entered: list[Job] = []
        broken: dict[tuple[HoldCause, str], list[Job]] = {}
        for alike in by_recipe(jobs):
            try:
                recipe = self._recipes.for_job(alike[0])
            except RecipeError as error:
                broken.setdefault((recipe_cause(error), str(error)), []).extend(alike)
            else:
                entered += (
                    replace(job, state=JobState.QUEUED, recipe=recipe, hold=None, reason=None, failure=None)
                    for job in alike
                )
        if jobs and (problem := self._absence()) is not None:
            self.hold(jobs, problem)
            return
        self._queue(entered)
        for (cause, reason), held in broken.items():
            self._hold(held, cause, reason)

    def learn(self, catalogue: Catalogue) -> None:
        """Take in what the plugins bring: queued jobs whose recipes ask for something else are held, and those go on
        that were held for want of it."""
        if catalogue == self._recipes.catalogue:
            return
        self._recipes.use_catalogue(catalogue)
        for queued in by_recipe(self.queue):
            try:
                self._recipes.for_job(queued[0])
            except RecipeError as error:
                self.queue.take(queued)
                self._hold(queued, recipe_cause(error), str(error))
        self.held.release_all()
        self._go_on()

    def use_book(self, book: RecipeBook) -> None:
        """Take the recipes from another book, and look at every held job again."""
        self._recipes.use_book(book)
        self.look_at_all()

    @property
    def waiting(self) -> int:
        """How many jobs are neither running nor finished: queued, in a paused folder, or held."""
        return len(self.queue) + len(self.held)

    def ids(self) -> set[str]:
        """Return the ids of all jobs whose pictures are in work, as far as is known."""
        return {job.id for job in chain(self.queue, self.held, self.running.values(), self.cancelling, self.ends)}

    def look_at_all(self) -> None:
        """Look at every held job again, now."""
        self.held.release_all()
        self._go_on()

    def recipe_changed(self, folder: PurePosixPath) -> None:
        """Let the held jobs at and below a folder go on, whose recipe file has changed."""
        self.held.release(lambda job: folder in (job.folder, *job.folder.parents))
        self._go_on()

    def change_reason(self, before: str, after: str) -> None:
        """Tell the jobs that are held for weights by a reason what they are held for now."""
        held = self.held.take(lambda job: job.hold == "weights" and job.reason == before)
        if held:
            self._hold(held, "weights", after)

    def weights_fetched(self) -> None:
        """Let the jobs go on that are held for weights: a download has ended."""
        self.held.release(lambda job: job.hold == "weights")
        self._go_on()

    def look_again(self, now: float) -> None:
        """Queue the jobs whose retry is due or whose hold is over, and try again to put originals away."""
        self._has_more = False
        self.queue.wake(now)
        self.ends.try_again(now)
        self.cancelling.end_some()
        self.held.release_due(now)
        self._go_on()

    def next_deadline(self) -> float | None:
        """Return when a held or backed-off job may go on, or is to be begun again at once."""
        if self._has_more or self.cancelling:
            return 0.0
        dues = (self.queue.next_deadline(), self.ends.next_deadline(), self.held.next_deadline())
        return min((due for due in dues if due is not None), default=None)

    # Going on

    def start(self, most: int = 1) -> Batch | None:
        """Begin the next jobs of one recipe: `draw` and `begin`. None when none has begun."""
        batch = self.draw(most)
        return batch if batch is not None and self.begin() else None

    def draw(self, most: int = 1) -> Batch | None:
        """Take the next jobs of one recipe. They begin, and count as tried, with `begin`.

        Args:
            most: how many at most.

        Returns:
            None when none may start, or when so many had to be held that the loop should look after the rest first.
        """
        refused: dict[str, list[tuple[Job, HoldCause]]] = {}
        tried, batch = 0, None
        while batch is None and tried < _TRIED_AT_A_TIME and (jobs := self.queue.next(most)):
            tried += len(jobs)
            batch, started = self._starter.prepare(jobs, refused)
            self._drawn += started
        for reason, held in refused.items():
            self._hold([job for job, _ in held], held[0][1], reason)
        self._has_more = batch is None and tried >= _TRIED_AT_A_TIME
        return batch

    def begin(self) -> bool:
        """Begin the jobs that were drawn, whose attempts are written down together before a worker hears of them.

        Returns:
            False when the journal takes nothing now: they are held then.
        """
        drawn, self._drawn = self._drawn, []
        if (problem := self._starter.begin(drawn)) is not None:
            self._hold([without_attempt(job) for job in drawn], folder_cause(problem), str(problem))
            self._has_more = True
            return False
        self.running.update((job.id, job) for job in drawn)
        return True

    def begin_more(self) -> None:
        """Have the loop come back at once: more jobs may start, and it has others to look after."""
        self._has_more = True

    def publish(self, message: Done) -> Publication | None:
        """Return what publishes a result and puts its original away, for any thread to do: disks are slow.

        What that returns goes to `finish`; until then the job counts as running. None when the job is not running, or
        is being published already: it was answered twice, or after its worker was given up.
        """
        job = self.running.get(message.job)
        if job is None or job.id in self._publishing:
            return None
        self._publishing.add(job.id)
        is_first = job.result is None and job.id not in self.recovered
        alone = partial(publish_result, self._spool, job, message)
        return Publication(self._spool, job, message, alone, is_first=is_first)

    def advance(self, job_id: str) -> None:
        """Take note that a job is being dreamed: its weights are here, and those who wait for them go on."""
        if (job := self.running.get(job_id)) is not None:
            self.held.release_behind(job, "weights")

    def finish(self, outcome: Published) -> None:
        """Take note of what became of a result: the job is done, or held when its result cannot be published."""
        job = outcome.job
        del self.running[job.id]
        self._publishing.remove(job.id)
        self.recovered.discard(job.id)
        is_cancelled = job.id in self._cancelled_late
        self._cancelled_late.discard(job.id)
        if outcome.result is None and is_cancelled:
            self.cancelling.add([job])
            return
        if outcome.result is None:
            assert outcome.problem is not None
            self._hold([without_attempt(job)], folder_cause(outcome.problem), str(outcome.problem))
            return
        job = self.ends.mark_done(job, outcome.result)
        self.held.forget_waits()
        self.held.release_behind(job, "weights")
        self.held.release_behind(job, "space")
        self._prove(job.recipe)
        path, result = printable(str(job.path)), printable(str(outcome.result))
        log.info("%s dreamed in %.1f s → %s", path, job.seconds, result, extra=job.about)
        if outcome.problem is not None:
            self.ends.put_away_later(job, outcome.problem)
        elif outcome.is_left:
            self.ends.put_away(job)

    def give_up(self, message: NotDone) -> None:
        """Take a worker's answer that it has no result: hold the job, try it again, or fail it."""
        job = self._take_from_worker(message.job)
        if job is None:
            self._forget_stray(message.job)
            return
        failure = message.failure or ("picture" if message.final else "error")
        if message.hold == "plugin" and self._recipes.is_proven(job.recipe):
            self._retries.try_again(job, message.reason, failure)  # it works for other pictures: this one is at fault
        elif message.hold in ("plugin", "folder"):
            # Nobody else's cause, as far as one knows: another picture may well be dreamed.
            reason = message.reason.replace(job.id, "…")  # the same for all whose share is away
            self._hold([without_attempt(job)], message.hold, reason)
        elif message.hold is not None:
            self._hold_all_like(without_attempt(job), message)
        elif message.final:
            self.ends.fail(job, message.reason, failure)
        else:
            self._retries.try_again(job, message.reason, failure)

    def take_back(self, job_id: str, behind: int) -> None:
        """Queue a film whose turn is over behind so many jobs of its folder.

        What it has done is kept, so that its attempts begin anew: one that fails at a frame does so at once.
        """
        job = self._take_from_worker(job_id)
        if job is not None:
            job = replace(job, state=JobState.QUEUED, attempts=0)
            self._ledger.save(job)
            self.queue.add_behind(job, behind)

    def lose_worker(self, jobs: Sequence[str], reason: str, *, failure: FailureCause | None) -> None:
        """Try the jobs again whose worker is gone.

        Args:
            jobs: the jobs.
            reason: how the worker ended.
            failure: what that says of the jobs; None: nothing, so that the attempt was none.
        """
        others = len(jobs) - 1
        if others:
            reason += f", with {others} other{'s' if others > 1 else ''} in hand; each is tried again alone"
        for job_id in jobs:
            job = self._take_from_worker(job_id)
            if job is None:
                continue
            if failure is not None:
                self._retries.try_again(job, reason, failure, self._recipes.suspects(job.recipe))
            else:
                self._queue([without_attempt(job)])

    def hold_all(self, cause: HoldCause, reason: str) -> None:
        """Hold every job that waits for a worker, or has one: nobody runs jobs now. What is running has no attempt
        counted for that, and what is being published goes on."""
        queued = list(self.queue)
        running = [job for job in self.running.values() if job.id not in self._publishing]
        if not queued and not running:
            return
        self.queue.take(queued)
        for job in running:
            del self.running[job.id]
        self._hold([*map(without_attempt, running), *queued], cause, reason)

    def cancel(self, job_ids: Collection[str]) -> list[str]:
        """Take jobs out of whatever they are at, to end them as cancelled; return those that a worker has.

        A result that is being published comes out all the same, unless that fails. Whatever a worker says of a
        cancelled job from now on is nobody's business any more.
        """
        queued = [job for job in self.queue if job.id in job_ids]
        self.queue.take(queued)
        held = self.held.take(lambda job: job.id in job_ids)
        self._cancelled_late |= self._publishing & set(job_ids)
        running = [job for job in self.running.values() if job.id in job_ids and job.id not in self._publishing]
        for job in running:
            del self.running[job.id]
        self.cancelling.add([*queued, *held, *running])
        return [job.id for job in running]

    def release(self) -> None:
        """Queue what is running: the daemon ends it by its own will, so that the attempts are none."""
        self._queue([without_attempt(job) for job in self.running.values()])
        self.running.clear()
        try:
            self._spool.write_attempts()
        except DreamdError as error:
            log.warning("other daemons may count an attempt too much of what ran: %s", error)

    # Held

    def hold(self, jobs: Sequence[Job], error: DreamdError) -> None:
        """Hold jobs because a folder cannot be used, or has no room."""
        self._hold(jobs, folder_cause(error), str(error))

    # Steps

    def _take_from_worker(self, job_id: str) -> Job | None:
        """Take a job from its worker; None when it has none, or has answered: its result is being published."""
        return None if job_id in self._publishing else self.running.pop(job_id, None)

    def _forget_stray(self, job_id: str) -> None:
        """Remove what the worker of a job that was cancelled has kept for it since."""
        if job_id not in self._publishing:
            self.ends.drop_checkpoint(job_id)

    def _go_on(self) -> None:
        """Queue some of the held jobs whose cause may be gone; the rest at the loop's next turns."""
        self.enter(self.held.take_released())

    def _absence(self) -> DreamdError | None:
        """Return what keeps the inbox from being used; None when it is there."""
        try:
            self._spool.check_there()
        except DreamdError as error:
            return error
        return None

    def _queue(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        self._ledger.save(*jobs)
        for job in jobs:
            self.queue.add(job)

    def _prove(self, recipe: str) -> None:
        """Take note that a recipe's plugins work. Pictures that were held for them are tried again, and fail by their
        own fault."""
        if self._recipes.prove(recipe):
            self.held.release(lambda job: job.hold == "plugin" and job.recipe == recipe)
            self._go_on()

    def _hold_all_like(self, job: Job, message: NotDone) -> None:
        """Hold a job, and with it the queued ones of the same recipe, which would meet the same cause."""
        assert message.hold is not None
        alike = [other for other in self.queue if other.recipe == job.recipe]
        self.queue.take(alike)
        if message.hold != "recipe":
            self._hold([job, *alike], message.hold, message.reason)
            return
        error = RecipeError(message.reason, field=message.field)
        for jobs in by_recipe([job, *alike]):
            self._hold(jobs, "recipe", str(self._recipes.locate(jobs[0], error)))

    def _hold(self, jobs: Sequence[Job], cause: HoldCause, reason: str) -> None:
        held = [replace(job, state=JobState.HELD, hold=cause, reason=reason) for job in jobs]
        self.held.add(held)
        self._ledger.save(*held)

"""The loop: one thread that reads one queue.

Watchdog's threads, workers' readers and signal handlers only put events into that queue; everything is done here, in
turn, so that nothing needs a lock. Knows the parts that it moves; what each of them does is theirs.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from dreamd.daemon.events import Crashed, Event, EventQueue, Signalled
from dreamd.daemon.fleet.news import News, SeatDreamed, SeatFailed, SeatLost
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.fleet.views import WorkerState
from dreamd.daemon.intake import Intake
from dreamd.daemon.jobs.estimates import Estimates
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.publishing import Published, PutAway
from dreamd.daemon.jobs.queue import TURN_SECONDS, Pace
from dreamd.daemon.jobs.recovery import Recovery
from dreamd.daemon.plugins import LivePlugins, write_catalogue
from dreamd.daemon.report import Report, Tally
from dreamd.daemon.systemd import Service
from dreamd.daemon.weights.fetch_process import FetchAdvanced, FetchEnded
from dreamd.daemon.weights.fetches import Fetches
from dreamd.errors import DreamdError
from dreamd.inbox.events import FileEvent
from dreamd.job import JobState
from dreamd.messages import Advanced, Done, NotDone, Ready, Writing, Yielded
from dreamd.settings.config import Config, load_config
from dreamd.tree.attachment import Attachment
from dreamd.tree.control import WAKE
from dreamd.weights.sources import Download

log = logging.getLogger(__name__)

_EVENT_SECONDS = 0.05
"""The time spent on events before the rest of a turn, in seconds: a storm of them must not keep jobs from starting."""

_MOST_AT_A_TIME = 32
"""The number of jobs given to a worker at a time when `workers.batch` is `auto`."""

_ELSEWHERE_SECONDS = 2.0
"""The time after which a job is looked at again that waits for another seat than where it failed, in seconds."""

_PUBLISHERS = 8
"""The number of threads that publish. A disk syncs several files in little more time than one."""

_INBOX_SECONDS = 1.0
"""The time between two looks whether the inbox is there, in seconds."""

_TAKE_OVER_SECONDS = 60.0
"""The time between two looks whether another daemon of a shared inbox is gone, in seconds: one that is only started
anew is to find its own pictures."""

_FALSE_STARTS = 3
"""The number of deaths in a row, each before the worker was ready, after which `dreamd drain` gives up."""

_FIXED = (
    *("inbox", "outbox", "originals", "failed", "state"),
    *("plugins", "watch", "limits", "workers", "journal", "status"),
)
"""The fields of the config that a reload does not change."""


class Loop:
    """Moves the daemon's parts, turn by turn."""

    def __init__(
        self,
        *,
        config: Config,
        events: EventQueue,
        life: Lifecycle,
        ledger: Ledger,
        intake: Intake,
        plugins: LivePlugins,
        roster: Roster,
        tally: Tally,
        report: Report,
        fetches: Fetches,
        estimates: Estimates,
        service: Service,
        tree: Attachment,
        recovery: Recovery,
        on_reload: Callable[[], None],
        until_empty: bool,
    ) -> None:
        """Set up.

        Args:
            config: the config.
            events: what the loop is told of.
            life: the jobs.
            ledger: the memory.
            intake: what comes in.
            plugins: the plugins.
            roster: the seats at which workers dream.
            tally: the jobs that have ended.
            report: the report of the daemon's state.
            fetches: the weights that are missing.
            estimates: learns how long pictures take.
            service: the line to systemd.
            tree: the hold on the inbox.
            recovery: takes up what is in work when the inbox comes.
            on_reload: called when the config has been read anew.
            until_empty: stop when everything in the inbox is finished or held.
        """
        self._config = config
        self._events = events
        self._life = life
        self._ledger = ledger
        self._intake = intake
        self._plugins = plugins
        self._roster = roster
        self._tally = tally
        self._report = report
        self._fetches = fetches
        self._estimates = estimates
        self._service = service
        self._tree = tree
        self._recovery = recovery
        self._on_reload = on_reload
        self._inbox_look_due = 0.0
        self._take_over_due = 0.0
        self._until_empty = until_empty
        self._publishers = ThreadPoolExecutor(_PUBLISHERS, thread_name_prefix="publish")
        self._pace = Pace(_most_at_a_time(config))
        self._stops = 0
        self._stop_by: float | None = None
        self._false_starts = 0
        self._wants_reload = False

    def recover(self) -> bool:
        """Take up what is in work, where nothing of it is known yet; returns whether the inbox is still there."""
        if self._life.waiting or self._life.running or self._life.ends.moving:
            return True
        try:
            self._recovery.recover()
        except DreamdError as error:  # the inbox has gone away again: the next look takes it, and recovers, anew
            self._tree.let_go(error)
            return False
        return True

    def run(self) -> int:
        """Turn until a signal, or until all is done; return the exit code."""
        with self._publishers:
            while not self._is_over():
                self._turn()
        self._take_last_results()
        self._life.release()
        ended = self._tally.ended
        waiting = f", {len(self._life.held)} held" if self._life.held else ""
        log.info("stopped: %d done, %d failed%s", ended[JobState.DONE], ended[JobState.FAILED], waiting)
        return self._exit_code()

    def _turn(self) -> None:
        self._read_events()
        now = time.monotonic()
        if self._wants_reload:
            self._wants_reload = False
            self._service.announce_reload()
            self._reload()
            self._service.announce_reloaded()
        if not self._stops:
            if self._plugins.look(now):
                log.info("plugin files changed; loading the plugins anew")
                self._load_plugins_anew()
            self._look_for_inbox(now)
            if self._tree.problem is None:
                self._intake.take_in(now)
        if not self._stops:
            self._fetches.look(now)
        self._life.look_again(now)
        self._life.queue.pause(self._ledger.pauses())
        self._cancel(self._ledger.take_cancelled())
        self._ledger.tidy(now)
        self._dispatch()
        self._roster.tick(now)  # behind it: a worker that was given something is not idle
        for move in self._life.ends.take_moves():
            self._publishers.submit(self._move_files, move)
        self._report.write_if_due(now, "draining" if self._stops else "running")
        self._tell_service(now)

    def _look_for_inbox(self, now: float) -> None:
        """Work only while the inbox is there; when it has come, take up what is claimed in it and look through it."""
        if now < self._inbox_look_due:
            return
        self._inbox_look_due = now + _INBOX_SECONDS
        if self._tree.look() and self.recover():
            self._life.look_at_all()
            self._intake.look_anew()
        if self._tree.problem is None and now >= self._take_over_due:
            self._take_over_due = now + _TAKE_OVER_SECONDS
            self._recovery.take_over()

    def _tell_service(self, now: float) -> None:
        is_settled = self._intake.is_watching or self._tree.problem is not None
        can_work = bool(self._life.running or self._roster.has_vacancy)
        is_broken = self._roster.problem is not None  # that shows in the status; the service itself runs
        if not self._service.is_ready and is_settled and (can_work or is_broken):
            self._service.announce_ready()
        self._service.beat(now, self._report.pulses)

    # Events

    def _read_events(self) -> None:
        """Wait until there is something to do, then take what has come."""
        try:
            event = self._events.get(timeout=self._wait_seconds())
        except queue.Empty:
            return
        end = time.monotonic() + _EVENT_SECONDS
        self._handle(event)
        while time.monotonic() < end:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            self._handle(event)

    def _wait_seconds(self) -> float | None:
        deadlines = [
            self._roster.next_deadline(),
            self._life.next_deadline(),
            self._service.next_deadline(),
            self._report.next_deadline(),
            self._ledger.next_deadline(),
            self._fetches.next_deadline(),
            self._stop_by,
        ]
        if not self._stops:
            deadlines += [self._inbox_look_due, self._plugins.next_look]
            if self._tree.problem is None:
                deadlines.append(self._intake.next_deadline())
        due = [deadline for deadline in deadlines if deadline is not None]
        return min(max(0.0, min(due) - time.monotonic()), threading.TIMEOUT_MAX) if due else None

    def _handle(self, event: Event) -> None:
        match event:
            case FileEvent():
                self._intake.handle(event)
            case Signalled(number):
                self._handle_signal(number)
            case Published():
                self._life.finish(event)
            case PutAway():
                self._life.ends.note_put_away(event)
            case FetchAdvanced() | FetchEnded():
                self._fetches.handle(event)
            case Crashed(error):
                raise error
            case _:
                if (news := self._roster.handle(event)) is not None:
                    self._handle_work(news)

    def _handle_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._wants_reload = True  # done once a turn, however many there are
        elif number == WAKE:
            self._life.look_at_all()
        else:
            self._stop_soon(number)

    def _handle_work(self, event: News) -> None:
        match event:
            case Ready():
                self._handle_ready(event)
            case Advanced():
                self._report.note(event)
                self._life.advance(event.job)
            case Writing():
                self._report.note(event)
            case SeatDreamed():
                self._handle_done(event.answer, event.kind)
            case Yielded():
                self._life.take_back(event.job, self._pace.within(TURN_SECONDS))
            case NotDone():
                self._report.forget(event.job)
                self._life.give_up(self._with_fetch(event))
            case SeatFailed(answer):
                self._report.forget(answer.job)
                self._life.lose_worker((answer.job,), answer.reason, failure=None)
            case SeatLost():
                self._handle_death(event)

    def _handle_ready(self, ready: Ready) -> None:
        log.info("worker ready: %s (%s), precision auto is %s", ready.device, ready.device_name, ready.precision)
        self._false_starts = 0
        if ready.catalogue is not None:
            self._plugins.learn_engine(ready.catalogue)
            self._life.learn(ready.catalogue)
            write_catalogue(ready.catalogue, self._config)

    def _with_fetch(self, answer: NotDone) -> NotDone:
        """Have the weights fetched that an answer tells to be missing; its reason says what becomes of them."""
        if answer.weights is None:
            return answer
        missing = answer.weights
        source = Download(url=missing.url, sha256=missing.sha256, filename=missing.filename, size=missing.size)
        return answer.model_copy(update={"reason": self._fetches.need(missing.backbone, source)})

    def _handle_done(self, done: Done, kind: str) -> None:
        self._report.forget(done.job)
        if (job := self._life.running.get(done.job)) is not None and done.sidecar.frames is None:
            self._pace.learn(job.recipe, kind, done.sidecar.seconds)
            self._estimates.learn(job.recipe, done.sidecar.seconds, done.sidecar.size)
        self._dispatch()  # first: the worker dreams the next ones while this one is published
        publish = self._life.publish(done)
        if publish is not None:
            self._publishers.submit(self._move_files, publish)

    def _move_files(self, move: Callable[[], Published | PutAway]) -> None:
        """Publish, or put an original away, in a thread of its own: the loop never waits for a disk."""
        try:
            self._events.put(move())
        except BaseException as error:  # noqa: BLE001 (raised by the loop, which ends by it)
            self._events.put(Crashed(error))

    def _handle_death(self, death: SeatLost) -> None:
        if death.plugin is not None:
            log.error("%s while it loaded the plugin %s; starting another without that", death.reason, death.plugin)
        else:
            log.error("%s%s", death.reason, "" if death.was_ready else " before it was ready; starting another later")
            self._false_starts += not death.was_ready
        for job in death.jobs:
            self._report.forget(job)
        failure = death.failure if death.was_ready else None
        self._life.lose_worker(death.jobs, death.reason, failure=failure)

    # Work

    def _dispatch(self) -> None:
        """Give the workers that are free what is next."""
        if self._roster.problem is not None:
            self._life.hold_all("plugin", self._roster.problem)
        if self._stops or self._tree.problem is not None or not self._life.queue.has_work:
            return
        self._roster.wake(len(self._life.queue) + len(self._life.running))
        while (job := self._life.queue.peek()) is not None:
            # A job that was tried before has a worker to itself, so that it can take down nobody else.
            seat = self._roster.vacancy(job.id, alone=job.attempts > 0)
            if seat is None:
                if not self._roster.has_seat(alone=job.attempts > 0):
                    return
                self._life.queue.put_off(time.monotonic() + _ELSEWHERE_SECONDS)  # the others need not wait with it
                continue
            most = self._pace.jobs(job.recipe, self._roster.kind_of(seat))
            batch = self._life.start(self._roster.most_at(seat, most))
            if batch is None:  # none may start, or the rest is for the next turn
                return
            self._roster.order(seat, batch)

    def _cancel(self, job_ids: Collection[str]) -> None:
        """Cancel jobs. One that a worker has is over for the daemon; the worker is told to stop."""
        if not job_ids:
            return
        running = self._life.cancel(job_ids)
        for job in running:
            self._report.forget(job)
        if running:
            self._roster.cancel(running)

    # Changes

    def _reload(self) -> None:
        """Read the config again: its defaults and named recipes count from the next picture on, and new workers load
        the plugins anew. A config that is wrong changes nothing."""
        try:
            config = load_config(self._config.file)
        except DreamdError as error:
            log.error("not reloaded: %s", error)
            return
        changed = [name for name in _FIXED if getattr(config, name) != getattr(self._config, name)]
        if changed:
            log.warning("reloaded; these take a restart: %s", ", ".join(changed))
        else:
            log.info("reloaded")
        self._life.use_book(config.model_copy(update={"inbox": self._config.inbox}).recipe_book())
        self._fetches.use_rule(config.weights.fetch)
        self._load_plugins_anew()
        self._on_reload()

    def _load_plugins_anew(self) -> None:
        """Load the plugins that listen here, and the engine's in new workers, each when its batch is finished.

        A process that has never seen the old code is the only sure way; jobs that wait for a plugin get a worker even
        where all are unloaded, since only a worker can tell what the new plugins bring.
        """
        self._plugins.load_anew()
        had_problem = self._roster.problem is not None
        self._roster.restart()
        if had_problem:
            self._life.look_at_all()
        if self._life.held:
            self._roster.wake(len(self._life.held))

    # The end

    def _stop_soon(self, number: int) -> None:
        self._stops += 1
        if self._stop_by is None:
            seconds = self._config.limits.stop_seconds
            self._stop_by = time.monotonic() + seconds
            self._service.announce_stop(seconds)
        name = signal.Signals(number).name
        if self._stops == 1 and self._life.running:
            log.info("%s: finishing %d running; the rest waits for the next start", name, len(self._life.running))
        elif self._stops > 1:
            log.info("%s again: stopping at once; what was running waits for the next start", name)

    def _is_over(self) -> bool:
        if self._stops:
            return self._stops > 1 or not self._life.running or self._is_out_of_time()
        if not self._until_empty:
            return False
        life = self._life
        waits = (
            life.queue.has_work
            or life.running
            or life.ends.moving
            or life.cancelling
            or self._intake.has_work
            or self._fetches.is_running
        )
        is_away = self._tree.problem is not None and not life.running and not life.ends.moving
        return self._is_hopeless() or is_away or (self._intake.is_watching and not waits)

    def _is_out_of_time(self) -> bool:
        """Whether what runs when the daemon is told to stop has had its time; it then waits for the next start."""
        return self._stop_by is not None and time.monotonic() >= self._stop_by

    def _is_hopeless(self) -> bool:
        """Whether no worker runs, and none could be started."""
        if self._false_starts < _FALSE_STARTS:
            return False
        return not any(view.state in (WorkerState.IDLE, WorkerState.BUSY) for view in self._roster.workers())

    def _take_last_results(self) -> None:
        """Take note of what was published while the loop ended: that is done, and not to be dreamed again."""
        if self._stops == 1 and self._life.running and self._is_out_of_time():
            seconds, running = self._config.limits.stop_seconds, len(self._life.running)
            log.info("%g s are over (limits.stop_seconds): %d running wait for the next start", seconds, running)
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, Published | PutAway | Crashed):
                self._handle(event)

    def _exit_code(self) -> int:
        if not self._until_empty:
            return 0
        if self._is_hopeless():
            log.error("no worker can be started; what is left waits for the next start")
        if self._tree.problem is not None:
            log.error("%s", self._tree.problem)
            return 1
        life = self._life
        is_undone = self._tally.ended[JobState.FAILED] or life.waiting or life.ends.not_put_away or self._intake.refused
        return 1 if is_undone else 0


def _most_at_a_time(config: Config) -> int:
    """Return how many jobs a worker may be given at a time."""
    if config.limits.attempts == 1:  # nobody shall lose the only attempt there is to a neighbour
        return 1
    return _MOST_AT_A_TIME if config.workers.batch == "auto" else config.workers.batch

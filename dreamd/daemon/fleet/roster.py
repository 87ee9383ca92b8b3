"""The roster: every seat, what it has in hand, and whether it may be given more.

The loop alone calls it. What an executor tells comes as events, in their order, so that nothing here needs a lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from dreamd.daemon.fleet.absences import Absences
from dreamd.daemon.fleet.events import Closed, Door, FleetEvent, Opened, Refused, Spoke, Troubled
from dreamd.daemon.fleet.news import News, SeatDreamed, SeatFailed, SeatLost
from dreamd.daemon.fleet.open_seat import OpenSeat, Verdict
from dreamd.daemon.fleet.sickness import Sickness
from dreamd.daemon.fleet.vacancies import Vacancies
from dreamd.daemon.fleet.views import WorkerState, WorkerView
from dreamd.executors.executor import Bundle, Demand, Seat
from dreamd.executors.guarded import GuardedExecutor
from dreamd.messages import Advanced, Batch, Done, Importing, NotDone, Ready, Said, Unable, Yielded
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.settings.config import Config

log = logging.getLogger(__name__)

_STALE_SECONDS = 1.0
"""The time in which a seat that was to be opened anew while it was being opened may be given a batch, in seconds.

Else reloads that come faster than a worker starts would keep every picture waiting.
"""

_START_SECONDS = 300.0
"""The time that a worker may take to be ready, in seconds; torch from a slow disk takes a minute."""

_CANCEL_SECONDS = 2.0
"""The time in which a worker stops a dream that was cancelled, in seconds, before its seat is dropped."""

_SPARE_SECONDS = 1800.0
"""The wait before a seat is opened again whose GPU could not be used, while others work, in seconds: each time costs
the processor seconds."""

_END_SECONDS = 10.0
"""The time that all workers have to end when the daemon ends, in seconds."""


class Roster:
    """All seats.

    Attributes:
        changes: how much has changed of what `workers` shows: another number, another picture.
        trouble: why no seats can be had, for a person; None: they can.
    """

    def __init__(
        self,
        executor: GuardedExecutor,
        config: Config,
        put: Callable[[FleetEvent], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up.

        Args:
            executor: where seats come from.
            config: the config.
            put: puts an event into the loop's queue; any thread may call it.
            clock: tells the time in seconds.
        """
        self._clock = clock
        self._executor = executor
        self._config = config
        self._put = put
        self._open: dict[str, OpenSeat] = {}
        self._known: dict[str, Seat] = {}
        self._errors: dict[str, str] = {}
        self._absences = Absences()
        self._vacancies = Vacancies()
        self._sickness = Sickness()
        self._distrusted: dict[str, str] = {}
        self._catalogue: Catalogue | None = None
        self._jobs = 1
        self._is_begun = False
        self.changes = 0
        self.trouble: str | None = None

    @property
    def problem(self) -> str | None:
        """What the executor's plugin raised; None: nothing."""
        return self._executor.problem

    # From the loop

    def start(self) -> None:
        """Have the executor open its seats."""
        self._executor.open(Door(self._put))
        self._is_begun = self.problem is None
        self._renew()
        self._want(self._clock())

    def wake(self, jobs: int) -> None:
        """Have seats opened that were unloaded: so many jobs wait or run, or something else needs a worker."""
        now = self._clock()
        self._absences.expect_work(now)
        is_other = jobs.bit_length() != self._jobs.bit_length()  # twice as many are worth telling, and one more is not
        self._jobs = max(1, jobs)
        if is_other or self._absences.take_due(now):
            self._want(now)

    @property
    def seats(self) -> int:
        """How many seats are open, or being opened."""
        return len(self._open)

    @property
    def has_vacancy(self) -> bool:
        """Whether a batch can be taken now."""
        return self.problem is None and bool(self._vacancies)

    def vacancy(self, job: str, *, alone: bool) -> str | None:
        """Return the seat for a job; None when there is none now. A job's attempt counts from then on, so that only
        seats count whose worker is ready.

        Args:
            job: its id. It does not go where it failed before, while there is another seat.
            alone: at a seat that has nothing in hand, because it may take the worker down.
        """
        if self.problem is not None:
            return None
        failed_at = self._sickness.places_of(job)
        avoided = failed_at if any(seat not in failed_at for seat in self._open) else frozenset()
        return self._vacancies.first(alone=alone, avoided=avoided)

    def has_seat(self, *, alone: bool) -> bool:
        """Whether there is a seat now for a job that has failed nowhere; `alone` as in `vacancy`."""
        return self.problem is None and self._vacancies.first(alone=alone, avoided=()) is not None

    def most_at(self, seat: str, most: int) -> int:
        """Return how many jobs a seat may be given of so many: one, when it has to prove itself."""
        return 1 if self._sickness.must_prove_itself(seat) else most

    def kind_of(self, seat: str) -> str:
        """Return what kind of device is at a seat: pictures take as long at all of a kind."""
        ready = self._open[seat].ready
        return "" if ready is None else ready.device_name or ready.device

    def reserve(self, seat: str, jobs: Sequence[str]) -> None:
        """Count jobs as in a seat's hand, which it is about to be given."""
        one = self._open[seat]
        if not one.in_hand:
            one.deadline = self._time_out()
        one.in_hand.give(jobs)
        self._note(one)

    def give_back(self, seat: str, jobs: Sequence[str]) -> None:
        """Count jobs as reserved no more: it is not given them."""
        one = self._open[seat]
        for job in jobs:
            one.in_hand.take(job)
        self._note(one)

    def order(self, seat: str, batch: Batch) -> None:
        """Give a batch to a seat."""
        one = self._open[seat]
        self.reserve(seat, batch.jobs)
        if not self._executor.order(seat, batch):
            for job in batch.jobs:
                one.in_hand.take(job)
            self._put(Refused(batch.jobs))
            if self.problem is None:
                one.verdict = one.verdict or Verdict("it was gone when it was given work")
        self._note(one)

    def cancel(self, jobs: Sequence[str]) -> None:
        """Have seats stop working on jobs. One that does not stop in time is dropped: its worker may hang, or be in the
        middle of a step that takes minutes. What else it has in hand goes elsewhere, with no attempt counted."""
        for seat, one in self._open.items():
            if mine := one.in_hand.among(jobs):
                one.cancelled.update(mine)
                one.cancelled_due = self._clock() + _CANCEL_SECONDS
                self._executor.cancel(seat, mine)

    def restart(self) -> None:
        """Have every seat opened anew, when its hand is empty, so that workers load the plugins again."""
        self._executor.problem = None
        self._distrusted.clear()
        for one in self._open.values():
            if one.verdict is not None:  # its executor may have raised when it was to drop the seat
                self._executor.drop(one.seat.id, one.verdict.why, now=True)
        if self._is_begun:
            self._renew()
            self._want(self._clock())
        else:
            self.start()

    def stop(self) -> None:
        """End every seat now."""
        self._executor.problem = None  # whatever has gone wrong, its workers have to be ended
        self._executor.close(_END_SECONDS)

    def workers(self) -> Sequence[WorkerView]:
        """Show every seat, for `dreamd status`."""
        return [self._view(seat) for seat in self._known.values()]

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do next, as a time of `time.monotonic`."""
        dues = [one.next_look for one in self._open.values() if one.verdict is None]
        if (due := self._absences.next_due()) is not None:
            dues.append(due)
        return min(dues, default=None)

    def tick(self, now: float) -> None:
        """Do what is due: drop a seat that takes too long or is idle, and have those opened that may be again."""
        for one in [one for one in self._open.values() if one.verdict is None and one.next_look <= now]:
            self._look_after(one, now)
        if self._absences.take_due(now):
            self._want(now)

    # From executors

    def handle(self, event: FleetEvent) -> News | None:
        """Take note of what an executor told; return what of it is for the loop."""
        self.changes += 1
        match event:
            case Opened(seat):
                self._take_opened(seat)
            case Spoke(seat, message):
                one = self._open.get(seat)
                return None if one is None else self._take_message(one, message)
            case Closed():
                return self._take_closed(event)
            case Refused(jobs):
                return SeatLost(jobs, "a worker was gone before it began", was_ready=True, failure=None)
            case Troubled(text):
                self._take_trouble(text)
        return None

    def _take_opened(self, seat: Seat) -> None:
        if seat.id in self._open:
            log.warning("the executor opened the seat %s twice", seat.id)
            return
        self._absences.end(seat.id)
        self._known[seat.id] = seat
        self._open[seat.id] = OpenSeat(seat, self._clock() + _START_SECONDS)

    def _take_message(self, one: OpenSeat, message: Said) -> News | None:
        match message:
            case Importing():
                one.importing = message if message.plugin is not None else None
                return None
            case Ready():
                return self._take_ready(one, message)
            case Unable(reason=reason):
                one.verdict = one.verdict or Verdict(reason, "worker")
                return None
            case Advanced(busy_seconds=seconds):
                one.load.note(seconds)
            case Done() | NotDone() | Yielded():
                return self._take_answer(one, message)
        return message

    def _take_ready(self, one: OpenSeat, ready: Ready) -> Ready | None:
        one.ready, one.importing = ready, None
        if not one.is_stale and self._is_other(ready.catalogue):
            why = "its plugins are not those of the other workers; it is opened anew"
            self._drop(one, Verdict(why, None, is_fault=True))
            return None
        self._errors.pop(one.seat.id, None)
        one.deadline = self._idle_deadline()
        if one.is_stale:
            one.deadline = self._clock() + _STALE_SECONDS
        else:
            self._catalogue = self._catalogue or ready.catalogue
        self._note(one)
        return ready

    def _is_other(self, catalogue: Catalogue | None) -> bool:
        """Whether a worker's plugins are not those of the seats that were opened before it."""
        return None not in (catalogue, self._catalogue) and catalogue != self._catalogue

    def _take_answer(self, one: OpenSeat, answer: Done | NotDone | Yielded) -> News | None:
        """Take an answer; None for one that nobody waits for: it was given twice, or its seat was given up."""
        if not one.in_hand.take(answer.job):
            return None
        seat = one.seat.id
        one.cancelled.discard(answer.job)
        self._absences.forget_failures(seat)
        one.deadline = self._time_out() if one.in_hand else self._idle_deadline()
        news: News
        if not isinstance(answer, NotDone):
            one.load.note(answer.busy_seconds)
            self._sickness.note_dream(seat, answer.job)
        if isinstance(answer, Done):
            news = SeatDreamed(answer, self.kind_of(seat))
        elif (
            isinstance(answer, NotDone)
            and answer.hold is None
            and not answer.final
            and self._is_sick_by(seat, answer.job)
        ):
            news = SeatFailed(answer)
        else:
            news = answer
        if one.is_stale and not one.in_hand:
            self._drop_stale(one)
        self._note(one)
        return news

    def _take_closed(self, closed: Closed) -> SeatLost | None:
        one = self._open.pop(closed.seat, None)
        if one is None:
            return None
        seat, now = closed.seat, self._clock()
        self._vacancies.note(seat, is_vacant=False, is_empty=False)
        verdict = one.verdict or Verdict(closed.why, closed.failure if closed.fault == "worker" else None)
        lost, was_ready = one.in_hand.jobs, one.ready is not None
        failure = verdict.failure
        if lost and was_ready and failure is not None and self._is_sick_by(seat, lost[0]):
            failure = None
        if one.verdict is not None and one.verdict.failure is None:
            self._go_by_order(seat, verdict, now)
            return SeatLost(lost, verdict.why, was_ready, failure=None) if lost else None
        plugin = self._distrust(one, verdict.why)
        self._errors[seat] = verdict.why
        if closed.fault != "worker":
            self._forget(seat)
        elif one.seat.is_spare and not was_ready and not lost and plugin is None:
            self._absences.add(seat, now + _SPARE_SECONDS)
            log.warning("%s: %s", one.seat.device, verdict.why)
            return None
        else:
            is_explained = (was_ready and bool(lost)) or plugin is not None
            wait = 0.0 if is_explained else self._absences.next_wait(seat)
            self._absences.add(seat, max(now + wait, self._sickness.rest_of(seat)))
        return SeatLost(lost, verdict.why, was_ready, plugin, failure)

    def _go_by_order(self, seat: str, verdict: Verdict, now: float) -> None:
        """Take note that a seat is gone which the roster dropped itself."""
        self._errors.pop(seat, None)
        due = max(now, self._sickness.rest_of(seat))
        if verdict.is_fault:
            due = max(due, now + self._absences.next_wait(seat))
        if due > now:
            self._errors[seat] = verdict.why
        self._absences.add(seat, due if verdict.is_missed else None)

    def _take_trouble(self, text: str | None) -> None:
        if text is not None and text != self.trouble:
            log.warning("no workers: %s", text)
        self.trouble = text

    # Steps

    def _note(self, one: OpenSeat) -> None:
        """Take note of how a seat is now."""
        self.changes += 1
        self._vacancies.note(one.seat.id, is_vacant=one.is_vacant, is_empty=not one.in_hand)

    def _look_after(self, one: OpenSeat, now: float) -> None:
        limit = self._config.limits.timeout_seconds
        if one.cancelled and one.cancelled_due <= now:
            why = "it was ended, for it did not stop a dream that was cancelled"
            self._drop(one, Verdict(why, None), now=True)
        elif one.ready is None:
            self._drop(one, Verdict(f"the worker was not ready after {_START_SECONDS:g} s", "worker"), now=True)
        elif one.in_hand:
            why = f"it took longer than limits.timeout_seconds ({limit:g} s)"
            self._drop(one, Verdict(why, "time"), now=True)
        elif one.is_stale:
            self._drop_stale(one)
        else:
            seconds = self._config.workers.idle_unload_seconds
            log.info("%s: idle for %g s; unloaded", one.seat.device, seconds)
            self._drop(one, Verdict("it was idle", None, is_missed=False))

    def _drop(self, one: OpenSeat, verdict: Verdict, *, now: bool = False) -> None:
        if one.verdict is None:
            one.verdict = verdict
            self._executor.drop(one.seat.id, verdict.why, now=now)
        self._vacancies.note(one.seat.id, is_vacant=False, is_empty=False)

    def _drop_stale(self, one: OpenSeat) -> None:
        self._drop(one, Verdict("its worker loads the plugins anew", None))

    def _renew(self) -> None:
        """Have seats opened with what counts now; those that are open are dropped when their hand is empty."""
        self._catalogue = None
        self._executor.renew(Bundle(config=self._config, distrusted=dict(self._distrusted)))
        for one in self._open.values():
            one.is_stale = True
            if one.ready is not None and not one.in_hand:
                self._drop_stale(one)
            self._note(one)

    def _want(self, now: float) -> None:
        self._executor.want(Demand(jobs=self._jobs, barred=self._absences.barred(now)))

    def _is_sick_by(self, seat: str, job: str) -> bool:
        """Take note that a picture failed at a seat; return whether the seat is sick, which then rests."""
        if not self._sickness.note_failure(seat, job, self._clock()):
            return False
        why = "several pictures in a row failed here, and others elsewhere did not; it rests"
        log.error("%s: %s", self._known[seat].device, why)
        if (one := self._open.get(seat)) is not None:
            self._drop(one, Verdict(why, None))
        return True

    def _distrust(self, one: OpenSeat, reason: str) -> str | None:
        """Have workers do without the plugin that this one ended over, if it did; return the plugin's name."""
        if one.importing is None or one.importing.plugin is None:
            return None
        why = f"loading it ended its worker ({reason}); it is tried again when its files change, or on a reload"
        self._distrusted[one.importing.plugin] = why
        self._renew()
        return one.importing.plugin

    def _forget(self, seat: str) -> None:
        """Forget a seat whose machine is gone: should it come back, the executor opens it as it sees fit."""
        self._absences.end(seat)
        self._errors.pop(seat, None)
        del self._known[seat]

    def _view(self, seat: Seat) -> WorkerView:
        error = self._errors.get(seat.id)
        if (one := self._open.get(seat.id)) is not None:
            return one.view(error)
        return WorkerView(
            device=seat.device,
            device_name="",
            precision="",
            state=WorkerState.STOPPED,
            jobs=(),
            pid=None,
            node=seat.node,
            error=error,
        )

    def _time_out(self) -> float:
        return self._clock() + self._config.limits.timeout_seconds

    def _idle_deadline(self) -> float:
        return self._clock() + self._config.workers.idle_unload_seconds

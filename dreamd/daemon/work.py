"""The work: which job goes to which seat, and what becomes of it by what is said there.

Knows jobs and seats. Knows no inbox, no signal and no end of the daemon.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection

from dreamd.daemon.disks.publishers import Publishers
from dreamd.daemon.fleet.events import FleetEvent
from dreamd.daemon.fleet.news import News, SeatDreamed, SeatFailed, SeatLost
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.fleet.views import WorkerState
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.pace import Paces
from dreamd.daemon.plugins import LivePlugins, write_catalogue
from dreamd.daemon.report import Report
from dreamd.daemon.weights.fetches import Fetches
from dreamd.messages import Advanced, Batch, NotDone, Ready, Sidecar, Writing, Yielded
from dreamd.settings.config import Config
from dreamd.weights.sources import Download

log = logging.getLogger(__name__)

_AHEAD_SECONDS = 2.0
"""The work that a worker is given at a time, in seconds: enough to overlap and to batch, little enough to stop soon."""

_MOST_AT_A_TIME = 32
"""The number of jobs given to a worker at a time when `workers.batch` is `auto`."""

_DRAW_SECONDS = 0.005
"""The time in which jobs are taken for seats in a turn of the loop, in seconds: a thousand may be vacant at once."""

_TURN_SECONDS = 10.0
"""The work of others that goes before a film, or a file of pages, whose turn is over, in seconds."""

_ELSEWHERE_SECONDS = 2.0
"""The time after which a job is looked at again that waits for another seat than where it failed, in seconds."""

_FALSE_STARTS = 3
"""The number of deaths in a row, each before the worker was ready, after which `dreamd drain` gives up."""


class Work:
    """Gives seats their work, and takes what is said there."""

    def __init__(
        self,
        *,
        config: Config,
        life: Lifecycle,
        roster: Roster,
        plugins: LivePlugins,
        report: Report,
        fetches: Fetches,
        paces: Paces,
        publishers: Publishers,
        may_start: Callable[[], bool],
    ) -> None:
        """Set up.

        Args:
            config: the config.
            life: the jobs.
            roster: the seats at which workers dream.
            plugins: the plugins.
            report: the report of the daemon's state.
            fetches: the weights that are missing.
            paces: how long pictures take.
            publishers: what publishes results.
            may_start: tells whether anything may be started now.
        """
        self._config = config
        self._life = life
        self._roster = roster
        self._plugins = plugins
        self._report = report
        self._fetches = fetches
        self._paces = paces
        self._publishers = publishers
        self._most_at_a_time = _most_at_a_time(config)
        self._may_start = may_start
        self._false_starts = 0

    def dispatch(self) -> None:
        """Give the seats that are vacant what is next."""
        if self._roster.problem is not None:
            self._life.hold_all("plugin", self._roster.problem)
        self._dispatch()

    def cancel(self, job_ids: Collection[str]) -> None:
        """Cancel jobs. One that a worker has is over for the daemon; the worker is told to stop."""
        if not job_ids:
            return
        running = self._life.cancel(job_ids)
        for job in running:
            self._report.forget(job)
        if running:
            self._roster.cancel(running)

    @property
    def is_hopeless(self) -> bool:
        """Whether no worker runs, and none could be started."""
        if self._false_starts < _FALSE_STARTS:
            return False
        return not any(view.state in (WorkerState.IDLE, WorkerState.BUSY) for view in self._roster.workers())

    def handle(self, event: FleetEvent) -> None:
        """Take what an executor told."""
        if (news := self._roster.handle(event)) is not None:
            self._take(news)

    def _take(self, news: News) -> None:
        match news:
            case Ready():
                self._take_ready(news)
            case Advanced():
                self._report.note(news)
                self._life.advance(news.job)
            case Writing():
                self._report.note(news)
            case SeatDreamed():
                self._take_dream(news)
            case Yielded():
                self._life.take_back(news.job, self._paces.last_within(_TURN_SECONDS))
            case NotDone():
                self._report.forget(news.job)
                self._life.give_up(self._with_fetch(news))
            case SeatFailed(answer):
                self._report.forget(answer.job)
                self._life.lose_worker((answer.job,), answer.reason, failure=None)
            case SeatLost():
                self._take_loss(news)

    def _take_ready(self, ready: Ready) -> None:
        log.info("worker ready: %s (%s), precision auto is %s", ready.device, ready.device_name, ready.precision)
        self._false_starts = 0
        if ready.catalogue is not None:
            self._plugins.learn_engine(ready.catalogue)
            self._life.learn(ready.catalogue)
            write_catalogue(ready.catalogue, self._config)

    def _take_dream(self, dreamed: SeatDreamed) -> None:
        done = dreamed.answer
        self._report.forget(done.job)
        if (job := self._life.running.get(done.job)) is not None and _is_of_one_picture(done.sidecar):
            self._paces.learn(job.recipe, dreamed.kind, done.sidecar.seconds, done.sidecar.size)
        self._dispatch()  # first: the worker dreams the next ones while this one is published
        publish = self._life.publish(done)
        if publish is not None:
            self._publishers.publish(publish)

    def _with_fetch(self, answer: NotDone) -> NotDone:
        """Have the weights fetched that an answer tells to be missing; its reason says what becomes of them."""
        if answer.weights is None:
            return answer
        missing = answer.weights
        source = Download(url=missing.url, sha256=missing.sha256, filename=missing.filename, size=missing.size)
        return answer.model_copy(update={"reason": self._fetches.need(missing.backbone, source)})

    def _take_loss(self, loss: SeatLost) -> None:
        if loss.plugin is not None:
            log.error("%s while it loaded the plugin %s; starting another without that", loss.reason, loss.plugin)
        else:
            log.error("%s%s", loss.reason, "" if loss.was_ready else " before it was ready; starting another later")
            self._false_starts += not loss.was_ready
        for job in loss.jobs:
            self._report.forget(job)
        self._life.lose_worker(loss.jobs, loss.reason, failure=loss.failure if loss.was_ready else None)

    def _dispatch(self) -> None:
        queue = self._life.queue
        if not self._may_start() or not queue.has_work or self._publishers.is_behind:
            return
        self._roster.wake(len(queue) + len(self._life.running))
        drawn = self._draw(time.monotonic() + _DRAW_SECONDS)
        if not drawn:
            return
        if self._life.begin():
            for seat, batch in drawn:
                self._roster.order(seat, batch)
        else:
            for seat, batch in drawn:
                self._roster.give_back(seat, batch.jobs)

    def _draw(self, until: float) -> list[tuple[str, Batch]]:
        """Take the next jobs for the vacant seats; when it takes too long, the rest is for the next turn."""
        queue, drawn = self._life.queue, list[tuple[str, Batch]]()
        # Near a queue's end no seat may have work for seconds that another one waits for.
        even_part = math.ceil(len(queue) / max(1, self._roster.seats))
        while (job := queue.peek()) is not None:
            if time.monotonic() > until:
                self._life.begin_more()
                break
            # A job that was tried before has a worker to itself, so that it can take down nobody else.
            seat = self._roster.vacancy(job.id, alone=job.attempts > 0)
            if seat is None:
                if not self._roster.has_seat(alone=job.attempts > 0):
                    break
                queue.put_off(time.monotonic() + _ELSEWHERE_SECONDS)  # the others need not wait with it
                continue
            known = self._paces.within(_AHEAD_SECONDS, job.recipe, self._roster.kind_of(seat))
            batch = self._life.draw(self._roster.most_at(seat, min(known, even_part, self._most_at_a_time)))
            if batch is None:  # none may start, or the rest is for the next turn
                break
            self._roster.reserve(seat, batch.jobs)
            drawn.append((seat, batch))
        return drawn


def _is_of_one_picture(sidecar: Sidecar) -> bool:
    """Return whether how long a dream took tells of the size of its result."""
    return sidecar.frames is None and not sidecar.pages


def _most_at_a_time(config: Config) -> int:
    """Return how many jobs a worker may be given at a time."""
    if config.limits.attempts == 1:  # nobody shall lose the only attempt there is to a neighbour
        return 1
    return _MOST_AT_A_TIME if config.workers.batch == "auto" else config.workers.batch

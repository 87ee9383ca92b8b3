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
from collections.abc import Callable
from dataclasses import dataclass

from dreamd.daemon.disks.publishers import Publishers
from dreamd.daemon.events import Crashed, Event, EventQueue, Signalled
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.intake.intake import Intake
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.publishing import Published, PublishedTogether, PutAway
from dreamd.daemon.jobs.recovery import Recovery
from dreamd.daemon.plugins import LivePlugins
from dreamd.daemon.report import Report, Tally
from dreamd.daemon.stopping import Stopping
from dreamd.daemon.systemd import Service
from dreamd.daemon.weights.fetch_process import FetchAdvanced, FetchEnded
from dreamd.daemon.weights.fetches import Fetches
from dreamd.daemon.work import Work
from dreamd.errors import DreamdError
from dreamd.inbox.events import FileEvent
from dreamd.job import JobState
from dreamd.settings.config import Config, load_config
from dreamd.tree.attachment import Attachment
from dreamd.tree.control import WAKE

log = logging.getLogger(__name__)

_EVENT_SECONDS = 0.004
"""The time spent on events before the rest of a turn, in seconds: a storm of them must not keep jobs from starting."""

_INBOX_SECONDS = 1.0
"""The time between two looks whether the inbox is there, in seconds."""

_TAKE_OVER_SECONDS = 60.0
"""The time between two looks whether another daemon of a shared inbox is gone, in seconds: one that is only started
anew is to find its own pictures."""

_FIXED = (
    *("inbox", "outbox", "originals", "failed", "state"),
    *("plugins", "watch", "limits", "workers", "journal", "status"),
)
"""The fields of the config that a reload does not change."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the loop moves.

    Attributes:
        config: the config.
        events: what the loop is told of.
        life: the jobs.
        ledger: the memory.
        intake: what comes in.
        plugins: the plugins.
        roster: the seats at which workers dream.
        work: gives seats their work, and takes what is said there.
        publishers: what has to do with disks.
        tally: the jobs that have ended.
        report: the report of the daemon's state.
        fetches: the weights that are missing.
        service: the line to systemd.
        stopping: whether the daemon is to stop.
        tree: the hold on the inbox.
        recovery: takes up what is in work when the inbox comes.
        on_reload: called when the config has been read anew.
        until_empty: stop when everything in the inbox is finished or held.
    """

    config: Config
    events: EventQueue
    life: Lifecycle
    ledger: Ledger
    intake: Intake
    plugins: LivePlugins
    roster: Roster
    work: Work
    publishers: Publishers
    tally: Tally
    report: Report
    fetches: Fetches
    service: Service
    stopping: Stopping
    tree: Attachment
    recovery: Recovery
    on_reload: Callable[[], None]
    until_empty: bool


class Loop:
    """Moves the daemon's parts, turn by turn."""

    def __init__(self, parts: Parts) -> None:
        """Set up."""
        self._parts = parts
        self._inbox_look_due = 0.0
        self._take_over_due = 0.0
        self._wants_reload = False

    def recover(self) -> bool:
        """Take up what is in work, where nothing of it is known yet; returns whether the inbox is still there."""
        parts = self._parts
        if parts.life.waiting or parts.life.running or parts.life.ends.moving:
            return True
        try:
            parts.recovery.recover()
        except DreamdError as error:  # the inbox has gone away again: the next look takes it, and recovers, anew
            parts.tree.let_go(error)
            return False
        return True

    def run(self) -> int:
        """Turn until a signal, or until all is done; return the exit code."""
        parts = self._parts
        with parts.publishers:
            while not self._is_over():
                self._turn()
        self._take_last_results()
        parts.life.release()
        ended = parts.tally.ended
        waiting = f", {len(parts.life.held)} held" if parts.life.held else ""
        log.info("stopped: %d done, %d failed%s", ended[JobState.DONE], ended[JobState.FAILED], waiting)
        return self._exit_code()

    def _turn(self) -> None:
        """Do all that is to do now, a slice of each; of a thousand workers the snapshot alone takes as long."""
        parts = self._parts
        if parts.report.write_if_due(time.monotonic(), self._state()):
            return
        self._read_events()
        now = time.monotonic()
        if self._wants_reload:
            self._wants_reload = False
            parts.service.announce_reload()
            self._reload()
            parts.service.announce_reloaded()
        if not parts.stopping.is_wanted:
            self._look_around(now)
        parts.life.look_again(now)
        parts.life.queue.pause(parts.ledger.pauses())
        parts.work.cancel(parts.ledger.take_cancelled())
        parts.ledger.tidy(now)
        parts.work.dispatch()
        parts.roster.tick(now)  # behind it: a worker that was given something is not idle
        for move in parts.life.ends.take_moves():
            parts.publishers.submit(move)
        parts.report.look(self._state())
        self._tell_service(now)

    def _state(self) -> str:
        return "draining" if self._parts.stopping.is_wanted else "running"

    def _look_around(self, now: float) -> None:
        """Look for what has come from outside: plugins, the inbox and what is in it, weights."""
        parts = self._parts
        if parts.plugins.look(now):
            log.info("plugin files changed; loading the plugins anew")
            self._load_plugins_anew()
        self._look_for_inbox(now)
        if parts.tree.problem is None:
            parts.intake.take_in(now)
        parts.fetches.look(now)

    def _look_for_inbox(self, now: float) -> None:
        """Work only while the inbox is there; when it has come, take up what is claimed in it and look through it."""
        parts = self._parts
        if now < self._inbox_look_due:
            return
        self._inbox_look_due = now + _INBOX_SECONDS
        if parts.tree.look() and self.recover():
            parts.life.look_at_all()
            parts.intake.look_anew()
        if parts.tree.problem is None and now >= self._take_over_due:
            self._take_over_due = now + _TAKE_OVER_SECONDS
            parts.recovery.take_over()

    def _tell_service(self, now: float) -> None:
        parts = self._parts
        is_settled = parts.intake.is_watching or parts.tree.problem is not None
        can_work = bool(parts.life.running or parts.roster.has_vacancy)
        is_broken = parts.roster.problem is not None  # that shows in the status; the service itself runs
        if not parts.service.is_ready and is_settled and (can_work or is_broken):
            parts.service.announce_ready()
        parts.service.beat(now, parts.report.pulses)

    # Events

    def _read_events(self) -> None:
        """Wait until there is something to do, then take what has come."""
        parts = self._parts
        try:
            event = parts.events.get(timeout=self._wait_seconds())
        except queue.Empty:
            return
        end = time.monotonic() + _EVENT_SECONDS
        self._handle(event)
        while time.monotonic() < end:
            try:
                event = parts.events.get_nowait()
            except queue.Empty:
                return
            self._handle(event)

    def _wait_seconds(self) -> float | None:
        parts = self._parts
        deadlines = [
            parts.roster.next_deadline(),
            parts.life.next_deadline(),
            parts.service.next_deadline(),
            parts.report.next_deadline(),
            parts.ledger.next_deadline(),
            parts.fetches.next_deadline(),
            parts.stopping.by,
        ]
        if not parts.stopping.is_wanted:
            deadlines += [self._inbox_look_due, parts.plugins.next_look]
            if parts.tree.problem is None:
                deadlines.append(parts.intake.next_deadline())
        due = [deadline for deadline in deadlines if deadline is not None]
        return min(max(0.0, min(due) - time.monotonic()), threading.TIMEOUT_MAX) if due else None

    def _handle(self, event: Event) -> None:
        parts = self._parts
        match event:
            case FileEvent():
                parts.intake.handle(event)
            case Signalled(number):
                self._handle_signal(number)
            case Published():
                parts.life.finish(event)
            case PublishedTogether(outcomes):
                for outcome in outcomes:
                    parts.life.finish(outcome)
            case PutAway():
                parts.life.ends.note_put_away(event)
            case FetchAdvanced() | FetchEnded():
                parts.fetches.handle(event)
            case Crashed(error):
                raise error
            case _:
                parts.work.handle(event)

    def _handle_signal(self, number: int) -> None:
        parts = self._parts
        if number == signal.SIGHUP:
            self._wants_reload = True  # done once a turn, however many there are
        elif number == WAKE:
            parts.life.look_at_all()
        else:
            parts.stopping.take(number, len(parts.life.running))

    # Changes

    def _reload(self) -> None:
        """Read the config again: its defaults and named recipes count from the next picture on, and new workers load
        the plugins anew. A config that is wrong changes nothing."""
        parts = self._parts
        try:
            config = load_config(parts.config.file)
        except DreamdError as error:
            log.error("not reloaded: %s", error)
            return
        changed = [name for name in _FIXED if getattr(config, name) != getattr(parts.config, name)]
        if changed:
            log.warning("reloaded; these take a restart: %s", ", ".join(changed))
        else:
            log.info("reloaded")
        parts.life.use_book(config.model_copy(update={"inbox": parts.config.inbox}).recipe_book())
        parts.fetches.use_rule(config.weights.fetch)
        self._load_plugins_anew()
        parts.on_reload()

    def _load_plugins_anew(self) -> None:
        """Load the plugins that listen here, and the engine's in new workers, each when its batch is finished.

        A process that has never seen the old code is the only sure way; jobs that wait for a plugin get a worker even
        where all are unloaded, since only a worker can tell what the new plugins bring.
        """
        parts = self._parts
        parts.plugins.load_anew()
        had_problem = parts.roster.problem is not None
        parts.roster.restart()
        if had_problem:
            parts.life.look_at_all()
        if parts.life.held:
            parts.roster.wake(len(parts.life.held))

    # The end

    def _is_over(self) -> bool:
        parts = self._parts
        stopping = parts.stopping
        if stopping.is_wanted:
            return stopping.is_at_once or not parts.life.running or stopping.is_out_of_time
        if not parts.until_empty:
            return False
        life = parts.life
        waits = (
            life.queue.has_work
            or life.running
            or life.ends.moving
            or life.cancelling
            or parts.intake.has_work
            or parts.fetches.is_running
        )
        is_away = parts.tree.problem is not None and not life.running and not life.ends.moving
        return parts.work.is_hopeless or is_away or (parts.intake.is_watching and not waits)

    def _take_last_results(self) -> None:
        """Take note of what was published while the loop ended: that is done, and not to be dreamed again."""
        parts = self._parts
        parts.stopping.tell_end(len(parts.life.running))
        while not parts.events.empty():
            event = parts.events.get()
            if isinstance(event, Published | PublishedTogether | PutAway | Crashed):
                self._handle(event)

    def _exit_code(self) -> int:
        parts = self._parts
        if not parts.until_empty:
            return 0
        if parts.work.is_hopeless:
            log.error("no worker can be started; what is left waits for the next start")
        if parts.tree.problem is not None:
            log.error("%s", parts.tree.problem)
            return 1
        life = parts.life
        is_undone = parts.tally.ended[JobState.FAILED] or life.waiting or life.ends.not_put_away or parts.intake.refused
        return 1 if is_undone else 0

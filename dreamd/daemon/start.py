"""The daemon's start and end: opens what it needs, puts the parts together, and gives everything back."""

from __future__ import annotations

import gc
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dreamd.daemon.disks.publishers import Publishers
from dreamd.daemon.events import EventQueue, signals_to
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.intake.fairness import fair_room
from dreamd.daemon.intake.intake import Intake
from dreamd.daemon.jobs.endings import Endings
from dreamd.daemon.jobs.estimates import Estimates
from dreamd.daemon.jobs.ledger import Ledger
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.pace import Paces
from dreamd.daemon.jobs.recipes import JobRecipes
from dreamd.daemon.jobs.recovery import Recovery
from dreamd.daemon.load_record import LoadRecord
from dreamd.daemon.loop import Loop, Parts
from dreamd.daemon.page_process import PageProcess
from dreamd.daemon.plugins import LivePlugins
from dreamd.daemon.previews import drop_previews
from dreamd.daemon.report import Report, Tally
from dreamd.daemon.stopping import Stopping
from dreamd.daemon.systemd import Service
from dreamd.daemon.weights.fetches import Fetches
from dreamd.daemon.work import Work
from dreamd.executors.devices import check_devices
from dreamd.executors.executor import ExecutorContext
from dreamd.files.problems import os_error_explained, shown
from dreamd.inbox.watcher import Watcher
from dreamd.job import Job, JobState
from dreamd.settings.config import Config
from dreamd.tree.attachment import Attachment
from dreamd.tree.control import WAKE
from dreamd.tree.fetch_orders import FetchOrders
from dreamd.tree.identity import own_identity
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders, StateFolder, drafts_name
from dreamd.tree.lock import lock
from dreamd.tree.snapshot import Snapshot
from dreamd.tree.spool import Spool

_OBJECTS_BETWEEN_LOOKS = 20_000
"""The number of new objects after which Python looks for garbage: a snapshot of a thousand workers makes several
thousand, all of which go with it, and must not set off one look after the other."""


def run_daemon(
    config: Config,
    *,
    share: bool = False,
    until_empty: bool = False,
    on_snapshot: Callable[[Snapshot], None] | None = None,
) -> int:
    """Watch an inbox and have its pictures dreamed, until a signal or until all is done; return the exit code.

    Args:
        config: the config.
        share: let other daemons that share work on the same inbox; each has a state folder of its own.
        until_empty: stop when everything in the inbox is finished or held (`dreamd drain`).
        on_snapshot: told of every new snapshot, for a progress bar.

    Raises:
        DreamdError: the inbox is missing or another daemon has it, a folder cannot be made, or a worker's device is
            none.
    """
    check_devices(config)
    events: EventQueue = queue.SimpleQueue()
    state = StateFolder(config.state)
    _make_state_folder(config)
    plugins = LivePlugins(config.plugins, LoadRecord(state.loading))
    executor = plugins.make_executor(ExecutorContext(config=config))
    roster = Roster(executor, config, events.put)
    service = Service.from_environment()
    with (
        signals_to(events.put, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, WAKE),
        lock(state.lock, taken=_state_is_taken(config)) as held,
        Journal.open_checked(state.journal) as journal,
    ):
        daemon = own_identity(state).daemon
        spool = Spool(
            Folders.of(config),
            share=daemon if share else None,
            drafts=drafts_name(daemon),
            most_carried=int(config.limits.max_bytes),
        )
        with Attachment(spool, state, has_unfinished=lambda: _has_unfinished(journal), waits=not until_empty) as tree:
            opened = _Opened(
                *(config, events, plugins, roster, service, spool, tree, journal),
                locks=held.descriptors,
                until_empty=until_empty,
            )
            readers = [service.show] if on_snapshot is None else [service.show, on_snapshot]
            try:
                return _run(opened, readers)
            finally:
                spool.drop_drafts()


@dataclass(frozen=True)
class _Opened:
    """What is open before the daemon's loop is made."""

    config: Config
    events: EventQueue
    plugins: LivePlugins
    roster: Roster
    service: Service
    spool: Spool
    tree: Attachment
    journal: Journal
    locks: Sequence[int]
    until_empty: bool


def _run(opened: _Opened, readers: Sequence[Callable[[Snapshot], None]]) -> int:
    """Put the loop together and run it."""
    page = PageProcess(opened.config.file)
    parts = _parts(opened, page, readers)
    loop = Loop(parts)
    with _running(parts, page):
        parts.report.write("starting")
        if parts.tree.problem is None:
            loop.recover()
        parts.intake.watcher.start()
        parts.roster.start()
        gc.freeze()  # what is loaded by now is no garbage: looking through it would take a turn 40 ms
        gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
        return loop.run()


def _parts(opened: _Opened, page: PageProcess, readers: Sequence[Callable[[Snapshot], None]]) -> Parts:
    """Make what the loop moves."""
    config, spool = opened.config, opened.spool
    tally = Tally(opened.journal.counts())
    ledger = _ledger(opened, tally)
    life, recovery = _jobs(opened, ledger)
    paces = Paces()
    room = fair_room(life, opened.roster, paces) if spool.is_shared else None
    intake = Intake(_watcher(config, opened.events), life, until_empty=opened.until_empty, room=room)
    fetches = _fetches(opened, life)
    report = Report(
        config=config,
        lock_file=str(StateFolder(config.state).lock),
        tree=opened.tree,
        tally=tally,
        ledger=ledger,
        life=life,
        intake=intake,
        plugins=opened.plugins,
        roster=opened.roster,
        fetches=fetches,
        estimates=Estimates(paces, spool.work_path),
        page=page,
        readers=readers,
    )
    stopping = Stopping(config.limits.stop_seconds, opened.service)
    publishers = Publishers(spool, opened.events.put, locks=opened.locks)
    work = Work(
        config=config,
        life=life,
        roster=opened.roster,
        plugins=opened.plugins,
        report=report,
        fetches=fetches,
        paces=paces,
        publishers=publishers,
        may_start=lambda: not stopping.is_wanted and opened.tree.problem is None,
    )
    return Parts(
        config=config,
        events=opened.events,
        life=life,
        ledger=ledger,
        intake=intake,
        plugins=opened.plugins,
        roster=opened.roster,
        work=work,
        publishers=publishers,
        tally=tally,
        report=report,
        fetches=fetches,
        service=opened.service,
        stopping=stopping,
        tree=opened.tree,
        recovery=recovery,
        on_reload=page.reload,
        until_empty=opened.until_empty,
    )


def _ledger(opened: _Opened, tally: Tally) -> Ledger:
    """Make the memory, and have all be told that care about a job's change."""

    def note_change(job: Job) -> None:
        tally.count(job)
        opened.spool.note_attempts(job)
        opened.plugins.tell(job)

    return Ledger(opened.journal, note_change, keep=opened.config.journal.keep)


def _fetches(opened: _Opened, life: Lifecycle) -> Fetches:
    """Make what fetches the weights that jobs wait for."""
    return Fetches(
        orders=FetchOrders(opened.config.state),
        may_fetch=opened.config.weights.fetch,
        notify=opened.events.put,
        on_reason=life.change_reason,
        on_here=life.weights_fetched,
    )


def _jobs(opened: _Opened, ledger: Ledger) -> tuple[Lifecycle, Recovery]:
    """Make what jobs go through, and what takes up those of an earlier run."""
    config, spool = opened.config, opened.spool
    recipes = JobRecipes(config.recipe_book(), spool.work_path)
    attempts, checkpoints = config.limits.attempts, StateFolder(config.state).checkpoints
    ends = Endings(spool=spool, ledger=ledger, checkpoints=checkpoints)
    life = Lifecycle(spool=spool, ledger=ledger, recipes=recipes, attempts=attempts, ends=ends)
    recovery = Recovery(
        life=life,
        spool=spool,
        journal=opened.journal,
        ledger=ledger,
        recipes=recipes,
        attempts=attempts,
        checkpoints=checkpoints,
    )
    return life, recovery


@contextmanager
def _running(parts: Parts, page: PageProcess) -> Iterator[None]:
    """Have the page served inside; afterwards end everything that was started."""
    previews = StateFolder(parts.config.state).previews
    drop_previews(previews)
    try:
        if parts.config.status.listen is not None and not parts.until_empty:
            page.start()
        yield
    finally:
        page.stop()
        parts.fetches.stop()
        parts.roster.stop()
        drop_previews(previews)
        parts.intake.watcher.stop()
        parts.report.write("stopped")
        parts.plugins.close()


def _watcher(config: Config, events: EventQueue) -> Watcher:
    watch = config.watch
    return Watcher(
        config.inbox,
        notify=events.put,
        backend=watch.backend,
        settle_seconds=watch.settle_seconds,
        patience_seconds=watch.patience_seconds,
        rescan_seconds=watch.rescan_seconds,
        ignore=watch.ignore,
    )


def _make_state_folder(config: Config) -> None:
    try:
        config.state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_error_explained(error, "make", config.state) from error


def _state_is_taken(config: Config) -> str:
    place = shown(config.state).replace("{", "{{").replace("}", "}}")
    return (
        f"another dreamd ({{holder}}) works with the state folder {place}: stop it, or give this one a config with an "
        "inbox and a state folder of its own; two that share an inbox, with --share, have a state folder each"
    )


def _has_unfinished(journal: Journal) -> bool:
    counts = journal.counts()
    return any(counts[state] for state in (JobState.QUEUED, JobState.RUNNING, JobState.HELD))

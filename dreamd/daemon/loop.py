"""The daemon: one loop in one thread that reads one queue.

Watchdog's threads, workers' readers and signal handlers only put events into that queue; everything is done here, in
turn, so that nothing needs a lock. Never imports torch: that lives in the workers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from dreamd import __version__
from dreamd.daemon.lifecycle import Lifecycle, Published
from dreamd.daemon.page_process import PageProcess
from dreamd.daemon.queue import InTurn, Pace
from dreamd.daemon.systemd import Pulse, Service
from dreamd.errors import ConfigError, DreamdError, PluginError
from dreamd.executors.executor import Executor, ExecutorContext, ExecutorEvent, WorkerDied, WorkerState
from dreamd.inbox.events import FileEvent
from dreamd.inbox.recipes import RecipeChanged
from dreamd.inbox.settling import Settled
from dreamd.inbox.watcher import Watcher
from dreamd.job import Job, JobState
from dreamd.messages import Advanced, Done, Fetching, NotDone, Ready
from dreamd.plugin_host.blame import describe_error
from dreamd.plugin_host.catalogue import CATALOGUE_FILE, Catalogue, merged
from dreamd.plugin_host.discovery import stamp_of
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config, load_config
from dreamd.settings.schema import recipe_schema
from dreamd.tree.control import WAKE
from dreamd.tree.journal import Journal
from dreamd.tree.layout import Folders
from dreamd.tree.snapshot import Hold, RunningJob, Snapshot, WorkerStatus
from dreamd.tree.spool import Spool

log = logging.getLogger(__name__)

_EVENT_SECONDS = 0.05
"""Spent on events before the rest of a turn: a storm of them must not keep jobs from starting, or from being shown."""

_CLAIM_SECONDS = 0.02
"""Spent on claims in a turn: a storm of pictures must not keep jobs from starting."""

_CLAIMS = 64
"""Pictures claimed at a time, and written into the journal together."""

_PLENTY = 1_000
_CLAIM_PAUSE_SECONDS = 0.25
"""Between two claims when plenty is queued already: what a claim costs is then better spent on dreams."""

_MOST_AT_A_TIME = 32
"""Jobs given to a worker at a time when `workers.batch` is `auto`."""

_PUBLISHERS = 8
"""Threads that publish. A disk syncs several files in little more time than one."""

_FOLDERS = ("inbox", "outbox", "originals", "failed", "state")
_SHOW_SECONDS = 0.25
_RATE_SECONDS = 600.0

_PLUGIN_SECONDS = 1.0
"""Between two looks at the drop-in files; one that has changed is loaded when it has been still for as long."""

_FALSE_STARTS = 3
"""So often in a row a worker must die before it is ready until `dreamd drain`, where nobody waits, gives up."""


@dataclass(frozen=True)
class _Signalled:
    """A signal arrived."""

    number: int


@dataclass(frozen=True)
class _Crashed:
    """A thread met an error that it has no answer to."""

    error: BaseException


_Event = FileEvent | ExecutorEvent | Published | _Signalled | _Crashed


class Daemon:
    """Watches an inbox and has its pictures dreamed."""

    def __init__(
        self,
        config: Config,
        *,
        share: bool = False,
        until_empty: bool = False,
        on_show: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """Set up; nothing is touched before `run`.

        Args:
            config: the config.
            share: let other daemons that share work on the same inbox; each has a state folder of its own.
            until_empty: stop when everything in the inbox is finished or held (`dreamd drain`).
            on_show: told of every new snapshot, for a progress bar.
        """
        self._config = config
        self._until_empty = until_empty
        self._on_show = on_show
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._plugins = self._loaded_plugins()
        self._plugin_files = self._plugin_files_seen = self._look_at_plugin_files()
        self._plugin_look_due = time.monotonic() + _PLUGIN_SECONDS
        self._engine_catalogue = Catalogue()
        self._spool = Spool(
            Folders(inbox=config.inbox, outbox=config.outbox, failed=config.failed, done=config.originals),
            share=_own_name(config) if share else None,
        )
        watch = config.watch
        self._watcher = Watcher(
            config.inbox,
            notify=self._events.put,
            backend=watch.backend,
            settle_seconds=watch.settle_seconds,
            rescan_seconds=watch.rescan_seconds,
            ignore=watch.ignore,
        )
        context = ExecutorContext(config=config, notify=self._events.put)
        self._executor = self._made_executor(context)
        self._service = Service.from_environment()
        has_page = config.status.listen is not None and not until_empty
        self._page = PageProcess(config.file) if has_page else None
        self._started_at = time.time()
        self._finished_at: deque[float] = deque()
        self._arrived: InTurn[Settled] = InTurn()
        self._claim_due = 0.0
        self._pace = Pace(_most_at_a_time(config))
        self._progress: dict[str, Advanced | Fetching] = {}
        self._stops = 0
        self._stop_by: float | None = None
        self._finished = Counter[JobState]()
        self._shown_at = 0.0
        self._shown: Snapshot | None = None
        self._look: tuple[object, ...] = ()
        self._is_mute = False
        self._false_starts = 0
        self._is_watching = False
        self._refused = 0
        self._obeyed: int | None = None

    def run(self) -> int:
        """Run until a signal, or until all is done; returns the exit code.

        Raises:
            DreamdError: the inbox is missing or another daemon has it, or a folder cannot be made.
        """
        self._spool.prepare()
        self._make_state_folder()
        with (
            _signals_to(self._events.put, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, WAKE),
            self._spool.lock(),
            Journal.open(self._config.state / "journal.sqlite3") as self._journal,
        ):
            self._life = Lifecycle(
                spool=self._spool,
                journal=self._journal,
                book=self._config.recipe_book(),
                attempts=self._config.limits.attempts,
                checkpoints=self._config.state / "checkpoints",
                changed=self._job_changed,
            )
            self._totals = Counter(self._journal.counts())
            try:
                if self._page is not None:
                    self._page.start()
                self._loop()
            finally:
                if self._page is not None:
                    self._page.stop()
                self._executor.stop()
                self._watcher.stop()
                self._show(state="stopped")
                self._plugins.close()
        return self._exit_code()

    def _make_state_folder(self) -> None:
        try:
            self._config.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DreamdError(f"{self._config.state} cannot be made: {error.strerror}") from error

    def _exit_code(self) -> int:
        if not self._until_empty:
            return 0
        if self._is_hopeless():
            log.error("no worker can be started; what is left waits for the next start")
        life = self._life
        return 1 if self._finished[JobState.FAILED] or life.waiting or life.not_put_away or self._refused else 0

    def _loop(self) -> None:
        self._show(state="starting")
        self._life.recover()
        self._watcher.start()
        self._executor.start()
        self._shown = None
        with ThreadPoolExecutor(_PUBLISHERS, thread_name_prefix="publish") as self._publishers:
            while not self._is_over():
                self._turn()
        while not self._events.empty():  # what was published meanwhile is done, and not to be dreamed again
            event = self._events.get()
            if isinstance(event, Published | _Crashed):
                self._handle(event)
        self._life.release()
        log.info("stopped: %d done, %d failed", self._finished[JobState.DONE], self._finished[JobState.FAILED])

    def _turn(self) -> None:
        self._read_events()
        now = time.monotonic()
        self._executor.tick(now)
        self._follow_plugin_files(now)
        self._take_in(now)
        self._life.look_again(now)
        self._obey()
        self._dispatch()
        self._show_if_due(now)
        self._tell_service(now)

    def _tell_service(self, now: float) -> None:
        if not self._service.is_ready and self._is_watching and (self._life.running or self._executor.free()):
            self._service.ready()
        self._service.beat(now, self._pulses)

    def _pulses(self) -> list[Pulse]:
        return [
            Pulse(view.pid, view.jobs, tuple(map(self._progress.get, view.jobs)))
            for view in self._executor.workers()
            if view.state is WorkerState.BUSY
        ]

    def _is_over(self) -> bool:
        if self._stops > 1:
            return True
        if self._stops:
            return not self._life.running or self._is_out_of_time()
        if not self._until_empty:
            return False
        waits = self._life.queue.has_work or self._life.running or self._arrived or self._watcher.has_pending
        return self._is_hopeless() or (self._is_watching and not waits)

    def _is_out_of_time(self) -> bool:
        """Whether what runs when the daemon is told to stop has had its time; it then waits for the next start."""
        if self._stop_by is None or time.monotonic() < self._stop_by:
            return False
        seconds = self._config.limits.stop_seconds
        log.info(
            "%g s are over (limits.stop_seconds): %d running wait for the next start", seconds, len(self._life.running)
        )
        return True

    def _is_hopeless(self) -> bool:
        """Whether no worker runs, and none could be started."""
        if self._false_starts < _FALSE_STARTS:
            return False
        return not any(view.state in (WorkerState.IDLE, WorkerState.BUSY) for view in self._executor.workers())

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
            self._watcher.next_deadline() if not self._stops else None,
            self._claim_due if self._arrived and not self._stops else None,
            self._executor.next_deadline(),
            self._life.next_deadline(),
            self._plugin_look_due if not self._stops else None,
            self._service.next_deadline(),
            self._stop_by,
            self._shown_at + _SHOW_SECONDS if self._shown is None else None,
        ]
        due = [deadline for deadline in deadlines if deadline is not None]
        return min(max(0.0, min(due) - time.monotonic()), threading.TIMEOUT_MAX) if due else None

    def _handle(self, event: _Event) -> None:
        if isinstance(event, FileEvent):
            self._watcher.handle(event)
            return
        self._shown = None
        match event:
            case _Signalled(number):
                self._handle_signal(number)
            case Published():
                self._life.published(event)
            case _Crashed(error):
                raise error
            case _:
                self._executor.handle(event)
                self._handle_work(event)

    def _handle_work(self, event: ExecutorEvent) -> None:
        match event:
            case Ready():
                self._worker_ready(event)
            case Advanced() | Fetching():
                self._progress[event.job] = event
            case Done():
                self._handle_done(event)
            case NotDone():
                self._progress.pop(event.job, None)
                self._life.not_done(event)
            case WorkerDied():
                self._worker_died(event)

    def _handle_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._service.reloading()
            self._reload()
            self._service.reloaded()
        elif number == WAKE:
            self._life.look_at_all()
        else:
            self._stop_soon(number)

    def _handle_done(self, done: Done) -> None:
        self._progress.pop(done.job, None)
        if (job := self._life.running.get(done.job)) is not None:
            self._pace.took(job.recipe, done.sidecar.seconds)
        self._dispatch()  # first: the worker dreams the next ones while this one is published
        publish = self._life.publish(done)
        if publish is not None:
            self._publishers.submit(self._tell_outcome, publish)

    def _tell_outcome(self, publish: Callable[[], Published]) -> None:
        """In a thread of its own: the loop never waits for the outbox's disk."""
        try:
            self._events.put(publish())
        except BaseException as error:  # noqa: BLE001 (raised by the loop, which ends by it)
            self._events.put(_Crashed(error))

    def _stop_soon(self, number: int) -> None:
        self._stops += 1
        if self._stop_by is None:
            seconds = self._config.limits.stop_seconds
            self._stop_by = time.monotonic() + seconds
            self._service.stopping(seconds)
        name = signal.Signals(number).name
        if self._stops == 1 and self._life.running:
            log.info("%s: finishing %d running; the rest waits for the next start", name, len(self._life.running))
        elif self._stops > 1:
            log.info("%s again: stopping at once; what was running waits for the next start", name)

    def _reload(self) -> None:
        """Read the config again: its defaults and named recipes count from the next picture on, and new workers load
        the plugins anew. A config that is wrong changes nothing."""
        try:
            config = load_config(self._config.file)
        except DreamdError as error:
            log.error("not reloaded: %s", error)
            return
        changed = [
            name
            for name in (*_FOLDERS, "plugins", "watch", "limits", "workers", "status")
            if getattr(config, name) != getattr(self._config, name)
        ]
        if changed:
            log.warning("reloaded; these take a restart: %s", ", ".join(changed))
        else:
            log.info("reloaded")
        self._life.use_book(config.model_copy(update={"inbox": self._config.inbox}).recipe_book())
        self._load_plugins_anew()

    def _follow_plugin_files(self, now: float) -> None:
        """Have drop-in files that have changed loaded anew, once they are still."""
        if now < self._plugin_look_due or self._stops:
            return
        self._plugin_look_due = now + _PLUGIN_SECONDS
        seen = self._look_at_plugin_files()
        is_still, self._plugin_files_seen = seen == self._plugin_files_seen, seen
        if is_still and seen != self._plugin_files:
            log.info("plugin files changed; loading the plugins anew")
            self._load_plugins_anew()

    def _look_at_plugin_files(self) -> tuple[object, ...]:
        return stamp_of(self._config.plugins.engine), stamp_of(self._config.plugins.daemon)

    def _load_plugins_anew(self) -> None:
        """Those that listen, here; the engine's, in new workers, each when its batch is finished.

        A process that has never seen the old code is the only sure way; jobs that wait for a plugin get a worker even
        where all are unloaded, since only a worker can tell what the new plugins bring.
        """
        self._plugin_files = self._plugin_files_seen = self._look_at_plugin_files()
        self._plugins.close(0.0)
        self._plugins = self._loaded_plugins()
        self._shown = None
        self._executor.restart()
        if self._life.held:
            self._executor.wake()

    def _loaded_plugins(self) -> Plugins:
        plugins = self._config.plugins
        return Plugins("dreamd.daemon", folders=plugins.daemon, disable=plugins.disable)

    def _worker_ready(self, ready: Ready) -> None:
        log.info("worker ready: %s (%s), precision auto is %s", ready.device, ready.device_name, ready.precision)
        self._false_starts = 0
        self._engine_catalogue = ready.catalogue
        self._life.learn(ready.catalogue)
        # The sample recipes name the schema, so that editors complete what this daemon's plugins bring; the page checks
        # recipes by the catalogue.
        schema = json.dumps(recipe_schema(ready.catalogue), indent=1)
        try:
            (self._config.state / "recipe.schema.json").write_text(schema, encoding="utf-8")
            (self._config.state / CATALOGUE_FILE).write_text(ready.catalogue.model_dump_json(), encoding="utf-8")
        except OSError as error:
            log.warning("no schema for editors, and no catalogue for the page: %s", error)

    def _worker_died(self, death: WorkerDied) -> None:
        log.error("%s%s", death.reason, "" if death.was_ready else " before it was ready; starting another later")
        self._false_starts += not death.was_ready
        for job in death.jobs:
            self._progress.pop(job, None)
        self._life.worker_died(death.jobs, death.reason, was_ready=death.was_ready)

    def _job_changed(self, job: Job) -> None:
        self._shown = None
        if job.state in (JobState.DONE, JobState.FAILED):
            self._finished[job.state] += 1
            self._totals[job.state] += 1
        if job.state is JobState.DONE:
            self._finished_at.append(time.time())
        self._plugins.job_changed(job)

    # Work

    def _take_in(self, now: float) -> None:
        if self._stops:
            return
        found = self._watcher.due(now)
        self._is_watching = True
        for finding in found:
            if isinstance(finding, RecipeChanged):
                self._life.recipe_changed(finding.folder)
            else:
                self._arrived.add(finding.path.parent, finding)
        self._claim_some()

    def _claim_some(self) -> None:
        """Claim what has arrived, folders in turn, for a moment; the rest at the next turns."""
        if not self._arrived or time.monotonic() < self._claim_due:
            return
        self._shown = None
        end = time.monotonic() + _CLAIM_SECONDS
        while self._arrived and time.monotonic() < end:
            self._claim_next()
            if len(self._life.queue) >= _PLENTY:
                self._claim_due = time.monotonic() + _CLAIM_PAUSE_SECONDS
                return

    def _claim_next(self) -> None:
        arrived = self._arrived
        found = [arrived.take(next(iter(arrived.folders))) for _ in range(min(_CLAIMS, len(arrived)))]
        # What changed since it settled is reported again when it has settled again.
        settled = [finding.path for finding in found if self._watcher.is_unchanged(finding)]
        for path in self._life.take_in(settled):
            if self._until_empty:
                self._refused += 1
            else:
                self._watcher.postpone(path)

    def _obey(self) -> None:
        """Take in what `dreamd pause` and `resume` have written into the journal since."""
        version = self._journal.data_version()
        if version != self._obeyed:
            self._obeyed = version
            self._life.queue.pause(self._journal.paused())
            self._shown = None

    def _dispatch(self) -> None:
        if self._stops or not self._life.queue.has_work:
            return
        self._executor.wake()
        # A job that was tried before has a worker to itself, so that it can take down nobody else.
        while (job := self._life.queue.peek()) is not None and self._executor.free(alone=job.attempts > 0):
            batch = self._life.start(self._pace.jobs(job.recipe))
            if batch is not None:
                self._executor.submit(batch)

    def _made_executor(self, context: ExecutorContext) -> Executor:
        name = self._config.workers.executor
        try:
            registered = self._plugins.get(Kind.EXECUTOR, name)
        except DreamdError as error:
            raise ConfigError(str(error), file=self._config.file, field=("workers", "executor")) from error
        try:
            executor: Executor = registered.function(context)
        except Exception as error:  # it is a plugin's: it may raise anything
            whose = f"executor {name!r} of plugin {registered.entry.plugin!r}"
            raise PluginError(f"{whose}: {describe_error(error)}") from error
        return executor

    # Showing

    def _show_if_due(self, now: float) -> None:
        workers = [replace(view, busy_share=0.0) for view in self._executor.workers()]
        watcher = self._watcher
        look = (watcher.backend, watcher.found_by_rescan_only, watcher.overflows, *workers)
        if look != self._look:  # what changes without an event: an unloaded worker, an inbox that is gone
            self._look, self._shown = look, None
        if self._shown is None and now >= self._shown_at + _SHOW_SECONDS:
            self._show()

    def _show(self, state: str | None = None) -> None:
        self._life.flush()
        self._shown = self._snapshot(state or ("draining" if self._stops else "running"))
        self._shown_at = time.monotonic()
        self._service.show(self._shown)
        try:
            self._shown.write(self._config.state)
            self._is_mute = False
        except OSError as error:  # a full disk is no reason to stop; the next change tries again
            if not self._is_mute:
                log.warning("`dreamd status` shows what was before, because its file cannot be written: %s", error)
            self._is_mute = True
        if self._on_show is not None:
            self._on_show(self._shown)

    def _snapshot(self, state: str) -> Snapshot:
        queued = len(self._life.queue) + len(self._arrived)
        rate = self._rate()
        waiting = self._life.queue.by_folder() + self._arrived.by_folder()
        waiting.update(job.folder for job in self._life.held.values())
        problems = merged([self._plugins.catalogue, self._engine_catalogue]).problems
        return Snapshot(
            state=state,
            pid=os.getpid(),
            version=__version__,
            started_at=self._started_at,
            inbox=str(self._config.inbox),
            lock=str(self._spool.lock_file),
            watching=self._watcher.backend,
            found_by_rescan_only=self._watcher.found_by_rescan_only,
            overflows=self._watcher.overflows,
            queued=queued,
            running=len(self._life.running),
            held=len(self._life.held),
            done=self._totals[JobState.DONE],
            failed=self._totals[JobState.FAILED],
            folders={str(folder): count for folder, count in waiting.items()},
            done_per_hour=round(rate * 3600, 1),
            eta_seconds=round((queued + len(self._life.running)) / rate, 1) if rate else None,
            paused=sorted(self._journal.paused()),
            workers=self._worker_statuses(),
            holds=self._holds(),
            plugins_not_loaded={problem.plugin: problem.reason for problem in problems if not problem.deliberate},
        )

    def _rate(self) -> float:
        """Pictures a second, in the last ten minutes of this run."""
        now = time.time()
        while self._finished_at and self._finished_at[0] < now - _RATE_SECONDS:
            self._finished_at.popleft()
        return len(self._finished_at) / min(_RATE_SECONDS, max(1.0, now - self._started_at))

    def _worker_statuses(self) -> list[WorkerStatus]:
        return [
            WorkerStatus(
                device=view.device,
                device_name=view.device_name,
                precision=view.precision,
                state=view.state,
                pid=view.pid,
                error=view.error,
                busy_share=view.busy_share,
                jobs=[self._running_job(job) for job in view.jobs],
            )
            for view in self._executor.workers()
        ]

    def _running_job(self, job_id: str) -> RunningJob:
        job = self._life.running.get(job_id)
        picture = str(job.path) if job else ""
        match self._progress.get(job_id):
            case Advanced(ascent=ascent, ascents=ascents, iteration=iteration, iterations=iterations, share=share):
                return RunningJob(
                    job=job_id,
                    picture=picture,
                    ascent=ascent,
                    ascents=ascents,
                    iteration=iteration,
                    iterations=iterations,
                    share=round(share, 4),
                )
            case Fetching(done=done, total=total):
                size = f" of {total // 1_000_000}" if total else ""
                return RunningJob(job=job_id, picture=picture, fetching=f"weights, {done // 1_000_000}{size} MB")
        return RunningJob(job=job_id, picture=picture)

    def _holds(self) -> list[Hold]:
        jobs = self._life.held.values()
        counts = Counter((str(job.folder), str(job.hold), job.reason or "") for job in jobs)
        return [Hold(folder=folder, cause=cause, reason=why, jobs=n) for (folder, cause, why), n in counts.items()]


def _most_at_a_time(config: Config) -> int:
    """How many jobs a worker may be given at a time."""
    if config.limits.attempts == 1:  # nobody shall lose the only attempt there is to a neighbour
        return 1
    return _MOST_AT_A_TIME if config.workers.batch == "auto" else config.workers.batch


def _own_name(config: Config) -> str:
    """What tells this daemon from the others on a shared inbox: its machine and its state folder."""
    return hashlib.sha256(f"{socket.gethostname()}:{config.state}".encode()).hexdigest()[:12]


@contextmanager
def _signals_to(put: Callable[[_Signalled], None], *numbers: signal.Signals) -> Iterator[None]:
    """Inside, signals only become events; afterwards the handlers are as before."""

    def handle(number: int, _frame: FrameType | None) -> None:
        put(_Signalled(number))

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: the handler before was not Python's, and cannot be named.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

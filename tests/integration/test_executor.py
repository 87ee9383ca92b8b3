"""Workers that start, answer, hang and die. The worker is a real process, but one that only plays the part: it begins
in a few milliseconds and does whatever a device's or a picture's name says.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dreamd.daemon.fleet.absences
import dreamd.daemon.fleet.roster
import dreamd.executors.process
from dreamd.daemon.fleet.events import FleetEvent
from dreamd.daemon.fleet.load import Load
from dreamd.daemon.fleet.news import News, SeatLost
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.fleet.views import WorkerState, WorkerView
from dreamd.errors import FailureCause
from dreamd.executors.devices import worker_devices
from dreamd.executors.executor import ExecutorContext
from dreamd.executors.guarded import GuardedExecutor
from dreamd.executors.local import LocalExecutor
from dreamd.executors.plan import Machine
from dreamd.hardware.cores import Core
from dreamd.hardware.memory import free_memory
from dreamd.messages import Advanced, Batch, NotDone, Order, Ready
from dreamd.settings.config import load_config

if TYPE_CHECKING:
    from conftest import Tree

PART = """#!{python} -S
import json, os, signal, sys, time

settings = json.loads(sys.stdin.readline())
device = settings["device"]

def say(**message):
    os.write(1, json.dumps(message).encode() + b"\\n")

def act(name, job):
    if name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "exit":
        os._exit(3)
    elif name == "realtime":
        os.kill(os.getpid(), signal.SIGRTMIN + 6)
    elif name == "hang":
        time.sleep(3600)
    elif name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    elif name == "garbage":
        os.write(1, b"what a lovely picture\\n")
        time.sleep(3600)
    elif name == "endless":
        try:
            while True:
                os.write(1, b"x" * 65536)
        except BrokenPipeError:
            pass
    elif name == "orphan":
        if not (child := os.fork()):
            time.sleep(3600)
        say(type="advanced", job=job, ascent=child, ascents=0, iteration=0, iterations=0, share=0)
        os._exit(7)

act(device.partition("-")[0], "")
if device == "unable":
    say(type="unable", reason="there is no such device")
    sys.exit(1)
if settings["is_spare"]:
    card = os.environ["CUDA_VISIBLE_DEVICES"]
    say(type="unable", reason=f"no GPU for {{device}}, with CUDA_VISIBLE_DEVICES={{card}}")
    sys.exit(1)
warning = ""
if device == "auto:0":
    warning = "no GPU, with CUDA_VISIBLE_DEVICES=%s" % os.environ["CUDA_VISIBLE_DEVICES"]
name = "a player"
if device == "tell":
    form = "%(sharers)s sharers, %(threads)s threads, deterministic %(deterministic)s, alone %(sees_one_gpu)s"
    name = form % settings
if "TELL" in os.environ:
    name = "sees " + os.environ.get("CUDA_VISIBLE_DEVICES", "what it likes")
if device == "flaky" and os.path.exists(settings["plugin_folders"][0] + "/flaky"):
    sys.exit(1)
if device.startswith("plugin"):
    for plugin in ("good", "killer", "other"):
        if plugin not in settings["distrusted"]:
            say(type="importing", plugin=plugin, origin=plugin + ".py")
            if plugin == "killer":
                os.kill(os.getpid(), signal.SIGSEGV)
    say(type="importing", plugin=None)
if device == "plugins-and-death":
    os._exit(6)
has = dict(threads=settings["threads"], processors=repr(sorted(os.sched_getaffinity(0))), memory=settings["memory"])
warning = warning or settings["warning"]
say(type="ready", device=device + "!", device_name=name, precision="fp32", warning=warning, catalogue={{}}, **has)
if device == "brief":
    os._exit(5)
while line := sys.stdin.readline():
    for job in json.loads(line).get("cancel", ()):
        say(type="not_done", job=job, hold=None, final=True, reason="it was cancelled", failure="cancelled")
    for order in json.loads(line).get("orders", ()):
        name = order["source"].rpartition("/")[2]
        if name == "patient":
            continue
        act(name, order["job"])
        for _ in range(2 if name == "twice" else 1):
            say(type="not_done", job=order["job"], hold=None, final=True, reason=name)
"""


class Desk:
    """The roster over the seats of this machine, and a loop that does for it what the daemon's does."""

    def __init__(self, tree: Tree, **changes: Any) -> None:
        tree.configure(**changes)
        self.tree = tree
        self.events: queue.SimpleQueue[FleetEvent] = queue.SimpleQueue()
        self.seen: list[News] = []
        config = load_config(tree.config)
        self.executor = LocalExecutor(ExecutorContext(config=config))
        self.roster = Roster(GuardedExecutor(self.executor, "executor 'local'"), config, self.events.put)
        self.roster.start()
        while len(self.roster.workers()) < len(worker_devices(config)):
            self.turn()

    def turn(self, patience: float = 0.05) -> None:
        """One turn of the loop; waits no longer than until the next deadline."""
        due = self.roster.next_deadline()
        wait = patience if due is None else min(patience, max(0.0, due - time.monotonic()))
        try:
            event = self.events.get(timeout=wait)
        except queue.Empty:
            pass
        else:
            if (news := self.roster.handle(event)) is not None:
                self.seen.append(news)
        self.roster.tick(time.monotonic())

    def until(self, look: Callable[[], Any], what: str = "that") -> Any:
        def turned() -> Any:
            self.turn()
            return look()

        return self.tree.wait_for(turned, f"{what}; seen so far: {self.seen}")

    def event(self, kind: type[Any], number: int = 1) -> Any:
        """Waits for the so-many-th event of a kind."""
        self.until(lambda: len(self.all(kind)) >= number, f"{kind.__name__} number {number}")
        return self.all(kind)[number - 1]

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]

    def submit(self, *names: str, recipe: str = "{}") -> None:
        """Gives a batch to the first seat that is vacant; its jobs are called as the pictures are."""
        self.roster.wake(1)
        orders = tuple(Order(job=name, source=Path(f"/pictures/{name}"), folder=Path("/")) for name in names)
        seat = self.until(lambda: self.roster.vacancy(names[0], alone=False), "a vacant seat")
        self.roster.order(seat, Batch(recipe=recipe, orders=orders))

    @property
    def view(self) -> WorkerView:
        (view,) = self.roster.workers()
        return view


@pytest.fixture
def desk(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """`desk("device", …)`: an executor with a worker for each device."""
    program = tmp_path / "player"
    program.write_text(PART.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    desks: list[Desk] = []

    def make(*devices: str, **changes: Any) -> Desk:
        workers = {"devices": list(devices), **changes.pop("workers", {})}
        desks.append(Desk(tree, workers=workers, **changes))
        return desks[-1]

    yield make
    for one in desks:
        pids = [view.pid for view in one.roster.workers() if view.pid]
        one.roster.stop()
        assert not any(tree.is_alive(pid) for pid in pids)


# Going well


def test_a_batch_is_answered_job_by_job(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    assert one.view.state is WorkerState.STARTING
    ready = one.event(Ready)
    assert (one.view.state, one.view.device, one.view.device_name) == (WorkerState.IDLE, ready.device, "a player")
    one.submit("a", "b")
    assert (one.view.state, one.view.jobs, one.roster.has_vacancy) == (WorkerState.BUSY, ("a", "b"), False)
    one.event(NotDone)
    assert one.view.jobs == ("b",)
    one.event(NotDone, 2)
    assert [event.job for event in one.all(NotDone)] == ["a", "b"]
    assert (one.view.state, one.roster.has_vacancy) == (WorkerState.IDLE, True)


def test_batches_go_to_workers_that_are_free(desk: Callable[..., Desk]) -> None:
    one = desk("cpu", "cuda:0")
    one.event(Ready, 2)
    one.submit("hang")
    one.submit("a")
    assert one.event(NotDone).job == "a"
    assert one.roster.has_vacancy
    assert {view.state for view in one.roster.workers()} == {WorkerState.BUSY, WorkerState.IDLE}


def test_a_worker_is_given_more_when_half_of_its_batch_is_done(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("a", "b", "c", "hang")
    one.event(NotDone)
    assert not one.roster.has_vacancy  # three in hand, and it refills at two
    one.event(NotDone, 2)
    assert one.roster.has_vacancy
    assert one.roster.vacancy("d", alone=True) is None
    one.submit("d", "e")
    one.event(NotDone, 3)
    assert one.view.jobs == ("hang", "d", "e")


def test_the_death_of_a_worker_names_all_that_it_had_in_hand(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("a", "hang")
    one.event(NotDone)
    one.submit("b")
    os.kill(one.view.pid or 0, signal.SIGKILL)
    assert one.event(SeatLost).jobs == ("hang", "b")
    assert one.view.jobs == ()


def test_the_load_is_the_share_of_the_last_minute_that_was_dreamed() -> None:
    now = [1000.0]
    load = Load(clock=lambda: now[0])
    now[0] += 10
    load.note(5.0)
    assert load.share() == 0.5
    now[0] += 65
    load.note(70.0)
    assert load.share() == 1.0  # what was before the last minute is forgotten
    now[0] += 600
    assert load.share() == 0.0


def test_a_recipe_larger_than_a_pipe_does_not_stop_the_loop(desk: Callable[..., Desk]) -> None:
    """64 KB are what a pipe holds by default, and a worker reads nothing while it starts or works."""
    one = desk("hang-at-start")
    order = Order(job="a", source=Path("/a"), folder=Path("/"))
    begun = time.monotonic()
    assert one.executor.order("hang-at-start", Batch(recipe="x" * 300_000, orders=(order,)))
    assert time.monotonic() - begun < 3


def test_where_no_gpu_can_be_used_one_worker_takes_the_processor_and_the_other_rests(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,2")
    one = desk(workers={"devices": "auto", "idle_unload_seconds": 7200})
    one.until(lambda: [view.state for view in one.roster.workers()] == [WorkerState.IDLE, WorkerState.STOPPED])
    first, spare = one.roster.workers()
    assert first.error == "no GPU, with CUDA_VISIBLE_DEVICES=4"
    assert spare.error == "no GPU for auto:1, with CUDA_VISIBLE_DEVICES=2"
    assert one.all(SeatLost) == []  # or `dreamd drain` would count it among the starts that failed
    assert [record.message for record in caplog.records] == [f"auto:1: {spare.error}"]
    for number in range(3):
        one.submit("a")
        one.event(NotDone, number + 1)
    deadline = one.roster.next_deadline()
    assert deadline is not None
    assert 600 < deadline - time.monotonic() < 1800  # the spare's next try, and no earlier one


def test_a_worker_is_told_what_the_config_says_of_its_device(desk: Callable[..., Desk]) -> None:
    one = desk("tell", "tell", workers={"threads": 3, "deterministic": False})
    told = one.event(Ready).device_name
    assert told == "2 sharers, 3 threads, deterministic False, alone False"


def test_each_worker_sees_its_own_card_and_one_on_the_processor_none(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,2,7")
    monkeypatch.setenv("TELL", "what is seen")
    one = desk("cuda:0", "cuda:1", "cpu")
    one.event(Ready, 3)
    seen = {view.device: view.device_name for view in one.roster.workers()}
    assert seen == {"cuda:0!": "sees 4", "cuda:1!": "sees 2", "cpu!": "sees "}


def test_workers_on_the_processor_have_cores_of_their_own_and_equal_memory(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = sorted(os.sched_getaffinity(0))
    pairs = Machine(cores=[Core((here[0],)), Core((here[-1],))], count=2, memory=8_000_000_000)
    monkeypatch.setattr(Machine, "of_process", lambda _environment: pairs)
    one = desk("cpu", "cpu")
    one.event(Ready, 2)
    views = one.roster.workers()
    assert [view.processors for view in views] == [f"[{here[0]}]", f"[{here[-1]}]"]
    assert [view.threads for view in views] == [1, 1]
    least, most = sorted(view.memory_limit or 0 for view in views)
    assert 0 < most < free_memory() * 0.6
    assert least == pytest.approx(most, rel=0.2)  # other processes come and go meanwhile
    assert sorted(os.sched_getaffinity(0)) == here  # the daemon's own are as before


def test_a_worker_that_has_the_processor_for_itself_is_told_nothing_of_it(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    assert (one.view.threads, one.view.memory_limit) == (None, None)
    assert one.view.processors == repr(sorted(os.sched_getaffinity(0)))


def test_processors_that_are_gone_since_the_plan_was_made_keep_no_worker_from_starting(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Machine(cores=[Core((4000,)), Core((4001,))], count=2, memory=8_000_000_000)
    monkeypatch.setattr(Machine, "of_process", lambda _environment: gone)
    one = desk("cpu", "cpu")
    one.event(Ready, 2)
    assert "a worker runs on any processor, not on 4000" in caplog.text


def test_workers_that_get_in_each_others_way_work_and_say_so(
    desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    one = desk("cpu", "cpu", workers={"threads": 1000})
    one.event(Ready, 2)
    assert {view.threads for view in one.roster.workers()} == {1000}
    told = "workers.threads: 1000 threads for each of 2 workers are more than the"
    assert all((view.error or "").startswith(told) for view in one.roster.workers())
    assert told in caplog.text


# Death


@pytest.mark.parametrize(
    ("name", "reason", "failure"),
    [
        ("segfault", "the worker was killed by SIGSEGV", "crash"),
        ("exit", "the worker ended with code 3", "worker"),
        ("realtime", "the worker was killed by signal 40", "worker"),
    ],
)
def test_the_death_of_a_worker_names_its_jobs_and_how_it_ended(
    desk: Callable[..., Desk], name: str, reason: str, failure: FailureCause
) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("a", name, "b")
    death = one.event(SeatLost)
    assert death == SeatLost((name, "b"), reason, was_ready=True, failure=failure)
    assert [event.job for event in one.all(NotDone)] == ["a"]


def test_a_worker_that_a_picture_killed_is_started_again_at_once(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    for number in range(1, 4):
        one.event(Ready, number)
        one.submit("segfault")
        one.event(SeatLost, number)
        begun = time.monotonic()
    one.event(Ready, 4)
    assert time.monotonic() - begun < 0.9  # less than the shortest wait
    assert one.view.error is None
    one.submit("a")
    assert one.event(NotDone).job == "a"


def test_a_worker_that_sends_no_messages_is_killed(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("garbage")
    death = one.event(SeatLost)
    assert death.jobs == ("garbage",)
    assert "no message: b'what a lovely picture" in death.reason


def test_a_worker_that_sends_a_line_without_end_is_killed(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.executors.process, "LINE_BYTES", 1 << 20)
    one = desk("cpu")
    one.event(Ready)
    one.submit("endless")
    assert one.event(SeatLost).jobs == ("endless",)


def test_a_worker_that_says_why_it_cannot_work_is_quoted(desk: Callable[..., Desk]) -> None:
    one = desk("unable")
    assert one.event(SeatLost) == SeatLost((), "there is no such device", was_ready=False)
    assert one.view.error == "there is no such device"


def test_a_process_that_a_worker_forked_does_not_hide_its_death_and_dies_with_it(
    desk: Callable[..., Desk], tree: Tree
) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("orphan")
    child = one.event(Advanced).ascent
    assert one.event(SeatLost).reason == "the worker ended with code 7"
    tree.wait_for(lambda: not tree.is_alive(child), "the child's end")


def test_a_worker_that_cannot_start_is_tried_ever_less_often_and_given_nothing(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.absences, "_WAIT_SECONDS", (0.05, 0.4, 1000.0))
    one = desk("exit-at-start")
    waits = []
    for number in range(1, 4):
        one.event(SeatLost, number)
        due = one.roster.next_deadline()
        assert due is not None
        waits.append(due - time.monotonic())
        assert not one.roster.has_vacancy
        assert one.view.state is WorkerState.STOPPED
    assert waits[0] < 0.1 < waits[1] < 0.5 < waits[2]


def test_a_worker_that_could_not_start_is_given_work_when_it_could(
    desk: Callable[..., Desk], tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.absences, "_WAIT_SECONDS", (0.01, 0.2))
    (tree.root / "plugins" / "flaky").touch()
    one = desk("flaky")
    one.event(SeatLost, 2)
    (tree.root / "plugins" / "flaky").unlink()
    one.event(Ready)
    assert one.roster.has_vacancy
    one.submit("a")
    assert one.event(NotDone).job == "a"


def test_a_plugin_that_ends_its_worker_is_named_and_the_next_worker_does_without_it(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.absences, "_WAIT_SECONDS", (1000.0,))
    one = desk("plugins")
    reason = "the worker was killed by SIGSEGV"
    assert one.event(SeatLost) == SeatLost((), reason, was_ready=False, plugin="killer", failure="crash")
    one.event(Ready)
    assert one.roster.has_vacancy
    one.roster.restart()  # as when plugin files have changed: then it is tried again
    assert one.event(SeatLost, 2).plugin == "killer"
    one.event(Ready, 2)


def test_a_worker_that_dies_when_all_plugins_are_loaded_is_blamed_on_none(desk: Callable[..., Desk]) -> None:
    one = desk("plugins-and-death")
    assert one.event(SeatLost).plugin == "killer"
    assert one.event(SeatLost, 2) == SeatLost((), "the worker ended with code 6", was_ready=False)


def test_a_worker_that_dies_of_nothing_is_not_started_again_without_a_pause(desk: Callable[..., Desk]) -> None:
    """Else one that comes up and dies, comes up and dies, keeps a core busy for ever."""
    one = desk("brief")
    one.event(SeatLost)
    due = one.roster.next_deadline()
    assert due is not None
    assert due - time.monotonic() > 0.5


def test_an_idle_worker_that_is_killed_is_started_again(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.absences, "_WAIT_SECONDS", (0.01,))
    one = desk("cpu")
    one.event(Ready)
    assert one.view.pid is not None
    os.kill(one.view.pid, signal.SIGKILL)
    assert one.event(SeatLost) == SeatLost((), "the worker was killed by SIGKILL", was_ready=True)
    one.event(Ready, 2)
    assert one.roster.has_vacancy


def test_a_batch_written_into_a_broken_pipe_comes_back(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    assert one.view.pid is not None
    os.kill(one.view.pid, signal.SIGKILL)
    one.submit("a")
    one.until(lambda: one.all(NotDone) or (one.all(SeatLost) and "a" in one.all(SeatLost)[-1].jobs))


def test_no_room_for_a_process_is_a_death_like_any_other(
    desk: Callable[..., Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.absences, "_WAIT_SECONDS", (0.01,))
    one = desk("cpu", workers={"idle_unload_seconds": 0})
    one.until(lambda: one.view.state is WorkerState.STOPPED)
    (tmp_path / "player").chmod(0o644)  # the system refuses to start it
    one.roster.wake(1)
    death = one.event(SeatLost)
    assert death == SeatLost((), "the worker cannot be started: Permission denied", was_ready=False)
    (tmp_path / "player").chmod(0o755)
    one.event(Ready, 2)


def test_a_job_answered_twice_harms_nobody(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("twice", "a")
    assert one.event(NotDone, 2).job == "a"
    assert (one.view.state, one.roster.has_vacancy) == (WorkerState.IDLE, True)
    one.submit("b")
    assert one.event(NotDone, 3).job == "b"


# Cancelling


def test_a_worker_that_stops_what_was_cancelled_lives_on(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    pid = one.event(Ready) and one.view.pid
    one.submit("patient")
    one.roster.cancel(["patient", "nobody's"])
    assert one.event(NotDone) == NotDone(
        job="patient", hold=None, final=True, reason="it was cancelled", failure="cancelled"
    )
    deadline = one.roster.next_deadline()
    assert deadline is not None
    assert deadline > time.monotonic() + 60
    one.submit("a")
    one.event(NotDone, 2)
    assert one.view.pid == pid


def test_a_worker_that_does_not_stop_is_killed_and_what_else_it_had_is_not_to_blame(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.roster, "_CANCEL_SECONDS", 0.3)
    one = desk("cpu")
    one.event(Ready)
    one.submit("hang", "b")
    one.roster.cancel(["hang"])
    reason = "it was ended, for it did not stop a dream that was cancelled"
    assert one.event(SeatLost) == SeatLost(("hang", "b"), reason, was_ready=True, failure=None)
    one.event(Ready, 2)  # at once, as after any death over a picture
    assert one.view.error is None
    one.submit("b")
    assert one.event(NotDone).job == "b"


def test_to_cancel_what_a_worker_does_not_have_is_nothing(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    one.submit("a")
    one.event(NotDone)
    one.roster.cancel(["a", "b"])
    one.submit("hang")
    one.until(lambda: one.view.jobs == ("hang",))
    deadline = one.roster.next_deadline()
    assert deadline is not None
    assert deadline > time.monotonic() + 60


# Time


def test_a_worker_that_takes_too_long_is_killed(desk: Callable[..., Desk]) -> None:
    one = desk("cpu", limits={"timeout_seconds": 0.3})
    one.event(Ready)
    one.submit("hang")
    reason = "it took longer than limits.timeout_seconds (0.3 s)"
    assert one.event(SeatLost) == SeatLost(("hang",), reason, was_ready=True, failure="time")
    one.event(Ready, 2)
    one.submit("segfault")
    assert one.event(SeatLost, 2).reason == "the worker was killed by SIGSEGV"


def test_each_job_of_a_batch_has_its_own_time(desk: Callable[..., Desk]) -> None:
    one = desk("cpu", limits={"timeout_seconds": 0.5})
    one.event(Ready)
    one.submit("a", "b", "hang")
    one.event(NotDone, 2)
    due = one.roster.next_deadline()
    assert due is not None
    assert due - time.monotonic() > 0.4
    assert one.event(SeatLost).jobs == ("hang",)


def test_the_time_of_a_job_begins_when_its_worker_is_ready(desk: Callable[..., Desk]) -> None:
    one = desk("cpu", limits={"timeout_seconds": 5})
    before = one.roster.next_deadline()
    assert before is not None
    assert before - time.monotonic() > 100
    one.submit("hang")
    after = one.roster.next_deadline()
    assert after is not None
    assert 4 < after - time.monotonic() <= 5


def test_a_worker_that_never_gets_ready_is_killed(desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.roster, "_START_SECONDS", 0.2)
    one = desk("hang-at-start")
    assert one.event(SeatLost) == SeatLost((), "the worker was not ready after 0.2 s", was_ready=False)


def test_an_idle_worker_is_unloaded_and_the_next_batch_starts_another(
    desk: Callable[..., Desk], tree: Tree, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = desk("cpu", workers={"idle_unload_seconds": 0.2})
    one.event(Ready)
    pid = one.view.pid
    one.until(lambda: one.view.state is WorkerState.STOPPED)
    assert not tree.is_alive(pid)
    assert one.all(SeatLost) == []
    assert one.roster.next_deadline() is None
    assert "unloaded" in caplog.text
    assert not one.roster.has_vacancy
    one.roster.wake(1)
    one.event(Ready, 2)
    assert one.roster.has_vacancy
    one.submit("a")
    assert one.event(NotDone).job == "a"


def test_a_worker_that_died_idle_and_is_then_unloaded_still_takes_work(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.absences, "_WAIT_SECONDS", (0.01,))
    one = desk("cpu", workers={"idle_unload_seconds": 0.5})
    one.event(Ready)
    assert one.view.pid is not None
    os.kill(one.view.pid, signal.SIGKILL)
    one.event(Ready, 2)
    one.until(lambda: one.view.state is WorkerState.STOPPED)
    one.roster.wake(1)
    one.event(Ready, 3)
    assert one.roster.has_vacancy
    one.submit("a")
    assert one.event(NotDone).job == "a"


def test_a_busy_worker_is_not_unloaded(desk: Callable[..., Desk]) -> None:
    one = desk("cpu", workers={"idle_unload_seconds": 0.1}, limits={"timeout_seconds": 0.5})
    one.submit("hang")
    assert "limits.timeout_seconds" in one.event(SeatLost).reason


# Restart and stop


def test_a_restart_waits_for_the_batch_to_be_finished(desk: Callable[..., Desk]) -> None:
    one = desk("cpu")
    one.event(Ready)
    pid = one.view.pid
    one.submit("a")
    one.roster.restart()
    assert one.view.pid == pid
    one.event(NotDone)
    one.event(Ready, 2)
    assert one.view.pid != pid
    assert one.all(SeatLost) == []


def test_a_restart_of_an_idle_worker_is_at_once(desk: Callable[..., Desk], tree: Tree) -> None:
    one = desk("cpu")
    one.event(Ready)
    pid = one.view.pid
    one.roster.restart()
    one.event(Ready, 2)
    assert one.view.pid != pid
    assert not tree.is_alive(pid)
    one.submit("a")
    one.event(NotDone)
    assert len(one.all(Ready)) == 2  # and it is over with that


def test_restarts_that_come_faster_than_a_worker_starts_leave_each_its_batch(desk: Callable[..., Desk]) -> None:
    """As a SIGHUP every two seconds does, where torch takes three to load."""
    one = desk("cpu")
    while not one.all(NotDone):
        one.roster.restart()
        one.turn(patience=0.001)
        if one.roster.has_vacancy:
            one.submit("a")
    one.event(Ready, 2)
    assert one.all(SeatLost) == []


def test_a_worker_that_was_to_be_restarted_while_it_started_is_restarted_once_it_is_ready(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.daemon.fleet.roster, "_STALE_SECONDS", 0.01)
    one = desk("cpu")
    first = one.view.pid
    one.roster.restart()
    assert one.view.pid == first
    one.event(Ready, 2)
    assert one.view.pid != first


def test_a_restart_of_an_unloaded_worker_starts_none(desk: Callable[..., Desk]) -> None:
    one = desk("cpu", workers={"idle_unload_seconds": 0.3})
    one.until(lambda: one.view.state is WorkerState.STOPPED)
    one.roster.restart()
    assert one.view.state is WorkerState.STOPPED
    one.submit("a")
    assert one.event(NotDone).job == "a"


@pytest.mark.parametrize("wait", [True, False], ids=["when ready", "when starting"])
def test_a_stop_ends_a_worker_in_the_middle_of_its_work(desk: Callable[..., Desk], tree: Tree, wait: bool) -> None:
    one = desk("cpu")
    if wait:
        one.event(Ready)
    one.submit("hang")
    pid = one.view.pid
    begun = time.monotonic()
    one.roster.stop()
    assert time.monotonic() - begun < 5
    assert not tree.is_alive(pid)


def test_a_stop_ends_a_worker_that_does_not_want_to(
    desk: Callable[..., Desk], tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.executors.process, "_KILL_GRACE_SECONDS", 0.2)
    one = desk("cpu")
    one.event(Ready)
    one.submit("a", "stubborn")
    one.event(NotDone)
    pid = one.view.pid
    one.roster.stop()
    assert not tree.is_alive(pid)


def test_a_stop_while_a_worker_waits_for_its_next_start_is_a_stop(desk: Callable[..., Desk]) -> None:
    one = desk("exit-at-start")
    one.event(SeatLost)
    one.roster.stop()
    assert one.view.pid is None

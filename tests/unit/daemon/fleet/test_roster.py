"""The roster over an executor that does nothing by itself: each test says what its seats do, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamd.daemon.fleet.events import FleetEvent
from dreamd.daemon.fleet.news import News, SeatFailed, SeatLost
from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.fleet.views import WorkerState
from dreamd.executors.executor import Bundle, Demand, Fleet, Seat
from dreamd.executors.guarded import GuardedExecutor
from dreamd.messages import Batch, Done, Importing, NotDone, Order, Ready, Sidecar, Unable
from dreamd.plugin_host.catalogue import Catalogue, Problem
from dreamd.settings.config import load_config

OTHER_PLUGINS = Catalogue(problems=(Problem(plugin="other", origin="other.py", reason="it is not here"),))


class Scripted:
    """An executor with seats that are opened when they are wanted, and that remembers what it was told."""

    def __init__(self, *seats: str) -> None:
        self.seats = seats
        self.open_seats: set[str] = set()
        self.orders: list[tuple[str, tuple[str, ...]]] = []
        self.dropped: list[tuple[str, bool]] = []
        self.cancelled: list[tuple[str, tuple[str, ...]]] = []
        self.bundles: list[Bundle] = []
        self.demands: list[Demand] = []

    def open(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def renew(self, bundle: Bundle) -> None:
        self.bundles.append(bundle)

    def want(self, demand: Demand) -> None:
        self.demands.append(demand)
        for seat in self.seats:
            if seat not in demand.barred and seat not in self.open_seats:
                self.open_seats.add(seat)
                self.fleet.seat(Seat(id=seat, device=seat, is_spare=seat.startswith("spare")))

    def order(self, seat: str, batch: Batch) -> bool:
        if seat not in self.open_seats:
            return False
        self.orders.append((seat, batch.jobs))
        return True

    def cancel(self, seat: str, jobs) -> None:
        self.cancelled.append((seat, tuple(jobs)))

    def drop(self, seat: str, why: str, *, now: bool) -> None:
        self.dropped.append((seat, now))

    def close(self, seconds: float) -> None: ...


class Floor:
    """A roster, the executor below it, and a clock that stands until it is moved."""

    def __init__(self, folder: Path, *seats: str) -> None:
        config = folder / "config.yaml"
        config.write_text("limits: {timeout_seconds: 100}\nworkers: {idle_unload_seconds: 50}\n")
        self.now = 1000.0
        self.events: deque[FleetEvent] = deque()
        self.executor = Scripted(*seats)
        guarded = GuardedExecutor(self.executor, "executor 'scripted'")
        self.roster = Roster(guarded, load_config(config), self.events.append, clock=lambda: self.now)
        self.roster.start()
        self.news: list[News] = []
        self.hear()

    def hear(self) -> list[News]:
        """Let the roster handle all that was told; return what of it is for the loop."""
        heard = []
        while self.events:
            if (news := self.roster.handle(self.events.popleft())) is not None:
                heard.append(news)
        self.news += heard
        return heard

    def ready(self, *seats: str, catalogue: Catalogue | None = None) -> None:
        for seat in seats or self.executor.seats:
            catalogue = catalogue or Catalogue()
            said = Ready(device=seat, device_name="a card", precision="fp32", catalogue=catalogue)
            self.executor.fleet.said(seat, said)
        self.hear()

    def give(self, *jobs: str, seat: str | None = None, alone: bool = False) -> str | None:
        """Give jobs to the seat that the roster chooses, or to one."""
        seat = seat or self.roster.vacancy(jobs[0], alone=alone)
        if seat is not None:
            orders = tuple(Order(job=job, source=Path(f"/{job}"), folder=Path("/")) for job in jobs)
            self.roster.order(seat, Batch(recipe="{}", orders=orders))
        return seat

    def dreams(self, seat: str, job: str) -> list[News]:
        sidecar = Sidecar(
            job=job, picture="", input_sha256="", recipe={}, versions={}, weights_sha256=None, device="none",
            precision="fp32", seed=0, size=(1, 1), tiling=None, seconds=0.0, loss_before=0.0, loss_after=0.0,
        )  # fmt: skip
        self.executor.fleet.said(seat, Done(job=job, file="result.png", sidecar=sidecar))
        return self.hear()

    def fails(self, seat: str, job: str, *, final: bool = False) -> list[News]:
        self.executor.fleet.said(seat, NotDone(job=job, hold=None, final=final, reason="it failed"))
        return self.hear()

    def dies(self, seat: str, **how) -> list[News]:
        self.executor.open_seats.discard(seat)
        self.executor.fleet.gone(seat, "it died", **how)
        return self.hear()

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.roster.tick(self.now)
        self.hear()

    def state(self, seat: str) -> WorkerState:
        return next(view.state for view in self.roster.workers() if view.device == seat)


@pytest.fixture
def floor(tmp_path: Path) -> Callable[..., Floor]:
    return lambda *seats: Floor(tmp_path, *seats)


def test_a_seat_is_given_nothing_until_its_worker_is_ready(floor) -> None:
    one = floor("a")
    assert one.give("cat") is None
    assert one.state("a") is WorkerState.STARTING
    one.ready()
    assert one.give("cat") == "a"
    assert one.executor.orders == [("a", ("cat",))]
    assert one.state("a") is WorkerState.BUSY


def test_a_seat_is_given_more_when_half_of_its_batch_is_answered(floor) -> None:
    one = floor("a")
    one.ready()
    one.give("1", "2", "3", "4")
    one.dreams("a", "1")
    assert one.give("5") is None
    one.dreams("a", "2")
    assert one.give("5", alone=True) is None
    assert one.give("5") == "a"


def test_the_seat_with_nothing_in_hand_comes_before_one_that_is_low(floor) -> None:
    one = floor("a", "b")
    one.ready()
    one.give("1", "2")
    one.dreams("a", "1")
    assert one.give("3") == "b"
    assert one.give("4") == "a"


def test_what_a_dead_worker_had_not_answered_for_is_lost(floor) -> None:
    one = floor("a")
    one.ready()
    one.give("1", "2", "3")
    one.dreams("a", "1")
    (lost,) = one.dies("a", failure="crash")
    assert lost == SeatLost(("2", "3"), "it died", was_ready=True, failure="crash")
    assert one.state("a") is WorkerState.STOPPED


@pytest.mark.parametrize("fault", ["node", "cluster"])
def test_a_machine_that_is_gone_says_nothing_of_the_pictures_and_is_forgotten(floor, fault) -> None:
    one = floor("a")
    one.ready()
    one.give("1")
    (lost,) = one.dies("a", fault=fault)
    assert lost.jobs == ("1",)
    assert lost.failure is None
    assert one.roster.workers() == []


def test_a_seat_that_died_over_a_picture_is_wanted_again_at_once(floor) -> None:
    one = floor("a")
    one.ready()
    one.give("1")
    one.dies("a")
    one.wait(0)
    assert one.state("a") is WorkerState.STARTING


def test_a_seat_that_dies_over_nothing_is_wanted_ever_less_often(floor) -> None:
    one = floor("a")
    for wait in (1, 5, 30, 60, 60):
        one.dies("a")
        one.wait(wait - 0.1)
        assert one.state("a") is WorkerState.STOPPED
        one.wait(0.1)
        assert one.state("a") is WorkerState.STARTING
    one.ready()
    one.give("1")
    one.dreams("a", "1")
    one.dies("a")
    one.wait(1)
    assert one.state("a") is WorkerState.STARTING  # it has worked since


def test_a_picture_that_takes_too_long_costs_its_worker_and_says_so(floor) -> None:
    one = floor("a")
    one.ready()
    one.give("1", "2")
    one.wait(99)
    one.dreams("a", "1")  # the second has its own time
    one.wait(99)
    assert one.executor.dropped == []
    one.wait(1)
    assert one.executor.dropped == [("a", True)]
    (lost,) = one.dies("a")
    assert lost == SeatLost(
        ("2",), "it took longer than limits.timeout_seconds (100 s)", was_ready=True, failure="time"
    )


def test_a_worker_that_is_never_ready_is_dropped_and_its_seat_waits(floor) -> None:
    one = floor("a")
    one.wait(300)
    assert one.executor.dropped == [("a", True)]
    (lost,) = one.dies("a")
    assert not lost.was_ready
    assert "not ready" in lost.reason


def test_an_idle_seat_is_unloaded_and_opened_again_when_there_is_work(floor) -> None:
    one = floor("a")
    one.ready()
    one.wait(50)
    assert one.executor.dropped == [("a", False)]
    assert one.dies("a") == []
    one.wait(1000)
    assert one.state("a") is WorkerState.STOPPED
    one.roster.wake(1)
    one.hear()
    assert one.state("a") is WorkerState.STARTING


def test_a_batch_for_a_seat_that_has_just_gone_comes_back_without_an_attempt(floor) -> None:
    one = floor("a")
    one.ready()
    one.executor.open_seats.clear()
    one.give("1")
    (lost,) = one.hear()
    assert lost.jobs == ("1",)
    assert lost.failure is None
    assert one.give("2") is None
    one.dies("a")
    one.wait(0)
    one.ready()
    assert one.give("2") == "a"


def test_an_answer_that_nobody_waits_for_is_no_news(floor) -> None:
    one = floor("a")
    one.ready()
    one.give("1")
    assert len(one.fails("a", "1")) == 1
    assert one.fails("a", "1") == []
    assert one.dreams("elsewhere", "1") == []


# Plugins


def test_new_plugins_open_each_seat_anew_when_its_hand_is_empty(floor) -> None:
    one = floor("idle", "busy")
    one.ready()
    one.give("1", seat="busy")
    one.roster.restart()
    assert one.executor.dropped == [("idle", False)]
    assert one.give("2") is None
    one.dreams("busy", "1")
    assert one.executor.dropped == [("idle", False), ("busy", False)]
    assert one.dies("busy") == []
    one.wait(0)
    assert one.state("busy") is WorkerState.STARTING


def test_a_seat_that_became_stale_while_it_started_may_have_one_batch_first(floor) -> None:
    one = floor("a")
    one.roster.restart()
    one.ready()
    assert one.give("1") == "a"
    one.dreams("a", "1")
    assert one.executor.dropped == [("a", False)]
    one.dies("a")
    one.wait(0)
    one.roster.restart()
    one.ready()
    one.wait(1)
    assert one.executor.dropped == [("a", False)] * 2  # nobody gave it one


def test_a_plugin_that_ends_its_worker_is_named_and_seats_are_opened_without_it(floor) -> None:
    one = floor("a")
    one.executor.fleet.said("a", Importing(plugin="killer", origin="killer.py"))
    (lost,) = one.dies("a")
    assert lost.plugin == "killer"
    assert list(one.executor.bundles[-1].distrusted) == ["killer"]
    one.wait(0)
    assert one.state("a") is WorkerState.STARTING
    one.roster.restart()
    assert one.executor.bundles[-1].distrusted == {}


def test_a_seat_with_other_plugins_than_the_rest_is_opened_anew_and_never_learned_from(floor) -> None:
    one = floor("a", "b")
    one.ready("a")
    assert [type(news) for news in one.news] == [Ready]
    for wait in (1, 5):
        one.ready("b", catalogue=OTHER_PLUGINS)
        assert [type(news) for news in one.news] == [Ready]
        assert one.executor.dropped[-1] == ("b", False)
        one.dies("b")
        assert "plugins" in next(view.error for view in one.roster.workers() if view.device == "b")
        one.wait(wait - 0.1)
        assert one.state("b") is WorkerState.STOPPED
        one.wait(0.1)
        assert one.state("b") is WorkerState.STARTING
    one.give("1")
    assert one.give("2") is None


def test_after_a_renewal_the_first_seat_says_what_plugins_there_are(floor) -> None:
    one = floor("a", "b")
    one.ready()
    one.roster.restart()
    one.dies("a")
    one.wait(0)
    one.ready("a", catalogue=OTHER_PLUGINS)
    assert one.news[-1].catalogue == OTHER_PLUGINS


# Seats that are sick


def fail_at(one: Floor, seat: str, *jobs: str) -> list[News]:
    heard = []
    for job in jobs:
        one.give(job, seat=seat)
        heard += one.fails(seat, job)
    return heard


def test_a_seat_at_which_pictures_fail_in_a_row_rests_and_the_last_is_not_to_blame(floor) -> None:
    one = floor("well", "sick")
    one.ready()
    one.give("0", seat="well")
    one.dreams("well", "0")
    heard = fail_at(one, "sick", "1", "2", "3")
    assert [type(news) for news in heard] == [NotDone, NotDone, SeatFailed]
    assert one.executor.dropped == [("sick", False)]
    one.dies("sick")
    assert "in a row" in next(view.error for view in one.roster.workers() if view.device == "sick")
    one.wait(29)
    assert one.state("sick") is WorkerState.STOPPED
    one.wait(1)
    assert one.state("sick") is WorkerState.STARTING


def test_a_seat_that_was_sick_has_to_prove_itself_by_one_picture(floor) -> None:
    one = floor("well", "sick")
    one.ready()
    one.give("0", seat="well")
    one.dreams("well", "0")
    fail_at(one, "sick", "1", "2", "3")
    one.dies("sick")
    one.wait(30)
    one.ready("sick")
    assert one.roster.most_at("sick", 32) == 1
    assert one.roster.most_at("well", 32) == 32
    (news,) = fail_at(one, "sick", "4")
    assert isinstance(news, SeatFailed)
    one.dies("sick")
    one.wait(119)
    assert one.state("sick") is WorkerState.STOPPED
    one.wait(1)
    one.ready("sick")
    one.give("5", seat="sick")
    one.dreams("sick", "5")
    assert one.roster.most_at("sick", 32) == 32


def test_a_worker_that_pictures_kill_one_after_the_other_is_sick_too(floor) -> None:
    one = floor("well", "sick")
    one.ready()
    one.give("0", seat="well")
    one.dreams("well", "0")
    blames = []
    for job in ("1", "2", "3"):
        one.give(job, seat="sick")
        (lost,) = one.dies("sick")
        blames.append(lost.failure)
        one.wait(0)
        one.ready(*one.executor.open_seats & {"sick"})
    assert blames == ["worker", "worker", None]
    assert one.state("sick") is WorkerState.STOPPED


def test_a_picture_that_failed_goes_elsewhere_and_waits_for_that(floor) -> None:
    one = floor("a", "b")
    one.ready()
    one.give("1", seat="a")
    one.fails("a", "1")
    assert one.give("1", alone=True) == "b"
    one.fails("b", "1")
    last = one.give("1")
    assert last in ("a", "b")  # it has failed everywhere
    one.dreams(last, "1")
    one.give("2", seat="a")
    one.fails("a", "2")
    one.give("3", seat="b")
    assert one.roster.vacancy("2", alone=True) is None
    assert one.roster.has_seat(alone=True)
    one.give("4", seat="a")
    assert not one.roster.has_seat(alone=True)


def test_one_picture_that_fails_everywhere_makes_no_seat_sick(floor) -> None:
    one = floor("a", "b")
    one.ready()
    for turn in range(6):
        one.give(f"good {turn}", seat="a")
        one.dreams("a", f"good {turn}")
        assert not any(isinstance(news, SeatFailed) for news in fail_at(one, "b", "poison"))


def test_the_only_seat_is_never_sick(floor) -> None:
    one = floor("a")
    one.ready()
    heard = fail_at(one, "a", *map(str, range(9)))
    assert [type(news) for news in heard] == [NotDone] * 9


def test_pictures_that_are_at_fault_themselves_say_nothing_of_a_seat(floor) -> None:
    one = floor("well", "b")
    one.ready()
    one.give("0", seat="well")
    one.dreams("well", "0")
    for job in map(str, range(1, 9)):
        one.give(job, seat="b")
        (news,) = one.fails("b", job, final=True)
        assert isinstance(news, NotDone)


# What executors tell


def test_a_spare_that_finds_no_gpu_is_no_loss_and_is_not_tried_again_soon(floor) -> None:
    one = floor("a", "spare")
    one.ready("a")
    one.executor.fleet.said("spare", Unable(reason="no GPU"))
    assert one.dies("spare") == []
    assert next(view.error for view in one.roster.workers() if view.device == "spare") == "no GPU"
    one.wait(1799)
    assert one.state("spare") is WorkerState.STOPPED


def test_a_cancelled_dream_that_does_not_stop_costs_its_worker_and_nobody_an_attempt(floor) -> None:
    one = floor("a", "b")
    one.ready()
    one.give("1", "2", seat="a")
    one.roster.cancel(["1", "elsewhere"])
    assert one.executor.cancelled == [("a", ("1",))]
    one.wait(1.9)
    assert one.executor.dropped == []
    one.wait(0.1)
    assert one.executor.dropped == [("a", True)]
    (lost,) = one.dies("a")
    assert lost.failure is None
    one.wait(0)
    assert one.state("a") is WorkerState.STARTING


def test_trouble_is_kept_until_it_is_over(floor) -> None:
    one = floor("a")
    one.executor.fleet.trouble("no cluster at 10.0.0.1")
    one.hear()
    assert one.roster.trouble == "no cluster at 10.0.0.1"
    one.executor.fleet.trouble(None)
    one.hear()
    assert one.roster.trouble is None


@pytest.mark.parametrize(
    "tell",
    [lambda fleet: fleet.seat("a"), lambda fleet: fleet.said("a", "Done"), lambda fleet: fleet.gone("a", "", "x")],
)
def test_what_is_no_news_is_refused_where_it_is_told(floor, tell) -> None:
    with pytest.raises(TypeError):
        tell(floor("a").executor.fleet)

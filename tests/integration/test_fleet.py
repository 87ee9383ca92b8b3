"""A real daemon over seats of which one is sick, or whose machine goes away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dreamd.job import JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

SEATS = '''

class Seats(Echo):
    """Two seats: at `well` pictures come out, and at `other` goes wrong what the file `trouble` says. The file `sizes`
    tells how many pictures each batch had."""

    def __init__(self, context):
        super().__init__(context)
        self.open_seats = set()
        self.at = threading.local()
        self.trouble = context.config.file.with_name("trouble").read_text()
        self.sizes = context.config.file.with_name("sizes")

    def want(self, demand):
        for seat in {"well", "other"} - self.open_seats - demand.barred:
            self.open_seats.add(seat)
            self.fleet.seat(Seat(id=seat, device=seat))
            ready = Ready(device=seat, device_name="a card", precision="fp32", catalogue=None)
            self.fleet.said(seat, ready)

    def drop(self, seat, why, *, now):
        self.open_seats.discard(seat)
        self.fleet.gone(seat, why)

    def order(self, seat, batch):
        with self.sizes.open("a") as sizes:
            print(len(batch.orders), file=sizes)
        if seat == "well" or self.trouble == "none":
            threading.Thread(target=self.dream_all, args=[seat, batch], daemon=True).start()
        elif self.trouble == "node":
            self.open_seats.discard(seat)
            self.fleet.gone(seat, "the machine does not answer", fault="node")
        else:
            for order in batch.orders:
                self.fleet.said(seat, NotDone(job=order.job, hold=None, final=False, reason="CUDA error"))
        return True

    def dream_all(self, seat, batch):
        self.at.seat = seat
        for order in batch.orders:
            self.dream(order)

    def notify(self, message):
        self.fleet.said(self.at.seat, message)


@hookimpl(specname="dreamd_executors")
def seats(register):
    register("seats", Seats)
'''


@pytest.fixture
def seats(tree: Tree) -> Callable[[str], Tree]:
    tree.echo()

    def make(trouble: str) -> Tree:
        file = tree.root / "executors" / "echo.py"
        file.write_text(file.read_text() + SEATS)
        (tree.root / "trouble").write_text(trouble)
        tree.configure(workers={"executor": "seats"}, limits={"attempts": 2})
        return tree

    return make


@pytest.mark.parametrize("trouble", ["sick", "node"])
def test_a_card_that_fails_everything_and_a_machine_that_is_lost_fail_no_picture(
    seats: Callable[[str], Tree], run_daemon: Run, trouble: str
) -> None:
    tree = seats(trouble)
    for number in range(60):
        tree.drop(f"many/{number}.png")
    daemon = run_daemon(tree, "drain")
    assert daemon.wait() == 0, daemon.log
    jobs = tree.jobs()
    assert {job.state for job in jobs} == {JobState.DONE}
    assert len(jobs) == len(list((tree.outbox / "many").glob("*.png"))) == 60
    if trouble == "node":
        assert {job.attempts for job in jobs} == {1}
    else:
        assert "other: several pictures in a row failed here" in daemon.log


def test_near_the_end_of_a_queue_no_seat_has_work_that_another_waits_for(
    seats: Callable[[str], Tree], run_daemon: Run
) -> None:
    tree = seats("none")
    for number in range(20):
        tree.drop(f"many/{number}.png")
    daemon = run_daemon(tree, "drain")
    assert daemon.wait() == 0, daemon.log
    sizes = [int(size) for size in (tree.root / "sizes").read_text().split()]
    assert sum(sizes) == 20
    assert 1 < max(sizes) <= 10

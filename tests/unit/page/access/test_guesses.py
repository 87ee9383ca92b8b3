"""Guessing the token: each wrong one costs its client more time, and all clients together get so many tries."""

from __future__ import annotations

import pytest

from dreamd.page.access import guesses
from dreamd.page.access.guesses import A_MINUTE, Guesses, TooSoonError


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(guesses, "time", clock)
    return clock


def may_try(tries: Guesses, client: str) -> bool:
    try:
        tries.check(client)
    except TooSoonError:
        return False
    return True


def test_each_wrong_token_costs_its_client_twice_as_much_time_up_to_a_minute(clock: Clock) -> None:
    tries = Guesses()
    waits = []
    for _ in range(8):
        tries.check("a")
        waits.append(tries.note_wrong("a"))
        assert not may_try(tries, "a")
        assert may_try(tries, "b")
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_right_token_and_an_hour_of_peace_make_a_client_a_new_one(clock: Clock) -> None:
    tries = Guesses()
    for _ in range(5):
        tries.note_wrong("a")
    clock.now += 60
    tries.note_right("a")
    assert tries.note_wrong("a") == 1
    tries.note_wrong("a")
    clock.now += 3_601
    assert tries.note_wrong("a") == 1


def test_all_clients_together_have_so_many_tries_a_minute_and_who_has_shown_the_token_has_more(clock: Clock) -> None:
    tries = Guesses()
    tries.note_right("owner")
    for number in range(A_MINUTE):
        tries.check(str(number))
        tries.note_wrong(str(number))
    assert not may_try(tries, "new")
    assert may_try(tries, "owner")
    clock.now += 60
    assert may_try(tries, "new")


def test_the_error_says_how_long_to_wait(clock: Clock) -> None:
    tries = Guesses()
    for _ in range(4):
        tries.note_wrong("a")
    with pytest.raises(TooSoonError, match="too many wrong tokens; try again in 9 s"):
        tries.check("a")


def test_clients_are_forgotten_when_there_are_too_many(clock: Clock) -> None:
    tries = Guesses()
    for number in range(10_000):
        tries.note_wrong(str(number))
    assert len(tries._records) < 5_000

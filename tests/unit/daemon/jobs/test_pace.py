"""How long pictures take, and how many are so many seconds' work."""

from __future__ import annotations

import pytest

from dreamd.daemon.jobs.pace import Paces

SIZE = (100, 50)


def test_of_a_recipe_that_is_not_known_on_a_kind_of_device_one_picture_is_given() -> None:
    paces = Paces()
    paces.learn("red", "a card", 0.25, SIZE)
    assert paces.within(2.0, "red", "a card") == 8
    assert paces.within(2.0, "blue", "a card") == paces.within(2.0, "red", "a processor") == 1


def test_a_picture_that_takes_long_is_counted_in() -> None:
    paces = Paces()
    paces.learn("red", "a card", 1.0, SIZE)
    paces.learn("red", "a card", 11.0, SIZE)
    pace = paces.of("red")
    assert pace is not None
    assert 1.0 < pace.seconds < 11.0
    assert pace.a_pixel == pytest.approx(pace.seconds / 5000)
    assert paces.within(2.0, "red", "a card") == 1


def test_a_recipe_has_one_pace_over_all_kinds_of_devices() -> None:
    paces = Paces()
    assert paces.of("red") is None
    paces.learn("red", "a card", 1.0, SIZE)
    paces.learn("red", "a processor", 3.0, SIZE)
    pace = paces.of("red")
    assert pace is not None
    assert pace.seconds == 2.0


def test_how_many_pictures_a_time_holds_is_told_by_the_recipe_that_was_used_last() -> None:
    paces = Paces()
    assert paces.last_within(10) == 1
    paces.learn("quick", "a card", 0.5, SIZE)
    assert paces.last_within(10) == 20
    paces.learn("slow", "a card", 300.0, SIZE)
    assert paces.last_within(10) == 1
    paces.learn("quick", "a card", 0.5, SIZE)
    assert paces.last_within(10) == 20


def test_the_recipes_that_were_used_longest_ago_are_forgotten() -> None:
    paces = Paces()
    for number in range(300):
        paces.learn(str(number), "a card", 1.0, SIZE)
    assert paces.of("0") is None
    assert paces.of("299") is not None

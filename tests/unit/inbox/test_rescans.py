"""When walks are due, and what they cost at most."""

from __future__ import annotations

import pytest

from dreamd.inbox.rescans import RescanTimes


def test_a_tree_that_takes_long_to_walk_is_walked_less_often_beside_inotify_yet_not_for_ever():
    times = RescanTimes(30.0)
    assert times.pause(0.01, has_events=True) == 30
    assert times.pause(0.3, has_events=True) == pytest.approx(100)
    assert times.pause(60.0, has_events=True) == 300


def test_polling_costs_a_small_share_of_a_core_and_is_never_seldomer_than_rescan_seconds():
    times = RescanTimes(30.0)
    assert times.pause(0.0001, has_events=False) == 1
    assert times.pause(0.01, has_events=False) == pytest.approx(2.5)
    assert times.pause(1.0, has_events=False) == 30

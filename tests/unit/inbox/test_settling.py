"""Settling takes only so much of a turn of the loop."""

from __future__ import annotations

import time

from dreamd.inbox.settling import Settling
from dreamd.inbox.wholeness.appearance import Appearance
from dreamd.inbox.wholeness.judging import Wholeness


def test_files_that_take_long_to_inspect_are_inspected_a_few_at_a_time_and_none_is_left_out() -> None:
    def inspect(path: str) -> Appearance:
        end = time.perf_counter() + 0.02  # one that must be read from end to end
        while time.perf_counter() < end:
            pass
        return Appearance(1, has_writer=False, wholeness=Wholeness.WHOLE)

    settling = Settling(inspect, settle_seconds=1.0, patience_seconds=60.0)
    for number in range(12):
        settling.expect(f"{number}.jpg", 5.0, found_by="event")
    turns = []
    while settling.next_deadline() is not None:
        turns.append([settled.path.name for settled in settling.settle(5.0)])
    assert max(map(len, turns)) <= 4
    assert [name for turn in turns for name in turn] == [f"{number}.jpg" for number in range(12)]

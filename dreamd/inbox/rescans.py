"""When the whole inbox is walked, and what walks found that events should have told of."""

from __future__ import annotations

from math import inf

_MISSING_SECONDS = 1.0
"""The time between two looks for a missing inbox, in seconds."""

_POLL_SECONDS = 1.0
"""The shortest time between two walks of an inbox without inotify, in seconds."""

_POLL_SHARE = 0.004
"""The share of one core that walks may cost without inotify; a large tree is walked less often."""

_RESCAN_SHARE = 0.003
"""The share of one core that walks may cost beside inotify."""

_LONGEST_PAUSE = 10
"""The longest pause between two walks that cost much, in times of `rescan_seconds`."""

_SHORTEST_PAUSE_SECONDS = 1.0
"""The time that a walk waits after the one before when trouble calls for it, in seconds."""

_MOST_UNANNOUNCED = 10_000
"""The most files of a walk that are remembered as found by it: so many are enough of an alarm."""


class RescanTimes:
    """The times at which the inbox is walked."""

    def __init__(self, rescan_seconds: float) -> None:
        """Plan walks every `rescan_seconds`, or as often as they may cost."""
        self._rescan_seconds = rescan_seconds
        self._last = -_SHORTEST_PAUSE_SECONDS
        self._is_walking = False
        self.next = 0.0

    def start(self, now: float) -> None:
        """Walk at once."""
        self.next = now

    def hurry(self, now: float) -> None:
        """Walk as soon as may be, because events were lost or the watch is in trouble."""
        self.next = min(self.next, max(now, self._last + _SHORTEST_PAUSE_SECONDS))

    def begin(self) -> None:
        """Take in that a walk goes on from now: another one follows it only if that is asked for meanwhile."""
        self._is_walking = True
        self.next = inf

    def await_inbox(self, now: float) -> None:
        """Look again soon for an inbox that is not there."""
        self.next = now + min(_MISSING_SECONDS, self._rescan_seconds)

    def finish(self, began: float, now: float, *, has_events: bool) -> None:
        """Plan the walk after one that took as long as between two times, and ended at the second one."""
        asked_for = self.next if self._is_walking else inf
        self._is_walking = False
        self._last = now
        self.next = min(asked_for, now + self.pause(now - began, has_events=has_events))

    def pause(self, cost: float, *, has_events: bool) -> float:
        """Return how many seconds to wait after a walk that took `cost` seconds."""
        if has_events:  # the walk only makes sure: of a very large tree it does so less often
            return max(self._rescan_seconds, min(cost / _RESCAN_SHARE, _LONGEST_PAUSE * self._rescan_seconds))
        return min(self._rescan_seconds, max(_POLL_SECONDS, cost / _POLL_SHARE))


class MissedEvents:
    """Counts the files that only walks found although inotify watched: the alarm for a broken watch.

    A file that a walk finds may just have come, and its event be on its way: it counts at the next walk.
    """

    def __init__(self) -> None:
        self.count = 0
        self._unannounced: set[str] = set()
        self._counts_next = False

    def found_by_walk(self, path: str) -> None:
        """Take in that a walk found a file before any event told of it."""
        if len(self._unannounced) < _MOST_UNANNOUNCED:
            self._unannounced.add(path)

    def announce(self, path: str) -> None:
        """Take in that an event told of a file."""
        self._unannounced.discard(path)

    def is_unannounced(self, path: str) -> bool:
        """Return whether the last walk found a file that no event has told of since."""
        return path in self._unannounced

    def begin_walk(self, *, counts: bool) -> None:
        """Count what the walk before found and no event told of.

        Args:
            counts: whether inotify should tell of what this walk finds; false for the first one of a watch.
        """
        if self._counts_next:
            self.count += len(self._unannounced)
        self._unannounced.clear()
        self._counts_next = counts

"""How much of a shared inbox one daemon takes: what it will dream soon, so that the others have theirs.

Knows counts only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from dreamd.daemon.fleet.roster import Roster
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.pace import Paces
from dreamd.daemon.jobs.queue import Scheduler

_AHEAD_SECONDS = 10.0
"""The work that waits at each seat of a daemon that shares, in seconds: what is claimed, no other daemon can dream, and
a daemon that has none left finds the next within a second."""


def fair_room(life: Lifecycle, roster: Roster, paces: Paces) -> Callable[[], int]:
    """Return what tells how many more pictures a daemon may claim now: not one more than it dreams within seconds.

    Args:
        life: the jobs that it has.
        roster: the seats at which it dreams them.
        paces: how long pictures take; one a seat waits while that is not known.
    """

    def room() -> int:
        return max(1, roster.seats) * paces.last_within(_AHEAD_SECONDS) - _going(life.queue)

    return room


def _going(queue: Scheduler) -> int:
    """Count the jobs that wait for a seat. Those of a paused folder keep no others out, unless everything is paused."""
    if queue.is_paused(PurePosixPath()):
        return len(queue)
    return sum(count for folder, count in queue.by_folder().items() if not queue.is_paused(folder))

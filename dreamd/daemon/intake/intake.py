"""What comes in: the watcher's findings, and the claims of what has settled. Knows no worker and no journal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath

from dreamd.daemon.intake.unclaimed import Unclaimed
from dreamd.daemon.jobs.lifecycle import Lifecycle
from dreamd.daemon.jobs.queue import InTurn
from dreamd.inbox.events import FileEvent
from dreamd.inbox.recipes import RecipeChanged
from dreamd.inbox.watcher import Watcher

_CLAIM_SECONDS = 0.004
"""The time spent on claims in a turn of the loop, in seconds: a storm of pictures must not keep jobs from starting."""

_CLAIMS = 64
"""The number of pictures that are claimed at a time, and written into the journal together."""

_LEAST_OF_A_FOLDER = 16
"""The number of pictures of one folder that are claimed before the next folder has its turn."""

_PLENTY = 1_000
"""The number of queued jobs beyond which more are not urgent."""

_CLAIM_PAUSE_SECONDS = 0.25
"""The pause between two claims when plenty is queued, in seconds: what a claim costs is then better spent on dreams."""

_TIDY_SECONDS = 5.0
"""The time after which pictures that could not be claimed, and are gone, are forgotten, in seconds."""


class Intake:
    """Pictures on their way from the inbox into the queue.

    Attributes:
        watcher: what finds them.
        is_watching: whether the inbox has been looked through once.
        refused: how many could not be claimed and are left, when nobody waits for another try.
        unclaimed: those that could not be claimed so far.
    """

    def __init__(
        self, watcher: Watcher, life: Lifecycle, *, until_empty: bool, room: Callable[[], int] | None = None
    ) -> None:
        """Set up.

        Args:
            watcher: what finds pictures and changed recipes.
            life: takes the pictures in.
            until_empty: a picture that cannot be claimed is left and counted, and not tried again.
            room: tells how many more may be claimed now, where other daemons want some too; None: all.
        """
        self._room = room or (lambda: _CLAIMS)
        self.watcher = watcher
        self._life = life
        self._until_empty = until_empty
        self._arrived: InTurn[str] = InTurn()  # names alone: of a million pictures each byte counts
        self._claim_due = 0.0
        self._tidy_due = 0.0
        self.is_watching = False
        self.refused = 0
        self.unclaimed = Unclaimed()

    def __len__(self) -> int:
        """How many pictures have settled and are about to be claimed."""
        return len(self._arrived)

    @property
    def has_work(self) -> bool:
        """Whether a picture is about to settle or to be claimed."""
        return bool(self._arrived) or self.watcher.has_pending

    def by_folder(self) -> Counter[PurePosixPath]:
        """Count the pictures that are about to be claimed, by folder."""
        return self._arrived.by_folder()

    def handle(self, event: FileEvent) -> None:
        """Take in what one of the watcher's threads has seen."""
        self.watcher.handle(event)

    def look_anew(self) -> None:
        """Look through the whole inbox at the next turn's beginning: it was away, or is another folder now."""
        self.watcher.rescan()

    def take_in(self, now: float) -> None:
        """Take in what has settled by now, and claim some of it."""
        for finding in self.watcher.due(now):
            if isinstance(finding, RecipeChanged):
                self._life.recipe_changed(finding.folder)
            else:
                self._arrived.add(finding.path.parent, finding.path.name)
        self.is_watching = True
        self._claim_some()
        if now >= self._tidy_due and not self._arrived and not self._until_empty:
            self._tidy_due = now + _TIDY_SECONDS
            self.unclaimed.keep_only(self.watcher.awaits)

    def next_deadline(self) -> float | None:
        """Return when `take_in` has something to do next, as a time of `time.monotonic`."""
        watch_due = self.watcher.next_deadline()
        if not self._arrived:
            return watch_due
        return self._claim_due if watch_due is None else min(self._claim_due, watch_due)

    def _claim_some(self) -> None:
        """Claim what has arrived, folders in turn, for a moment; the rest at the next turns."""
        if not self._arrived or time.monotonic() < self._claim_due:
            return
        end = time.monotonic() + _CLAIM_SECONDS
        while self._arrived and time.monotonic() < end:
            most = min(_CLAIMS, self._room())
            if most > 0:
                self._claim_next(most)
            else:
                self._look_over_next_folder()
            if most <= 0 or len(self._life.queue) >= _PLENTY:
                self._claim_due = time.monotonic() + _CLAIM_PAUSE_SECONDS
                return

    def _look_over_next_folder(self) -> None:
        """Drop from the next folder what is gone, since others dream it, and what was found once more after a change:
        a daemon that has no room for hours would gather them all."""
        folder = next(iter(self._arrived.folders))
        self._arrived.keep_of(folder, self.watcher.reported_in(folder))

    def _claim_next(self, most: int) -> None:
        arrived = self._arrived
        most_of_one = max(_LEAST_OF_A_FOLDER, most // len(arrived.folders))
        found: list[PurePosixPath] = []
        while arrived and len(found) < most:
            folder = next(iter(arrived.folders))
            found += (folder / name for name in arrived.take_some(folder, min(most_of_one, most - len(found))))
        # What changed since it settled is reported again when it has settled again.
        refused = self._life.take_in([path for path in found if self.watcher.is_unchanged(path)])
        for path in found:
            if path not in refused:
                # A share may have hidden it for a moment: then it is there still, and the next walk reports it.
                self.watcher.forget_report(path)
        for path, error in refused.items():
            self.unclaimed.note(path, error)
            if self._until_empty:
                self.refused += 1
            else:
                self.watcher.postpone(path)

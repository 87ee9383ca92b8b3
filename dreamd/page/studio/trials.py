"""Trials: a recipe that is not saved, dreamed on a small picture, in memory from beginning to end.

Nothing of a trial is ever in a folder: not in the inbox, where it would become a job, and not in the state folder,
where a kill would leave it. When the page's process ends, its trials are gone.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from dreamd.page.handlers.answers import FullError, NotThereError
from dreamd.page.studio.process import StudioProcess
from dreamd.settings.config import Config
from dreamd.studio import CancelOrder, Going, StudioAnswer, TryOrder
from dreamd.wording import printable

TrialState = Literal["waiting", "dreaming", "done", "failed"]
"""How far a trial is."""

_MOST_AT_A_TIME = 6
"""The most trials that wait or are dreamed."""

_MOST_KEPT = 24
"""The most trials that are remembered; what began longest ago goes first."""

_UNSEEN_SECONDS = 30.0
"""A trial that nobody has asked after for so long is not dreamed on, in seconds: its page was closed."""

_LONGEST_SECONDS = 600.0
"""The time after which a trial that shows no progress is ended with its process, in seconds."""

_ENDED = "the process in which recipes are tried has ended; try it again"
"""What is told of a trial whose process ended, by a plugin's fault or for want of memory."""


@dataclass(kw_only=True)
class Trial:
    """A trial.

    Attributes:
        id: nobody can guess it.
        before: the picture that it began with.
        after: the dream, as it is now.
        stamp: a number that grows with each new `after`.
        state: how far it is.
        share: how much of it is done, 0 to 1.
        words: the same in words.
        problem: why there is no dream.
        seconds: that it took.
        seen_at: when somebody asked after it, by `time.monotonic`.
        moved_at: when it was heard of, by `time.monotonic`.
    """

    id: str
    before: bytes
    after: bytes | None = None
    stamp: int = 0
    state: TrialState = "waiting"
    share: float = 0.0
    words: str = "getting ready"
    problem: str | None = None
    seconds: float | None = None
    seen_at: float
    moved_at: float

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("done", "failed")

    def values(self) -> dict[str, Any]:
        """Return what a page may know of it, as values of JSON."""
        return {
            "id": self.id,
            "state": self.state,
            "share": self.share,
            "words": self.words,
            "problem": self.problem,
            "seconds": self.seconds,
            "before": f"trials/{self.id}/before",
            "after": None if self.after is None else f"trials/{self.id}/after?{self.stamp}",
        }


class Trials:
    """The trials of one page."""

    def __init__(self, config: Config) -> None:
        self._trials: OrderedDict[str, Trial] = OrderedDict()
        self._process = StudioProcess(config.file, self._take, self._take_end)
        self._watch: asyncio.Task[None] | None = None

    async def begin(self, recipe: str, picture: bytes) -> Trial:
        """Begin a trial.

        Args:
            recipe: the effective recipe as JSON.
            picture: a JPEG, PNG or WebP file, small.

        Raises:
            FullError: so many are tried that this one must wait for others to end.
        """
        if sum(not trial.is_over for trial in self._trials.values()) >= _MOST_AT_A_TIME:
            raise FullError("many recipes are being tried just now; try yours again in a moment")
        now = time.monotonic()
        trial = Trial(id=secrets.token_urlsafe(12), before=picture, seen_at=now, moved_at=now)
        self._trials[trial.id] = trial
        while len(self._trials) > _MOST_KEPT:
            self._trials.popitem(last=False)
        await self._process.send(TryOrder(id=trial.id, recipe=recipe, picture=picture))
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look_after())
        return trial

    def find(self, id_: str) -> Trial:
        """Find a trial, and note that somebody asks after it. Raises NotThereError."""
        trial = self._trials.get(id_)
        if trial is None:
            raise NotThereError("this trial is not kept any more")
        trial.seen_at = time.monotonic()
        return trial

    async def forget(self, id_: str) -> None:
        """Forget a trial, and end it where it is not over."""
        trial = self._trials.pop(id_, None)
        if trial is not None and not trial.is_over:
            await self._process.send(CancelOrder(id=id_))

    async def close(self) -> None:
        """End what is being tried."""
        if self._watch is not None:
            self._watch.cancel()
        await self._process.close()

    async def _look_after(self) -> None:
        """Cancel what nobody waits for, and end a process that hangs, as long as anything is being tried."""
        while running := [trial for trial in self._trials.values() if not trial.is_over]:
            await asyncio.sleep(1)
            now = time.monotonic()
            for trial in running:
                if now - trial.seen_at > _UNSEEN_SECONDS:
                    await self.forget(trial.id)
            if all(now - trial.moved_at > _LONGEST_SECONDS for trial in running):
                self._process.kill()

    def _take(self, answer: StudioAnswer) -> None:
        trial = self._trials.get(answer.id)
        if trial is None:
            return
        trial.moved_at = time.monotonic()
        if answer.picture is not None:
            trial.after, trial.stamp = answer.picture, trial.stamp + 1
        if isinstance(answer, Going):
            trial.state, trial.share, trial.words = "dreaming", answer.share, answer.words
        else:
            trial.state = "done" if answer.problem is None else "failed"
            trial.problem = None if answer.problem is None else printable(answer.problem)
            trial.share, trial.seconds = 1.0, answer.seconds

    def _take_end(self) -> None:
        for trial in self._trials.values():
            if not trial.is_over:
                trial.state, trial.problem = "failed", _ENDED

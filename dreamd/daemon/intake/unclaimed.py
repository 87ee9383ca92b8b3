"""Pictures that cannot be claimed: each reason is said once for a folder, and shown as long as they are there."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple

from dreamd.errors import DreamdError
from dreamd.wording import printable

log = logging.getLogger(__name__)


class WhyLeft(NamedTuple):
    """Why files of one folder are left in the inbox."""

    folder: PurePosixPath
    reason: str


def _reason_for_all(path: PurePosixPath, error: DreamdError) -> str:
    """Return what an error says without the name of the picture, so that those of its folder have one reason."""
    name = printable(path.name)
    reason = str(error).partition(f"{name}: ")[2] or str(error)
    return re.sub(rf" \([^()]*{re.escape(name)}\)", "", reason)


class Unclaimed:
    """Remembers the pictures that could not be claimed.

    Attributes:
        counts: how many there are, by folder and reason.
    """

    def __init__(self) -> None:
        self._reasons: dict[PurePosixPath, WhyLeft] = {}
        self.counts: Counter[WhyLeft] = Counter()

    def note(self, path: PurePosixPath, error: DreamdError) -> None:
        """Take note of a picture that could not be claimed, and say so if nothing of the kind was said."""
        why = WhyLeft(path.parent, _reason_for_all(path, error))
        if self._reasons.get(path) == why:
            return
        self._forget(path)
        if why not in self.counts:
            log.error("%s; the same holds for others of its folder, as `dreamd status` shows", error)
        self._reasons[path] = why
        self.counts[why] += 1

    def keep_only(self, is_awaited: Callable[[PurePosixPath], bool]) -> None:
        """Forget the pictures that were claimed after all, or are gone."""
        for path in [path for path in self._reasons if not is_awaited(path)]:
            self._forget(path)

    def _forget(self, path: PurePosixPath) -> None:
        why = self._reasons.pop(path, None)
        if why is not None:
            self.counts[why] -= 1
            if not self.counts[why]:
                del self.counts[why]

"""The weights that are missing, and what becomes of each: fetched, waited for, or left alone as a person wants it.

A job whose weights are not here is held, and asks for them (`need`). They are fetched at once, unless the config or a
person wants it otherwise; a person may also ask before any job does. All who wait for the same weights have one
download. A file that somebody puts in its place by hand is found within seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dreamd.daemon.weights.fetch_process import FetchAdvanced, FetchEnded, FetchEvent, FetchProcess
from dreamd.daemon.weights.pace import BytesPace
from dreamd.errors import WeightsError
from dreamd.settings.sections import MayFetch
from dreamd.tree.fetch_orders import FetchOrders
from dreamd.tree.snapshot import Fetch, FetchState
from dreamd.weights.cache import cache_folder, cached_path, find
from dreamd.weights.sources import Download

log = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
"""The time between two looks for files that somebody has put in their place by hand, in seconds."""

_AGAIN_SECONDS = 10.0
"""The time in seconds for which a download that failed is not begun again, whoever needs it."""


@dataclass
class _Missing:
    """Weights that are not here.

    Attributes:
        backbone: whose they are.
        source: where they come from.
        state: what becomes of them.
        reason: why jobs are held for them, as those were told.
        process: their download, while it runs.
        done: the bytes that are here.
        total: the bytes of the whole file; None when nobody has said.
        problem: why the last download failed; None when none did.
        ended_at: when that was, as `time.monotonic` says it.
        pace: how fast the bytes come.
    """

    backbone: str
    source: Download
    state: FetchState = "missing"
    reason: str = ""
    process: FetchProcess | None = None
    done: int = 0
    total: int | None = None
    problem: str | None = None
    ended_at: float = float("-inf")
    pace: BytesPace = field(default_factory=BytesPace)

    @property
    def path(self) -> Path:
        """Where the file is to be."""
        return cached_path(self.source)


class Fetches:
    """The missing weights of one daemon."""

    def __init__(
        self,
        *,
        orders: FetchOrders,
        may_fetch: MayFetch,
        notify: Callable[[FetchEvent], None],
        on_reason: Callable[[str, str], None],
        on_here: Callable[[], None],
    ) -> None:
        """Set up; fetch nothing yet.

        Args:
            orders: what persons want.
            may_fetch: what the config wants.
            notify: told by threads how a download goes; what it is told is to be given to `handle`.
            on_reason: called when the reason for which jobs are held is another: with the old and the new one.
            on_here: called when weights are here that jobs may wait for.
        """
        self._orders = orders
        self._may_fetch = may_fetch
        self._notify = notify
        self._on_reason = on_reason
        self._on_here = on_here
        self._missing: dict[str, _Missing] = {}
        self._processes = 0
        self._seen_mark: int | None = None
        self._look_due = 0.0
        self.changes = 0

    def use_rule(self, may_fetch: MayFetch) -> None:
        """Go by another config from now on; what is being fetched goes on."""
        self._may_fetch = may_fetch
        self._seen_mark = None

    @property
    def is_running(self) -> bool:
        """Whether something is being fetched."""
        return any(each.process is not None for each in self._missing.values())

    def need(self, backbone: str, source: Download) -> str:
        """Take note that a job needs weights that its worker does not find, and fetch them if nobody objects.

        Returns:
            The reason to hold the job for.
        """
        try:
            if find(source).state == "cached":
                return f"the weights of {backbone} are at {cached_path(source)}, where the worker does not find them"
        except WeightsError as error:
            return str(error)
        missing = self._missing.setdefault(backbone, _Missing(backbone, source))
        missing.source = source
        is_free = missing.state in ("missing", "failed") and missing.ended_at + _AGAIN_SECONDS <= time.monotonic()
        if is_free and self._may_fetch == "auto":
            self._begin(missing)
        missing.reason = self._words(missing)
        return missing.reason

    def backbone_of(self, reason: str) -> str | None:
        """Return whose weights jobs are held for by a reason; None when by none that was given here."""
        return next((each.backbone for each in self._missing.values() if each.reason == reason), None)

    def look(self, now: float) -> None:
        """Take the orders that have changed, and weights that somebody has put in their place."""
        if (mark := self._orders.mark()) != self._seen_mark:
            self._seen_mark = mark
            self._take_orders()
        if now >= self._look_due:
            self._look_due = now + _LOOK_SECONDS
            for missing in [each for each in self._missing.values() if each.process is None]:
                if missing.path.is_file():
                    self._is_here(missing)

    def next_deadline(self) -> float | None:
        """Return when `look` has something to do next, as a time of `time.monotonic`."""
        return self._look_due if self._missing else None

    def handle(self, event: FetchEvent) -> None:
        """Take note of how a download goes."""
        missing = self._missing.get(event.backbone)
        if missing is None or missing.process is None:
            return
        self.changes += 1
        match event:
            case FetchAdvanced(done=done, total=total):
                missing.done, missing.total = done, total
                missing.pace.note(done)
            case FetchEnded(number=number, problem=problem) if number == missing.process.number:
                self._take_end(missing, problem)

    def stop(self) -> None:
        """End every download; the next start goes on with those that are still wanted."""
        for missing in self._missing.values():
            if missing.process is not None:
                missing.process.end()
                missing.process = None

    def views(self) -> list[Fetch]:
        """Show the missing weights, for `dreamd status`."""
        return [_view(missing, self._may_fetch) for missing in self._missing.values()]

    # Steps

    def _take_orders(self) -> None:
        try:
            cache_folder()
        except WeightsError as error:
            log.error("%s", error)
            return
        for order in self._orders:
            missing = self._missing.setdefault(order.backbone, _Missing(order.backbone, order.source))
            if missing.path.is_file():
                self._is_here(missing)
            elif order.fetch and missing.process is None and self._may_fetch != "never":
                missing.source = order.source
                self._begin(missing)
                self._tell(missing)
            elif not order.fetch and missing.state != "cancelled":
                self._cancel(missing)

    def _begin(self, missing: _Missing) -> None:
        self._processes += 1
        self.changes += 1
        missing.state, missing.problem, missing.pace = "fetching", None, BytesPace()
        missing.done, missing.total = find(missing.source).size, missing.source.size or None
        log.info("the weights of %s are fetched from %s", missing.backbone, missing.source.url)
        missing.process = FetchProcess(missing.backbone, missing.source, self._processes, self._notify)

    def _cancel(self, missing: _Missing) -> None:
        self.changes += 1
        if missing.process is not None:
            missing.process.end()
            missing.process = None
            log.info("the download of the weights of %s was cancelled", missing.backbone)
        missing.state, missing.problem = "cancelled", None
        self._tell(missing)

    def _take_end(self, missing: _Missing, problem: str | None) -> None:
        missing.process = None
        missing.ended_at = time.monotonic()
        if problem is None:
            log.info("the weights of %s are here: %s", missing.backbone, missing.path)
            self._is_here(missing)
            return
        missing.state, missing.problem = "failed", problem
        self._orders.remove(missing.backbone)
        self._tell(missing)

    def _is_here(self, missing: _Missing) -> None:
        self.changes += 1
        del self._missing[missing.backbone]
        self._orders.remove(missing.backbone)
        self._on_here()

    def _tell(self, missing: _Missing) -> None:
        """Tell the jobs that are held for weights what becomes of them now."""
        before, missing.reason = missing.reason, self._words(missing)
        if before and before != missing.reason:
            self._on_reason(before, missing.reason)

    def _words(self, missing: _Missing) -> str:
        """Say why a job waits for weights."""
        name = missing.backbone
        if missing.state == "fetching":
            return f"the weights of {name} are being fetched"
        if missing.problem is not None:
            return missing.problem
        if self._may_fetch == "never":
            why, how = "`weights.fetch: never` in config.yaml forbids the daemon to fetch them", ""
        elif missing.state == "cancelled":
            why, how = "their download was cancelled", "on the page or "
        else:
            why, how = "nobody has asked to fetch them", "on the page or "
        remedy = f"Fetch them {how}by `dreamd weights fetch {name}`; or put the file at {missing.path}"
        return f"the weights of {name} are not here, and {why}.\n{remedy}"


def _view(missing: _Missing, may_fetch: MayFetch) -> Fetch:
    rate = missing.pace.bytes_per_second if missing.process is not None else None
    left = None if missing.total is None else max(0, missing.total - missing.done)
    return Fetch(
        backbone=missing.backbone,
        state=missing.state,
        done=missing.done,
        total=missing.total or missing.source.size or None,
        bytes_per_second=rate,
        eta_seconds=round(left / rate, 1) if rate and left is not None else None,
        problem=missing.problem,
        url=missing.source.url,
        sha256=missing.source.sha256,
        path=str(missing.path),
        may_fetch=may_fetch != "never",
    )

"""The daemon as a systemd service: what it tells systemd of itself (sd_notify(3)).

READY, STATUS, RELOADING and STOPPING, and the watchdog's ping, which is sent by the daemon's loop and only while the
workers live. Where no service manager asks, nothing is told.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamd.errors import DreamdError
from dreamd.tree.snapshot import Snapshot

log = logging.getLogger(__name__)

_BEATS_A_WATCHDOG = 4
"""The number of pings in the time after which systemd loses patience; the workers are looked at before each."""

_PATIENCE_SHARE = 0.5
"""The share of that time in which a busy worker may show no sign of life."""

_LIVELY = 0.005
"""The share of a processor that shows life: an iteration uses all of one, a thread that only waits and wakes now and
then a tenth of this."""

_STOP_MARGIN_SECONDS = 60.0
"""The time for ending the workers and writing down what is left, in seconds, after the running jobs had theirs."""


@dataclass(frozen=True)
class Pulse:
    """What a busy worker shows of itself.

    Attributes:
        pid: its process; None when it has none on this machine.
        jobs: what it works on.
        said: the last it said of each of them.
    """

    pid: int | None
    jobs: tuple[str, ...]
    said: Hashable


class Service:
    """The line to systemd. Its times are those of `time.monotonic`."""

    def __init__(self, send: Callable[[str], object] | None, watchdog_seconds: float | None) -> None:
        """Set up.

        Args:
            send: takes a message of sd_notify; None when nobody listens.
            watchdog_seconds: how long systemd waits for a ping; None: for ever.
        """
        self._send = send
        self._watchdog_seconds = watchdog_seconds if send is not None else None
        self._heart = Heart(0.0 if watchdog_seconds is None else watchdog_seconds * _PATIENCE_SHARE)
        self._status: str | None = None
        self._next_beat = 0.0
        self._is_mute = False
        self.is_ready = False

    @classmethod
    def from_environment(cls) -> Service:
        """The line that the environment names.

        Raises:
            DreamdError: systemd waits to be told, and cysystemd is not installed.
        """
        if not os.environ.get("NOTIFY_SOCKET"):
            return cls(None, None)
        try:
            # Not its `notify`, which cannot say two lines at once, as RELOADING needs.
            from cysystemd.daemon import sd_notify  # type: ignore[attr-defined]
        except ImportError as error:
            raise DreamdError(
                "systemd waits to be told when dreamd is ready (Type=notify), and cysystemd is not installed: "
                "`pip install 'dreamd[service]'`, or set Type=exec in the unit"
            ) from error
        watchdog_seconds = _watchdog_seconds()
        if watchdog_seconds is not None:
            faulthandler.enable()  # the watchdog ends a loop that hangs by SIGABRT: the log then shows where it was
        return cls(sd_notify, watchdog_seconds)

    def announce_ready(self) -> None:
        """Say that the watch stands and a worker has answered."""
        if not self.is_ready:
            self.is_ready = True
            self._tell("READY=1")

    def announce_reload(self) -> None:
        """Say that the config is being read again, until `announce_reloaded`."""
        if self.is_ready:
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def announce_reloaded(self) -> None:
        """Say that the new config counts."""
        if self.is_ready:
            self._tell("READY=1")

    def announce_stop(self, seconds: float) -> None:
        """Say that the daemon ends, and may take so long over what runs: systemd then waits, whatever its unit says."""
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round((seconds + _STOP_MARGIN_SECONDS) * 1e6)}")

    def show(self, snapshot: Snapshot) -> None:
        """Have `systemctl status` show the state."""
        status = _status_line(snapshot)
        if status != self._status:
            self._status = status
            self._tell(f"STATUS={status}")

    def next_deadline(self) -> float | None:
        """Return when `beat` has something to do next."""
        return None if self._watchdog_seconds is None else self._next_beat

    def beat(self, now: float, busy: Callable[[], Sequence[Pulse]]) -> None:
        """Ping the watchdog if it is time, unless a busy worker has shown no sign of life for long.

        Called by the daemon's loop itself, so that one which stands still does not ping either.
        """
        if self._watchdog_seconds is None or now < self._next_beat:
            return
        self._next_beat = now + self._watchdog_seconds / _BEATS_A_WATCHDOG
        if self._heart.check(now, busy()):
            self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if self._send is None:
            return
        try:
            self._send(message)
        except (RuntimeError, ValueError) as error:  # cysystemd's; dreaming goes on all the same
            if not self._is_mute:
                log.warning("systemd cannot be told %s: %s", message.partition("=")[0], error)
            self._is_mute = True


class Heart:
    """Tells whether the busy workers live.

    A sign of life is another message of progress, or processor time: one iteration on a large picture takes minutes
    without a word, but not without work. A worker that works on and on for nothing is `limits.timeout_seconds`'s.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._lives: dict[tuple[int | None, tuple[str, ...]], _Life] = {}

    def check(self, now: float, busy: Sequence[Pulse]) -> bool:
        """Look at the busy workers; return whether each has shown a sign of life lately."""
        self._lives = {(pulse.pid, pulse.jobs): self._look_at(pulse, now) for pulse in busy}
        return all(now - life.seen_at <= self._patience_seconds for life in self._lives.values())

    def _look_at(self, pulse: Pulse, now: float) -> _Life:
        cpu = _cpu_seconds(pulse.pid)
        before = self._lives.get((pulse.pid, pulse.jobs))
        if before is None or pulse.said != before.said or cpu - before.cpu > _LIVELY * (now - before.looked_at):
            return _Life(pulse.said, cpu, now, now)
        return _Life(pulse.said, cpu, now, before.seen_at)


@dataclass(frozen=True)
class _Life:
    """A worker at its last look, and when it has last shown a sign of life."""

    said: Hashable
    cpu: float
    looked_at: float
    seen_at: float


def _cpu_seconds(pid: int | None) -> float:
    """Return the seconds of processor time that a process and its ended children have used; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    ticks = text.rpartition(")")[2].split()[11:15]  # utime, stime, cutime, cstime of proc(5)
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _watchdog_seconds() -> float | None:
    """Return the unit's WatchdogSec, unless it is meant for another process."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if is_ours and microseconds.isdigit() and int(microseconds) else None


def _status_line(snapshot: Snapshot) -> str:
    parts = [
        snapshot.state,
        f"watching by {snapshot.watching}",
        f"{snapshot.queued} queued, {snapshot.running} running, {snapshot.held} held",
        f"{snapshot.done_per_hour:.0f} pictures an hour",
    ]
    if snapshot.page_problem is not None:
        parts.append(f"the page is not served: {snapshot.page_problem}")
    return "; ".join(parts)

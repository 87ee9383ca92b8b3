"""How the daemon is told to stop: once, and what runs is finished; twice, and it is left. Knows signals and times."""

from __future__ import annotations

import logging
import signal
import time

from dreamd.daemon.systemd import Service

log = logging.getLogger(__name__)


class Stopping:
    """What was said of stopping.

    Attributes:
        by: when what runs has had its time, as a time of `time.monotonic`; None: nobody wants the daemon to stop.
    """

    def __init__(self, seconds: float, service: Service) -> None:
        """Set up.

        Args:
            seconds: what runs may take so long from the first signal on.
            service: told how long it takes.
        """
        self._seconds = seconds
        self._service = service
        self._signals = 0
        self.by: float | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants the daemon to stop."""
        return self._signals > 0

    @property
    def is_at_once(self) -> bool:
        """Whether that is now, whatever runs."""
        return self._signals > 1

    @property
    def is_out_of_time(self) -> bool:
        """Whether what runs has had its time; it then waits for the next start."""
        return self.by is not None and time.monotonic() >= self.by

    def take(self, number: int, running: int) -> None:
        """Take a signal, while so many jobs run."""
        self._signals += 1
        if self.by is None:
            self.by = time.monotonic() + self._seconds
            self._service.announce_stop(self._seconds)
        name = signal.Signals(number).name
        if self.is_at_once:
            log.info("%s again: stopping at once; what was running waits for the next start", name)
        elif running:
            log.info("%s: finishing %d running; the rest waits for the next start", name, running)

    def tell_end(self, running: int) -> None:
        """Tell what is left running because its time is over."""
        if running and self.is_out_of_time and not self.is_at_once:
            log.info("%g s are over (limits.stop_seconds): %d running wait for the next start", self._seconds, running)

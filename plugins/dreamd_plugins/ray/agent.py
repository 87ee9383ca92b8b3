"""What runs on a machine of the cluster: an actor that hosts one seat.

Knows no Ray, which makes an actor of it, so that a machine's dreamd is enough to load it.
"""

from __future__ import annotations

import os
import threading
import time

from dreamd.api import Opening, SeatHost

_LEFT_SECONDS = 60.0
"""A seat that nobody asked for news for so many seconds has been left: it would hold its GPU for ever."""


class Agent(SeatHost):
    """A seat's host, as an actor. Its process ends when the daemon's bridge has left it."""

    def __init__(self, opening: Opening, device: str, sharers: int) -> None:
        """Begin: see `dreamd.api.SeatHost`."""
        # Ray sets how many threads compute by what an actor reserves, and dreamd by what the machine has.
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        super().__init__(opening, device=device, sharers=sharers, environment=environment)
        threading.Thread(target=self._end_when_left, daemon=True).start()

    def _end_when_left(self) -> None:
        while time.monotonic() < self.polled_at + _LEFT_SECONDS:
            time.sleep(1.0)
        os._exit(1)

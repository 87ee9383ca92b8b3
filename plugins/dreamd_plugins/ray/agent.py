"""What runs on a machine of the cluster: an actor that hosts one seat.

Knows no Ray, which makes an actor of it, so that a machine's dreamd is enough to load it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from dreamd.api import FarBatch, FarNews, Opening, SeatHost

_LEFT_SECONDS = 60.0
"""A seat that nobody asked for news for so many seconds has been left: it would hold its GPU for ever."""


class Agent:
    """A seat's host, as an actor. Its process ends when the daemon's bridge has left it."""

    def __init__(self, opening: Opening, device: str, sharers: int) -> None:
        """Begin: see `dreamd.api.SeatHost`."""
        # Ray sets how many threads compute by what an actor reserves, and dreamd by what the machine has.
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        self._host = SeatHost(opening, device=device, sharers=sharers, environment=environment)
        threading.Thread(target=self._end_when_left, daemon=True).start()

    def _end_when_left(self) -> None:
        while time.monotonic() < self._host.polled_at + _LEFT_SECONDS:
            time.sleep(1.0)
        os._exit(1)

    def lacks(self, digests: Sequence[str]) -> list[str]:
        """As `dreamd.api.Host` has it; so are all that follow."""
        return self._host.lacks(digests)

    def lacks_weights(self, name: str) -> bool:
        """See `lacks`."""
        return self._host.lacks_weights(name)

    def write(self, name: str, offset: int, piece: bytes) -> None:
        """See `lacks`."""
        self._host.write(name, offset, piece)

    def keep(self, name: str, digest: str, suffix: str) -> None:
        """See `lacks`."""
        self._host.keep(name, digest, suffix)

    def keep_weights(self, name: str, cache_name: str, digest: str) -> None:
        """See `lacks`."""
        self._host.keep_weights(name, cache_name, digest)

    def keep_source(self, name: str, job: str, source: str) -> None:
        """See `lacks`."""
        self._host.keep_source(name, job, source)

    def order(self, batch: FarBatch) -> None:
        """See `lacks`."""
        self._host.order(batch)

    def cancel(self, jobs: Sequence[str]) -> None:
        """See `lacks`."""
        self._host.cancel(jobs)

    def poll(self, seconds: float, is_looked_at: bool) -> list[FarNews]:
        """See `lacks`."""
        return self._host.poll(seconds, is_looked_at=is_looked_at)

    def read(self, job: str, file: str, offset: int) -> bytes:
        """See `lacks`."""
        return self._host.read(job, file, offset)

    def forget(self, job: str) -> None:
        """See `lacks`."""
        self._host.forget(job)

    def end(self) -> None:
        """See `lacks`."""
        self._host.end()

"""A bridge: what it does with what it is told."""

from __future__ import annotations

import io
import threading

import pytest

from dreamd.executors.remote.bridge import Bridge
from dreamd.executors.remote.cluster import Host, Opening, Place


class Nowhere:
    """A cluster without machines."""

    missing = "there is no machine"

    def connect(self) -> None: ...

    def places(self) -> list[Place]:
        return []

    def ask_for(self, seats: int) -> None: ...

    def open(self, place: Place, opening: Opening) -> Host:
        raise AssertionError(f"there is no {place}")

    def close(self, host: Host) -> None: ...


def test_a_bridge_that_does_not_understand_the_daemon_says_so_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    commands = io.BytesIO(b'{"type": "of another version"}\n')
    bridge = threading.Thread(target=Bridge(Nowhere(), io.BytesIO()).run, args=[commands], daemon=True)
    bridge.start()
    bridge.join(10.0)
    assert not bridge.is_alive()
    assert "restart the daemon" in caplog.text

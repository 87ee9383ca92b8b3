"""Downloads of weights that go on beside the dreams: one slow line keeps no other picture waiting.

Knows weights and threads. Knows no jobs.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from pathlib import Path

from dreamd.errors import WeightsError
from dreamd.weights import fetching
from dreamd.weights.cache import cached_path
from dreamd.weights.sources import Download, Source
from dreamd.weights.transfer import OnBytes

_PATIENCE_SECONDS = 0.2
"""The time in which a download may come to its end while the dreams wait for it, in seconds."""


class StillFetchingError(WeightsError):
    """The weights are on their way.

    Attributes:
        fetch: ends with the file, or with why it cannot be had.
    """

    def __init__(self, backbone: str, fetch: Future[Path]) -> None:
        self.fetch = fetch
        super().__init__(f"the weights of {backbone} are being fetched")


class Fetches:
    """The downloads of one worker."""

    def __init__(self) -> None:
        """Begin with none."""
        self._running: dict[str, Future[Path]] = {}

    def ready(self, source: Source, *, backbone: str, on_bytes: OnBytes | None = None) -> Path:
        """Return a file of weights, checked just now; one that is not here is fetched in a thread of its own.

        Args:
            source: the weights.
            backbone: whose weights they are, for the messages.
            on_bytes: is told how a download goes, in its thread.

        Raises:
            StillFetchingError: the download goes on; ask again.
            WeightsError: it cannot be had, or is not what it should be. The next call tries again.
            SpaceError: the disk is full.
        """
        if not isinstance(source, Download):
            return fetching.ready(source, backbone=backbone)
        fetch = self._running.get(source.cache_name)
        if fetch is None:
            if cached_path(source).is_file():
                return fetching.ready(source, backbone=backbone)
            fetch = self._running[source.cache_name] = _start(source, backbone, on_bytes)
        wait([fetch], _PATIENCE_SECONDS)
        if not fetch.done():
            raise StillFetchingError(backbone, fetch)
        del self._running[source.cache_name]
        fetch.result()
        return fetching.ready(source, backbone=backbone)


def _start(source: Download, backbone: str, on_bytes: OnBytes | None) -> Future[Path]:
    fetch: Future[Path] = Future()

    def run() -> None:
        try:
            fetch.set_result(fetching.fetch(source, backbone=backbone, on_bytes=on_bytes))
        except BaseException as error:  # noqa: BLE001 (raised where the result is asked for)
            fetch.set_exception(error)

    threading.Thread(target=run, name=f"fetch-{backbone}", daemon=True).start()
    return fetch

"""What every order of the studio needs: a session of its bounds, and a way to tell how far it is. Knows no recipes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dreamd.plugin_host.host import Plugins
from dreamd.settings.config import Config
from dreamd.studio import Going
from dreamd.worker.display import Show
from dreamd.worker.machine.bounds import Bounds, limit_memory
from dreamd.worker.machine.device import choose_device, count_threads, free_memory, use_threads
from dreamd.worker.session import Session

_MEMORY_BYTES = 2 << 30
"""The most bytes that the studio may hold while it dreams, where so many are free."""


class CancelledError(BaseException):
    """The order is not wanted any more.

    It is no Exception: it goes through the code of plugins, which would be blamed for one.
    """


class Report:
    """Tells the page how far an order is, and ends it where it is not wanted any more."""

    def __init__(self, id_: str, send: Callable[[Going], None], is_cancelled: Callable[[], bool]) -> None:
        self._id = id_
        self._send = send
        self._is_cancelled = is_cancelled

    def check(self) -> None:
        """Raise CancelledError where the order is not wanted any more."""
        if self._is_cancelled():
            raise CancelledError

    def tell(self, share: float, words: str, picture: bytes | None = None) -> None:
        """Tell how much is done, 0 to 1, in words, and with the picture as it is now. Raises CancelledError."""
        self.check()
        self._send(Going(id=self._id, share=share, words=words, picture=picture))

    @contextmanager
    def opened(self, _title: str) -> Iterator[Show]:
        """Give a display of progress, as sheets take it."""
        yield self.tell


def session_of(config: Config, plugins: Plugins) -> Session:
    """Open a session on the processor, with the bounds of the config and of the studio."""
    device = choose_device("cpu")
    use_threads(count_threads())
    bounds = Bounds(
        max_pixels=config.limits.max_pixels,
        max_bytes=int(config.limits.max_bytes),
        memory=min(free_memory(device.torch), _MEMORY_BYTES),
        picture_folders=(config.recipes, config.inbox),
    )
    limit_memory(bounds.memory)
    return Session(plugins, device, bounds, may_fetch=False)

"""Pictures that a browser drops: written beside the inbox, and renamed into their folder when they are whole.

What is sent is hostile until a worker has decoded it: its name is data, its size is counted while it comes, however
long its sender says that it is, and a sender that dawdles is sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePosixPath

from starlette.requests import ClientDisconnect

from dreamd.errors import UsageError
from dreamd.files.durable import rename_new
from dreamd.files.names import check_name, free_names, parts_of, split_name
from dreamd.files.nofollow import Entry, opened_folder
from dreamd.files.problems import os_error_explained
from dreamd.files.syncs import sync_folder
from dreamd.inbox.ignored import Ignored
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.settings.config import Config
from dreamd.tree.layout import HOUSE, UPLOADS
from dreamd.wording import printable

AT_ONCE = 4
"""Uploads that are written at the same time; others wait for their turn."""

_WAITING = 32
_TURN_SECONDS = 60.0
_CHUNK_SECONDS = 20.0
_GRACE_SECONDS = 30.0
_SLOWEST_BYTES_A_SECOND = 8 * 1024
_FORGOTTEN_SECONDS = 86_400.0


class TooLargeError(UsageError):
    """An upload is larger than `limits.max_bytes`."""


class SlowError(UsageError):
    """An upload does not come, or comes too slowly."""


class Uploads:
    """Takes uploads into one inbox."""

    def __init__(self, config: Config) -> None:
        self._inbox = config.inbox
        self._max_bytes = int(config.limits.max_bytes)
        self._ignored = Ignored(config.watch.ignore)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def take(self, folder: str, name: str, length: int | None, chunks: AsyncIterator[bytes]) -> str:
        """Write what comes into a file of a folder, and return its path in the inbox.

        The folder is made where it is missing. Where a picture of the name waits already, it gets a number.

        Args:
            folder: of the inbox, relative to it.
            name: what the sender calls it.
            length: in bytes, if the sender has said it.
            chunks: the bytes.

        Raises:
            UsageError: folder or name cannot be; the file is empty, too large or too slow.
            SpaceError: the disk is full.
            DreamdError: the folder cannot be written.
        """
        parts = self._checked(folder, name)
        if length is not None and length > self._max_bytes:
            raise self._too_large()
        await self._await_turn()
        try:
            with _staging(self._inbox) as (draft, descriptor):
                await self._write(descriptor, chunks)
                return await asyncio.to_thread(self._place, draft, parts, name)
        except OSError as error:
            raise os_error_explained(error, "write into", folder) from error
        finally:
            self._turns.release()

    async def _await_turn(self) -> None:
        self._waiting += 1
        try:
            if self._waiting > _WAITING:
                raise SlowError("too many uploads at once; try again later")
            async with asyncio.timeout(_TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise SlowError("too many uploads at once; try again later") from None
        finally:
            self._waiting -= 1

    def _checked(self, folder: str, name: str) -> tuple[str, ...]:
        parts = parts_of(folder)
        check_name(name)
        if not name.isprintable():
            raise UsageError(f"{printable(name)!r} holds a character that cannot be seen; rename the file")
        if name.lower() in RECIPE_FILES:
            raise UsageError(f"{name} is a recipe and no picture; edit the folder's recipe instead")
        if self._ignored.path("/".join((*parts, name)), is_folder=False):
            raise UsageError(f"{printable('/'.join((*parts, name)))!r} is a name that dreamd leaves alone; rename it")
        return parts

    async def _write(self, descriptor: int, chunks: AsyncIterator[bytes]) -> None:
        begun, size = time.monotonic(), 0
        stream = aiter(chunks)
        while True:
            try:
                async with asyncio.timeout(_CHUNK_SECONDS):
                    chunk = await anext(stream)
            except TimeoutError:
                raise SlowError("nothing more came; is the connection broken?") from None
            except StopAsyncIteration:
                break
            except ClientDisconnect:
                raise UsageError("the sender went away") from None
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            if time.monotonic() - begun > _GRACE_SECONDS + size / _SLOWEST_BYTES_A_SECOND:
                raise SlowError("it comes too slowly")
            await asyncio.to_thread(_write_all, descriptor, chunk)
        if size == 0:
            raise UsageError("the file is empty")
        await asyncio.to_thread(os.fsync, descriptor)

    def _place(self, draft: Entry, parts: tuple[str, ...], name: str) -> str:
        with opened_folder(self._inbox, parts, make=True) as folder:
            for candidate in free_names(*split_name(name), lambda name: Entry(folder, name).is_there()):
                with contextlib.suppress(FileExistsError):
                    rename_new(draft, Entry(folder, candidate))
                    sync_folder(folder)
                    return str(PurePosixPath(*parts, candidate))
        raise AssertionError("there is always a free name")

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the file is larger than limits.max_bytes ({self._max_bytes / 1e6:g} MB)")


def sweep(inbox: Path) -> None:
    """Remove what uploads left that were cut off by a kill."""
    with contextlib.suppress(FileNotFoundError), os.scandir(inbox / HOUSE / UPLOADS) as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_mtime < time.time() - _FORGOTTEN_SECONDS:
                Path(entry.path).unlink()


@contextlib.contextmanager
def _staging(inbox: Path) -> Iterator[tuple[Entry, int]]:
    """A new file on the inbox's filesystem, where nobody looks for pictures; gone afterwards, unless it was moved."""
    name = os.urandom(12).hex()
    with opened_folder(inbox, [HOUSE, UPLOADS], make=True) as stage:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=stage)
        try:
            yield Entry(stage, name), descriptor
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=stage)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

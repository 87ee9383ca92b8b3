"""Pictures that a browser drops: written beside the inbox, and renamed into their folder when they are whole.

What is sent is hostile until a worker has decoded it: its name is data, its size is counted while it comes, however
long its sender says that it is, and a sender that dawdles is sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePosixPath

from starlette.requests import ClientDisconnect

from dreamd.errors import DreamdError, SpaceError, UsageError
from dreamd.files.durable import rename_new_at as move_new
from dreamd.files.names import check_name, parts_of
from dreamd.files.nofollow import opened_folder
from dreamd.inbox.ignored import Ignored
from dreamd.settings.config import Config
from dreamd.wording import printable

AT_ONCE = 4
"""Uploads that are written at the same time; others wait for their turn."""

_WAITING = 32
_TURN_SECONDS = 60.0
_CHUNK_SECONDS = 20.0
_GRACE_SECONDS = 30.0
_SLOWEST_BYTES_A_SECOND = 8 * 1024
_FORGOTTEN_SECONDS = 86_400.0
_NAMESAKES = 1000
_RECIPES = ("recipe.yaml", "recipe.yml")


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
            with _staging(self._inbox) as (stage, draft, descriptor):
                await self._write(descriptor, chunks)
                return await asyncio.to_thread(self._place, stage, draft, parts, name)
        except OSError as error:
            raise _explained(error, folder) from error
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
        if name.lower() in _RECIPES:
            raise UsageError(f"{name} is a recipe and no picture; edit the folder's recipe instead")
        for part in (*parts, name):
            if self._ignored.name(part):
                raise UsageError(f"{printable(part)!r} is a name that dreamd leaves alone; rename it")
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

    def _place(self, stage: int, draft: str, parts: tuple[str, ...], name: str) -> str:
        with opened_folder(self._inbox, parts, make=True) as folder:
            for candidate in _numbered(name):
                with contextlib.suppress(FileExistsError):
                    move_new(stage, draft, folder, candidate)
                    os.fsync(folder)
                    return str(PurePosixPath(*parts, candidate))
        raise UsageError(f"there are too many pictures of the name {name} already")

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the file is larger than limits.max_bytes ({self._max_bytes / 1e6:g} MB)")


def sweep(inbox: Path) -> None:
    """Remove what uploads left that were cut off by a kill."""
    with contextlib.suppress(FileNotFoundError), os.scandir(inbox / ".dreamd" / "uploads") as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_mtime < time.time() - _FORGOTTEN_SECONDS:
                Path(entry.path).unlink()


@contextlib.contextmanager
def _staging(inbox: Path) -> Iterator[tuple[int, str, int]]:
    """A new file on the inbox's filesystem, where nobody looks for pictures; gone afterwards, unless it was moved."""
    name = os.urandom(12).hex()
    house = inbox / ".dreamd"
    house.mkdir(exist_ok=True)
    with opened_folder(house, ["uploads"], make=True) as stage:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=stage)
        try:
            yield stage, name, descriptor
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=stage)


def _numbered(name: str) -> Iterator[str]:
    yield name
    path = PurePosixPath(name)
    for number in range(2, _NAMESAKES):
        yield f"{path.stem}-{number}{path.suffix}"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _explained(error: OSError, folder: str) -> DreamdError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError("the inbox's disk is full")
    return DreamdError(f"cannot write into {printable(folder)}: {error.strerror}")

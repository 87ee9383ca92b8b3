"""Pictures that a browser drops: written beside the inbox, and renamed into their folder when they are whole.

What is sent is hostile until a worker has decoded it: its name is data, its size is counted while it comes, however
long its sender says that it is, and a sender that dawdles is sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path, PurePosixPath

from dreamd.errors import UsageError
from dreamd.files.durable import rename_new
from dreamd.files.names import check_name, free_names, parts_of, split_name
from dreamd.files.nofollow import Entry, opened_folder
from dreamd.files.problems import os_error_explained
from dreamd.files.syncs import sync_folder
from dreamd.inbox.dream_files import is_dream_file
from dreamd.inbox.ignored import Ignored
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.page.uploading.places import Place, Places
from dreamd.page.uploading.sizes import Bound, Sizes
from dreamd.settings.config import Config
from dreamd.tree.identity import check_is_known
from dreamd.tree.layout import HOUSE, UPLOADS, StateFolder
from dreamd.wording import printable

_WRITERS = 4
"""The number of uploads that write to the disk at a time, each a chunk in its turn: nobody waits for a slow sender."""

_FORGOTTEN_SECONDS = 86_400.0
"""The time in seconds after which what a kill has left is removed."""


class Uploads:
    """Takes uploads into one inbox."""

    def __init__(self, config: Config, sizes: Sizes) -> None:
        self._inbox = config.inbox
        self._state = StateFolder(config.state)
        self._sizes = sizes
        self._ignored = Ignored(config.watch.ignore)
        self._places = Places()
        self._writers = asyncio.Semaphore(_WRITERS)

    async def take(
        self,
        folder: str,
        name: str,
        length: int | None,
        chunks: AsyncIterator[bytes],
        note: Callable[[str, str], None] | None = None,
    ) -> str:
        """Write what comes into a file of a folder, and return its path in the inbox.

        The folder is made where it is missing. Where a picture of the name waits already, it gets a number.

        Args:
            folder: a folder's path in the inbox.
            name: what the sender calls the picture.
            length: how many bytes will come, if the sender has said it.
            chunks: the bytes.
            note: is told the name of the draft and the path that it is about to get, once or more often, in a thread.

        Raises:
            UsageError: folder or name cannot be; the file is too large or too slow, or a picture's and empty.
            SpaceError: the disk is full.
            DreamdError: the folder cannot be written.
        """
        parts = self._check(folder, name)
        bound = await asyncio.to_thread(self._sizes.of, name)
        bound.check(length or 0)
        try:
            async with self._places.take(bound.most if length is None else length) as place:
                await asyncio.to_thread(check_is_known, self._inbox, self._state)
                async with _staged(self._inbox) as (draft, descriptor):
                    await self._write(descriptor, place, chunks, name, bound)
                    return await asyncio.to_thread(self._publish, draft, parts, name, note)
        except OSError as error:
            raise os_error_explained(error, "write into", folder) from error

    @contextlib.asynccontextmanager
    async def staged(self, name: str, length: int | None, chunks: AsyncIterator[bytes]) -> AsyncIterator[Path]:
        """Write what comes into a file that is only looked at inside, and removed at the end.

        Args:
            name: what the sender calls it.
            length: how many bytes will come, if the sender has said it.
            chunks: the bytes.

        Raises:
            UsageError: the file is too large, too slow or empty.
            SpaceError: the disk is full.
            DreamdError: the inbox cannot be written.
        """
        bound = self._sizes.picture
        bound.check(length or 0)
        try:
            async with _staged(self._inbox) as (draft, descriptor):
                async with self._places.take(bound.most if length is None else length) as place:
                    await self._write(descriptor, place, chunks, name, bound)
                yield self._inbox / HOUSE / UPLOADS / draft.name
        except OSError as error:
            raise os_error_explained(error, "write into", ".") from error

    def _check(self, folder: str, name: str) -> tuple[str, ...]:
        """Split the folder's path. Raises UsageError when folder or name cannot be."""
        parts = parts_of(folder)
        check_name(name)
        if not name.isprintable():
            raise UsageError(f"{printable(name)!r} holds a character that cannot be seen; rename the file")
        if name.lower() in RECIPE_FILES:
            raise UsageError(f"{name} is a recipe and no picture; edit the folder's recipe instead")
        if self._ignored.path("/".join((*parts, name)), is_folder=False):
            raise UsageError(f"{printable('/'.join((*parts, name)))!r} is a name that dreamd leaves alone; rename it")
        return parts

    async def _write(
        self, descriptor: int, place: Place, stream: AsyncIterator[bytes], name: str, bound: Bound
    ) -> None:
        async for chunk in place.chunks(aiter(stream)):
            bound.check(place.size)
            async with self._writers:
                await asyncio.to_thread(_write_all, descriptor, chunk)
        if place.size == 0 and not is_dream_file(name):
            raise UsageError("the file is empty")
        await asyncio.to_thread(os.fsync, descriptor)

    def _publish(self, draft: Entry, parts: tuple[str, ...], name: str, note: Callable[[str, str], None] | None) -> str:
        with opened_folder(self._inbox, parts, make=True) as folder:
            for candidate in free_names(*split_name(name), lambda name: Entry(folder, name).is_there()):
                path = str(PurePosixPath(*parts, candidate))
                with contextlib.suppress(FileExistsError):
                    if note is not None:
                        note(draft.name, path)
                    rename_new(draft, Entry(folder, candidate))
                    sync_folder(folder)
                    return path
        raise AssertionError("there is always a free name")


def sweep(inbox: Path) -> None:
    """Remove what uploads left that were cut off by a kill."""
    with contextlib.suppress(FileNotFoundError), os.scandir(inbox / HOUSE / UPLOADS) as entries:
        for entry in entries:
            is_old = entry.stat(follow_symlinks=False).st_mtime < time.time() - _FORGOTTEN_SECONDS
            if is_old and not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()


@contextlib.asynccontextmanager
async def _staged(inbox: Path) -> AsyncIterator[tuple[Entry, int]]:
    """Make a file as `_staging` does, in threads: the disk may be a share that is slow to answer."""
    staging = _staging(inbox)
    made = await asyncio.to_thread(staging.__enter__)
    try:
        yield made
    finally:
        # Shielded: an upload that is cancelled leaves nothing either.
        await asyncio.shield(asyncio.to_thread(staging.__exit__, None, None, None))


@contextlib.contextmanager
def _staging(inbox: Path) -> Iterator[tuple[Entry, int]]:
    """Make a file on the inbox's filesystem, where nobody looks for pictures; remove it, unless it was moved."""
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

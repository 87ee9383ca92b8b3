"""Dreams a picture again: gives its original or its result back to the inbox, once for each recipe.

Nothing is sent anew by whoever asks: the picture is copied from where it lies. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import BinaryIO

from dreamd.errors import DreamdError, UsageError
from dreamd.job import Job
from dreamd.page.again.comparisons import Compared, Comparison, Comparisons, new_comparison
from dreamd.page.again.sources import Of, opened_source, size_of, source_name
from dreamd.page.again.wishes import Wish
from dreamd.page.posting.posting import Posting, Wanted
from dreamd.page.posting.receipts import Receipt
from dreamd.page.posting.recipe_folders import home_of
from dreamd.settings.config import Config

_MOST_BYTES = 8 << 30
"""The most bytes of all copies of one request together."""

_CHUNK_BYTES = 1 << 20
"""The bytes of the pieces in which a picture is copied."""


class Again:
    """Dreams pictures of one tree again."""

    def __init__(self, config: Config, posting: Posting, comparisons: Comparisons) -> None:
        self._config = config
        self._posting = posting
        self._comparisons = comparisons

    def home_of(self, job: Job) -> str:
        """Return the folder below which a job's picture is dreamed again."""
        return home_of(self._config.inbox, str(job.folder))

    async def compare(self, job: Job, of: Of, wishes: Sequence[Wish], field: str = "") -> Comparison:
        """Dream a job's original or result once for each wish, and return the comparison of what comes of it.

        A picture that cannot be posted after others were is told in the comparison.

        Raises:
            NotThereError: there is no such original or result.
            UsageError: a recipe is wrong, or the copies are too large.
            DreamdError: the folders cannot be written.
        """
        folder = await asyncio.to_thread(self.home_of, job)
        for wish in wishes:
            await asyncio.to_thread(self._posting.check, folder, wish.recipe, wish.called)
        file = await asyncio.to_thread(opened_source, job, of, self._config)
        with file:
            _check_size(size_of(file) * len(wishes))
            dreams: list[Compared] = []
            for wish in wishes:
                dreams.append(await self._compared(job, of, file, folder, wish, is_first=not dreams))
        comparison = new_comparison(job.id, of, source_name(job, of), field, tuple(dreams))
        await asyncio.to_thread(self._comparisons.save, comparison)
        return comparison

    async def post(self, job: Job, of: Of, wanted: Wanted, owner: str, key: str | None) -> tuple[Receipt, bool]:
        """Dream the original or the result of a job again for a program, as `Posting.post` takes a picture."""
        with await asyncio.to_thread(opened_source, job, of, self._config) as file:
            return await self._posting.post(wanted, owner, key, size_of(file), _chunks(file), source=f"{of} {job.id}")

    async def _compared(self, job: Job, of: Of, file: BinaryIO, folder: str, wish: Wish, *, is_first: bool) -> Compared:
        wanted = Wanted(name=source_name(job, of), folder=folder, recipe=wish.recipe)
        try:
            receipt, _ = await self._posting.post(wanted, "", None, size_of(file), _chunks(file), wish.called)
        except DreamdError as error:
            if is_first:
                raise
            return Compared(label=wish.label, id=None, problem=str(error))
        return Compared(label=wish.label, id=receipt.id)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, 0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        most = _MOST_BYTES / 1e9
        raise UsageError(f"{size / 1e9:.0f} GB of copies; at most {most:.0f} GB are made at once, so choose fewer")

"""What is kept of a file of several pages that is being dreamed: each finished page, as a TIFF of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dreamd.files.durable import draft_of
from dreamd.files.problems import os_errors_explained
from dreamd.messages import DreamedPage
from dreamd.worker.films.standing import KeptFolder, Standing

_PAGES = "pages"


class PageFolder(KeptFolder):
    """The folder of one file of pages."""

    def __init__(self, folder: Path, key: str) -> None:
        """Go on with what is kept there under a key, or begin anew, as `KeptFolder` does."""
        self._told: list[DreamedPage] = []
        super().__init__(folder, key, (_PAGES,))

    def _restore(self, standing: Standing) -> bool:
        """Read what is said of each finished page; a loss of power may have taken one."""
        records = [self._record(number).read_bytes() for number in range(standing.frames)]
        self._told = [DreamedPage.model_validate_json(record) for record in records]
        return all(self.page(number).is_file() for number in range(standing.frames))

    def page(self, number: int) -> Path:
        """Return where a page is written, by its number from 0."""
        return self._file(_PAGES) / f"{number:05}.tif"

    def add(self, told: DreamedPage, *, seconds: float) -> None:
        """Take note that the next page is written.

        Args:
            told: what is said of it.
            seconds: how long it took.
        """
        standing = self.standing
        self._told.append(told)
        with os_errors_explained("write", self._folder), draft_of(self._record(standing.frames), durable=True) as draft:
            draft.write_text(told.model_dump_json(), encoding="utf-8")
        self.note(replace(standing, frames=standing.frames + 1, seconds=standing.seconds + seconds))

    @property
    def told(self) -> Sequence[DreamedPage]:
        """What is said of each finished page."""
        return tuple(self._told)

    def _record(self, number: int) -> Path:
        return self.page(number).with_suffix(".json")

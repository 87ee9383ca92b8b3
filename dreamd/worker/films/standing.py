"""How far a film or a file of several pages is, and the folder in which what is finished of it is kept.

What was stopped or killed goes on after the last frame or page that was noted as finished.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dreamd.files.durable import draft_of
from dreamd.files.problems import os_errors_explained


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a film is, or a file of several pages, whose pages are counted as frames.

    Attributes:
        frames: how many frames are finished.
        dreamed: the number of the last frame that was dreamed and not only moved, from 0; -1 for none.
        parts: how many frames each finished part has.
        seconds: how long they have taken so far.
        whole: whether all frames are finished.
    """

    frames: int = 0
    dreamed: int = -1
    parts: tuple[int, ...] = ()
    seconds: float = 0.0
    whole: bool = False

    @property
    def in_parts(self) -> int:
        """How many frames are in finished parts."""
        return sum(self.parts)


class KeptFolder(ABC):
    """The folder of one film, or of one file of pages.

    Attributes:
        standing: how far it is.
    """

    def __init__(self, folder: Path, key: str, inner: Sequence[str]) -> None:
        """Go on with what is kept there under a key, or begin anew.

        Args:
            folder: a folder of this film alone; it is made.
            key: stands for all that decides over the result. What was kept under another key is removed.
            inner: the names of the folders in it.
        """
        self._folder = folder
        self._key = key
        kept = self._load()
        self.standing = kept or Standing()
        if kept is None:
            with os_errors_explained("write", folder):
                shutil.rmtree(folder, ignore_errors=True)
                for name in inner:
                    (folder / name).mkdir(parents=True)
            self.note(self.standing)

    def _load(self) -> Standing | None:
        try:
            values = json.loads(self._file("standing.json").read_bytes())
            if values.pop("key") != self._key:
                return None
            standing = Standing(**{**values, "parts": tuple(values["parts"])})
            return standing if self._restore(standing) else None
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
            return None

    @abstractmethod
    def _restore(self, standing: Standing) -> bool:
        """Read what else is kept; returns whether that is all there. A FileNotFoundError or ValueError says no too."""

    def note(self, standing: Standing) -> None:
        """Take note of how far it is, at once and whole."""
        with os_errors_explained("write", self._folder), draft_of(self._file("standing.json"), durable=False) as draft:
            draft.write_text(json.dumps({"key": self._key, **asdict(standing)}), encoding="utf-8")
        self.standing = standing

    @property
    def checkpoint(self) -> Path:
        """Where the dream of one frame, or page, keeps its state, should it take long."""
        return self._file("dream")

    def drop_checkpoint(self) -> None:
        """Remove the state of that dream, which is over."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self._folder / name

"""Which plugin the daemon is loading, on disk: one that ends the process cannot be told of in any other way.

Knows one file. Knows no plugin's code.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dreamd.plugin_host.finding.discovery import Candidate

log = logging.getLogger(__name__)

_DEATHS = 2
"""The number of ends in a row after which a plugin is no longer loaded: one may have been chance, a full memory."""


class _Note(BaseModel):
    """What the file says.

    Attributes:
        loading: the plugin that is being loaded, with its version; None when none is.
        ends: how often loading a plugin of a version ended the process.
    """

    model_config = ConfigDict(frozen=True)

    loading: str | None = None
    ends: dict[str, int] = {}


class LoadRecord:
    """The record of one daemon's loading."""

    def __init__(self, file: Path) -> None:
        """Keep the record in a file, whose folder may not be there."""
        self._file = file
        self._note = self._read()
        if (ended_by := self._note.loading) is not None:
            ends = {**self._note.ends, ended_by: self._note.ends.get(ended_by, 0) + 1}
            self._write(_Note(ends=ends))
            log.error("the daemon's last start ended while the plugin %s was loaded", ended_by)

    def distrusted(self, candidates: Iterable[Candidate]) -> dict[str, str]:
        """Return the names of the plugins that must not be loaded again as they are, and why."""
        why = f"loading it ended the daemon; it is tried again when it changes, or when {self._file} is removed"
        ends = self._note.ends
        return {one.name: why for one in candidates if ends.get(_key(one), 0) >= _DEATHS}

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Inside, plugins are loaded; afterwards none is, whatever they raised."""
        try:
            yield
        finally:
            if self._note.loading is not None:
                self._write(_Note(ends=self._note.ends))

    def note(self, candidate: Candidate) -> None:
        """Write down that a plugin is loaded next. dreamd's own are trusted."""
        if not candidate.own:
            self._write(_Note(loading=_key(candidate), ends=self._note.ends))

    def _read(self) -> _Note:
        try:
            return _Note.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return _Note()  # a record that cannot be read is as good as none

    def _write(self, note: _Note) -> None:
        self._note = note
        with contextlib.suppress(OSError):  # a disk that takes nothing is no reason not to load plugins
            if note == _Note():
                self._file.unlink(missing_ok=True)
            else:
                self._file.write_text(note.model_dump_json(), encoding="utf-8")


def _key(candidate: Candidate) -> str:
    return f"{candidate.name} ({candidate.version})"

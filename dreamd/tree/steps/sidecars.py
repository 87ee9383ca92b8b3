"""Whose result it is: sidecars name their jobs. Knows folders and names; knows no outbox and no step."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator

from dreamd.files.names import shortened
from dreamd.files.nofollow import Entry, names_in
from dreamd.tree.layout import SIDECAR

_SEARCH_BYTES = 128
"""A search goes by so much of a name: any shortened and numbered form of it begins so."""


def names_like(folder: int, stem: str, ending: str) -> Iterator[str]:
    """Yield the names in a folder, in order, that begin as any numbered or shortened form of `stem` does."""
    beginning = shortened(stem, _SEARCH_BYTES)
    for name in names_in(folder):
        if name.startswith(beginning) and name.endswith(ending):
            yield name


def names_job(sidecar: Entry, job_id: str) -> bool:
    """Tell whether a sidecar is there and names the job."""
    text = sidecar.read()
    return job_id.encode() in text and _job_in(text) == job_id


def tells_of_steps(sidecar: Entry) -> bool:
    """Tell whether a sidecar is there and says that its result has a film strip."""
    return _record_in(sidecar.read()).get("steps") is True


def _job_in(text: bytes) -> str | None:
    job = _record_in(text).get("job")
    return job if isinstance(job, str) else None


def _record_in(text: bytes) -> dict[str, object]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}  # somebody's own .json
    return record if isinstance(record, dict) else {}


class SidecarIndex:
    """The results that sidecars name, for many jobs at once: each folder is listed once, each sidecar read once.

    It is as old as its first look at a folder.
    """

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._names: dict[tuple[str, ...], list[str]] = {}
        self._jobs: dict[tuple[tuple[str, ...], str], str | None] = {}
        self._results: dict[tuple[tuple[str, ...], str], dict[str, list[str]]] = {}

    def results(self, folder: int, parts: tuple[str, ...], stem: str, job_id: str) -> list[str]:
        """Return the names of a job's results in an open folder, among those like `stem`; their pictures may be gone.

        Args:
            folder: the folder.
            parts: its path, which it is known by.
            stem: that the result was to be named by.
            job_id: the job.
        """
        beginning = shortened(stem, _SEARCH_BYTES)
        if (parts, beginning) not in self._results:
            self._results[parts, beginning] = self._read(folder, parts, beginning)
        return self._results[parts, beginning].get(job_id, [])

    def _read(self, folder: int, parts: tuple[str, ...], beginning: str) -> dict[str, list[str]]:
        if parts not in self._names:
            self._names[parts] = [name for name in names_in(folder) if name.endswith(SIDECAR)]
        names = self._names[parts]
        found: dict[str, list[str]] = {}
        for number in range(bisect_left(names, beginning), len(names)):
            name = names[number]
            if not name.startswith(beginning):
                break
            if (parts, name) not in self._jobs:
                self._jobs[parts, name] = _job_in(Entry(folder, name).read())
            if (job := self._jobs[parts, name]) is not None:
                found.setdefault(job, []).append(name.removesuffix(SIDECAR))
        return found

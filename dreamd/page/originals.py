"""The original of a job that has ended, claimed still or among those that are kept or that failed.

Names come again. So a done job's is told by its bytes, and a failed one's by the reason beside it, which names the job.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dreamd.files.nofollow import opened_file
from dreamd.job import Job, JobState, home_of
from dreamd.page.outbox import sidecar_of
from dreamd.settings.config import Config
from dreamd.tree.layout import HOUSE, WORK
from dreamd.tree.steps.originals import Failures

_NAMESAKES = 50
"""The number of numbered names under which an original is looked for."""

_KNOWN = 1000
"""The most files whose digests are remembered."""


class _Digests:
    """The SHA-256 of files, each remembered as long as it is what it was: a player asks for a film piece by piece."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], str] = {}
        self._lock = threading.Lock()

    def digest(self, file: BufferedReader) -> str:
        """Return the SHA-256 of an open file, which is then at its beginning."""
        status = os.fstat(file.fileno())
        stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        with self._lock:
            if known := self._known.get(stamp):
                return known
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        with self._lock:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[stamp] = digest
        return digest


_DIGESTS = _Digests()
"""Of this process."""


def original_digest(job: Job, config: Config) -> str | None:
    """Return the SHA-256 of a done job's original; None when none is kept, or its result's sidecar does not tell."""
    sha256 = (sidecar_of(job, config.outbox) or {}).get("input_sha256")
    return sha256 if config.originals is not None and isinstance(sha256, str) and sha256 else None


def original_places(job: Job, config: Config) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield where the original of a job that has ended may be: folders of the tree, and paths in them.

    It is claimed still for a moment after its result is out, or after it failed. Whoever looks at the places in their
    order, each when its turn comes, finds it also if it is put away meanwhile.
    """
    yield from ((config.inbox, path) for path in claimed_files(config.inbox, str(job.path), job.id))
    if job.state is JobState.FAILED:
        yield from _failed_places(job, config)
    elif config.originals is not None:
        yield from ((config.originals, PurePosixPath(job.folder, name)) for name in _namesakes(job))


def opened_original(job: Job, config: Config) -> BinaryIO | None:
    """Open the original of a job that has ended; None when it is not there.

    That of a done job is not there either when the sidecar of the result does not say which it is.
    """
    if job.state is JobState.FAILED:
        return _opened_failed(job, config)
    sha256 = original_digest(job, config)
    if sha256 is None:
        return None
    for folder, path in original_places(job, config):
        try:
            file = opened_file(folder, path)
        except OSError:
            continue
        if _DIGESTS.digest(file) == sha256:
            return file
        file.close()
    return None


def _failed_places(job: Job, config: Config) -> Iterator[tuple[Path, PurePosixPath]]:
    file = None
    with suppress(OSError):  # the folder is not there, as of a disk that is not mounted
        file = _failures(config).find(job)
    if file is not None:
        yield config.failed, PurePosixPath(file.relative_to(config.failed))


def _opened_failed(job: Job, config: Config) -> BinaryIO | None:
    for path in claimed_files(config.inbox, str(job.path), job.id):
        with suppress(OSError):
            return opened_file(config.inbox, path)
    with suppress(OSError):
        return _failures(config).opened(job)
    return None


def _failures(config: Config) -> Failures:
    return Failures(config.failed, most_carried=None)


def claimed_files(inbox: Path, path: str, job_id: str = "*") -> list[PurePosixPath]:
    """List the claimed pictures of a path that are not put away, or the one of a job, relative to the inbox."""
    claims = (claim / path for claim in inbox.glob(f"{HOUSE}/{WORK}*/{home_of(job_id)}"))
    return [PurePosixPath(file.relative_to(inbox)) for file in claims if os.path.lexists(file)]


def _namesakes(job: Job) -> Iterator[str]:
    """Yield the names that the original may have among the originals: its own, or a numbered one.

    The result has most often got the same number, so that one is looked at first.
    """
    path, result = PurePosixPath(job.name), PurePosixPath(job.result or "")
    yield path.with_stem(result.stem).name if path.name else job.name
    yield job.name
    yield from (path.with_stem(f"{path.stem}-{number}").name for number in range(2, _NAMESAKES))

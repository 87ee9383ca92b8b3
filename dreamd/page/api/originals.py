"""The original of a done job, among the originals that are kept: known by its bytes, since names come again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dreamd.files.nofollow import opened_file
from dreamd.job import Job
from dreamd.page.gallery.thumbnails import namesakes
from dreamd.page.outbox import sidecar_of
from dreamd.page.posting.receipts import claimed_files
from dreamd.settings.config import Config


def opened_original(job: Job, config: Config) -> BinaryIO | None:
    """Open the original of a done job; None when it is not kept, or the result's sidecar does not say which it is."""
    sha256 = (sidecar_of(job, config.outbox) or {}).get("input_sha256")
    if config.originals is None or not sha256:
        return None
    for folder, path in _places(job, config.inbox, config.originals):
        try:
            file = opened_file(folder, path)
        except OSError:
            continue
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            file.seek(0)
            return file
        file.close()
    return None


def _places(job: Job, inbox: Path, originals: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Yield where the original may be: claimed still, as it is for a moment after its result is out, or put away."""
    yield from ((inbox, path) for path in claimed_files(inbox, str(job.path), job.id))
    yield from ((originals, PurePosixPath(job.folder, name)) for name in namesakes(job))

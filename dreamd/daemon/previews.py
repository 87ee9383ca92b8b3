"""Small pictures of dreams that go on. Workers write them; here those are removed whose dreams are over.

A worker removes its own, unless it is killed.
"""

from __future__ import annotations

import logging
from pathlib import Path

from dreamd.files.durable import only_draft_of
from dreamd.files.problems import refusal

log = logging.getLogger(__name__)


def drop_preview(folder: Path, job_id: str) -> None:
    """Remove the preview of a job that is over, and a draft of it."""
    preview = folder / f"{job_id}.jpg"
    for file in (preview, only_draft_of(preview)):
        _unlink(file)


def drop_previews(folder: Path) -> None:
    """Remove every preview: nothing is dreamed."""
    if folder.is_dir():
        for file in folder.iterdir():
            _unlink(file)


def _unlink(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:  # it shows what is over, and does no other harm
        log.warning("the preview %s cannot be removed: %s", file, refusal(error))

"""Where things lie in a tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


HOUSE = ".dreamd"
"""dreamd's own folder in the inbox and in the outbox."""

SIDECAR = ".json"

REASON = ".reason.txt"


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where pictures go.

    Attributes:
        inbox: where they arrive; the claimed ones wait in `.dreamd/work` below it.
        outbox: where results appear; drafts of them are in `.dreamd` below it.
        failed: where the originals of failed jobs go, each with its reason beside it.
        done: where the originals of done jobs go; None to delete them.
    """

    inbox: Path
    outbox: Path
    failed: Path
    done: Path | None


def reason_path(picture: Path) -> Path:
    return picture.with_name(f"{picture.name}{REASON}")


def draft_name(job_id: str) -> str:
    return f"{HOUSE}-{job_id}"

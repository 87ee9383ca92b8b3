"""What a watch on the inbox reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FileEventKind = Literal["closed", "moved", "created", "deleted", "overflow", "limit"]


@dataclass(frozen=True, slots=True)
class FileEvent:
    """What the watch's threads put into the daemon's queue.

    Attributes:
        kind: what happened; "overflow": events were lost; "limit": no more folders can be watched.
        path: relative to the inbox; "" for the inbox itself.
        is_folder: whether it happened to a folder.
    """

    kind: FileEventKind
    path: str = ""
    is_folder: bool = False

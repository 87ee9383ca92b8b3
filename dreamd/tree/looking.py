"""The mark by which the page tells workers that somebody looks, so that pictures for nobody cost nothing.

Knows one file beside the previews. Knows no pictures and no requests.
"""

from __future__ import annotations

import time
from pathlib import Path

_MARK = "looked-at"
"""The name of the file whose time tells when somebody looked last."""

_LOOKING_SECONDS = 10.0
"""Somebody who looked less than so many seconds ago still looks."""


def mark_looked_at(previews: Path) -> None:
    """Tell that somebody looks at the previews of a folder, which is made where it is missing. Raises OSError."""
    previews.mkdir(exist_ok=True)
    (previews / _MARK).touch()


def is_looked_at(previews: Path) -> bool:
    """Return whether somebody looks at the previews of a folder."""
    try:
        return time.time() - (previews / _MARK).stat().st_mtime < _LOOKING_SECONDS
    except OSError:  # nobody has looked yet
        return False

"""Where this user's caches lie. Knows nothing of what is in them."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return dreamd's folder among the user's caches: `$XDG_CACHE_HOME/dreamd`, else `~/.cache/dreamd`.

    It may not exist yet.

    Raises:
        RuntimeError: this user has no home folder, and the variable is not set.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative one.
    return (caches if caches.is_absolute() else Path.home() / ".cache") / "dreamd"

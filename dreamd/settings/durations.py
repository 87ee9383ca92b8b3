"""Durations as people write them: `90d`, `12h`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "mo": timedelta(days=30),
}
"""What each unit stands for. There is no `m`: it would be minutes to some and months to others."""


def read_duration(text: str) -> timedelta:
    """Read `90min`, `12h`, `30d`, `2w` or `3mo`; a month is 30 days.

    Raises:
        ValueError: it is no duration; says in words what to write.
    """
    match = re.fullmatch(r"(\d{1,6}) ?([a-z]+)", text.strip())
    if match is not None and match[2] == "m":
        raise ValueError(f"{text!r} may be minutes or months: write {match[1]}min or {match[1]}mo")
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{text!r} is no age: write 30d, 12h, 2w, 3mo or 90min")
    return int(match[1]) * _UNITS[match[2]]

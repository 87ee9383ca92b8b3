"""What a look finds: that something is well, or what there is to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dreamd.errors import DreamdError


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, and what there is to say or do."""

    check: str
    ok: bool
    text: str


def found_by(check: str, look: Callable[[], str]) -> Finding:
    """Make a finding of a look that returns what is well and raises what is not."""
    try:
        return Finding(check, True, look())
    except (DreamdError, OSError) as error:
        return Finding(check, False, str(error))

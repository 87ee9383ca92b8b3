"""JSON that can always be written: the one way for the API, the snapshot, `--json`, requests to processes and the log.

The name of a file may be no text. Python carries such a name's other bytes as halves of characters (`os.fsdecode`),
which no UTF-8 can hold. Here they are written as escapes in ASCII, and whoever reads them makes the very bytes again
with `os.fsencode`. A number that JSON does not know, such as infinity, becomes null.
"""

from __future__ import annotations

import json
import math


def to_json(value: object, *, indent: int | None = None) -> str:
    """Write a value as JSON in ASCII; what is no value of JSON is written as its text.

    Args:
        value: the value.
        indent: write each item on a line of its own, so many spaces further in; None: all on one line.
    """
    try:
        return json.dumps(value, indent=indent, allow_nan=False, default=str)
    except ValueError:  # not a number, or infinite, which is rare enough to be looked for only now
        return json.dumps(_without_infinities(value), indent=indent, default=str)


def _without_infinities(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_infinities(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(inner) for inner in value]
    return value

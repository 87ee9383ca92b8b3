"""JSON that can always be written: the one way for the API, the snapshot, `--json`, requests to processes and the log.

The name of a file may be no text. Python carries such a name's other bytes as halves of characters (`os.fsdecode`),
which no UTF-8 can hold. Here they are written as escapes in ASCII, and whoever reads them makes the very bytes again
with `os.fsencode`. A number that JSON does not know, such as infinity, becomes null.
"""

from __future__ import annotations

import json
import math


def to_json(value: object, *, indent: int | None = None, for_people: bool = False) -> str:
    """Write a value as JSON; what is no value of JSON is written as its text.

    Args:
        value: the value.
        indent: write each item on a line of its own, so many spaces further in; None: all on one line.
        for_people: write letters as they are and not in ASCII; a half character is then escaped for good.
    """
    if for_people:
        value = without_halves(value)
    try:
        return json.dumps(value, indent=indent, ensure_ascii=not for_people, allow_nan=False, default=str)
    except ValueError:  # not a number, or infinite, which is rare enough to be looked for only now
        return json.dumps(_without_infinities(value), indent=indent, ensure_ascii=not for_people, default=str)


def without_halves(value: object) -> object:
    """Escape every half character in a value, for readers that know none: pydantic, YAML, UTF-8.

    The bytes of a name are then seen and no longer had.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_halves(key): without_halves(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_halves(inner) for inner in value]
    return value


def _without_infinities(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_infinities(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(inner) for inner in value]
    return value

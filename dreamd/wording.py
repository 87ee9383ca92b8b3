"""Words for people: text that a terminal can show, and the nearest right word."""

from __future__ import annotations

import json
from collections.abc import Iterable

_BRIEF_CHARACTERS = 60
"""The characters of a value that are shown in a message of one or two lines."""


def printable(text: str) -> str:
    """Put text on one line of a terminal: escape whatever would not show, or would change how the rest shows."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def suggestion(word: str, known: Iterable[str], *, show: int = 12) -> str:
    """Return "did you mean relu4_4?" when something is near, else what there is to choose from."""
    from difflib import get_close_matches  # on demand: it takes longer to import than the whole of `dreamd --help`

    names = list(known)
    folded = {name.lower(): name for name in names}
    if near := get_close_matches(word.lower(), folded, n=1, cutoff=0.6):
        return f"did you mean {folded[near[0]]}?"
    if not names:
        return "there are none"
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return f"there are {', '.join(names[:show])}{more}"


def nearest(word: object, known: Iterable[str]) -> str:
    """Return `; did you mean png?`, or nothing when nothing is near."""
    near = suggestion(str(word), known)
    return f"; {near}" if near.endswith("?") else ""


def in_brief(value: object) -> str:
    """Return a value as a recipe would write it, cut to what fits into a message."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _BRIEF_CHARACTERS else f"{text[: _BRIEF_CHARACTERS - 1]}…"

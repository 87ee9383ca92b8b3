"""Words for people: text that a terminal can show, and the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """Text on one line of a terminal: whatever would not show, or would change how the rest shows, is escaped."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def suggestion(word: str, known: Iterable[str], *, show: int = 12) -> str:
    """ "did you mean relu4_4?" when something is near, else what there is to choose from."""
    from difflib import get_close_matches  # on demand: it takes longer to import than the whole of `dreamd --help`

    names = list(known)
    folded = {name.lower(): name for name in names}
    if near := get_close_matches(word.lower(), folded, n=1, cutoff=0.6):
        return f"did you mean {folded[near[0]]}?"
    if not names:
        return "there are none"
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return f"there are {', '.join(names[:show])}{more}"

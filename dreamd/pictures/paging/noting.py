"""What is said of a file with several pages of which the first alone is dreamed."""

from __future__ import annotations

from itertools import islice

from dreamd.pictures.containers.companions import other_pictures_note
from dreamd.pictures.damage import left_out_when_broken
from dreamd.pictures.paging.page import Found

_MOST_COUNTED = 1000
"""So many pages of a file are counted."""


def note_of_pages(found: Found, what: str, name: str) -> tuple[str, ...]:
    """Return the note; () for a file of one page.

    Args:
        found: what is found in the file.
        what: what its pages are called, in words.
        name: its name, printable, for the log.
    """
    count = 0
    with left_out_when_broken("list of pages", name):
        for page in islice(found, _MOST_COUNTED):
            count += page is not None
        if next(found, None) is not None:
            return (other_pictures_note(f"more than {count}", what),)
    return (other_pictures_note(str(count), what),) if count > 1 else ()

"""Which inbox a state folder belongs to. An empty mount point, or another tree's inbox, must not be taken for it.

An inbox has a mark of its own, and the state folder remembers the mark. Knows no lock and no job.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from dreamd.errors import FolderError
from dreamd.files.durable import replace
from dreamd.files.nofollow import Entry, opened_folder, opened_folder_if_there
from dreamd.files.problems import os_errors_explained, shown
from dreamd.tree.layout import HOUSE, MARK, StateFolder

_MARK_BYTES = 12


@dataclass(frozen=True)
class Identity:
    """What a state folder remembers of itself.

    Attributes:
        daemon: the name of this state folder's daemon, among others that share an inbox.
        mark: the inbox's mark; "" before there was one.
        inbox: where the inbox was.
    """

    daemon: str
    mark: str = ""
    inbox: str = ""

    def write(self, state: StateFolder) -> None:
        """Remember it."""
        with os_errors_explained("write", state.identity), opened_folder(state.path) as folder:
            _write(Entry(folder, state.identity.name), json.dumps(asdict(self)))


def read_identity(state: StateFolder) -> Identity | None:
    """Return what the state folder remembers; None when that is nothing that can be read."""
    with os_errors_explained("read", state.identity):
        try:
            values = json.loads(state.identity.read_bytes())
            return Identity(daemon=str(values["daemon"]), mark=str(values["mark"]), inbox=str(values["inbox"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def own_identity(state: StateFolder) -> Identity:
    """Return what the state folder remembers; a new one is given a name for its daemon."""
    known = read_identity(state)
    if known is None:
        known = Identity(daemon=secrets.token_hex(6))
        known.write(state)
    return known


def mark_of(inbox: Path) -> str:
    """Return an inbox's mark; "" when it has none."""
    with os_errors_explained("read the mark of", inbox), opened_folder_if_there(inbox, [HOUSE]) as house:
        return "" if house is None else Entry(house, MARK).read().decode("ascii", "replace").strip()


def give_mark(inbox: Path) -> str:
    """Give a mark to an inbox that has none; returns its mark."""
    if mark := mark_of(inbox):
        return mark
    mark = secrets.token_hex(_MARK_BYTES)
    with os_errors_explained("mark", inbox), opened_folder(inbox, [HOUSE]) as house:
        _write(Entry(house, MARK), f"{mark}\n")
    return mark


def _write(entry: Entry, text: str) -> None:
    # The draft's name is always the same, so that kills leave one at most, which the next try takes.
    replace(entry, text.encode(), draft_name=f".{entry.name}.part")


def check_is_known(inbox: Path, state: StateFolder) -> None:
    """Raise FolderError when a folder is not the inbox that the state folder belongs to, if it belongs to any."""
    known = read_identity(state)
    if known is not None and known.mark and known.mark != mark_of(inbox):
        raise FolderError(f"{shown(inbox)} is not the inbox that dreamd knows: is its disk mounted?")

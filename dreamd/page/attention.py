"""What needs a person, by cause, as the page and the API show it. Reads files: call it from a thread."""

from __future__ import annotations

from dataclasses import replace

from dreamd.errors import DreamdError
from dreamd.page.state import without_inbox
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.tree.attention import Trouble, troubles
from dreamd.tree.journal import Journal
from dreamd.tree.layout import StateFolder
from dreamd.wording import printable


class Attention:
    """Looks what needs a person in one tree."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def troubles(self) -> list[Trouble]:
        """List what keeps pictures from being dreamed; texts have no inbox in them, and can be looked at."""
        try:
            values = snapshot.read(self._config.state)
        except DreamdError:  # it is of another version, as the state of everything says
            values = None
        if values is None:
            return []
        journal = Journal.open_readonly(StateFolder(self._config.state).journal)
        if journal is None:
            found = troubles(values, None, self._config.failed)
        else:
            with journal:
                found = troubles(values, journal, self._config.failed)
        return [self._shown(each) for each in found]

    def _shown(self, trouble: Trouble) -> Trouble:
        return replace(
            trouble,
            reason=without_inbox(trouble.reason, self._config),
            pictures=tuple(
                replace(each, path=printable(each.path), reason=without_inbox(each.reason, self._config))
                for each in trouble.pictures
            ),
        )

"""What needs a person, by cause, as the page and the API show it. Reads files: call it from a thread."""

from __future__ import annotations

from dataclasses import replace

from dreamd.page.state import told_by_daemon, without_inbox
from dreamd.settings.config import Config
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
        values = told_by_daemon(self._config)
        if values is None:
            return []
        with Journal.looked_at(StateFolder(self._config.state).journal) as journal:
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

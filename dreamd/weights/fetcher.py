"""The process that fetches a file of weights for the daemon: `python -m dreamd.weights.fetcher PARENT_PID`.

Takes one line of JSON on its standard input, the backbone and where its weights come from, and answers with lines of
JSON on its standard output: how much is here, and last where the file is or why it cannot be had. It is a process so
that it can be ended at any moment. What has come by then stays, and the next one goes on from there.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

from dreamd.errors import DreamdError
from dreamd.json_text import to_json
from dreamd.processes import die_with_parent
from dreamd.weights.fetching import fetch
from dreamd.weights.sources import Download

_SAY_SECONDS = 0.2
"""The time between two lines about how much is here, in seconds."""


def _say(**values: Any) -> None:
    os.write(1, to_json(values).encode() + b"\n")


class _Progress:
    """Says how much is here, now and then, in a thread: what came last is said too, though nothing comes after it."""

    def __init__(self) -> None:
        self._here: tuple[int, int | None] | None = None
        threading.Thread(target=self._tell, daemon=True).start()

    def __call__(self, done: int, total: int | None) -> None:
        self._here = (done, total)

    def _tell(self) -> None:
        said = None
        while True:
            if (here := self._here) != said and here is not None:
                said = here
                _say(done=here[0], total=here[1])
            time.sleep(_SAY_SECONDS)


def main() -> None:
    """Fetch what the first line asks for."""
    die_with_parent(int(sys.argv[1]))
    asked = json.loads(sys.stdin.readline())
    try:
        file = fetch(Download(**asked["source"]), backbone=asked["backbone"], on_bytes=_Progress())
    except DreamdError as error:
        _say(problem=str(error))
        sys.exit(1)
    _say(file=str(file))


if __name__ == "__main__":
    main()

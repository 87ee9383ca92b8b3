"""The publisher's process: takes a lot a line, publishes it, and answers with a line, until its input ends."""

from __future__ import annotations

import os
import signal
import sys

from dreamd.processes import die_with_parent


def main() -> None:
    """Serve the daemon whose process number the command line gives."""
    die_with_parent(int(sys.argv[1]))
    for number in (signal.SIGTERM, signal.SIGINT):  # the daemon ends it, when nothing is to be published any more
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no answer
    # Imported late: the process has the daemon's locks, and must not outlive it even while it starts.
    from dreamd.tree.publisher.serving import serve

    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()

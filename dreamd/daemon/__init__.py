"""The loop that has an inbox's pictures dreamed, and all that it decides.

Knows folders, jobs and messages. Knows no torch and no pixels. `run_daemon` is the way in; the rest is the room's own.
"""

from dreamd.daemon.start import run_daemon

__all__ = ["run_daemon"]

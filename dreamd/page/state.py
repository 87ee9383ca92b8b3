"""What the page shows of the daemon: its snapshot, with what belongs to it. JSON in, JSON out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from dreamd.errors import DreamdError
from dreamd.page.monitoring.gpus import Gpus, resident_bytes
from dreamd.page.monitoring.health import not_ready
from dreamd.settings.config import Config
from dreamd.tree import snapshot
from dreamd.tree.layout import StateFolder
from dreamd.wording import printable

_FOLDERS = 200
"""At most so many folders of the queue are listed."""

_GPU_SECONDS = 2.0
"""What the driver says of the GPUs is shown for so long before it is asked again."""


class StateView:
    """Looks at what one daemon says of itself. Reads files: call it from a thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._gpus = Gpus()
        self._gpus_seen: list[dict[str, Any]] = []
        self._gpus_due = 0.0
        self.marked = 0
        """A number that changes whenever somebody has marked results."""

    def state(self) -> dict[str, Any]:
        """Return the snapshot with what belongs to it. Raises DreamdError where there is one that cannot be read."""
        values = snapshot.read(self._config.state)
        if values is None:
            return {"state": "starting", "not_ready": not_ready(None)}
        stamps = self.preview_stamps()
        folders = sorted(values["folders"].items(), key=lambda item: (-item[1], item[0]))
        return {
            **values,
            "folders": dict(folders[:_FOLDERS]),
            "more_folders": max(0, len(folders) - _FOLDERS),
            "paused_pictures": {folder: _waiting_below(folder, values["folders"]) for folder in values["paused"]},
            "workers": [_worker(worker, stamps) for worker in values["workers"]],
            "gpus": self._gpu_values(),
            "not_ready": not_ready(values),
            "marked": self.marked,
        }

    def note_marked(self) -> None:
        """Have every open page look at the results again."""
        self.marked += 1

    def preview_stamps(self) -> dict[str, int]:
        """List the previews there are: a number by job that changes with its picture."""
        previews = StateFolder(self._config.state).previews
        try:
            return {file.stem: file.stat().st_mtime_ns for file in previews.glob("*.jpg")}
        except FileNotFoundError:  # one went away meanwhile; the next look sees the others
            return {}

    def _gpu_values(self) -> list[dict[str, Any]]:
        now = time.monotonic()
        if now >= self._gpus_due:
            self._gpus_seen = [vars(gpu) for gpu in self._gpus.look()]
            self._gpus_due = now + _GPU_SECONDS
        return self._gpus_seen


def _worker(worker: Mapping[str, Any], stamps: Mapping[str, int]) -> dict[str, Any]:
    """Tell a worker with its memory, and its jobs with the numbers of their previews."""
    jobs = [{**job, "preview": stamps.get(job["job"])} for job in worker["jobs"]]
    return {**worker, "jobs": jobs, "memory_bytes": resident_bytes(worker["pid"])}


def _waiting_below(folder: str, waiting: Mapping[str, int]) -> int:
    """Count the pictures that wait in a folder of the inbox and in those below it."""
    return sum(count for name, count in waiting.items() if folder == "." or f"{name}/".startswith(f"{folder}/"))


def told_by_daemon(config: Config) -> dict[str, Any] | None:
    """Return the snapshot; None before there is one, and for another version's, as the state of everything says."""
    try:
        return snapshot.read(config.state)
    except DreamdError:
        return None


def without_inbox(reason: str, config: Config) -> str:
    """Leave the inbox's place out of a reason, because it is the same everywhere on the page."""
    return "\n".join(map(printable, reason.replace(f"{config.inbox}/", "").split("\n")))

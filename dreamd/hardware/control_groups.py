"""The control groups (cgroups(7)) that this process is in, of both versions. Knows no limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

ReadLimit = Callable[[Path], float | None]
"""Reads a limit from the folder of a control group; None: it has none."""


def limits(root: Path, controller: str, version_1: ReadLimit, version_2: ReadLimit) -> Iterator[float]:
    """Yield the limits of all control groups that this process is in, and of those around them.

    Args:
        root: the folder in which /proc and /sys are.
        controller: what is limited, as version 1 names it: `cpu` or `memory`.
        version_1: reads the limit of a group of version 1.
        version_2: reads the limit of a group of version 2.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # a kernel without control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits_upwards(root / "sys/fs/cgroup", path, version_2)
        elif controller in controllers.split(","):
            for name in dict.fromkeys((controllers, controller)):
                yield from _limits_upwards(root / "sys/fs/cgroup" / name, path, version_1)


def _limits_upwards(mount: Path, path: str, read: ReadLimit) -> Iterator[float]:
    """Yield the limits of a group and of those around it. A group that is not there is seen by an outer name."""
    group = mount / path.lstrip("/")
    for folder in (group, *group.parents):
        try:
            limit = read(folder)
        except (OSError, ValueError):  # the root of all groups has no such file
            limit = None
        if limit is not None:
            yield limit
        if folder == mount:
            return

"""How many processors this process may use, by its affinity and its control groups. Knows no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

_ReadQuota = Callable[[Path], float | None]
"""Reads a control group's quota in processors; None: it has none."""


def count_processors(root: Path = Path("/")) -> int:
    """Count the processors that this process may use: at least one, and no more than its quota pays for.

    Args:
        root: the folder in which /proc and /sys are.
    """
    whole_ones = (int(quota) for quota in _quotas(root))
    return max(1, min([len(os.sched_getaffinity(0)), *whole_ones]))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas in processors of all control groups that this process is in."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # a kernel without control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _quotas_upwards(root / "sys/fs/cgroup", path, _read_version_2)
        elif "cpu" in controllers.split(","):
            for name in dict.fromkeys((controllers, "cpu")):
                yield from _quotas_upwards(root / "sys/fs/cgroup" / name, path, _read_version_1)


def _quotas_upwards(mount: Path, path: str, read: _ReadQuota) -> Iterator[float]:
    """Yield the quotas of a group and of those around it. A group that is not there is seen by an outer name."""
    group = mount / path.lstrip("/")
    for folder in (group, *group.parents):
        try:
            quota = read(folder)
        except (OSError, ValueError):  # the root of all groups has no such file
            quota = None
        if quota is not None:
            yield quota
        if folder == mount:
            return


def _read_version_2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _read_version_1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())

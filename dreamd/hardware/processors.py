"""How many processors this process may use, by its affinity and its control groups."""

from __future__ import annotations

import os
from pathlib import Path

from dreamd.hardware.control_groups import limits


def count_processors(root: Path = Path("/")) -> int:
    """Count the processors that this process may use: at least one, and no more than its quota pays for.

    Args:
        root: the folder in which /proc and /sys are.
    """
    whole_ones = (int(quota) for quota in limits(root, "cpu", _read_version_1, _read_version_2))
    return max(1, min([len(os.sched_getaffinity(0)), *whole_ones]))


def _read_version_2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _read_version_1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())

"""How much of the main memory is free for this process, by the system and by its control groups."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dreamd.hardware.control_groups import limits

_SHARE = 0.8
"""The share of the memory that is free now which dreams may take. The rest is left to others."""


def free_memory(root: Path = Path("/"), *, held_by: Iterable[int] = ()) -> int:
    """Return most of the bytes that dreams may take: of what is free now, and of what some processes hold.

    Args:
        root: the folder in which /proc and /sys are.
        held_by: the numbers of processes whose memory counts as free, because it is shared out anew.
    """
    available = 1024 * _fields(root / "proc/meminfo")["MemAvailable"]
    in_groups = limits(root, "memory", _left_in_version_1, _left_in_version_2)
    left = min([available, *map(int, in_groups)])
    return int(_SHARE * (max(0, left) + sum(resident_memory(pid, root) for pid in held_by)))


def total_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may use at most: the machine's, or what its control groups allow.

    Args:
        root: the folder in which /proc and /sys are.
    """
    most = limits(root, "memory", _most_in_version_1, _most_in_version_2)
    return min([1024 * _fields(root / "proc/meminfo")["MemTotal"], *map(int, most)])


def resident_memory(pid: int, root: Path = Path("/")) -> int:
    """Return the bytes that a process holds for itself, without files' pages; 0 when there is no such process."""
    try:
        return 1024 * _fields(root / f"proc/{pid}/status").get("RssAnon", 0)
    except OSError:
        return 0


def _fields(file: Path) -> dict[str, int]:
    """Read the numbers of a file such as /proc/meminfo: name → value, mostly in KiB."""
    pairs = (line.partition(":") for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    words = {name: value.split() for name, _, value in pairs}
    return {name: int(value[0]) for name, value in words.items() if value and value[0].isdecimal()}


def _most_in_version_2(folder: Path) -> float | None:
    most = (folder / "memory.max").read_text().strip()
    return None if most == "max" else int(most)


def _most_in_version_1(folder: Path) -> float:
    return int((folder / "memory.limit_in_bytes").read_text())  # without a limit it is larger than any memory


def _left_in_version_2(folder: Path) -> float | None:
    """Return the bytes that a group has left. Its files' pages that nobody uses are given back when it needs them."""
    most = _most_in_version_2(folder)
    if most is None:
        return None
    return most - int((folder / "memory.current").read_text()) + _inactive_file(folder, "inactive_file")


def _left_in_version_1(folder: Path) -> float:
    used = int((folder / "memory.usage_in_bytes").read_text())
    return _most_in_version_1(folder) - used + _inactive_file(folder, "total_inactive_file")


def _inactive_file(folder: Path, name: str) -> int:
    lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
    return next((int(words[1]) for words in lines if words[0] == name), 0)

"""Cores: which processors are threads of one core, and on which node of memory each core lies. Reads /sys."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROCESSORS = Path("sys/devices/system/cpu")
_NODES = Path("sys/devices/system/node")


@dataclass(frozen=True)
class Core:
    """One core, as far as this process may use it.

    Attributes:
        processors: the numbers of its hardware threads, in order.
        node: the number of its NUMA node; 0 where the machine has one only, or does not tell.
    """

    processors: tuple[int, ...]
    node: int = 0


def usable_cores(root: Path = Path("/")) -> list[Core]:
    """List the cores that this process may use: those of one node, and of one cache in it, side by side.

    Args:
        root: the folder in which /sys is. What it does not tell counts as one core a processor, all of one node.
    """
    allowed = os.sched_getaffinity(0)
    nodes = _nodes(root)
    cores: dict[tuple[int, int, int], set[int]] = {}
    for processor in allowed:
        node = nodes.get(processor, 0)
        folder = root / _PROCESSORS / f"cpu{processor}"
        cache = min(_listed(folder / "cache/index3/shared_cpu_list"), default=0)
        first = min(_listed(folder / "topology/thread_siblings_list"), default=processor)
        cores.setdefault((node, cache, first), set()).add(processor)
    return [Core(tuple(sorted(processors)), node) for (node, _, _), processors in sorted(cores.items())]


def processor_list(processors: Iterable[int]) -> str:
    """Write numbers of processors as Linux does: `0-3,8`."""
    runs: list[list[int]] = []
    for number in sorted(processors):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _nodes(root: Path) -> dict[int, int]:
    """Tell the node of each processor, as far as /sys does."""
    folders = [folder for folder in (root / _NODES).glob("node*") if folder.name.removeprefix("node").isdecimal()]
    return {
        processor: int(folder.name.removeprefix("node"))
        for folder in folders
        for processor in _listed(folder / "cpulist")
    }


def _listed(file: Path) -> list[int]:
    """Read a list of processors as Linux writes it; an empty one when there is none."""
    try:
        parts = [part.split("-") for part in file.read_text(encoding="ascii").strip().split(",") if part]
        return [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]
    except (OSError, ValueError):
        return []

"""Which processors are threads of one core, and on which node, by what /sys tells of machines that are not this one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamd.hardware.cores import Core, processor_list, usable_cores

Allow = Callable[[set[int]], None]


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> Allow:
    def limit(processors: set[int]) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: processors)

    return limit


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="ascii")


def two_nodes(root: Path) -> Path:
    """Two nodes of four cores with two threads each, whose second threads are numbered after all first ones."""
    for processor in range(16):
        first = processor % 8
        write(root / f"sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list", f"{first},{first + 8}")
        cache = "0-3,8-11" if first < 4 else "4-7,12-15"
        write(root / f"sys/devices/system/cpu/cpu{processor}/cache/index3/shared_cpu_list", cache)
    write(root / "sys/devices/system/node/node0/cpulist", "0-3,8-11")
    write(root / "sys/devices/system/node/node1/cpulist", "4-7,12-15")
    return root


def test_threads_of_a_core_are_together_and_cores_of_a_node_side_by_side(tmp_path: Path, allow: Allow) -> None:
    allow(set(range(16)))
    cores = usable_cores(two_nodes(tmp_path))
    assert cores == [Core((first, first + 8), first // 4) for first in range(8)]


def test_only_what_the_process_may_use_counts(tmp_path: Path, allow: Allow) -> None:
    allow({1, 9, 3, 12, 5})
    assert usable_cores(two_nodes(tmp_path)) == [Core((1, 9), 0), Core((3,), 0), Core((12,), 1), Core((5,), 1)]


def test_cores_that_share_a_cache_lie_side_by_side_whatever_their_numbers(tmp_path: Path, allow: Allow) -> None:
    allow({0, 1, 2, 3})
    for processor, cache in enumerate(("0,2", "1,3", "0,2", "1,3")):
        write(tmp_path / f"sys/devices/system/cpu/cpu{processor}/cache/index3/shared_cpu_list", cache)
    assert [core.processors for core in usable_cores(tmp_path)] == [(0,), (2,), (1,), (3,)]


@pytest.mark.parametrize("text", ["", "none", "0-x", "4-"])
def test_a_machine_that_tells_nothing_sensible_has_a_core_a_processor(tmp_path: Path, allow: Allow, text: str) -> None:
    allow({0, 1, 4})
    write(tmp_path / "sys/devices/system/node/node0/cpulist", text)
    write(tmp_path / "sys/devices/system/cpu/cpu1/topology/thread_siblings_list", text)
    assert usable_cores(tmp_path) == [Core((0,)), Core((1,)), Core((4,))]


@pytest.mark.parametrize(
    ("processors", "text"),
    [([], ""), ([5], "5"), ([0, 1, 2, 3, 8], "0-3,8"), ([8, 0, 2, 1], "0-2,8"), ([0, 2, 4], "0,2,4")],
)
def test_processors_are_written_as_linux_writes_them(processors: list[int], text: str) -> None:
    assert processor_list(processors) == text

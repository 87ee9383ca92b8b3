"""How much memory is free: the machine's, what control groups of both versions leave, and what other workers hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.hardware.memory import free_memory, resident_memory, total_memory

MB = 1_000_000


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 8192 MB of memory, half of it free, in KiB as Linux writes it."""
    write(tmp_path / "proc/meminfo", "MemTotal: 8000000 kB\nMemFree: 1000 kB\nMemAvailable: 4000000 kB\nHugePages: 0\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="ascii")


def version_2(root: Path, most: str, used: int, inactive: int = 0) -> None:
    write(root / "proc/self/cgroup", "0::/service\n")
    group = root / "sys/fs/cgroup/service"
    write(group / "memory.max", f"{most}\n")
    write(group / "memory.current", f"{used}\n")
    write(group / "memory.stat", f"anon 5\ninactive_file {inactive}\nactive_file 7\n")


def version_1(root: Path, most: int, used: int, inactive: int = 0) -> None:
    write(root / "proc/self/cgroup", "4:memory:/service\n1:name=systemd:/\n0::/\n")
    group = root / "sys/fs/cgroup/memory/service"
    write(group / "memory.limit_in_bytes", f"{most}\n")
    write(group / "memory.usage_in_bytes", f"{used}\n")
    write(group / "memory.stat", f"inactive_file 1\ntotal_inactive_file {inactive}\n")


def test_most_of_what_is_free_may_be_taken(machine: Path) -> None:
    assert free_memory(machine) == int(0.8 * 4_000_000 * 1024)
    assert total_memory(machine) == 8_000_000 * 1024


def test_a_group_leaves_what_it_allows_less_what_is_used_and_not_given_back(machine: Path) -> None:
    version_2(machine, str(1000 * MB), 700 * MB, inactive=200 * MB)
    assert free_memory(machine) == 400 * MB
    assert total_memory(machine) == 1000 * MB


def test_a_group_of_version_1_does_too(machine: Path) -> None:
    version_1(machine, 1000 * MB, 700 * MB, inactive=200 * MB)
    assert free_memory(machine) == 400 * MB
    assert total_memory(machine) == 1000 * MB


def test_a_group_without_a_limit_leaves_what_the_machine_has(machine: Path) -> None:
    version_2(machine, "max", 700 * MB)
    assert free_memory(machine) == int(0.8 * 4_000_000 * 1024)
    version_1(machine, 9223372036854771712, 700 * MB)
    assert total_memory(machine) == 8_000_000 * 1024


def test_a_group_that_is_full_leaves_nothing(machine: Path) -> None:
    version_2(machine, str(1000 * MB), 1001 * MB)
    assert free_memory(machine) == 0


def test_what_those_hold_who_share_counts_as_free(machine: Path) -> None:
    write(machine / "proc/7/status", "Name: python\nVmRSS: 900 kB\nRssAnon: 500 kB\nRssFile: 400 kB\n")
    assert resident_memory(7, machine) == 500 * 1024
    assert resident_memory(8, machine) == 0  # it has ended
    assert free_memory(machine, held_by=[7, 8]) == int(0.8 * (4_000_000 + 500) * 1024)

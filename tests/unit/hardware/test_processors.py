"""How many processors a worker counts: affinity, and the quotas of control groups of both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dreamd.hardware.processors import count_processors


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def version_2(root: Path, **quotas: str) -> Path:
    files = {f"sys/fs/cgroup/{folder.replace('__', '/')}/cpu.max": text for folder, text in quotas.items()}
    return machine(root, "0::/outer/inner\n", files)


def test_a_machine_without_control_groups_has_its_processors(tmp_path: Path) -> None:
    assert count_processors(tmp_path) == 8


@pytest.mark.parametrize(
    ("quota", "count"),
    [("50000 100000", 1), ("100000 100000", 1), ("150000 100000", 1), ("250000 100000", 2), ("max 100000", 8)],
)
def test_a_quota_pays_for_whole_processors_and_for_one_at_least(tmp_path: Path, quota: str, count: int) -> None:
    assert count_processors(version_2(tmp_path, outer__inner=quota)) == count


def test_the_tightest_group_around_counts(tmp_path: Path) -> None:
    assert count_processors(version_2(tmp_path, outer__inner="max 100000", outer="300000 100000")) == 3


def test_a_container_sees_its_own_group_as_the_root_whatever_its_name_outside(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/docker/4f2a\n", {"sys/fs/cgroup/cpu.max": "200000 100000"})
    assert count_processors(root) == 2


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(("quota", "count"), [("50000", 1), ("400000", 4), ("-1", 8)])
def test_groups_of_version_1_count_too(tmp_path: Path, mount: str, quota: str, count: int) -> None:
    folder = f"sys/fs/cgroup/{mount}/slice"
    files = {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": "100000"}
    groups = "11:memory:/slice\n4:cpu,cpuacct:/slice\n1:name=systemd:/slice\n0::/\n"
    assert count_processors(machine(tmp_path, groups, files)) == count


def test_affinity_bounds_a_generous_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5})
    assert count_processors(version_2(tmp_path, outer="600000 100000")) == 2


def test_a_file_that_makes_no_sense_is_no_quota(tmp_path: Path) -> None:
    assert count_processors(version_2(tmp_path, outer="much")) == 8

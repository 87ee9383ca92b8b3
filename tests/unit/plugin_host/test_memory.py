"""What is known of plugins is remembered for as long as they are the same, and no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dreamd.plugin_host.finding import memory as memory_module
from dreamd.plugin_host.finding.memory import Memory, memory_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir(mode=0o755)
    return made


def memory(folder: Path, *disable: str) -> Memory:
    return memory_of("dreamd.engine", [folder], disable)


def test_what_is_kept_is_recalled(folder: Path) -> None:
    assert memory(folder).recall("a") is None
    memory(folder).keep("a", {"b": [1, None]})
    assert memory(folder).recall("a") == {"b": [1, None]}


def test_a_drop_in_that_comes_or_changes_makes_another_set(folder: Path) -> None:
    memory(folder).keep("a", 1)
    file = folder / "mine.py"
    file.write_text("x = 1\n", encoding="utf-8")
    file.chmod(0o644)
    assert memory(folder).recall("a") is None
    memory(folder).keep("a", 2)
    file.write_text("x = 2\n", encoding="utf-8")
    assert memory(folder).recall("a") is None
    file.write_text("x = 1\n", encoding="utf-8")
    assert memory(folder).recall("a") == 2


def test_what_is_disabled_and_what_is_installed_around_makes_another_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(folder).keep("a", 1)
    assert memory(folder, "vgg").recall("a") is None
    monkeypatch.setattr(memory_module, "_version_of", lambda package: f"{package} 99")
    assert memory(folder).recall("a") is None


def test_a_file_of_dreamd_that_changes_makes_another_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory(folder).keep("a", 1)
    real = memory_module._stamp
    monkeypatch.setattr(memory_module, "_stamp", lambda file: (0,) if file.name == "vgg.py" else real(file))
    assert memory(folder).recall("a") is None


def test_a_broken_file_is_nothing(folder: Path, cache: Path) -> None:
    memory(folder).keep("a", 1)
    (kept,) = cache.rglob("a.json")
    kept.write_text("{", encoding="utf-8")
    assert memory(folder).recall("a") is None


def test_where_the_disk_refuses_nothing_is_kept(folder: Path, cache: Path) -> None:
    cache.write_text("a file", encoding="utf-8")
    memory(folder).keep("a", 1)
    assert memory(folder).recall("a") is None


def test_a_memory_of_no_folder_keeps_nothing(cache: Path) -> None:
    made = Memory(None)
    made.keep("a", 1)
    assert made.recall("a") is None
    assert not cache.exists()


def test_the_sets_that_were_met_long_ago_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "_MOST_KEPT", 2)
    for name in "abc":
        Memory(tmp_path / "sets" / name).keep("x", 1)
    assert len(list((tmp_path / "sets").iterdir())) == 2

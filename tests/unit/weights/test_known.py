"""A file's digest is remembered as long as nothing about the file changes, and no longer."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from dreamd.errors import WeightsError
from dreamd.weights import known
from dreamd.weights.known import known_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("DREAMD_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def hashed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really hashed, in a process that remembers nothing yet, of files that changed long ago."""
    files: list[Path] = []
    real = known.sha256_of

    def noted(path: Path) -> str:
        files.append(path)
        return real(path)

    monkeypatch.setattr(known, "sha256_of", noted)
    monkeypatch.setattr(known, "_SETTLED_NS", 0)
    known._memory.cache_clear()
    return files


def settle(path: Path) -> None:
    """Wait until the clock that files are stamped with has gone on."""
    while time.time_ns() <= path.stat().st_ctime_ns:
        os.sched_yield()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    settle(path)
    return path


@pytest.mark.parametrize("forget", [lambda: None, known._memory.cache_clear])
def test_a_file_is_hashed_once_in_this_process_and_the_next(
    cache: Path, hashed: list[Path], forget: Callable[[], None]
) -> None:
    path = written(cache / "a.pth", b"weights")
    for _ in range(3):
        assert known_sha256(path) == digest_of(b"weights")
        forget()
    assert hashed == [path]


def test_a_file_that_changes_is_hashed_again_though_it_says_that_it_is_as_old_and_as_long(
    cache: Path, hashed: list[Path]
) -> None:
    path = written(cache / "a.pth", b"weights")
    known_sha256(path)
    before = path.stat()
    written(path, b"w3ights")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    settle(path)
    assert known_sha256(path) == digest_of(b"w3ights")
    assert len(hashed) == 2


def test_a_file_that_changed_just_now_is_not_remembered(
    cache: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_SETTLED_NS", 2_000_000_000)
    path = written(cache / "a.pth", b"weights")
    assert known_sha256(path) == known_sha256(path) == digest_of(b"weights")
    assert len(hashed) == 2


@pytest.mark.parametrize("broken", ["{", "[]", '{"PATH": 1}', '{"PATH": [1, 2]}', "null", "\x00"])
def test_a_broken_memory_is_none(cache: Path, hashed: list[Path], broken: str) -> None:
    path = written(cache / "a.pth", b"weights")
    (cache / "digests.json").write_text(broken.replace("PATH", str(path)), encoding="utf-8")
    assert known_sha256(path) == digest_of(b"weights")
    known._memory.cache_clear()
    assert known_sha256(path) == digest_of(b"weights")
    assert hashed == [path]


@pytest.mark.usefixtures("hashed")
def test_where_there_is_no_cache_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tmp_path / "none"))
    assert known_sha256(written(tmp_path / "a.pth", b"weights")) == digest_of(b"weights")
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["a.pth"]


def test_no_more_are_remembered_than_there_is_room_for(
    cache: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_MOST_KNOWN", 2)
    for name in "abc":
        known_sha256(written(cache / name, b"weights"))
    assert [path.rpartition("/")[2] for path in json.loads((cache / "digests.json").read_text())] == ["b", "c"]


def test_a_file_that_is_not_there_is_told(cache: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        known_sha256(cache / "a.pth")

"""The record of loading: what ended the process while it was loaded is known at the next start."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.daemon.load_record import LoadRecord
from dreamd.plugin_host.finding.discovery import Candidate


def candidate(name: str, version: str = "1", *, own: bool = False) -> Candidate:
    return Candidate(name=name, origin=f"{name}.py", version=version, load=lambda: None, own=own)


GOOD, KILLER = candidate("good"), candidate("killer")


def die(file: Path, *loaded: Candidate) -> None:
    """A start whose process ends while the last of some plugins is loaded."""
    record = LoadRecord(file)
    for each in loaded:
        record.note(each)


def distrusted(file: Path, *candidates: Candidate) -> set[str]:
    return set(LoadRecord(file).distrusted(candidates))


def test_a_plugin_that_ends_the_process_twice_is_not_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "loading.json"
    die(file, GOOD, KILLER)
    assert distrusted(file, GOOD, KILLER) == set()
    die(file, GOOD, KILLER)
    assert distrusted(file, GOOD, KILLER) == {"killer"}
    assert distrusted(file, GOOD, KILLER) == {"killer"}
    assert distrusted(file, GOOD, candidate("killer", "2")) == set()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_start_that_ends_in_any_other_way_is_held_against_nobody(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    file = tmp_path / "loading.json"
    for _ in range(3):
        record = LoadRecord(file)
        try:
            with record.loading():
                record.note(KILLER)
                if error is not None:
                    raise error
        except KeyboardInterrupt:
            pass
    assert distrusted(file, KILLER) == set()
    assert not file.exists()


def test_dreamds_own_plugins_are_trusted_and_cost_no_write(tmp_path: Path) -> None:
    die(tmp_path / "loading.json", candidate("local", own=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ends": 3}'])
def test_a_record_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "loading.json"
    file.write_text(text)
    assert distrusted(file, KILLER) == set()


def test_a_folder_that_is_not_there_is_no_reason_to_stop(tmp_path: Path) -> None:
    die(tmp_path / "nowhere" / "loading.json", KILLER)
    assert list(tmp_path.iterdir()) == []

"""Checkpoints that go from one machine to another while their dream goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.errors import DreamdError
from dreamd.executors.remote.cluster import Standing
from dreamd.executors.remote.standings import StandingTaker, apply_standing, files_of, write_files


@pytest.fixture
def far(tmp_path: Path) -> Path:
    folder = tmp_path / "far"
    (folder / "parts").mkdir(parents=True)
    (folder / "standing.json").write_text("1")
    return folder


def test_a_folder_follows_another_file_by_file(far: Path, tmp_path: Path) -> None:
    near = tmp_path / "near"
    taker = StandingTaker("job", far)
    write_files(files_of(far), near)
    assert taker.take() is None
    (far / "frames").mkdir()
    (far / "frames" / "0.png").write_bytes(b"frame")
    first = taker.take()
    assert first is not None
    assert set(first.changed) == {"frames/", "frames/0.png"}
    apply_standing(first, near)
    (far / "standing.json").write_text("22")
    (far / "frames" / "0.png").unlink()
    second = taker.take()
    assert second is not None
    assert set(second.changed) == {"standing.json"}
    apply_standing(second, near)
    assert files_of(near) == files_of(far)
    assert (near / "frames").is_dir()
    assert [path.name for path in tmp_path.iterdir() if "." in path.name] == []


def test_a_draft_of_the_worker_is_no_part_of_a_standing(far: Path) -> None:
    taker = StandingTaker("job", far)
    (far / ".standing.json.part").write_text("half")
    assert taker.take() is None


def test_a_standing_leads_nowhere_else(tmp_path: Path) -> None:
    standing = Standing(job="job", names=("../../evil",), changed={"../../evil": b""})
    with pytest.raises(DreamdError, match="cannot be the name"):
        apply_standing(standing, tmp_path / "near")
    assert not (tmp_path.parent / "evil").exists()

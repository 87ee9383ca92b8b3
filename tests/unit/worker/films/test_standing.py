"""The folder of what is dreamed in turns is kept over a kill, and is removed when something else is dreamed."""

from __future__ import annotations

from pathlib import Path

from dreamd.worker.pages.keeping import PageFolder


def test_the_dream_of_the_very_first_frame_or_page_is_kept_over_a_kill(tmp_path: Path) -> None:
    folder = PageFolder(tmp_path / "kept", "one")
    folder.checkpoint.mkdir()
    assert PageFolder(tmp_path / "kept", "one").checkpoint.is_dir()
    assert not PageFolder(tmp_path / "kept", "another").checkpoint.is_dir()

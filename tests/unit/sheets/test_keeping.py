"""What is kept of dreams: found again, whole or not at all, and never too much."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dreamd.sheets import keeping
from dreamd.sheets.keeping import Keep, Kept

PIXELS = np.full((24, 32, 3), 120, np.uint8)
KEPT = Kept(seconds=1.5, loss_before=2.0, loss_after=3.0, moved=True)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    keep = Keep(tmp_path / "sheets")
    assert keep.find("a") is None
    keep.keep("a", PIXELS, KEPT)
    assert Keep(tmp_path / "sheets").find("a") == KEPT
    assert keep.picture("a").is_file()


@pytest.mark.parametrize("lost", ["a.webp", "a.json"])
def test_half_of_a_dream_is_none(tmp_path: Path, lost: str) -> None:
    keep = Keep(tmp_path)
    keep.keep("a", PIXELS, KEPT)
    (tmp_path / "cells" / lost).unlink()
    assert keep.find("a") is None


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    keep = Keep(tmp_path)
    keep.keep("a", PIXELS, KEPT)
    for text in ("{", "{}", "[]", '{"seconds": 1}'):
        (tmp_path / "cells" / "a.json").write_text(text)
        assert keep.find("a") is None


def test_what_was_used_longest_ago_goes_when_it_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = Keep(tmp_path)
    for number in range(6):
        keep.keep(str(number), PIXELS, KEPT)
        for file in (tmp_path / "cells").glob(f"{number}.*"):
            os.utime(file, (number, number))
    keep.find("0")  # it is shown again, and is now the newest
    size = sum(file.stat().st_size for file in (tmp_path / "cells").iterdir()) // 6
    monkeypatch.setattr(keeping, "MOST_BYTES", 3 * size)
    keep.shrink()
    assert [number for number in range(6) if keep.find(str(number))] == [0, 4, 5]

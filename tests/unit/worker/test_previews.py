"""Previews of dreams that go on: small, whole, and cheap."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from dreamd.engine.dreamer import Progress
from dreamd.tree.looking import mark_looked_at
from dreamd.worker import previews as preview
from dreamd.worker.previews import SIDE, Previews


def test_a_preview_is_small_and_shows_the_picture(tmp_path: Path) -> None:
    images = torch.zeros(2, 3, 300, 1600)
    images[1, 0] = 1.0
    mark_looked_at(tmp_path / "previews")
    Previews(tmp_path / "previews").show(["a", "b"], images)
    for job, colour in (("a", (0, 0, 0)), ("b", (255, 0, 0))):
        with Image.open(tmp_path / "previews" / f"{job}.jpg") as shown:
            assert shown.size == (SIDE, SIDE * 300 // 1600)
            assert max(abs(one - other) for one, other in zip(shown.getpixel((9, 9)), colour, strict=True)) < 6
    assert sorted(file.name for file in (tmp_path / "previews").glob("*.*")) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (7, 3), (5000, 2000)])
def test_a_picture_of_any_shape_has_one(tmp_path: Path, size: tuple[int, int]) -> None:
    mark_looked_at(tmp_path)
    Previews(tmp_path).show(["a"], torch.rand(1, 3, *size))
    with Image.open(tmp_path / "a.jpg") as shown:
        assert max(shown.size) <= SIDE


@pytest.mark.parametrize(("cost", "pause"), [(0.0001, 1.0), (0.015, 1.5), (0.05, 2.0)])
def test_the_next_one_waits_a_hundred_times_as_long_as_the_last_one_took_but_two_seconds_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cost: float, pause: float
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "process_time", lambda: now)

    def write(image: torch.Tensor, target: Path) -> None:
        nonlocal now
        now += cost
        written.append(target.stem)

    written: list[str] = []
    monkeypatch.setattr(preview, "_write", write)
    mark_looked_at(tmp_path)
    previews = Previews(tmp_path)
    look = previews.looker(["a"])
    assert look is not None
    for step in range(1, 7):  # the end of no octave comes in this time
        look(Progress(ascent=1, ascents=1, iteration=step, iterations=9), lambda side: torch.zeros(1, 3, side, 8))
        assert len(written) == 1
    now += pause - 0.01
    previews.show(["b"], torch.zeros(1, 3, 8, 8))
    now += 0.02
    previews.show(["c"], torch.zeros(1, 3, 8, 8))
    assert written == ["a", "c"]


def test_nothing_is_made_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    previews = Previews(tmp_path)
    look = previews.looker(["a"])
    assert look is not None
    looked: list[int] = []

    def glimpse(side: int) -> torch.Tensor:
        looked.append(side)
        return torch.zeros(1, 3, 8, 8)

    step = Progress(ascent=1, ascents=1, iteration=1, iterations=9)
    look(step, glimpse)  # nobody has ever looked
    mark_looked_at(tmp_path)
    os.utime(tmp_path / "looked-at", (0, time.time() - 11))
    now += 5
    look(step, glimpse)  # somebody has gone away
    assert looked == []
    mark_looked_at(tmp_path)
    now += 5
    look(step, glimpse)
    assert looked == [SIDE]


def test_where_nobody_looks_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    previews = Previews(None)
    previews.show(["a"], torch.zeros(1, 3, 8, 8))
    assert previews.looker(["a"]) is None
    previews.drop(["a"])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_ends_the_previews_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark_looked_at(tmp_path)
    (tmp_path / "a.jpg").mkdir()
    previews = Previews(tmp_path)
    for _ in range(2):
        previews.show(["a"], torch.zeros(1, 3, 8, 8))
    assert [record.message.partition(":")[0] for record in caplog.records] == ["no more previews"]


def test_a_preview_goes_with_its_job(tmp_path: Path) -> None:
    mark_looked_at(tmp_path)
    previews = Previews(tmp_path)
    previews.show(["a"], torch.zeros(1, 3, 8, 8))
    previews.drop(["a", "never"])
    assert list(tmp_path.glob("*.*")) == []

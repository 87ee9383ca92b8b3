"""Film strips: which frames are taken, how many, and that those of before a kill are there after it."""

from __future__ import annotations

import io
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.engine.dream import dream
from dreamd.engine.dreamer import Dreamer, Progress
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.pictures import contact_sheet
from dreamd.pictures.contact_sheet import Sheet, Tile
from dreamd.pictures.picture import Picture
from dreamd.worker import film_strip
from dreamd.worker.film_strip import MOST_FRAMES, FilmStrip, FilmStrips

PICTURE = Picture(pixels=np.zeros((30, 40, 3), np.uint8), alpha=None, format="PNG")


def steps(ascents: int, iterations: int, *, planned: bool = True, parts: int = 1) -> list[Progress]:
    return [
        Progress(ascent=ascent, ascents=ascents if planned else ascent, iteration=iteration, iterations=iterations,
                 part=part, parts=parts)
        for part in range(1, parts + 1)
        for ascent in range(1, ascents + 1)
        for iteration in range(1, iterations + 1)
    ]  # fmt: skip


def play(strips: FilmStrips, progress: list[Progress]) -> None:
    for number, step in enumerate(progress):
        strips.note(step)
        strips.show(step, lambda side, number=number: torch.full((1, 3, 6, 8), number % 250 / 255))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[Tile]]:
    """The tiles of each sheet that is drawn."""
    sheets: list[list[Tile]] = []

    def draw(sheet: Sheet) -> list[Image.Image]:
        sheets.append(list(sheet.tiles))
        return contact_sheet.draw_sheet(sheet)

    monkeypatch.setattr(film_strip, "draw_sheet", draw)
    return sheets


def labels(drawn: list[list[Tile]]) -> list[str]:
    return [tile.label for tile in drawn[-1]]


def test_a_short_dream_shows_every_step_between_its_start_and_its_result(drawn: list[list[Tile]]) -> None:
    strip = FilmStrip(None)
    play(FilmStrips([strip]), steps(2, 2))
    with Image.open(io.BytesIO(strip.sheet(PICTURE, PICTURE))) as sheet:
        assert sheet.format == "JPEG"
    assert labels(drawn) == [
        "start",
        *(f"octave {octave} of 2, iteration {iteration}" for octave in (1, 2) for iteration in (1, 2)),
        "result",
    ]


@pytest.mark.parametrize(
    ("ascents", "iterations", "planned", "parts"),
    [(6, 10, True, 1), (1, 500, True, 1), (101, 6, True, 1), (4, 100, True, 3), (2, 3, True, 70), (300, 4, False, 1)],
)
def test_a_long_dream_has_no_more_than_sixty_pictures_from_all_over_it(
    drawn: list[list[Tile]], ascents: int, iterations: int, planned: bool, parts: int
) -> None:
    strip = FilmStrip(None)
    play(FilmStrips([strip]), steps(ascents, iterations, planned=planned, parts=parts))
    with Image.open(io.BytesIO(strip.sheet(PICTURE, PICTURE))) as sheet:
        assert max(sheet.size) <= contact_sheet.LARGEST_SIDE
    assert 25 < len(labels(drawn)) <= MOST_FRAMES + 2
    assert labels(drawn)[-1] == "result"
    if planned:
        assert f"octave {ascents} of {ascents}" in labels(drawn)[-2]
    assert len(strip._frames) <= 4 * MOST_FRAMES


def test_frames_of_before_a_kill_are_there_after_it_and_the_strip_has_the_same_bytes(tmp_path: Path) -> None:
    story = steps(3, 40)
    whole, cut = FilmStrip(tmp_path / "whole"), FilmStrip(tmp_path / "cut")
    play(FilmStrips([whole]), story)
    play(FilmStrips([cut]), story[:70])
    again = FilmStrip(tmp_path / "cut")
    again.note(story[39])  # the first ascent was kept: it is over at once
    for number, step in list(enumerate(story))[60:]:  # the second goes on from where it was kept
        again.note(step)
        FilmStrips([again]).show(step, lambda side, number=number: torch.full((1, 3, 6, 8), number % 250 / 255))
    assert again.sheet(PICTURE, PICTURE) == whole.sheet(PICTURE, PICTURE)


def test_a_frame_that_was_lost_is_marked_and_not_left_out(tmp_path: Path, drawn: list[list[Tile]]) -> None:
    story = steps(2, 4)
    play(FilmStrips([FilmStrip(tmp_path / "a")]), story)
    first, second, *_ = sorted((tmp_path / "a").iterdir())
    first.unlink()
    second.write_bytes(b"cut off")
    strip = FilmStrip(tmp_path / "a")
    strip.note(story[3])
    strip.note(story[7])
    strip.sheet(PICTURE, PICTURE)
    assert [tile.picture is None for tile in drawn[-1]] == [False, True, True, *[False] * 7]
    assert drawn[-1][1].note == "not kept when the dream was interrupted"


def test_frames_that_cannot_be_read_are_marked_and_end_no_dream(tmp_path: Path, drawn: list[list[Tile]]) -> None:
    (tmp_path / "a" / "1-1-1.jpg").mkdir(parents=True)  # reading it is refused, whoever asks
    strip = FilmStrip(tmp_path / "a")
    strip.note(steps(1, 2)[-1])
    strip.sheet(PICTURE, PICTURE)
    assert [tile.picture is None for tile in drawn[-1]] == [False, True, True, False]


def test_a_folder_that_cannot_be_written_costs_only_the_files(tmp_path: Path, drawn: list[list[Tile]]) -> None:
    (tmp_path / "a").write_text("in the way")
    strip = FilmStrip(tmp_path / "a" / "b")
    play(FilmStrips([strip]), steps(1, 3))
    strip.sheet(PICTURE, PICTURE)
    assert len(labels(drawn)) == 5


def test_nobody_is_looked_at_where_no_frame_is_wanted() -> None:
    looks = []
    strips = FilmStrips([FilmStrip(None)])
    for step in steps(10, 100):
        strips.show(step, lambda side: looks.append(side) or torch.zeros(1, 3, 4, 4))
    assert len(looks) == MOST_FRAMES


class BrokenOffError(Exception):
    """A kill, as far as a dream can tell."""


def test_a_dream_that_is_killed_midway_ends_with_the_strip_of_one_that_was_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Backbone(network=nn.Sequential(OrderedDict(one=nn.Conv2d(3, 4, 3, padding=1))), min_side=16).frozen()
    dreamer = Dreamer(
        backbone=network,
        objective=Objective((Term("one", lambda seen: seen.square().flatten(1).sum(1)),)),
        settings=AscentSettings(iterations=20, lr=0.01, jitter=2),
        schedule=lambda image, ascend: [ascend(ascend(image))],
    )
    image = torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(1))

    def dreamed(name: str, killed_at: tuple[int, int] | None = None) -> bytes:
        strip = FilmStrip(tmp_path / name / "steps")
        strips = FilmStrips([strip])

        def note(step: Progress) -> None:
            strips.note(step)
            if (step.ascent, step.iteration) == killed_at:
                raise BrokenOffError

        kept = CheckpointFolder(tmp_path / name, "key", after_seconds=0)
        dream(image, dreamer, seeds=[1], on_progress=note, checkpoint=kept, on_glimpse=strips.show)
        return strip.sheet(PICTURE, PICTURE)

    whole = dreamed("whole")
    for killed_at in ((1, 7), (2, 13)):
        with pytest.raises(BrokenOffError):
            dreamed("cut", killed_at)
    assert dreamed("cut") == whole

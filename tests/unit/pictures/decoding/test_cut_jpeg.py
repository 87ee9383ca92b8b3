"""JPEGs whose end is missing."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from PIL import Image

from dreamd.errors import PictureError
from tests import badfiles
from tests.badfiles import saved
from tests.unit.pictures.kit import Opened, smooth

WAYS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "whole colour": {"subsampling": "4:4:4"},
    "restart marks": {"restart_marker_rows": 1},
    "optimised": {"optimize": True},
}


def picture_of(side: int) -> Image.Image:
    """Noise over ramps, as much as a photograph has."""
    noise = np.asarray(badfiles.noise(side, side)).astype(int) // 8
    return Image.fromarray((smooth(side, side) * 0.8 + noise).astype(np.uint8))


@pytest.mark.parametrize("options", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("cut", [1, 2])
def test_a_picture_without_its_end_mark_is_the_same_picture(
    opened: Opened, options: dict[str, object], cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dreamd.pictures")
    for image in (picture_of(100), picture_of(100).convert("L"), picture_of(100).convert("CMYK")):
        whole = saved(image, "JPEG", quality=90, **options)
        result = opened(whole[:-cut])
        assert np.array_equal(result.pixels, opened(whole).pixels)
        assert all(note in caplog.text for note in result.notes)
        if image.mode != "L":  # which libjpeg can do without
            assert result.notes[0] == "its end mark is missing; the picture is whole" or "finest" in result.notes[0]
        assert all("missing" not in note for note in opened(whole).notes)


def test_a_few_missing_rows_are_filled_and_said(opened: Opened) -> None:
    whole = saved(picture_of(800), "JPEG", quality=90)
    result, before = opened(whole[: int(len(whole) * 0.985)]), opened(whole)
    assert result.pixels.shape == before.pixels.shape
    assert np.array_equal(result.pixels[:768], before.pixels[:768])
    assert np.abs(result.pixels[-1].astype(int) - before.pixels[-1]).mean() < 40
    (note,) = result.notes
    assert "rows are filled" in note


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_picture_of_which_a_part_is_missing_is_refused_with_how_much(opened: Opened, part: float) -> None:
    whole = saved(picture_of(400), "JPEG", quality=90)
    with pytest.raises(
        PictureError, match=r"cut off after [\d,]+ bytes: the lower \d+% of the picture is missing"
    ) as caught:
        opened(whole[: int(len(whole) * part)])
    missing = int(str(caught.value).split("lower ")[1].split("%")[0])
    assert abs(missing - 100 * (1 - part)) < 12


def test_a_progressive_picture_that_lacks_only_detail_is_dreamed_and_said(opened: Opened) -> None:
    whole = saved(picture_of(400), "JPEG", quality=90, progressive=True)
    result = opened(whole[: int(len(whole) * 0.9)])
    assert np.abs(result.pixels.astype(int) - opened(whole).pixels).mean() < 8
    assert "finest detail" in result.notes[0]


def test_a_progressive_picture_that_lacks_more_is_refused(opened: Opened) -> None:
    whole = saved(picture_of(400), "JPEG", quality=90, progressive=True)
    with pytest.raises(PictureError, match="cut off"):
        opened(whole[: len(whole) // 4])


def test_a_picture_that_ends_within_its_headers_is_refused(opened: Opened) -> None:
    whole = saved(picture_of(100), "JPEG")
    for length in (4, 100, whole.index(b"\xff\xda") + 6):
        with pytest.raises(PictureError):
            opened(whole[:length])

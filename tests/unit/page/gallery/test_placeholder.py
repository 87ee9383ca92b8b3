"""What stands for a film that nothing reads."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from dreamd.page.gallery.placeholder import length_of, placeholder


@pytest.mark.parametrize(
    ("frames", "seconds", "told"),
    [(12, None, "12 frames"), (1, None, "1 frame"), (5, 0.2, "0:01"), (300, 12.4, "0:12"), (9000, 3723.0, "1:02:03")],
)
def test_a_length_is_told_as_players_tell_it(frames: int, seconds: float | None, told: str) -> None:
    assert length_of(frames, seconds) == told


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (1, 4000)])
def test_a_drawing_has_the_shape_of_the_film_and_nothing_of_its_name_but_letters(size: tuple[int, int]) -> None:
    drawn = ElementTree.fromstring(placeholder('a.<b c="d">mkv', size, 10, 61))
    width, height = float(drawn.get("width", "")), float(drawn.get("height", ""))
    assert max(width, height) == 480
    assert width / height == pytest.approx(size[0] / size[1], rel=0.01) or min(width, height) == 1
    assert drawn[-1].text == "BCDMKV · 1:01"

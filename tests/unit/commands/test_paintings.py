"""The project's own test pictures."""

from __future__ import annotations

import numpy as np
import pytest

from dreamd.commands.demo.paintings import NAMES, painters

PAINTERS = painters()


@pytest.mark.parametrize("name", NAMES)
def test_a_painting_is_the_same_each_time_and_fills_the_range_from_dark_to_light(name):
    picture = PAINTERS[name](96, 72)
    assert (picture.size, picture.mode) == ((96, 72), "RGB")
    assert PAINTERS[name](96, 72).tobytes() == picture.tobytes()
    light = np.asarray(picture.convert("L"), np.float32)
    assert np.percentile(light, 98) - np.percentile(light, 2) > 80
    assert np.mean((light <= 1) | (light >= 254)) < 0.1


def test_no_two_paintings_are_alike():
    pictures = [np.asarray(PAINTERS[name](48, 36), np.float32).ravel() for name in NAMES]
    distances = [np.abs(one - other).mean() for one in pictures for other in pictures if one is not other]
    assert min(distances) > 10

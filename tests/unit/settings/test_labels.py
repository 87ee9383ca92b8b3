"""Labels: the channels that a name means."""

from __future__ import annotations

import pytest

from dreamd.errors import UnknownNameError
from dreamd.settings.recipes.labels import channels_of, search

LABELS = ("tench, Tinca tinca", "peacock", "crane", "sea anemone", "crane", "T-shirt")


@pytest.mark.parametrize(
    ("label", "channels"),
    [
        ("peacock", (1,)),
        ("PeaCock", (1,)),
        ("sea_anemone", (3,)),
        (" Sea  Anemone", (3,)),
        ("t shirt", (5,)),
        ("tench", (0,)),
        ("Tinca_tinca", (0,)),
        ("tench, tinca tinca", (0,)),
        ("crane", (2, 4)),
    ],
)
def test_a_label_means_every_channel_that_bears_it(label: str, channels: tuple[int, ...]) -> None:
    assert channels_of(label, LABELS) == channels


def test_the_nearest_label_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match=r"no label 'peacok'; did you mean peacock\?"):
        channels_of("peacok", LABELS)
    with pytest.raises(UnknownNameError, match=r"did you mean Tinca tinca\?"):
        channels_of("tinca", LABELS)


def test_labels_are_searched_by_a_part_of_their_names() -> None:
    assert search("CR", LABELS) == [(2, "crane"), (4, "crane")]
    assert len(search("", LABELS)) == 6
    assert search("whale", LABELS) == []

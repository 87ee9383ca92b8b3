"""Labels: which channels of a classifier's scores bear a name.

Knows names. Knows no networks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dreamd.errors import UnknownNameError


def channels_of(label: str, labels: Sequence[str]) -> tuple[int, ...]:
    """Return the channels that bear a label, in any case, with spaces, hyphens or underscores.

    A class of several names, as ImageNet has them ("tench, Tinca tinca"), bears each of them. Several classes may bear
    one name: ImageNet has the crane that flies and the one that lifts.

    Args:
        label: the label.
        labels: the name of each class, in their order.

    Raises:
        UnknownNameError: no class bears it.
    """
    named = _by_name(labels)
    if found := named.get(_plain(label)):
        return found
    raise UnknownNameError("label", label, dict.fromkeys(name for each in labels for name in _names(each)))


def search(word: str, labels: Sequence[str]) -> list[tuple[int, str]]:
    """Return the classes in whose names a word stands, with their channels; all of them for an empty word."""
    return [(channel, label) for channel, label in enumerate(labels) if _plain(word) in _plain(label)]


def _by_name(labels: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    named: dict[str, tuple[int, ...]] = {}
    for channel, label in enumerate(labels):
        for name in {_plain(each) for each in _names(label)}:
            named[name] = (*named.get(name, ()), channel)
    return named


def _names(label: str) -> list[str]:
    """Return all names of a class: the whole label, and each part between its commas."""
    return [label, *(part.strip() for part in label.split(",") if "," in label)]


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()

"""How long pictures take, by their recipe and the kind of device that they were dreamed on. Knows no job."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_RECIPES_KNOWN = 256
"""The number of recipes whose pace is remembered; the one that was used longest ago is forgotten first."""

_NEW_SHARE = 0.3
"""The weight of the last picture in the pace of its recipe, 0 to 1."""


@dataclass(frozen=True)
class Pace:
    """What pictures took.

    Attributes:
        seconds: of a picture.
        a_pixel: the seconds of a pixel.
    """

    seconds: float
    a_pixel: float

    def after(self, other: Pace) -> Pace:
        """Return the pace when another picture is counted in."""
        return Pace(_mixed(self.seconds, other.seconds), _mixed(self.a_pixel, other.a_pixel))


class Paces:
    """The paces that are known."""

    def __init__(self) -> None:
        self._recipes: OrderedDict[str, dict[str, Pace]] = OrderedDict()

    def learn(self, recipe: str, kind: str, seconds: float, size: tuple[int, int]) -> None:
        """Take note of how many seconds a picture took, and of its width and height in pixels.

        Args:
            recipe: by which it was dreamed.
            kind: the kind of device that it was dreamed on.
            seconds: that it took.
            size: of the result.
        """
        last = Pace(seconds, seconds / max(1, size[0] * size[1]))
        kinds = self._recipes.setdefault(recipe, {})
        kinds[kind] = kinds[kind].after(last) if kind in kinds else last
        self._recipes.move_to_end(recipe)
        if len(self._recipes) > _RECIPES_KNOWN:
            self._recipes.popitem(last=False)

    def of(self, recipe: str) -> Pace | None:
        """Return the pace of a recipe, of all kinds of devices together; None when none is known."""
        kinds = list(self._recipes.get(recipe, {}).values())
        if not kinds:
            return None
        return Pace(sum(kind.seconds for kind in kinds) / len(kinds), sum(kind.a_pixel for kind in kinds) / len(kinds))

    def within(self, seconds: float, recipe: str, kind: str) -> int:
        """Return how many pictures of a recipe are so many seconds' work on a kind of device: at least one, and one
        when that is not known."""
        pace = self._recipes.get(recipe, {}).get(kind)
        return 1 if pace is None else _count(seconds, pace)

    def last_within(self, seconds: float) -> int:
        """Return how many pictures of the recipe that was used last are so many seconds' work; at least one."""
        if not self._recipes:
            return 1
        pace = self.of(next(reversed(self._recipes)))
        return 1 if pace is None else _count(seconds, pace)


def _count(seconds: float, pace: Pace) -> int:
    return max(1, int(seconds / max(pace.seconds, 1e-6)))


def _mixed(before: float, now: float) -> float:
    return before + _NEW_SHARE * (now - before)

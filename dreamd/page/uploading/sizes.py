"""How large what is dropped may be: a picture, a film or a dream file, as far as its name tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from dreamd.errors import UsageError
from dreamd.inbox.dream_files import is_dream_file
from dreamd.page.media import media_type
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.sections import Limits
from dreamd.settings.yamlfile import MAX_BYTES as RECIPE_BYTES


class TooLargeError(UsageError):
    """A file is larger than `limits.max_bytes` or `limits.max_film_bytes`, or a dream file than a recipe may be."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How large a file may be.

    Attributes:
        most: the most bytes.
        problem: what is wrong with a larger one, in words.
    """

    most: int
    problem: str

    def check(self, size: int) -> None:
        """Raise TooLargeError for a file of more bytes."""
        if size > self.most:
            raise TooLargeError(self.problem)


_OF_DREAM_FILES = Bound(
    most=RECIPE_BYTES, problem=f"a dream file is a recipe, and has at most {RECIPE_BYTES // 1024} KB"
)


class Sizes:
    """The largest sizes in one tree."""

    def __init__(self, limits: Limits, offered: Callable[[], Catalogue]) -> None:
        """Take the limits, and what returns what plugins bring: they tell which endings are those of films."""
        self.picture = _bound("limits.max_bytes", int(limits.max_bytes))
        self.film = _bound("limits.max_film_bytes", int(limits.max_film_bytes))
        self._offered = offered

    def film_endings(self) -> list[str]:
        """List the endings of films, without those that pictures have too."""
        films = (entry for entry in self._offered().entries if entry.kind is Kind.FILM)
        endings = {ending for entry in films for ending in entry.extensions}
        return sorted(ending for ending in endings if not media_type(f"film{ending}").startswith("image/"))

    def of(self, name: str) -> Bound:
        """Return how large a file with this name may be."""
        if is_dream_file(name):
            return _OF_DREAM_FILES
        return self.film if PurePosixPath(name).suffix.lower() in self.film_endings() else self.picture


def _bound(field: str, most: int) -> Bound:
    return Bound(most=most, problem=f"the file is larger than {field} ({most / 1e6:g} MB)")

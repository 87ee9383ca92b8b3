"""The picture that all dreams of a sheet begin with, small. Knows no plan and no network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from dreamd.pictures.picture import Picture, shrunk
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.session import Session


@dataclass(frozen=True)
class Start:
    """Where the dreams of a sheet begin.

    Attributes:
        given: a picture, or the file of one; None for noise of the recipe's `image.size`, drawn from its seed.
        name: what people call it.
        side: the most pixels of its longer side.
    """

    given: Picture | Path | None
    name: str
    side: int
    _read: dict[str, Picture] = field(default_factory=dict, repr=False)

    def picture(self, session: Session, recipe: Recipe) -> Picture:
        """Return the picture as the recipe wants it, but small; it is read once for all recipes that want the same.

        Raises:
            PictureError: it cannot be read.
            RecipeError: the noise would be too large.
        """
        wanted = f"{recipe.image.model_dump_json()} {recipe.seed if self.given is None else ''}"
        if wanted not in self._read:
            self._read[wanted] = shrunk(self._whole(session, recipe), self.side)
        return self._read[wanted]

    def _whole(self, session: Session, recipe: Recipe) -> Picture:
        if isinstance(self.given, Picture):
            return shrunk(self.given, recipe.image.max_side)
        return session.noise(recipe) if self.given is None else session.read(self.given, recipe)


def checksum(picture: Picture) -> str:
    """Return a checksum of what a dream sees of a picture: its size, its pixels and its alpha channel."""
    digest = hashlib.sha256(f"{picture.pixels.shape} {picture.alpha is not None}".encode())
    digest.update(picture.pixels.tobytes())
    if picture.alpha is not None:
        digest.update(picture.alpha.tobytes())
    return digest.hexdigest()

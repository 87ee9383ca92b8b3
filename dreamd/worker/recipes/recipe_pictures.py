"""The files that a recipe names: pictures that losses look at, that give colours or say where to dream; and vectors.

Knows files and where they may lie. Knows no plugins and no dreams.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from dreamd.errors import FieldPath, PictureError, RecipeError, UnknownNameError
from dreamd.pictures.picture import bytes_of, shrunk
from dreamd.pictures.reading import read_picture
from dreamd.settings.recipes.merging import PACKAGED
from dreamd.worker.machine.bounds import Bounds
from dreamd.worker.pixels import to_image
from dreamd.worker.recipes.recipe_vectors import RecipeVector, read_vector

_LONGEST = 2048
"""The longest side in pixels of a recipe's picture in memory; larger ones are shrunk."""

_MOST_KEPT = 8
"""The most pictures, and the most vectors, that are kept in memory."""

_TAKEN = (
    "; what lies in the inbox is taken to be dreamed: keep it in the folder of named recipes, or let its name begin "
    "with a dot"
)
"""What is said in a daemon of a file that is not there: it may have lain beside its recipe."""

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class RecipePicture:
    """A picture that a recipe names.

    Attributes:
        image: `[1, 3, H, W]` in [0, 1].
        sha256: the checksum of its file.
    """

    image: Tensor
    sha256: str


class RecipePictures:
    """Reads the pictures and vectors that recipes name, and keeps the last few."""

    def __init__(self, bounds: Bounds | None) -> None:
        """Read nothing yet.

        Args:
            bounds: what a picture may cost, and the folders that it may lie in; None: anything, anywhere.
        """
        self._max_pixels = bounds.max_pixels if bounds else sys.maxsize
        self._max_bytes = bounds.max_bytes if bounds else sys.maxsize
        self._folders = bounds.picture_folders if bounds else None
        self._pictures: OrderedDict[tuple[object, ...], RecipePicture] = OrderedDict()
        self._vectors: OrderedDict[tuple[object, ...], RecipeVector] = OrderedDict()

    def load(self, path: str, field: FieldPath) -> RecipePicture:
        """Return the picture of a file; for the same file again, the same.

        Raises:
            RecipeError: it lies outside of the folders for pictures, or cannot be read; with the field that names it.
        """
        return self._load("pictures", self._pictures, path, field, lambda file: self._read(file, field))

    def load_vector(self, path: str, field: FieldPath) -> RecipeVector:
        """Return the vector of a file; for the same file again, the same. Raises RecipeError as `load` does."""
        return self._load("vectors", self._vectors, path, field, lambda file: read_vector(path, file, field))

    def _load(
        self,
        what: str,
        kept: OrderedDict[tuple[object, ...], _Read],
        path: str,
        field: FieldPath,
        read: Callable[[Path], _Read],
    ) -> _Read:
        file = _packaged(path, field) if path.startswith(PACKAGED) else self._allowed(what, Path(path), field)
        try:
            status = file.stat(follow_symlinks=False)
            key = (file, status.st_mtime_ns, status.st_size, status.st_ino)
            if key not in kept:
                kept[key] = read(file)
        except OSError as error:
            taken = isinstance(error, FileNotFoundError) and self._folders is not None
            hint = _TAKEN if taken else ""
            raise RecipeError(f"{path}: cannot be read: {error.strerror or error}{hint}", field=field) from error
        kept.move_to_end(key)
        while len(kept) > _MOST_KEPT:
            kept.popitem(last=False)
        return kept[key]

    def _allowed(self, what: str, path: Path, field: FieldPath) -> Path:
        """Return the path without links in its folders. Raises RecipeError when it leads out of those allowed."""
        file = (
            Path(os.path.realpath(path.parent)) / path.name
        )  # Path.resolve raises for links that go round in a circle
        folders = self._folders
        if folders is not None and not any(file.is_relative_to(folder.resolve()) for folder in folders):
            where = " or ".join(map(str, folders))
            raise RecipeError(f"{path}: {what} that a recipe names must lie in {where}", field=field)
        return file

    def _read(self, file: Path, field: FieldPath) -> RecipePicture:
        try:
            picture = read_picture(file, max_pixels=self._max_pixels, max_bytes=self._max_bytes)
        except PictureError as error:
            raise RecipeError(str(error), field=field) from error
        image = to_image(bytes_of(shrunk(picture, _LONGEST).pixels))
        return RecipePicture(image.contiguous(), picture.sha256)


def _packaged(name: str, field: FieldPath) -> Path:
    """Return the file of a picture that ships with dreamd. Raises RecipeError when there is none of that name."""
    folder = Path(str(files("dreamd") / "presets" / "pictures"))
    known = {f"{PACKAGED}{file.stem}": file for file in folder.glob("*.jpg")}
    if name not in known:
        raise RecipeError(str(UnknownNameError("picture of dreamd's", name, known)), field=field)
    return known[name]

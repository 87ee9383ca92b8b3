"""The first frame of a film, read by the plugin of its kind. Belongs to the process that makes small pictures.

Only the plugin that is named is loaded, so that no other brings torch into that process.
"""

from __future__ import annotations

from functools import cache
from io import BufferedReader
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import BaseModel, ConfigDict

from dreamd.errors import PictureError
from dreamd.pictures.film import Film, as_bytes
from dreamd.pictures.picture import Picture
from dreamd.plugin_host.finding.discovery import find_plugins
from dreamd.plugin_host.host import Plugins
from dreamd.wording import printable


class Reading(BaseModel):
    """What reading may cost, and where plugins are.

    Attributes:
        max_pixels: the most pixels of a picture, or of a frame.
        max_bytes: the largest file of a picture.
        max_film_bytes: the largest file of a film.
        folders: the folders of drop-in plugins.
    """

    model_config = ConfigDict(frozen=True)

    max_pixels: int
    max_bytes: int
    max_film_bytes: int
    folders: tuple[Path, ...]


def first_frame(file: BufferedReader, path: PurePosixPath, plugin: str, reading: Reading) -> Picture:
    """Read the first frame of a film.

    Args:
        file: the film's file, open.
        path: its path, which tells its kind.
        plugin: the name of the plugin that reads films of this kind.
        reading: what it may cost.

    Raises:
        PictureError: it is broken, too large, or holds no frame.
        PluginError: the plugin lacks a library, or is not there any more.
    """
    name = printable(path.name)
    if file.seek(0, 2) > reading.max_film_bytes:
        raise PictureError(f"{name}: more than limits.max_film_bytes allows")
    file.seek(0)

    def check_size(width: int, height: int) -> None:
        if width * height > reading.max_pixels:
            raise PictureError(f"{name}: {width} x {height} pixels, more than limits.max_pixels allows")

    reader = _loaded(plugin, reading.folders).film(path.suffix)
    film: Film | None = None if reader is None else reader.function(file, check_size)
    frame = None if film is None else next(film.read(), None)
    if frame is None:
        raise PictureError(f"{name}: holds no frame that can be read")
    pixels = as_bytes(frame.pixels)
    colours, alpha = pixels[:, :, :3], pixels[:, :, 3:]
    return Picture(
        pixels=np.ascontiguousarray(colours),
        alpha=np.ascontiguousarray(alpha[:, :, 0]) if alpha.size else None,
        format="PNG",
    )


@cache
def _loaded(name: str, folders: tuple[Path, ...]) -> Plugins:
    """Load one plugin of the engine's, and no other."""
    others = {each.name for each in find_plugins("dreamd.engine", folders)} - {name}
    return Plugins("dreamd.engine", folders=folders, disable=others, only=(name,))

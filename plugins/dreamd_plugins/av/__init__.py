"""Films by PyAV, which is FFmpeg: MP4, MOV, WebM and Matroska, frame by frame, in and out, with the sound untouched.

Needs the extra `video`: `pip install 'dreamd[video]'`.
"""

from __future__ import annotations

from typing import BinaryIO

from dreamd.api import CheckSize, FilmPlan, RegisterFilm, hookimpl
from dreamd.api import Film as AnyFilm
from dreamd_plugins.av.ffmpeg import WRITERS
from dreamd_plugins.av.reading import Film
from dreamd_plugins.av.writing import Writer


def open_film(file: BinaryIO, check_size: CheckSize) -> Film:
    """Open an MP4, MOV, WebM or Matroska file."""
    return Film(file, check_size)


def create_film(plan: FilmPlan, source: AnyFilm | None) -> Writer:
    """Write an MP4, MOV, WebM or Matroska file."""
    return Writer(plan, source if isinstance(source, Film) else None)


@hookimpl
def dreamd_films(register: RegisterFilm) -> None:
    """Bring films."""
    register("av", open_film, create_film, extensions=tuple(WRITERS))

"""Tries a recipe on a small picture. Knows no files: the picture comes in an order, the dream goes into an answer."""

from __future__ import annotations

import io
import time

import numpy as np
from PIL import Image

from dreamd.engine.dreamer import Progress
from dreamd.engine.glimpse import Glimpse
from dreamd.errors import PictureError
from dreamd.pictures.damage import BAD_DATA
from dreamd.pictures.picture import Bytes, Picture, bytes_of, shrunk
from dreamd.settings.recipes.recipe import Recipe
from dreamd.sheets.studio.orders import Report
from dreamd.studio import TRIAL_SIDE, TryOrder
from dreamd.worker.pixels import to_pixels
from dreamd.worker.session import Session

_FORMATS = ("JPEG", "PNG", "WEBP")
"""The formats that a picture in an order may have: those that browsers write, and thumbnails."""

_MOST_PIXELS = 4_000_000
"""The most pixels of a picture in an order. The page makes it small before it sends it."""

_PREVIEW_SECONDS = 0.3
"""The least seconds from one picture of a dream that goes on to the next."""

_QUALITY = 90
"""The quality of the pictures in answers, 1 to 100."""


def dream_trial(session: Session, order: TryOrder, report: Report) -> bytes:
    """Dream the order's picture, and return the dream as a WebP file.

    Raises:
        PictureError: it is no picture, or too large.
        RecipeError: the recipe names what does not exist.
        WeightsError: the weights are not here.
        CancelledError: it is not wanted any more.
    """
    report.tell(0.0, "loading")
    recipe = Recipe.from_json(order.recipe)
    side = min(recipe.image.max_side or TRIAL_SIDE, TRIAL_SIDE)
    picture = shrunk(_decoded(order.picture), side)
    built = session.build(recipe)
    shown_at = 0.0

    def on_progress(step: Progress) -> None:
        report.check()
        if step.iteration == 0:
            report.tell(step.share, _words(step))

    def on_glimpse(step: Progress, glimpse: Glimpse) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at >= _PREVIEW_SECONDS:
            report.tell(step.share, _words(step), _written(to_pixels(glimpse(side)[0]), "JPEG"))
            shown_at = time.monotonic()

    (dream,) = session.dream([picture], built, on_progress=on_progress, on_glimpse=on_glimpse)
    return _written(bytes_of(dream.picture.pixels), "WEBP")


def _decoded(data: bytes) -> Picture:
    """Decode a small picture. Raises PictureError."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise PictureError(f"a picture to try on has at most {_MOST_PIXELS:,} pixels")
            whole = image.convert("RGBA")
    except (Image.DecompressionBombError, *BAD_DATA) as error:
        raise PictureError("this is no picture that can be read") from error
    pixels = np.array(whole)
    alpha = np.ascontiguousarray(pixels[:, :, 3])
    opaque = bool((alpha == 255).all())
    return Picture(pixels=np.ascontiguousarray(pixels[:, :, :3]), alpha=None if opaque else alpha, format="PNG")


def _words(step: Progress) -> str:
    return f"octave {step.ascent} of {max(step.ascent, step.ascents)}, iteration {step.iteration} of {step.iterations}"


def _written(pixels: Bytes, name: str) -> bytes:
    """Return a picture as a file of a format that Pillow knows by that name."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, name, quality=_QUALITY)
    return file.getvalue()

"""What a recipe is tried on, when it is no picture: its trial is told so, and the process of all trials goes on."""

from __future__ import annotations

import io
import struct
import zlib
from typing import cast

import pytest
from PIL import Image

from dreamd.errors import PictureError
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.sheets.studio.orders import Report
from dreamd.sheets.studio.trials import dream_trial
from dreamd.studio import TryOrder
from dreamd.worker.session import Session


def huge() -> bytes:
    """A PNG that says it has ten thousand million pixels, and holds none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    end = b"IEND"
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, end)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def written(name: str) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").save(file, name)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [huge(), b"", b"no picture", written("PNG")[:-100], written("BMP"), written("WEBP")[:200]],
    ids=["huge", "empty", "text", "cut off", "of another format", "cut off WebP"],
)
def test_what_is_no_picture_to_try_on_is_a_fault_of_the_picture(data):
    order = TryOrder(id="a", recipe=RecipeBook(None).for_default().recipe.to_json(), picture=data)
    with pytest.raises(PictureError):
        dream_trial(cast(Session, None), order, Report("a", lambda _going: None, lambda: False))

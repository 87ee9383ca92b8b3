"""What is kept of the dreams of sheets, so that none is dreamed twice: small pictures, and what is known of each.

In the folder lie `cells/KEY.webp` and `cells/KEY.json` of each dream, and `NAME.json` of each sheet, which the page can
read. Knows files. Knows no recipes and no networks.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dreamd.files.durable import draft_of
from dreamd.json_text import to_json
from dreamd.pictures.picture import Bytes
from dreamd.sheets.pruning import CELLS, remove_oldest

MOST_BYTES = 512 << 20
"""The most bytes that are kept of all sheets together; what was used longest ago goes first."""

_QUALITY = 92
"""The quality of a kept picture, of 100."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is known of a dream that is kept.

    Attributes:
        seconds: how long it took.
        loss_before: the loss at the first iteration of its last ascent.
        loss_after: the loss at the last.
        moved: whether the dream differs from the picture that it began with.
    """

    seconds: float
    loss_before: float
    loss_after: float
    moved: bool


class Keep:
    """The folder of sheets."""

    def __init__(self, folder: Path) -> None:
        """Make the folder. Raises OSError when that cannot be."""
        self.folder = folder
        (folder / CELLS).mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> Kept | None:
        """Return what is known of a dream, and remember that it was used; None when it is not kept."""
        try:
            kept = Kept(**json.loads(self._note(key).read_bytes()))
            os.utime(self.picture(key))
            os.utime(self._note(key))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return kept

    def picture(self, key: str) -> Path:
        """Return where the picture of a dream is kept."""
        return self.folder / CELLS / f"{key}.webp"

    def keep(self, key: str, pixels: Bytes, kept: Kept | None = None) -> None:
        """Keep a picture `[H, W, 3]`, and what is known of it if it is a dream."""
        with draft_of(self.picture(key), durable=True) as draft:
            Image.fromarray(np.ascontiguousarray(pixels)).save(draft, format="WEBP", quality=_QUALITY)
        if kept is not None:
            self._write(self._note(key), asdict(kept))

    def record(self, name: str, values: dict[str, object]) -> Path:
        """Write what is known of a whole sheet; returns its file."""
        file = self.folder / f"{name}.json"
        self._write(file, values)
        return file

    def pages_of(self, target: Path) -> set[Path]:
        """Return the pages that were written for sheets whose first page is that file."""
        found: set[Path] = set()
        for file in self.folder.glob("*.json"):
            with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
                pages = [Path(page) for page in json.loads(file.read_bytes())["pages"]]
                found.update(pages if pages[:1] == [target.absolute()] else ())
        return found

    def shrink(self) -> None:
        """Remove what was used longest ago, until the rest takes no more than `MOST_BYTES`."""
        remove_oldest(self.folder, before=None, most_bytes=MOST_BYTES)

    def _note(self, key: str) -> Path:
        return self.folder / CELLS / f"{key}.json"

    def _write(self, file: Path, values: dict[str, object]) -> None:
        with draft_of(file, durable=True) as draft:
            draft.write_text(to_json(values), encoding="ascii")


def thumbnail_name(picture: Path) -> str:
    """Return how a record names a kept picture: by its path in the folder of sheets."""
    return f"{CELLS}/{picture.name}"

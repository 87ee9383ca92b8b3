"""Finds the recipe that a file carries which a browser holds: a sidecar, or a picture with its recipe in it.

A picture is staged as an upload is, looked into by a process of its own, and removed. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dreamd.errors import RecipeError
from dreamd.page.uploading.uploads import Uploads
from dreamd.settings.config import Config
from dreamd.settings.recipes.merging import from_sidecar, resolve
from dreamd.settings.recipes.recipe_text import recipe_text
from dreamd.settings.yamlfile import Document
from dreamd.tree.layout import SIDECAR

_SECONDS = 20.0
"""The time in seconds that a look into a picture may take; then it holds no recipe."""

_LARGEST_SIDECAR = 1 << 20
"""The most bytes of a sidecar that are read."""


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What a file carries.

    Attributes:
        recipe: its recipe as the text of a recipe file; None where it carries none, or one that cannot be read here.
        problem: why a recipe that is there cannot be read here; None where it can, or there is none.
    """

    recipe: str | None
    problem: str | None


_NOTHING = Carried(recipe=None, problem=None)


class CarriedRecipes:
    """Looks into files, one picture at a time. Called from the event loop."""

    def __init__(self, config: Config, uploads: Uploads) -> None:
        self._max_bytes = int(config.limits.max_bytes)
        self._uploads = uploads
        self._turn = asyncio.Lock()

    async def look(self, name: str, length: int | None, chunks: AsyncIterator[bytes]) -> Carried:
        """Look for a recipe.

        Args:
            name: what the file is called; a sidecar's name ends with `.json`.
            length: how many bytes will come, if the sender has said it.
            chunks: the bytes.

        Raises:
            UsageError: the file is too large, or comes too slowly.
            DreamdError: the inbox cannot be written.
        """
        async with self._uploads.staged(name, length, chunks) as file:
            if name.lower().endswith(SIDECAR):
                text = await asyncio.to_thread(_read_text, file)
            else:
                text = await self._read_picture(file)
        return _NOTHING if text is None else await asyncio.to_thread(_carried, text)

    async def _read_picture(self, file: Path) -> str | None:
        command = (sys.executable, "-m", "dreamd.page.carried.reader", str(os.getpid()), str(self._max_bytes))
        async with self._turn:
            process = await asyncio.create_subprocess_exec(*command, str(file), stdin=DEVNULL, stdout=PIPE)
            try:
                said, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
            except TimeoutError:
                return None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        with suppress(ValueError):  # it was ended by what it looked into
            text = json.loads(said)
            return text if isinstance(text, str) else None
        return None


def _read_text(file: Path) -> str | None:
    with file.open("rb") as stream:
        data = stream.read(_LARGEST_SIDECAR + 1)
    return data.decode("utf-8", "replace") if len(data) <= _LARGEST_SIDECAR else None


def _carried(text: str) -> Carried:
    """Read the recipe of what a sidecar or a picture says, which may be anybody's and anything."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING
    document = Document("its recipe", values if isinstance(values, dict) else {})
    taken = from_sidecar(document)
    if taken is document:
        return _NOTHING
    try:
        return Carried(recipe=recipe_text(resolve([taken]).recipe), problem=None)
    except (RecipeError, RecursionError) as error:
        return Carried(recipe=None, problem=str(error) or "its recipe cannot be read")

"""Pictures that programs post: each once for its key, into the folder of its recipe.

A folder has one recipe, which is what a job goes by until it starts, and what a person mends when it is held. So a
picture with a recipe of its own gets a folder of its own, named after the recipe: all pictures of the same recipe share
it. Nothing else has to know that a program asked for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from dreamd.errors import UsageError
from dreamd.files.durable import replace
from dreamd.files.names import check_name, parts_of
from dreamd.files.nofollow import Entry, opened_file, opened_folder
from dreamd.files.problems import os_error_explained
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.json_text import to_json
from dreamd.page.posting.folder_tidying import RecipeFolders
from dreamd.page.posting.receipts import Receipt, Receipts, latest_id_now, receipt_id
from dreamd.page.posting.recipe_folders import RecipeFolder
from dreamd.page.recipes.editor import ChangedError, Recipes
from dreamd.page.uploading.uploads import Uploads
from dreamd.settings.config import Config
from dreamd.settings.yamlfile import MAX_BYTES

_LONGEST_KEY = 255
"""The most characters of an idempotency key."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a picture is posted as.

    Attributes:
        name: what it is called.
        folder: the folder of the inbox, whose name may be no text.
        recipe: as `RecipeFolder.of` takes it; None for the folder's own.
    """

    name: str
    folder: str
    recipe: str | None


class Posting:
    """Takes the pictures of programs into one inbox."""

    def __init__(self, config: Config, uploads: Uploads, recipes: Recipes, receipts: Receipts) -> None:
        self._config = config
        self._uploads = uploads
        self._recipes = recipes
        self._receipts = receipts
        self._coming: set[str] = set()
        self._folders = RecipeFolders(config)

    async def post(
        self,
        wanted: Wanted,
        owner: str,
        key: str | None,
        length: int | None,
        chunks: AsyncIterator[bytes],
        called: str = "",
        source: str = "",
    ) -> tuple[Receipt, bool]:
        """Take a picture, and return its receipt and whether it is new: for a known key the picture is not read.

        Args:
            wanted: where to, and how to dream it.
            owner: the name of the token that posts it; "" for a person's.
            key: what the program calls this one request, however often it sends it.
            length: how many bytes will come, if the program has said it.
            chunks: the bytes.
            called: what the folder of the recipe is called, as `RecipeFolder.of` takes it.
            source: which picture it is, where it is one that was here already: a key is for one picture.

        Raises:
            UsageError: folder, name, recipe or key cannot be, or the picture is too large or too slow.
            ChangedError: the key was used for another picture or is being used now, or the recipe's folder has
                another recipe.
            DreamdError: the folders cannot be written.
        """
        _check_key(key)
        id_ = receipt_id(owner, key)
        if id_ in self._coming:
            raise ChangedError("a picture with this Idempotency-Key is coming just now; ask again when it has come")
        self._coming.add(id_)
        try:
            asked = to_json([wanted.folder, wanted.name, wanted.recipe, *([source] if source else [])])
            if key is not None and (known := await asyncio.to_thread(self._receipts.find, id_)) is not None:
                _check_is_same(known, asked)
                return known, False
            blank = Receipt(id=id_, owner=owner, asked=asked, path="", draft="", since="")
            place = _place_of(wanted, called)
            await asyncio.to_thread(self._folders.begin_use, place)
            try:
                folder = await asyncio.to_thread(self._prepared_folder, wanted, called)
                return await self._take(blank, folder, wanted.name, length, chunks), True
            finally:
                asyncio.get_running_loop().run_in_executor(None, self._folders.end_use, place)
        finally:
            self._coming.discard(id_)

    async def _take(
        self, blank: Receipt, folder: str, name: str, length: int | None, chunks: AsyncIterator[bytes]
    ) -> Receipt:
        def note(draft: str, path: str) -> None:
            self._receipts.save(dataclasses.replace(blank, path=path, draft=draft, since=latest_id_now()))

        try:
            await self._uploads.take(folder, name, length, chunks, note)
        except Exception:  # a cancelled upload may have come all the same, which its receipt finds out
            await asyncio.to_thread(self._receipts.remove, blank.id)
            raise
        receipt = await asyncio.to_thread(self._receipts.find, blank.id)
        assert receipt is not None
        return receipt

    def check(self, folder: str, recipe: str, called: str = "") -> RecipeFolder:
        """Check a recipe for a folder, and return where its pictures are put. Raises UsageError or RecipeError."""
        target = RecipeFolder.of(folder, recipe, called)
        problem = self._recipes.check(target.folder, target.text)["problem"]
        if problem is not None:
            raise UsageError(problem["text"].replace(f"{target.folder}/{RECIPE_FILES[0]}", "recipe"))
        return target

    def _prepared_folder(self, wanted: Wanted, called: str) -> str:
        """Return the folder to put a picture into, with its recipe in it."""
        check_name(wanted.name)
        if wanted.recipe is None:
            return wanted.folder
        target = self.check(wanted.folder, wanted.recipe, called)
        try:
            self._write_recipe(target)
        except OSError as error:
            raise os_error_explained(error, "write into", target.folder) from error
        return target.folder

    def _write_recipe(self, target: RecipeFolder) -> None:
        parts, text = parts_of(target.folder), target.text.encode()
        with opened_folder(self._config.inbox, parts, make=True) as descriptor:
            entry = Entry(descriptor, RECIPE_FILES[0])
            if not entry.is_there():
                replace(entry, text)
                return
        with opened_file(self._config.inbox, PurePosixPath(*parts, RECIPE_FILES[0])) as file:
            if file.read(MAX_BYTES + 1) != text:
                raise ChangedError(
                    f"somebody has changed the recipe of {target.folder}; remove that folder's recipe, or leave "
                    f"`recipe` out and give `folder={target.folder}`"
                )


def _place_of(wanted: Wanted, called: str) -> str:
    """Return the folder that a picture is put into."""
    if wanted.recipe is None:
        return wanted.folder
    return RecipeFolder.of(wanted.folder, wanted.recipe, called).folder


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isprintable()):
        raise UsageError(f"Idempotency-Key: must have 1 to {_LONGEST_KEY} characters that can be seen")


def _check_is_same(known: Receipt, asked: str) -> None:
    if known.asked != asked:
        raise ChangedError("this Idempotency-Key was used for another name, folder or recipe; take a new one")

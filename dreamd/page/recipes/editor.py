"""Recipes as the page shows and changes them: a folder's own file, what comes of it, and where each field is from."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import ValidationError

from dreamd.errors import DreamdError, FieldPath, RecipeError, UsageError
from dreamd.files.durable import replace
from dreamd.files.names import parts_of
from dreamd.files.nofollow import Entry, folders_below, opened_file, opened_folder
from dreamd.files.problems import os_error_explained, refusal
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.page.posting.recipe_folders import home_of
from dreamd.page.recipes.form import Form, recipe_form
from dreamd.page.recipes.said_lists import SaidLists, said_at, with_own_lists
from dreamd.page.recipes.standing import Standing, Values
from dreamd.page.recipes.standings import Standings
from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.finding.shipped import Shipped
from dreamd.settings.config import Config, load_config
from dreamd.settings.editing.changes import with_value, without_value
from dreamd.settings.editing.lines import with_lines
from dreamd.settings.editing.moving import with_moved
from dreamd.settings.editing.places import shared_places
from dreamd.settings.recipes.layer_names import check_layer_names
from dreamd.settings.recipes.merging import Resolved, from_sidecar
from dreamd.settings.recipes.recipe import Part, Recipe
from dreamd.settings.recipes.recipe_book import RecipeBook, preset, preset_names, recipe_file
from dreamd.settings.recipes.recipe_text import recipe_text
from dreamd.settings.yamlfile import MAX_BYTES, document_of_text
from dreamd.settings.yamlwriting import flow_text
from dreamd.tree.layout import StateFolder
from dreamd.wording import printable

log = logging.getLogger(__name__)

FOLDERS = 2000
"""The most folders that are listed."""


class ChangedError(UsageError):
    """The recipe was changed by somebody else since it was shown."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one field of a recipe's text.

    Attributes:
        path: the field.
        value: its new value, as JSON has it.
        is_removal: whether the text shall not give the field any more, so that it is inherited.
        moved_to: the number that this entry of a list shall have; None where it is not moved.
    """

    path: FieldPath
    value: Any = None
    is_removal: bool = False
    moved_to: int | None = None

    def made_in(self, text: str, above: FieldPath) -> str:
        """Return a recipe's text with this change; `above` is the field in which the recipe stands.

        Raises:
            RecipeError: the text cannot be changed so without touching more of it.
        """
        path = (*above, *self.path)
        if self.moved_to is not None:
            return with_moved(text, path, self.moved_to)
        if self.is_removal:
            return without_value(text, path)
        new = with_value(text, path, self.value)
        is_first_entry = path[-1] == 0 and not said_at(text, self.path[:-1])
        return with_lines(new, path[:-1]) if is_first_entry else new


class Recipes:
    """The recipes of one inbox. Reads and writes files: call it from a thread."""

    def __init__(self, config: Config, reloads: threading.Event) -> None:
        """Set up.

        Args:
            config: the config.
            reloads: set when the daemon has read its config anew, so that other defaults and named recipes count.
        """
        self._config = config
        self._reloads = reloads
        self._known_book = config.recipe_book()
        self._shipped = Shipped("dreamd.engine", config.plugins.engine, config.plugins.disable)
        self._layers: dict[str, list[str]] = {}

    def folders(self) -> list[dict[str, Any]]:
        """List the inbox's folders, and whether each has a recipe of its own.

        Those that were made for pictures with a recipe of their own are left out, until somebody changes it.
        """
        folders = folders_below(self._config.inbox, FOLDERS)
        return [
            {"folder": folder, "has_recipe": self._file(folder) is not None}
            for folder in folders
            if home_of(self._config.inbox, folder) == folder
        ]

    def names(self) -> list[dict[str, str]]:
        """List what a recipe can extend, with the text of each preset."""
        texts = {name: _preset_text(name) for name in preset_names()}
        return [{"name": name, "text": texts.get(name, "")} for name in self.book().names()]

    def show(self, folder: str) -> dict[str, Any]:
        """Show a folder's own text, its mark (to save over that very text), and what that comes to.

        Raises:
            UsageError: it is no folder of the inbox.
        """
        parts = self._parts(folder)
        text, mark = self._text(folder)
        return {"folder": folder, "text": text, "mark": mark, **self._judge(PurePosixPath(*parts), text)}

    def check(self, folder: str, text: str) -> dict[str, Any]:
        """Tell what a text would make of a folder's recipe: where its controls stand, or what is wrong, and where."""
        return self._judge(PurePosixPath(*parts_of(folder)), text)

    def offered(self) -> Catalogue:
        """Return what there is to choose from: what workers bring, or before one has said so, dreamd's own plugins."""
        return self.catalogue() or self._shipped.own

    def form(self) -> Form:
        """List the controls of a recipe."""
        return recipe_form(self.offered(), tuple(self.book().names()))

    def change(self, folder: str, text: str, changes: Sequence[Change]) -> dict[str, Any]:
        """Change some fields of a recipe's text and nothing else in it; returns the text, and what that comes to.

        Raises:
            RecipeError: the text cannot be read, or cannot be changed so without touching more of it.
        """
        above = _above(text)
        for change in changes:
            text = with_own_lists(text, above, change.path, partial(self._said, folder, text))
            text = change.made_in(text, above)
        return {"text": text, **self.check(folder, text)}

    def effective(self, folder: str, text: str) -> str:
        """Return the effective recipe, as JSON, that a folder would have by a text. Raises RecipeError."""
        return self._resolve(PurePosixPath(*parts_of(folder)), text).json

    def save(self, folder: str, text: str, mark: str) -> dict[str, Any]:
        """Give a folder this recipe. A text of spaces alone removes its own file's content, and it inherits all.

        Raises:
            RecipeError: the recipe is wrong, and would hold the folder's pictures.
            ChangedError: the file is not what was shown.
            UsageError: it is no folder of the inbox.
        """
        parts = parts_of(folder)
        self._resolve(PurePosixPath(*parts), text)
        try:
            with opened_folder(self._config.inbox, parts, make=True) as descriptor:
                if self._text(folder)[1] != mark:
                    raise ChangedError("the recipe was changed meanwhile; look at it again before you save")
                file = self._file(folder)
                replace(Entry(descriptor, file.name if file else RECIPE_FILES[0]), text.encode())
        except OSError as error:
            raise os_error_explained(error, "write into", folder) from error
        return self.show(folder)

    def text_of(self, recipe: str) -> str | None:
        """Write a job's recipe as the text of a recipe file; None when this version cannot read it."""
        try:
            return recipe_text(Recipe.from_json(recipe))
        except RecipeError:
            return None

    def _parts(self, folder: str) -> tuple[str, ...]:
        """Split a folder's path. Raises UsageError where it is no folder of the inbox, and cannot become one."""
        parts = parts_of(folder)
        try:
            with opened_folder(self._config.inbox, parts):
                return parts
        except FileNotFoundError:
            return parts  # it is made when its recipe is saved
        except OSError as error:
            raise UsageError(f"{printable(folder)} is no folder of the inbox") from error

    def _file(self, folder: str) -> Path | None:
        try:
            return recipe_file(self._config.inbox.joinpath(*parts_of(folder)))
        except RecipeError:
            return None

    def _text(self, folder: str) -> tuple[str, str]:
        """Read a folder's own recipe and its mark; no text where there is none, or none that can be shown."""
        file = self._file(folder)
        if file is None:
            return "", ""
        try:
            with opened_file(self._config.inbox, PurePosixPath(*parts_of(folder), file.name)) as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise DreamdError(f"{printable(str(file))}: {refusal(error)}") from error
        return data.decode("utf-8-sig", "replace"), hashlib.sha256(data).hexdigest()

    def _judge(self, folder: PurePosixPath, text: str) -> dict[str, Any]:
        try:
            resolved = self._resolve(folder, text)
        except RecipeError as error:
            return {"problem": self._problem(error, folder), "standing": None}
        return {"problem": None, "standing": asdict(self._standing(folder, text, resolved))}

    def _standing(self, folder: PurePosixPath, text: str, resolved: Resolved) -> Standing:
        """Tell what the controls stand at, which fields the text gives, and what it would inherit without those."""
        documents = self.book().documents_of_draft(folder, text)
        extends = documents[-1].data.get("extends")
        below = "" if extends is None else f"extends: {flow_text(extends)}\n"
        inherited = self._inherited(folder, below)
        return self._standings().standing(resolved, documents, inherited, _shared_in(text))

    def _inherited(self, folder: PurePosixPath, below: str) -> Values:
        """Tell what a folder would inherit; nothing where that is wrong, and only the folder's own fields mend it."""
        try:
            inherited = self._resolve(folder, below)
            return self._standings().values(inherited, self.book().documents_of_draft(folder, below))
        except RecipeError:
            return Values()

    def _said(self, folder: str, text: str) -> SaidLists:
        """Return the lists of parts that a folder's recipe comes to, as they are written. Raises RecipeError."""
        try:
            return self._standings().said(self.book().documents_of_draft(PurePosixPath(*parts_of(folder)), text))
        except RecipeError as error:
            raise RecipeError(self._short(str(error))) from error

    def _standings(self) -> Standings:
        return Standings(self.book(), self.catalogue(), self._short)

    def _resolve(self, folder: PurePosixPath, text: str) -> Resolved:
        resolved = self.book().for_draft(folder, text)
        catalogue = self.catalogue()
        if catalogue is not None:
            resolved.check(catalogue)
        with resolved.locating():
            for place, dream in resolved.recipe.dreams:
                self._check_layers(dream, place)
        return resolved

    def _check_layers(self, dream: Part, place: FieldPath) -> None:
        """Check a dream's layers, where the layers of its network ship. Raises RecipeError."""
        name = dream.backbone.name
        if dream.backbone.parameters:
            return
        if name not in self._layers:
            network = self._shipped.network(name)
            self._layers[name] = [] if network is None else [layer["name"] for layer in network["layers"]]
        try:
            if self._layers[name]:
                check_layer_names(dream, self._layers[name])
        except RecipeError as error:
            raise RecipeError(error.problem, field=(*place, *error.field)) from error

    def book(self) -> RecipeBook:
        """Return the recipes that the daemon goes by."""
        if self._reloads.is_set():
            self._reloads.clear()
            try:
                config = load_config(self._config.file)
            except DreamdError as error:  # somebody was quicker than the signal; the daemon's next reload tells
                log.warning("the page goes on with the recipes that it knows: %s", printable(str(error)))
            else:
                self._known_book = config.model_copy(update={"inbox": self._config.inbox}).recipe_book()
        return self._known_book

    def _problem(self, error: RecipeError, folder: PurePosixPath) -> dict[str, Any]:
        """Tell an error with its line, if that is in the text that is edited, and without the inbox's place."""
        own = self._config.inbox.joinpath(folder)
        is_own = isinstance(error.file, Path) and error.file.parent == own
        return {"text": printable(self._short(str(error))), "line": error.line if is_own else None}

    def _short(self, text: str) -> str:
        """Leave the inbox's place out of a text, because it is the same everywhere on the page."""
        return text.replace(f"{self._config.inbox}/", "").replace(f"{self._config.file.parent}/", "")

    def catalogue(self) -> Catalogue | None:
        """Read what the workers bring; None before the first one has said so."""
        try:
            return Catalogue.model_validate_json(StateFolder(self._config.state).catalogue.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def _shared_in(text: str) -> frozenset[FieldPath]:
    """Return the fields of the recipe in a text that YAML's anchors and aliases make one."""
    return frozenset(place[len(_above(text)) :] for place in shared_places(text))


def _above(text: str) -> FieldPath:
    """Return the field in which the recipe in a text stands, () for the text itself. Raises RecipeError for no YAML."""
    document = document_of_text(text, "the recipe", RecipeError)
    return () if from_sidecar(document) is document else ("recipe",)


def _preset_text(name: str) -> str:
    return yaml.safe_dump(preset(name).data, sort_keys=False, default_flow_style=None, width=100)

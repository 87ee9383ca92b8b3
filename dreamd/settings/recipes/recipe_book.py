"""The recipes of a tree: presets, named ones, and those of the folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import takewhile, zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from dreamd.errors import RecipeError, UnknownNameError
from dreamd.files.problems import refusal
from dreamd.inbox.recipes import RECIPE_FILES
from dreamd.settings.confining import confined
from dreamd.settings.recipes.expanding import sequence_parts
from dreamd.settings.recipes.merging import Resolved, from_sidecar, resolve, with_paths_below
from dreamd.settings.yamlfile import Document, document_of_text, parse_document, read_document


class RecipeBook:
    """All the recipes of an inbox: its folders' files, named recipes, presets and the config's defaults."""

    def __init__(
        self,
        inbox: Path | None,
        *,
        named: Path | None = None,
        defaults: Document | None = None,
        weights: Sequence[Path] | None = None,
    ) -> None:
        """Open a book.

        Args:
            inbox: the root whose folders have recipes; None when there is none (`dreamd dream`).
            named: the folder of named recipes, for `extends`.
            defaults: the config's `defaults`, below everything else.
            weights: the folders in which the files of weights lie that a recipe in the inbox names; None for anywhere.
                Named recipes and the config's `defaults` may name any.
        """
        self._inbox = inbox
        self._named = named
        self._defaults = [defaults] if defaults else []
        self._weights = weights
        self._read: dict[Path, tuple[tuple[int, int, int], Document | RecipeError]] = {}
        self._resolved: dict[tuple[Path, ...], tuple[list[Document], Resolved]] = {}

    def for_folder(self, folder: PurePosixPath) -> Resolved:
        """Resolve the recipe of an inbox folder, as its files are now.

        Raises:
            RecipeError: one of the files it comes from is wrong.
        """
        if self._inbox is None:
            return self.for_default()
        return self._resolve([file for place in self._places(folder) if (file := recipe_file(place))])

    def for_draft(self, folder: PurePosixPath, text: str) -> Resolved:
        """Resolve the recipe that a folder would have if this were the text of its own file. Raises RecipeError."""
        return self.resolve(self.documents_of_draft(folder, text))

    def documents_of_draft(self, folder: PurePosixPath, text: str) -> list[Document]:
        """Return the documents of the recipe that a folder would have with this text. Raises RecipeError."""
        *outer, own = self._places(folder)
        file = recipe_file(own) or own / RECIPE_FILES[0]
        documents = [*self._defaults]
        for place in outer:
            if above := recipe_file(place):
                documents += self._with_extended(self._document(above), ())
        draft = from_sidecar(document_of_text(text, file, RecipeError))
        return [*documents, *self._with_extended(self._of_inbox(own, draft), ())]

    def for_dream_file(self, path: PurePosixPath, *, lies_at: Path | None = None) -> Resolved:
        """Resolve the recipe of a dream file, which goes over its folder's as a deeper folder's recipe would.

        Args:
            path: where it was put, relative to the inbox: messages name it so, and paths in it are relative to there.
            lies_at: where it is now, once it is claimed.

        Raises:
            RecipeError: it, or one of the files that its folder's recipe comes from, is wrong.
        """
        file = self.path_of(path)
        documents = [*self._defaults]
        for place in self._places(path.parent):
            if above := recipe_file(place):
                documents += self._with_extended(self._document(above), ())
        # Read each time, and not kept: each dream file is looked at once or twice.
        own = read_document(lies_at or file, RecipeError, below=self._inbox, called=file)
        own = self._of_inbox(file.parent, from_sidecar(own))
        return resolve([*documents, *self._with_extended(own, ())])

    def path_of(self, path: PurePosixPath) -> Path:
        """Return the path of a file in the inbox, as messages name it."""
        assert self._inbox is not None
        return self._inbox / path

    def _places(self, folder: PurePosixPath) -> list[Path]:
        """Return the folders from the inbox down to one; the recipe of each goes over those before it."""
        assert self._inbox is not None
        return [self._inbox.joinpath(*folder.parts[:depth]) for depth in range(len(folder.parts) + 1)]

    def for_default(self) -> Resolved:
        """Resolve what counts where no recipe file says otherwise."""
        return self.resolve(self._defaults)

    def for_file(self, file: Path) -> Resolved:
        """Resolve the recipe of one file, which inherits from the config's defaults alone."""
        return self.resolve([*self._defaults, *self.documents_of_file(file)])

    def for_name(self, name: str) -> Resolved:
        """Resolve a preset or a named recipe. Raises RecipeError when there is none."""
        return self.resolve([*self._defaults, *self.documents_of_name(name)])

    def documents_of_file(self, file: Path) -> list[Document]:
        """Return the documents of a file's recipe: what it extends, then the file. Raises RecipeError."""
        return self._with_extended(self._document(file), ())

    def documents_of_name(self, name: str) -> list[Document]:
        """Return the documents of a preset or named recipe: what it extends, then itself. Raises RecipeError."""
        return self._named_documents(name, ())

    def names(self) -> dict[str, Path | str]:
        """Return the names that `extends` knows, and where each stands."""
        named = sorted(self._named.glob("*.yaml")) if self._named else []
        return {name: f"preset {name}" for name in preset_names()} | {file.stem: file for file in named}

    def resolve(self, documents: Sequence[Document]) -> Resolved:
        """Make documents one effective recipe, its sequence's parts looked up by name. Raises RecipeError."""
        return resolve(documents, self.parts(documents))

    def _resolve(self, recipe_files: list[Path]) -> Resolved:
        documents = [*self._defaults]
        for file in recipe_files:
            documents += self._with_extended(self._document(file), ())
        parts = self.parts(documents)
        used = [*documents, *(extended for part in parts for extended in part[:-1])]
        known = self._resolved.get(key := tuple(recipe_files))
        if known is None or any(new is not old for new, old in zip_longest(used, known[0])):
            known = self._resolved[key] = (used, resolve(documents, parts))
        return known[1]

    def parts(self, documents: Sequence[Document]) -> list[list[Document]]:
        """Return, for each part of the sequence that documents come to, what it extends, then the part.

        Raises:
            RecipeError: a part extends what there is not.
        """
        parts = []
        for index, part in enumerate(sequence_parts(documents)):
            try:
                parts.append(self._with_extended(part, ()))
            except RecipeError as error:
                if error.file != part.file:  # what is wrong stands in a file that the part extends
                    raise
                place = ("sequence", index, *(error.field if len(part.data) > 1 else ()))
                raise RecipeError(error.problem, file=error.file, line=error.line, field=place) from error
        return parts

    def _with_extended(self, document: Document, seen: tuple[str, ...]) -> list[Document]:
        """Return what a document extends, the outermost first, then the document."""
        name = document.data.get("extends")
        if name is None:
            return [document]
        line = document.line(("extends",))
        try:
            if not isinstance(name, str):
                raise RecipeError("must be the name of a preset or of a named recipe")
            return [*self._named_documents(name, seen), document]
        except RecipeError as error:
            if error.file is not None:
                raise
            raise RecipeError(error.problem, file=document.file, line=line, field=("extends",)) from error

    def _named_documents(self, name: str, seen: tuple[str, ...]) -> list[Document]:
        if name in seen:
            raise RecipeError(f"goes round in a circle: {' → '.join((*seen, name))}")
        file = self._named / f"{name}.yaml" if self._named and "/" not in name else None
        is_preset = name in preset_names()
        if file is not None and os.path.isfile(file):  # noqa: PTH113 (Path's raises for a name that is too long)
            if is_preset:
                raise RecipeError("has the name of a preset; give it another", file=file)
            document = self._document(file)
        elif is_preset:
            document = preset(name)
        else:
            raise RecipeError(str(UnknownNameError("preset or named recipe", name, self.names())))
        return self._with_extended(document, (*seen, name))

    def _document(self, file: Path) -> Document:
        """Return a file's document, and read it again only when the file has changed."""
        try:
            status = file.lstat() if self._is_in_inbox(file) else file.stat()
        except OSError as problem:
            raise RecipeError(f"cannot be read: {refusal(problem)}", file=file) from problem
        signature = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._read.get(file)
        if known is None or known[0] != signature:
            known = self._read[file] = (signature, self._read_anew(file))
        if isinstance(known[1], RecipeError):
            raise known[1].with_traceback(None)
        return known[1]

    def _read_anew(self, file: Path) -> Document | RecipeError:
        try:
            if self._is_in_inbox(file):
                return self._of_inbox(file.parent, from_sidecar(read_document(file, RecipeError, below=self._inbox)))
            return with_paths_below(file.parent, from_sidecar(read_document(file, RecipeError)))
        except RecipeError as error:
            if isinstance(error.__cause__, OSError):  # goes away without a change of the file
                raise
            return error

    def _of_inbox(self, folder: Path, document: Document) -> Document:
        """Return a document of an inbox folder with absolute paths. Raises RecipeError where weights lie elsewhere."""
        absolute = with_paths_below(folder, document)
        return absolute if self._weights is None else confined(absolute, self._weights)

    def _is_in_inbox(self, file: Path) -> bool:
        return self._inbox is not None and self._inbox in file.parents


def recipe_file(folder: Path) -> Path | None:
    """Find the recipe file of a folder. Raises RecipeError when there are two, or nobody may look."""
    found = [file for name in RECIPE_FILES if _is_there(file := folder / name)]
    if len(found) > 1:
        raise RecipeError(f"stands beside {found[1].name}; keep one of them", file=found[0])
    return found[0] if found else None


def _is_there(file: Path) -> bool:
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise RecipeError(f"cannot be read: {refusal(problem)}", file=file) from problem
    return True


@cache
def preset_names() -> list[str]:
    """Return the names of the recipes that ship with dreamd."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _presets().iterdir() if entry.name.endswith(".yaml"))


@cache
def preset(name: str) -> Document:
    """Read a preset."""
    text = (_presets() / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_document(text, f"preset {name}", RecipeError)


def preset_comment(name: str) -> str:
    """Return what a preset's file says that it makes."""
    return leading_comment((_presets() / f"{name}.yaml").read_text(encoding="utf-8"))


def leading_comment(text: str) -> str:
    """Return the comment at the beginning of a recipe's text as one line; "" where there is none."""
    lines = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return " ".join(line.lstrip("#").strip() for line in lines)


def _presets() -> Any:
    return files("dreamd") / "presets"

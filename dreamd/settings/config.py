"""`config.yaml` as a frozen, validated model. Paths in it are relative to the file and come out absolute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import (
    Field,
    ValidationError,
    field_validator,
)

from dreamd.errors import ConfigError, FieldPath, RecipeError
from dreamd.settings.fields import FieldModel, complaint
from dreamd.settings.place import Place
from dreamd.settings.recipes.merging import resolve, with_paths_below
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.settings.sections import (
    TOKEN_RULE,
    JournalConfig,
    Limits,
    LocalPath,
    PluginsConfig,
    StatusConfig,
    TrashConfig,
    WatchConfig,
    WeightsConfig,
    WorkersConfig,
    is_token,
)
from dreamd.settings.whereabouts import missing_config
from dreamd.settings.yamlfile import Document, read_document
from dreamd.wording import suggestion


class Config(FieldModel):
    """`config.yaml`.

    Attributes:
        file: the file it was read from.
        originals: the folder for originals of finished jobs; None deletes them.
        defaults: the part of the file below every recipe.
    """

    file: Path
    inbox: LocalPath = Field(default=Path("inbox"), validate_default=True)
    outbox: LocalPath = Field(default=Path("outbox"), validate_default=True)
    originals: LocalPath | None = Field(default=Path("done"), validate_default=True)
    failed: LocalPath = Field(default=Path("failed"), validate_default=True)
    state: LocalPath = Field(default=Path("state"), validate_default=True)
    recipes: LocalPath = Field(default=Path("recipes"), validate_default=True)
    plugins: PluginsConfig
    weights: WeightsConfig
    watch: WatchConfig = WatchConfig()
    limits: Limits = Limits()
    workers: WorkersConfig = WorkersConfig()
    journal: JournalConfig = JournalConfig()
    trash: TrashConfig = TrashConfig()
    status: StatusConfig = StatusConfig()
    defaults: Annotated[Document, Field(exclude=True)]

    @field_validator("originals", mode="before")
    @classmethod
    def _delete_is_no_folder(cls, value: object) -> object:
        return None if value == "delete" else value

    def recipe_book(self) -> RecipeBook:
        """Open the recipes of this config's inbox."""
        return RecipeBook(self.inbox, named=self.recipes, defaults=self.defaults, weights=self.weights.folders)


_SECTIONS: dict[str, type[FieldModel]] = {
    "plugins": PluginsConfig,
    "weights": WeightsConfig,
    "watch": WatchConfig,
    "limits": Limits,
    "workers": WorkersConfig,
    "journal": JournalConfig,
    "trash": TrashConfig,
    "status": StatusConfig,
}
"""The sections of the file, by their names."""


def load_config(file: Path) -> Config:
    """Read and check a config.

    Raises:
        ConfigError: it cannot be read, a field is unknown or wrong, or two folders lie one in the other.
        RecipeError: its `defaults` are wrong.
    """
    if not file.exists():
        raise missing_config(file)
    document = read_document(file, ConfigError)
    defaults = _defaults(document)
    if "file" in document.data:
        raise _located(f"is not a field; {_advice(('file',))}", document, ("file",))
    values = {"plugins": {}, "weights": {}, **document.data, "file": file.absolute(), "defaults": defaults}
    try:
        config = Config.model_validate(values, context={"root": file.absolute().parent})
    except ValidationError as error:
        problem, field = complaint(error, values, _advice)
        raise _located(problem, document, field) from error
    _check_apart(config, document)
    _check_status(config.status, document)
    return config


def _defaults(document: Document) -> Document:
    """Take `defaults` as a document of its own, and check it as the recipe it is."""
    data = document.data.get("defaults", {})
    if not isinstance(data, dict):
        raise _located("must be a mapping of recipe fields", document, ("defaults",))
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == ("defaults",)}
    if "extends" in data:
        raise RecipeError(
            "defaults cannot extend; put `extends` into the inbox's own recipe.yaml",
            file=document.file, line=lines.get(("extends",)), field=("defaults", "extends"),
        )  # fmt: skip
    defaults = with_paths_below(Path(document.file).absolute().parent, Document(document.file, data, lines))
    try:
        resolve([defaults])
    except RecipeError as error:
        field = ("defaults", *error.field)
        raise RecipeError(error.problem, file=document.file, line=document.line(field), field=field) from error
    return defaults


def _located(problem: str, document: Document, field: FieldPath) -> ConfigError:
    return ConfigError(problem, file=document.file, line=document.line(field), field=field)


def _advice(place: FieldPath) -> str:
    """Say which field was meant by one that does not exist; `attempts` at the top belongs into `limits`."""
    *holders, word = map(str, place)
    if holders:
        return suggestion(word, _SECTIONS[holders[0]].model_fields)
    for section, model in _SECTIONS.items():
        if word in model.model_fields:
            return f"did you mean {section}.{word}?"
    return suggestion(word, [name for name in Config.model_fields if name != "file"])


def _check_apart(config: Config, document: Document) -> None:
    """Refuse folders where results would land where pictures are taken from, and be dreamed again for ever."""
    inbox = Place.of(config.inbox)
    seen = {"inbox": inbox}
    for name in ("outbox", "originals", "failed", "state"):
        if getattr(config, name) is None:
            continue
        folder = Place.of(getattr(config, name))
        for other, place in seen.items():
            if folder.is_same(place):
                raise _located(f"is the same folder as {other}", document, (name,))
        if folder.is_below(inbox):
            why = "what dreamd writes there would be taken for new pictures"
            raise _located(f"{folder.path} lies in the inbox; {why}", document, (name,))
        if inbox.is_below(folder) and name != "state":
            why = "what dreamd writes there could land in the inbox and be taken for new pictures"
            raise _located(f"{folder.path} holds the inbox; {why}", document, (name,))
        seen[name] = folder
    plugins, weights = config.plugins, config.weights
    _refuse_in_inbox(
        inbox, document, ("plugins", "engine"), plugins.engine, "whoever drops a file there could run code"
    )
    _refuse_in_inbox(
        inbox, document, ("plugins", "daemon"), plugins.daemon, "whoever drops a file there could run code"
    )
    why = "whoever drops a file there could have dreamd read any other, by a link"
    _refuse_in_inbox(inbox, document, ("weights", "folders"), weights.folders, why)


def _check_status(status: StatusConfig, document: Document) -> None:
    """Refuse a page without a token that others than this machine's users can reach: they could change recipes."""
    if status.token is not None and status.token_file is not None:
        raise _located("is one token too many, beside status.token; keep one", document, ("status", "token_file"))
    if status.token is not None and not is_token(status.token.get_secret_value()):
        raise _located(f"must be {TOKEN_RULE}", document, ("status", "token"))
    if status.listen is not None and not status.is_local and status.token is None and status.token_file is None:
        why = "others than this machine can connect there; give status.token_file, or listen on 127.0.0.1"
        raise _located(f"{status.listen!r} needs a token: {why}", document, ("status", "listen"))


def _refuse_in_inbox(inbox: Place, document: Document, field: FieldPath, folders: Sequence[Path], why: str) -> None:
    """Refuse folders in the inbox, for a reason."""
    for folder in folders:
        place = Place.of(folder)
        if place.is_same(inbox) or place.is_below(inbox):
            raise _located(f"{folder} lies in the inbox; {why}", document, field)

"""`config.yaml` as a frozen, validated model. Paths in it are relative to the file and come out absolute."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dreamd.errors import ConfigError, FieldPath, RecipeError
from dreamd.settings.fields import Count, FieldModel, Flag, Integer, Number, complaint
from dreamd.settings.merging import resolve, with_weights_below
from dreamd.settings.place import Place
from dreamd.settings.recipe_book import RecipeBook
from dreamd.settings.yamlfile import Document, read_document
from dreamd.wording import suggestion

TOKEN_RULE = "16 or more letters, digits and signs, without spaces, such as `openssl rand -hex 24` makes"
"""What a token must be, in words that follow "must be"."""


def _absolute(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise PydanticCustomError("a_path", "a path")
    assert info.context is not None
    root: Path = info.context["root"]
    try:
        return (root / Path(value).expanduser()).absolute()
    except RuntimeError as error:
        raise ValueError("there is no such user") from error


LocalPath = Annotated[Path, BeforeValidator(_absolute)]
"""A path in the file, made absolute: it is relative to the file's folder."""


def _size(value: object) -> object:
    if isinstance(value, bool | float):
        raise PydanticCustomError("a_size", "a size such as 512MB")
    return value


_AGE_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
"""The units of an age, by the letter that stands for each."""


def _age(value: object) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([mhdw])", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("an_age", "an age such as 90d, 12h or 2w")
    return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})


Size = Annotated[ByteSize, Field(ge=1), BeforeValidator(_size)]
"""A size in bytes, written as `512MB`."""


Age = Annotated[timedelta, BeforeValidator(_age)]
"""An age, written as `90d`."""


class PluginsConfig(FieldModel):
    """Where plugins come from.

    Attributes:
        engine: folders of drop-in files that bring backbones, losses, schedules, gradient steps, decoders.
        daemon: folders of drop-in files that bring executors and notifiers.
        disable: names of plugins not to use.
    """

    engine: tuple[LocalPath, ...] = Field(default=(Path("plugins"),), validate_default=True)
    daemon: tuple[LocalPath, ...] = ()
    disable: tuple[str, ...] = ()


class WatchConfig(FieldModel):
    """How files are noticed.

    Attributes:
        backend: `auto` chooses by the filesystem.
        settle_seconds: how long a file must not change before it is taken, when nothing shows whether it is whole.
        patience_seconds: how long a file must not change before it is taken, when its bytes show that it is not whole.
        rescan_seconds: how often the whole inbox is looked through; less often where that takes long and inotify works.
        ignore: patterns of names to leave alone, besides those that are left alone in every inbox.
    """

    backend: Literal["auto", "inotify", "polling"] = "auto"
    settle_seconds: Number = Field(default=1.0, ge=0.0, le=3600.0)
    patience_seconds: Number = Field(default=60.0, ge=0.0, le=86_400.0)
    rescan_seconds: Number = Field(default=30.0, gt=0.0, le=86_400.0)
    ignore: tuple[str, ...] = ("*.part", "*.crdownload")


class Limits(FieldModel):
    """What a picture may cost.

    Attributes:
        max_pixels: the largest product of width and height.
        max_bytes: the largest size of a picture's file.
        timeout_seconds: how long one attempt may take.
        attempts: how often a job is started at most.
        stop_seconds: how long running jobs may go on when the daemon is told to stop; what takes longer waits for the
            next start.
    """

    max_pixels: Integer = Field(default=200_000_000, ge=1)
    max_bytes: Size = ByteSize(512_000_000)
    timeout_seconds: Number = Field(default=3600.0, gt=0.0)
    attempts: Integer = Field(default=3, ge=1)
    stop_seconds: Number = Field(default=60.0, ge=0.0)


class WorkersConfig(FieldModel):
    """What dreams, and on what.

    Attributes:
        devices: `auto` (every GPU, or else the processor), or a list such as `[cuda:0, cpu]`.
        executor: the plugin that runs jobs.
        batch: how many pictures of equal recipe and shape to dream together at most, and to give to a worker at a time;
            `auto`: 32 on a GPU, as far as its memory goes, and 1 on a processor, where more bring nothing.
        memory: what one worker may hold, or `auto`, which is most of what is free when it starts.
        threads: how many threads one worker computes with on a processor, or `auto`: as many as its affinity and its
            control group's quota allow.
        deterministic: on a GPU, take only algorithms that give the same bytes each time; `false` takes the fastest.
        idle_unload_seconds: a worker idle for so long is stopped, and its device given back.
    """

    devices: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    executor: str = "local"
    batch: Literal["auto"] | Count = "auto"
    memory: Literal["auto"] | Size = "auto"
    threads: Literal["auto"] | Count = "auto"
    deterministic: Flag = True
    idle_unload_seconds: Number = Field(default=600.0, ge=0.0)


class JournalConfig(FieldModel):
    """What the journal remembers.

    Attributes:
        keep: how long a job after its end, such as 90d, 12h or 2w; None (null): for ever.
    """

    keep: Age | None = timedelta(days=90)


class StatusConfig(FieldModel):
    """Where the page, the metrics and the health checks are served, and to whom.

    Attributes:
        listen: the address; None: nowhere.
        token: what a browser or a scraper must show; needed wherever others than this machine can connect.
        token_file: a file that holds the token instead.
        hosts: names, besides addresses and this machine's own, by which browsers may ask for the page.
        base_path: the path below which a proxy serves the page, such as `/dreams`; "" for none.
    """

    listen: str | None = "127.0.0.1:8420"
    token: SecretStr | None = None
    token_file: LocalPath | None = None
    hosts: tuple[str, ...] = ()
    base_path: str = ""

    @model_validator(mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return {"listen": None} if value is None else value

    @field_validator("listen")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        match = re.fullmatch(r".+:(\d{1,5})", value or "")
        if value is not None and (match is None or int(match[1]) > 65_535):
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:8420")
        return value

    @field_validator("base_path", mode="before")
    @classmethod
    def _is_a_path(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        path = value.rstrip("/")
        if path and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", path):
            raise ValueError("must be a path of plain letters and digits, such as /dreams")
        return path

    @field_validator("token", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Make a token that is no text an empty one, which is refused later without being shown."""
        return value if value is None or isinstance(value, str) else ""

    @property
    def address(self) -> tuple[str, int]:
        """The host and port of `listen`, an IPv6 address without its brackets; only where it is not None."""
        host, _, port = (self.listen or "").rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.address[0])


def is_loopback(host: str) -> bool:
    """Whether a host, as an address or as `localhost`, is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


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
    watch: WatchConfig = WatchConfig()
    limits: Limits = Limits()
    workers: WorkersConfig = WorkersConfig()
    journal: JournalConfig = JournalConfig()
    status: StatusConfig = StatusConfig()
    defaults: Annotated[Document, Field(exclude=True)]

    @field_validator("originals", mode="before")
    @classmethod
    def _delete_is_no_folder(cls, value: object) -> object:
        return None if value == "delete" else value

    def recipe_book(self) -> RecipeBook:
        """Open the recipes of this config's inbox."""
        return RecipeBook(self.inbox, named=self.recipes, defaults=self.defaults)


_SECTIONS: dict[str, type[FieldModel]] = {
    "plugins": PluginsConfig,
    "watch": WatchConfig,
    "limits": Limits,
    "workers": WorkersConfig,
    "journal": JournalConfig,
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
        raise ConfigError("does not exist; `dreamd init DIR` makes one", file=file)
    document = read_document(file, ConfigError)
    defaults = _defaults(document)
    if "file" in document.data:
        raise _located(f"is not a field; {_advice(('file',))}", document, ("file",))
    values = {"plugins": {}, **document.data, "file": file.absolute(), "defaults": defaults}
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
    defaults = with_weights_below(Path(document.file).absolute().parent, Document(document.file, data, lines))
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
    _check_plugins_apart(config, inbox, document)


def _check_status(status: StatusConfig, document: Document) -> None:
    """Refuse a page without a token that others than this machine's users can reach: they could change recipes."""
    if status.token is not None and status.token_file is not None:
        raise _located("is one token too many, beside status.token; keep one", document, ("status", "token_file"))
    if status.token is not None and not is_token(status.token.get_secret_value()):
        raise _located(f"must be {TOKEN_RULE}", document, ("status", "token"))
    if status.listen is not None and not status.is_local and status.token is None and status.token_file is None:
        why = "others than this machine can connect there; give status.token_file, or listen on 127.0.0.1"
        raise _located(f"{status.listen!r} needs a token: {why}", document, ("status", "listen"))


def is_token(token: str) -> bool:
    """Whether a token can be typed, and cannot be guessed."""
    return len(token) >= 16 and token.isascii() and token.isprintable() and " " not in token


def _check_plugins_apart(config: Config, inbox: Place, document: Document) -> None:
    """Refuse folders of plugins in the inbox: whoever may drop pictures there could run code."""
    for name in ("engine", "daemon"):
        for folder in getattr(config.plugins, name):
            place = Place.of(folder)
            if place.is_same(inbox) or place.is_below(inbox):
                why = "whoever drops a file there could run code"
                raise _located(f"{folder} lies in the inbox; {why}", document, ("plugins", name))

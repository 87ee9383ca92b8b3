"""`config.yaml` as a frozen, validated model. Paths in it are relative to the file and come out absolute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError, field_validator

from dreamd.errors import ConfigError, FieldPath, RecipeError, suggestion
from dreamd.recipe import RecipeBook, resolve
from dreamd.yamlfile import Document, read_document


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _absolute(value: object, info: Any) -> object:
    if not isinstance(value, str | Path):
        return value
    return (info.context["root"] / Path(value).expanduser()).absolute()


LocalPath = Annotated[Path, BeforeValidator(_absolute)]


class PluginsConfig(_Model):
    """Where plugins come from.

    Attributes:
        engine: folders of drop-in files that bring backbones, losses, schedules, gradient steps.
        daemon: folders of drop-in files that bring executors and notifiers.
        disable: names of plugins not to use.
    """

    engine: tuple[LocalPath, ...] = ()
    daemon: tuple[LocalPath, ...] = ()
    disable: tuple[str, ...] = ()


class WatchConfig(_Model):
    """How files are noticed.

    Attributes:
        backend: `auto` chooses by the filesystem.
        settle_seconds: how long a file must not change before it is taken.
        rescan_seconds: how often the whole inbox is looked through.
        ignore: patterns of names that are no pictures yet.
    """

    backend: Literal["auto", "inotify", "polling"] = "auto"
    settle_seconds: float = Field(default=1.0, ge=0.0, le=3600.0)
    rescan_seconds: float = Field(default=30.0, gt=0.0, le=86_400.0)
    ignore: tuple[str, ...] = ("*.part", "*.crdownload")


class Limits(_Model):
    """What a picture may cost.

    Attributes:
        max_pixels: width times height.
        max_bytes: of the file.
        timeout_seconds: of one attempt.
        attempts: how often a job is started at most.
    """

    max_pixels: int = Field(default=200_000_000, ge=1)
    max_bytes: ByteSize = Field(default=ByteSize(512_000_000), ge=1)
    timeout_seconds: float = Field(default=3600.0, gt=0.0)
    attempts: int = Field(default=3, ge=1)


class WorkersConfig(_Model):
    """What dreams.

    Attributes:
        devices: `auto` (every GPU, or else the processor), or a list such as `[cuda:0, cpu]`.
        executor: the plugin that runs jobs.
        batch: how many equal jobs are dreamed together at most, or `auto`.
        memory: of one worker, or `auto`.
        idle_unload_seconds: a worker idle for so long is stopped, and its device given back.
    """

    devices: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    executor: str = "local"
    batch: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    memory: Literal["auto"] | ByteSize = "auto"
    idle_unload_seconds: float = Field(default=600.0, ge=0.0)


class StatusConfig(_Model):
    """Where the page and the metrics are served; None: nowhere."""

    listen: str | None = "127.0.0.1:8420"


class Config(_Model):
    """`config.yaml`.

    Attributes:
        file: the file it was read from.
        originals: the folder for originals of finished jobs; None deletes them.
        defaults: the part of the file below every recipe.
    """

    file: Path
    inbox: LocalPath
    outbox: LocalPath
    originals: LocalPath | None
    failed: LocalPath
    state: LocalPath
    recipes: LocalPath
    plugins: PluginsConfig = PluginsConfig()
    watch: WatchConfig = WatchConfig()
    limits: Limits = Limits()
    workers: WorkersConfig = WorkersConfig()
    status: StatusConfig = StatusConfig()
    defaults: Annotated[Document, Field(exclude=True)]

    @field_validator("originals", mode="before")
    @classmethod
    def _delete_is_no_folder(cls, value: object) -> object:
        return None if value == "delete" else value

    def recipe_book(self) -> RecipeBook:
        """The recipes of this config's inbox."""
        return RecipeBook(self.inbox, named=self.recipes, defaults=self.defaults)


_FOLDERS = {
    "inbox": "inbox",
    "outbox": "outbox",
    "originals": "done",
    "failed": "failed",
    "state": "state",
    "recipes": "recipes",
}


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
    values = {**_FOLDERS, **document.data, "file": file.absolute(), "defaults": defaults}
    if "plugins" not in document.data:
        values["plugins"] = {"engine": ["plugins"]}
    try:
        config = Config.model_validate(values, context={"root": file.absolute().parent})
    except ValidationError as error:
        raise _config_error(error, document) from error
    _check_apart(config, document)
    return config


def _defaults(document: Document) -> Document:
    """`defaults` as a document of its own, checked as the recipe it is."""
    data = document.data.get("defaults", {})
    if not isinstance(data, dict):
        raise ConfigError(
            "must be a mapping of recipe fields",
            file=document.file,
            line=document.line(("defaults",)),
            field=("defaults",),
        )
    lines = {path[1:]: line for path, line in document.lines.items() if path[:1] == ("defaults",)}
    if "extends" in data:
        raise RecipeError(
            "defaults cannot extend; put `extends` into the inbox's own recipe.yaml",
            file=document.file, line=lines.get(("extends",)), field=("defaults", "extends"),
        )  # fmt: skip
    defaults = Document(document.file, data, lines)
    resolve([defaults])
    return defaults


def _config_error(error: ValidationError, document: Document) -> ConfigError:
    first = error.errors()[0]
    field: FieldPath = tuple(part for part in first["loc"] if part in document.data or not _is_variant(part))
    line = document.line(field)
    if first["type"] == "extra_forbidden":
        known = _known_fields(field[:-1])
        return ConfigError(
            f"is not a field; {suggestion(str(field[-1]), known)}", file=document.file, line=line, field=field
        )
    value = first["input"]
    shown = f"{value!r}: " if isinstance(value, str | int | float | bool | None) else ""
    message = first["msg"].removeprefix("Value error, ")
    return ConfigError(f"{shown}{message[:1].lower()}{message[1:]}", file=document.file, line=line, field=field)


def _is_variant(part: str | int) -> bool:
    """Whether a part of pydantic's location names the variant of a union that it tried, and no field."""
    return isinstance(part, str) and ("[" in part or part in ("literal", "bytesize", "constrained-int"))


def _known_fields(path: FieldPath) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "plugins": PluginsConfig,
        "watch": WatchConfig,
        "limits": Limits,
        "workers": WorkersConfig,
        "status": StatusConfig,
    }
    model = sections[str(path[0])] if path else Config
    return [name for name in model.model_fields if name != "file"]


def _check_apart(config: Config, document: Document) -> None:
    """Results must not land where pictures are taken from, or dreams would be dreamed again for ever."""
    folders = {"outbox": config.outbox, "originals": config.originals, "failed": config.failed, "state": config.state}
    for name, folder in folders.items():
        if folder is not None and (folder == config.inbox or config.inbox in folder.parents):
            raise ConfigError(
                f"{folder} lies in the inbox; what dreamd writes there would be taken for new pictures",
                file=document.file, line=document.line((name,)), field=(name,),
            )  # fmt: skip
    seen: dict[Path, str] = {config.inbox: "inbox"}
    for name, folder in folders.items():
        if folder is not None and folder in seen:
            raise ConfigError(
                f"is the same folder as {seen[folder]}", file=document.file, line=document.line((name,)), field=(name,)
            )
        if folder is not None:
            seen[folder] = name

"""The sections of `config.yaml`: which fields each has, what they take, and what they are by default."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ByteSize, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dreamd.settings.durations import read_duration
from dreamd.settings.fields import Count, FieldModel, Flag, Integer, Number
from dreamd.settings.recipes.values.choices import PluginChoice

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


def _age(value: object) -> timedelta:
    if not isinstance(value, str):
        raise PydanticCustomError("an_age", "an age such as 90d, 12h or 2w")
    return read_duration(value)


Size = Annotated[ByteSize, Field(ge=1), BeforeValidator(_size)]
"""A size in bytes, written as `512MB`."""


Age = Annotated[timedelta, BeforeValidator(_age)]
"""An age, written as `90d`."""


class PluginsConfig(FieldModel):
    """Where plugins come from.

    Attributes:
        engine: folders of drop-ins that bring backbones, losses, schedules, gradient steps, decoders.
        daemon: folders of drop-ins that bring executors and notifiers.
        disable: names of plugins not to use.
    """

    engine: tuple[LocalPath, ...] = Field(default=(Path("plugins"),), validate_default=True)
    daemon: tuple[LocalPath, ...] = ()
    disable: tuple[str, ...] = ()


MayFetch = Literal["auto", "ask", "never"]
"""Whether the daemon fetches weights."""


class WeightsConfig(FieldModel):
    """Where files of weights may lie.

    Attributes:
        folders: the folders out of which a recipe in the inbox may name one. Named recipes, `defaults` and the command
            line may name any.
        fetch: whether the daemon fetches weights that are not here: `auto`, when a picture needs them; `ask`, when a
            person asks for them on the page; `never`.
    """

    folders: tuple[LocalPath, ...] = Field(default=(Path("weights"), Path("recipes")), validate_default=True)
    fetch: MayFetch = "auto"


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
        max_pages: the most pages of a file, where all of them are dreamed.
        max_pages_pixels: the most pixels that all of these pages have together.
        max_film_bytes: the largest size of a film's file.
        max_frames: the most frames of a film.
        max_film_seconds: the longest film, in seconds of its own time.
        timeout_seconds: how long one attempt may take; of a film, a part of about ten seconds, or one frame.
        attempts: how often a job is started at most.
        stop_seconds: how long running jobs may go on when the daemon is told to stop; what takes longer waits for the
            next start.
    """

    max_pixels: Integer = Field(default=200_000_000, ge=1)
    max_bytes: Size = ByteSize(512_000_000)
    max_pages: Integer = Field(default=1000, ge=1)
    max_pages_pixels: Integer = Field(default=2_000_000_000, ge=1)
    max_film_bytes: Size = ByteSize(16_000_000_000)
    max_frames: Integer = Field(default=200_000, ge=1)
    max_film_seconds: Number = Field(default=7200.0, gt=0.0)
    timeout_seconds: Number = Field(default=3600.0, gt=0.0)
    attempts: Integer = Field(default=3, ge=1)
    stop_seconds: Number = Field(default=60.0, ge=0.0)


class WorkersConfig(FieldModel):
    """What dreams, and on what.

    Attributes:
        executor: the plugin that runs jobs, by name, or a mapping with its `name` and its parameters, which
            `dreamd plugins show NAME` lists.
        devices: `auto` (every GPU, or else the processor), or a list such as `[cuda:0, cpu]`, one worker each; `cpu*4`
            is four workers that share the processor. The names of those that another executor than `local` runs jobs on
            are its own.
        batch: how many pictures of equal recipe and shape to dream together at most, and to give to a worker at a time;
            `auto`: 32 on a GPU, as far as its memory goes, and 1 on a processor, where more bring nothing.
        memory: what one worker may hold, or `auto`, which is most of what is free when it starts, or its part of that.
        threads: how many threads one worker computes with on a processor, or `auto`: as many as its affinity and its
            control group's quota allow, or its part of them.
        deterministic: on a GPU, take only algorithms that give the same bytes each time; `false` takes the fastest.
        idle_unload_seconds: a worker idle for so long is stopped, and its device given back.
    """

    executor: PluginChoice = PluginChoice(name="local")
    devices: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
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


class TrashConfig(FieldModel):
    """What was deleted on the page.

    Attributes:
        keep: how long `dreamd prune` leaves a deleted result in the trash; None (null): for ever.
    """

    keep: Age | None = timedelta(days=30)


Right = Literal["read", "drop", "all"]
"""`read`: look at everything. `drop`: post pictures, and look at those. `all`: everything that the page can do."""


class ProgramToken(FieldModel):
    """The token of a program.

    Attributes:
        token_file: a file that holds the token.
        may: what the program may do, one word or several.
    """

    token_file: LocalPath
    may: tuple[Right, ...] = Field(min_length=1)

    @field_validator("may", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class StatusConfig(FieldModel):
    """Where the page, the metrics and the health checks are served, and to whom.

    Attributes:
        listen: the address; None: nowhere.
        token: what a browser or a scraper must show; needed wherever others than this machine can connect.
        token_file: a file that holds the token instead.
        tokens: tokens for programs, by names of one's own; they open the API.
        hosts: names, besides addresses and this machine's own, by which browsers may ask for the page.
        base_path: the path below which a proxy serves the page, such as `/dreams`; "" for none.
        secure_cookies: whether browsers may send a session by TLS only. Where `trusted_proxy` says that a browser came
            by TLS, that holds in any case.
        trusted_proxy: the address of the proxy, or its network, whose `X-Forwarded-For` and `X-Forwarded-Proto` count;
            None: nobody's.
    """

    listen: str | None = "127.0.0.1:8420"
    token: SecretStr | None = None
    token_file: LocalPath | None = None
    tokens: dict[str, ProgramToken] = Field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    base_path: str = ""
    secure_cookies: Flag = False
    trusted_proxy: str | None = None

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

    @field_validator("tokens")
    @classmethod
    def _have_names(cls, value: dict[str, ProgramToken]) -> dict[str, ProgramToken]:
        for name in value:
            if not re.fullmatch(r"[\w.-]{1,64}", name):
                raise ValueError(f"must have names of letters, digits, dots and dashes, 64 at most, and not {name!r}")
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

    @field_validator("trusted_proxy")
    @classmethod
    def _is_a_network(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(ip_network(value))
        except ValueError:
            raise ValueError("must be an address or a network, such as 127.0.0.1 or 10.1.0.0/16") from None

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
    def url(self) -> str:
        """Where a browser on this machine finds the page; only where `listen` is not None."""
        host, port = self.address
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://{f'[{here}]' if ':' in here else here}:{port}{self.base_path}/"

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


def is_token(token: str) -> bool:
    """Whether a token can be typed, and cannot be guessed."""
    return len(token) >= 16 and token.isascii() and token.isprintable() and " " not in token

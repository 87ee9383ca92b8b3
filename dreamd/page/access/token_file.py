"""The tokens that the config asks for, out of the config or out of files that not everybody may read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dreamd.errors import ConfigError, FieldPath
from dreamd.files.problems import refusal
from dreamd.page.access.callers import Caller
from dreamd.page.access.programs import Program
from dreamd.settings.config import Config
from dreamd.settings.sections import TOKEN_RULE, is_token

_LARGEST_BYTES = 4096
"""The most bytes of a token's file that are read."""


def token_of(config: Config) -> str | None:
    """Read the token that a config asks for; None where only this machine can connect, and no token is set.

    Raises:
        ConfigError: its file cannot be read, can be read by everybody, or holds no token.
    """
    status = config.status
    if status.token_file is None:
        return status.token.get_secret_value() if status.token is not None else None
    return _token_in(status.token_file, config, ("status", "token_file"))


def programs_of(config: Config) -> tuple[Program, ...]:
    """Read the tokens of programs.

    Raises:
        ConfigError: a file cannot be read, can be read by everybody, or holds no token or that of somebody else.
    """
    owners: dict[str | None, str] = {token_of(config): "the page's token"}
    programs = []
    for name, given in config.status.tokens.items():
        field = ("status", "tokens", name, "token_file")
        token = _token_in(given.token_file, config, field)
        if token in owners:
            raise ConfigError(f"is the same as {owners[token]}; give each its own", file=config.file, field=field)
        owners[token] = f"that of {name}"
        programs.append(Program(Caller(name, frozenset(given.may)), token))
    return tuple(programs)


def _token_in(file: Path, config: Config, field: FieldPath) -> str:
    """Read the token of a field of the config."""
    try:
        token = _read(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {refusal(error)}", file=config.file, field=field) from error
    if token is None:
        raise ConfigError(f"everybody can read it; do `chmod o= {file}`", file=config.file, field=field)
    if not is_token(token):
        raise ConfigError(f"{file} must hold {TOKEN_RULE}", file=config.file, field=field)
    return token


def _read(path: Path) -> str | None:
    """Read a token; None when others than its owner and group may use its file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if mode & stat.S_IRWXO:
            return None
        return os.read(descriptor, _LARGEST_BYTES).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)

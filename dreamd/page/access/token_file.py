"""The token that the config asks for, out of the config or out of a file that only its owner may read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dreamd.errors import ConfigError
from dreamd.files.problems import refusal
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
    try:
        token = _read(status.token_file)
    except OSError as error:
        raise _wrong(config, f"{status.token_file} cannot be read: {refusal(error)}") from error
    if token is None:
        raise _wrong(config, f"everybody can read it; do `chmod o= {status.token_file}`")
    if not is_token(token):
        raise _wrong(config, f"{status.token_file} must hold {TOKEN_RULE}")
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


def _wrong(config: Config, problem: str) -> ConfigError:
    return ConfigError(problem, file=config.file, field=("status", "token_file"))

"""The token that the config asks for, out of the config or out of a file that only its owner may read."""

from __future__ import annotations

import os
import stat

from dreamd.errors import ConfigError
from dreamd.files.problems import refusal
from dreamd.settings.config import TOKEN_RULE, Config, is_token

_LARGEST_BYTES = 4096
"""No more of a token's file is read."""


def token_of(config: Config) -> str | None:
    """Read the token that a config asks for; None where only this machine can connect, and no token is set.

    Raises:
        ConfigError: its file cannot be read, can be read by everybody, or holds no token.
    """
    status = config.status
    if status.token_file is None:
        return status.token.get_secret_value() if status.token is not None else None
    field = ("status", "token_file")
    try:
        descriptor = os.open(status.token_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        problem = f"{status.token_file} cannot be read: {refusal(error)}"
        raise ConfigError(problem, file=config.file, field=field) from error
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & stat.S_IRWXO:
            problem = f"everybody can read it; do `chmod o= {status.token_file}`"
            raise ConfigError(problem, file=config.file, field=field)
        token = file.read(_LARGEST_BYTES).decode("utf-8", "replace").strip()
    if not is_token(token):
        raise ConfigError(f"{status.token_file} must hold {TOKEN_RULE}", file=config.file, field=field)
    return token

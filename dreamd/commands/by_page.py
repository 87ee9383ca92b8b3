"""Orders of a person who may not write the state folder, such as a member of the service's group: the page does them.

The page runs as the daemon's user, and lets in who may connect to it or has its token. Knows the page's addresses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dreamd.errors import DreamdError, UsageError

if TYPE_CHECKING:
    from dreamd.settings.config import Config

_SECONDS = 120.0
"""The longest time in seconds that an answer is waited for: thousands of pictures may be given back."""

_LISTENING = "0A"
"""The state of a socket that listens, in `/proc/net/tcp` (proc(5))."""


def done(config: Config, order: str, values: Mapping[str, object], here: Callable[[], Iterable[str]]) -> Iterable[str]:
    """Do an order, or have the page do it where this user cannot write the journal; returns the lines to tell.

    Args:
        config: the config.
        order: as `asked` takes it.
        values: as `asked` takes them.
        here: does the order in this process, and returns the lines to tell.

    Raises:
        DreamdError: as `asked` and `here` do.
    """
    must_ask = config.state.is_dir() and not os.access(config.state, os.W_OK)
    return asked(config, order, values) if must_ask else here()


def asked(config: Config, order: str, values: Mapping[str, object]) -> list[str]:
    """Have the page do an order; returns the lines to tell.

    Args:
        config: the config.
        order: the end of its address below `/api`: retry, cancel, dismiss, pause, resume or weights/cancel.
        values: what goes with it.

    Raises:
        UsageError: the page refuses it, and says why.
        DreamdError: there is no page, or it fails.
        ConfigError: this user may not read the page's token.
    """
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, Request, build_opener

    from dreamd.page.access.token_file import token_of

    _check_is_served(config)
    headers = {"Content-Type": "application/json"}
    if (token := token_of(config)) is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(f"{config.status.url}api/{order}", json.dumps(values).encode(), headers)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_SECONDS) as answer:
            said: list[str] = json.load(answer)["said"]
            return said
    except HTTPError as error:
        raise UsageError(_problem(error.read())) from error
    except (OSError, ValueError) as error:
        raise DreamdError(f"{_cannot(config)}, and the page at {config.status.url} does not do it: {error}") from error


def _check_is_served(config: Config) -> None:
    """Raise DreamdError unless the owner of the state folder serves the page: nobody else may be shown the token."""
    if config.status.listen is None:
        raise DreamdError(f"{_cannot(config)}, and the page, which could do it, is off (status.listen: null)")
    if config.state.stat().st_uid not in _owners_of_listeners(config.status.address[1]):
        raise DreamdError(f"{_cannot(config)}, and dreamd serves no page at {config.status.url}; is it running?")


def _cannot(config: Config) -> str:
    return f"{config.state} can be written by its owner alone"


def _owners_of_listeners(port: int) -> set[int]:
    """Return the ids of the users who listen at a port of this machine."""
    owners = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else ():
            _, local, _, state, _, _, _, owner, *_ = line.split()
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                owners.add(int(owner))
    return owners


def _problem(body: bytes) -> str:
    """Return why the page refuses, out of its answer."""
    text = body.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the page says: {text}"

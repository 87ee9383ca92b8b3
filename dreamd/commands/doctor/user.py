"""The doctor's look through the eyes of the user who is to run the service."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dreamd.commands.doctor.finding import Finding
from dreamd.commands.doctor.folders import nearest
from dreamd.settings.config import Config

_HOMES = (Path("/home"), Path("/root"))
"""A hardened service sees nothing below these."""

_WAYS = {"r": "read", "w": "write", "x": "enter or run"}
"""What each letter of `test` asks for."""


def take_home_of(user: str) -> None:
    """See `~` as a user does; a user that does not exist is told of later."""
    with contextlib.suppress(KeyError):
        os.environ["HOME"] = pwd.getpwnam(user).pw_dir
        os.environ.pop("XDG_CACHE_HOME", None)


def look_at_rights(config: Config, user: str) -> Iterator[Finding]:
    """Find what a user may not do that the daemon has to. The kernel is asked, as that user."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        remedy = "`make install-service` makes dreamd, or `useradd --system`"
        yield Finding("user", False, f"there is no user {user}: {remedy}")
        return
    needs = list(_needs(config))
    try:
        lacking = [(way, place) for way, place in needs if not _may(account, way, place)]
    except PermissionError:
        remedy = f"`sudo dreamd doctor --user {user} …`"
        yield Finding("user", False, f"only root can look with the eyes of {user}: {remedy}")
        return
    for way, place in lacking:
        remedy = f"`chown {user} {shlex.quote(str(place))}`, or its mode or those above"
        yield Finding("user", False, f"{user} may not {_WAYS[way]} {place}: {remedy}")
    for place in dict.fromkeys(place for _, place in needs):
        if any(place.resolve().is_relative_to(home) for home in _HOMES):
            problem = f"{place} is below a home, which a hardened service cannot see: move it to /srv"
            yield Finding("user", False, problem)
    if not lacking:
        yield Finding("user", True, f"{user} may do all that the daemon has to")


def _needs(config: Config) -> Iterator[tuple[str, Path]]:
    """List what the daemon has to be allowed: `test`'s letter, and the file or folder."""
    yield "x", Path(sys.executable)
    yield "r", config.file
    for folder in (config.inbox, config.outbox, config.originals, config.failed, config.state):
        if folder is not None:
            yield from (("w", nearest(folder)), ("x", nearest(folder)))
    for folder in (config.recipes, *config.plugins.engine, *config.plugins.daemon):
        yield from (("r", nearest(folder)), ("x", nearest(folder)))


def _may(account: pwd.struct_passwd, way: str, place: Path) -> bool:
    """Ask the kernel whether a user may use a place in a way. Raises PermissionError to whoever may not ask."""
    is_other = account.pw_uid != os.getuid()
    done = subprocess.run(
        ["/usr/bin/test", f"-{way}", place],
        check=False,
        cwd="/",
        user=account.pw_uid if is_other else None,
        group=account.pw_gid if is_other else None,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if is_other else None,
    )
    return done.returncode == 0

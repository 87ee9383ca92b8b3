"""`dreamd doctor`: looks at everything that usually goes wrong, and says of each that it is well or what to do."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dreamd.commands.introspect import check_whole, daemon_catalogue, engine_plugins, find_recipe, recipe_files
from dreamd.errors import DreamdError, RecipeError
from dreamd.inbox.filesystems import filesystem_type, is_deaf
from dreamd.plugin_host.catalogue import merged
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.config import Config, load_config
from dreamd.settings.merging import Resolved
from dreamd.settings.recipe import BackboneChoice
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.weights import cache

_ROOM_BYTES = 1_000_000_000
_CLOCK_SECONDS = 2.0
_MOUNTS = Path("/proc/self/mountinfo")
_HOMES = (Path("/home"), Path("/root"))
_WAYS = {"r": "read", "w": "write", "x": "enter or run"}
_INOTIFY = Path("/proc/sys/fs/inotify")


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, and what there is to say or do."""

    check: str
    ok: bool
    text: str


def examine(config_file: Path, *, user: str | None = None) -> list[Finding]:
    """Every finding. Without a config that can be read, only that one and the device.

    Args:
        config_file: the config.
        user: who is to run the daemon, when that is not whoever looks. `~`, and with it the weights, is theirs then.
    """
    if user is not None:
        _at_home_of(user)
    findings = [_guarded("device", _device)]
    try:
        config = load_config(config_file)
    except (DreamdError, OSError) as error:
        return [*findings, Finding("config", False, str(error))]
    findings.append(Finding("config", True, str(config.file)))
    folders = list(_folders(config))
    findings += folders
    if user is not None:
        findings += _rights(config, user)
    plugins = engine_plugins(config)
    findings += _plugins(config, plugins)
    findings += _recipes_and_weights(config, plugins)
    findings.append(_guarded("watching", lambda: _watch_limit(config)))
    if folders[0].ok:
        findings.append(_guarded("filesystems", lambda: _filesystems(config)))
        findings.append(_guarded("clock", lambda: _clock(config)))
    findings.append(_guarded("daemon", lambda: _daemon(config)))
    return findings


def _guarded(check: str, look: Callable[[], str]) -> Finding:
    """The finding of a look that returns what is well and raises what is not."""
    try:
        return Finding(check, True, look())
    except (DreamdError, OSError) as error:
        return Finding(check, False, str(error))


def _device() -> str:
    from dreamd.engine.precision import fastest
    from dreamd.worker.session import choose_device, device_name

    device = choose_device("auto")
    if device.type == "cpu" and Path("/proc/driver/nvidia/version").exists():
        raise DreamdError(
            "there is an NVIDIA driver, but torch cannot use it: "
            "see `nvidia-smi`, and whether this user may open /dev/nvidia*"
        )
    return f"{device} ({device_name(device)}), precision auto is {fastest(device)}"


def _folders(config: Config) -> Iterator[Finding]:
    if not config.inbox.is_dir():
        yield Finding("inbox", False, f"{config.inbox} is not there: make it, or mount its disk")
    else:
        yield _guarded("inbox", lambda: _writable(config.inbox))
    for name in ("outbox", "originals", "failed", "state"):
        folder = getattr(config, name)
        if folder is not None:
            yield _guarded(name, partial(_writable, folder))


def _writable(folder: Path) -> str:
    """Whether files can be made in a folder, or in the nearest one above it that exists, with room for pictures."""
    place = _nearest(folder)
    if not place.is_dir():
        raise DreamdError(f"{place} is no folder: move it away, or choose another in the config")
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".dreamd-doctor-"):
            pass
    except OSError as error:
        owner = f"`chown $(id -un) {shlex.quote(str(place))}`"
        raise DreamdError(
            f"{place} cannot be written ({error.strerror}): {owner}, or choose another in the config"
        ) from error
    free = shutil.disk_usage(place).free
    if free < _ROOM_BYTES:
        raise DreamdError(f"{place} has {free / 1e6:.0f} MB left: make room")
    return f"{folder}, {free / 1e9:.0f} GB free"


def _nearest(folder: Path) -> Path:
    """A folder, or the nearest one above it that exists."""
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder


def _at_home_of(user: str) -> None:
    """See `~` as a user does; one who is not there is told of later."""
    with contextlib.suppress(KeyError):
        os.environ["HOME"] = pwd.getpwnam(user).pw_dir
        os.environ.pop("XDG_CACHE_HOME", None)


def _rights(config: Config, user: str) -> Iterator[Finding]:
    """What a user may not do that the daemon has to: it is the kernel that is asked, as that user."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        yield Finding(
            "user", False, f"there is no user {user}: `make install-service` makes dreamd, or `useradd --system`"
        )
        return
    needs = list(_needs(config))
    try:
        lacking = [(way, place) for way, place in needs if not _may(account, way, place)]
    except PermissionError:
        yield Finding(
            "user", False, f"only root can look with the eyes of {user}: `sudo dreamd doctor --user {user} …`"
        )
        return
    for way, place in lacking:
        text = (
            f"{user} may not {_WAYS[way]} {place}: `chown {user} {shlex.quote(str(place))}`, or its mode or those above"
        )
        yield Finding("user", False, text)
    for place in dict.fromkeys(place for _, place in needs):
        if any(place.resolve().is_relative_to(home) for home in _HOMES):
            yield Finding(
                "user", False, f"{place} is below a home, which a hardened service cannot see: move it to /srv"
            )
    if not lacking:
        yield Finding("user", True, f"{user} may do all that the daemon has to")


def _needs(config: Config) -> Iterator[tuple[str, Path]]:
    """What the daemon has to be allowed: `test`'s letter, and the file or folder."""
    yield "x", Path(sys.executable)
    yield "r", config.file
    for folder in (config.inbox, config.outbox, config.originals, config.failed, config.state):
        if folder is not None:
            yield from (("w", _nearest(folder)), ("x", _nearest(folder)))
    for folder in (config.recipes, *config.plugins.engine, *config.plugins.daemon):
        yield from (("r", _nearest(folder)), ("x", _nearest(folder)))


def _may(account: pwd.struct_passwd, way: str, place: Path) -> bool:
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


def _plugins(config: Config, engine: Plugins) -> Iterator[Finding]:
    """Of the plugins that are not used, those are no trouble that somebody disabled."""
    catalogue = merged([engine.catalogue, daemon_catalogue(config)])
    for problem in catalogue.problems:
        if not problem.deliberate:
            yield Finding("plugin", False, f"{problem.plugin} ({problem.origin}): {problem.reason}")
    used = {entry.plugin for entry in catalogue.entries}
    yield Finding("plugins", True, f"{len(used)} in use; `dreamd plugins list` shows what they bring")


def _recipes_and_weights(config: Config, plugins: Plugins) -> Iterator[Finding]:
    """Each recipe that is wrong, and the weights of every backbone that those which are right name."""
    sound: dict[str, BackboneChoice] = {}
    wrong: dict[str, None] = {}
    looks: list[Callable[[], Resolved]] = [config.recipe_book().for_default]
    looks += [partial(find_recipe, str(file), config) for file in recipe_files(config.inbox)]
    for look in looks:
        try:
            resolved = look()
            check_whole(resolved, plugins)
        except RecipeError as error:
            wrong[str(error)] = None
            continue
        backbone = resolved.recipe.backbone
        sound[f"{backbone.name} {backbone.weights}"] = backbone
    yield from (Finding("recipe", False, text) for text in wrong)
    if not wrong:
        yield Finding("recipes", True, f"{len(looks) - 1} in the inbox, and the config's defaults")
    for backbone in sound.values():
        yield _guarded("weights", partial(_weights, backbone, plugins))


def _weights(backbone: BackboneChoice, plugins: Plugins) -> str:
    """Whether the weights of a backbone are here; those of a file are, since its recipe has been checked."""
    name = backbone.name
    if backbone.weights != "default":
        return f"{name}: {backbone.weights}"
    source = plugins.get(Kind.BACKBONE, name).source(name)
    if source is None:
        raise DreamdError(f"{name} has none of its own: give `backbone: {{name: {name}, weights: PATH}}`")
    found = cache.find(source)
    if found.state in ("missing", "partial"):
        raise DreamdError(f"{name}: {found.state}; `dreamd weights fetch {name}`, or put the file at {found.path}")
    cache.verify(source)
    return f"{name}: here and sound"


def _watch_limit(config: Config) -> str:
    limit = _INOTIFY / "max_user_watches"
    if not limit.exists():
        return "no inotify on this system; the inbox is polled"
    _one_more_watch()
    folders = sum(1 for _ in os.walk(config.inbox))
    allowed = int(limit.read_text())
    if folders > allowed * 0.9:
        remedy = f"`sysctl fs.inotify.max_user_watches={max(524_288, folders * 2)}`, and in /etc/sysctl.d to keep it"
        raise DreamdError(f"{folders} folders, and the system allows {allowed} watches: {remedy}")
    return f"{folders} folders of at most {allowed}"


def _one_more_watch() -> None:
    """Raises when this user may not begin another watch."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor >= 0:
        os.close(descriptor)
    elif ctypes.get_errno() == errno.EMFILE:
        raise DreamdError(
            "no more programs of this user may watch folders: `sysctl fs.inotify.max_user_instances=512`, "
            "and in /etc/sysctl.d to keep it"
        )


def _filesystems(config: Config) -> str:
    """Whether pictures can be claimed by a rename, and the journal lies on a disk of this machine's."""
    inbox = config.inbox.stat().st_dev
    for place, folders, _ in os.walk(config.inbox):
        for name in folders:
            folder = Path(place, name)
            if folder.lstat().st_dev != inbox:
                raise DreamdError(
                    f"{folder} is on another filesystem than the inbox, and its pictures cannot be claimed: "
                    "mount the whole inbox as one filesystem, or give that folder a dreamd of its own"
                )
    kind = filesystem_type(os.fspath(_nearest(config.state).resolve()), _MOUNTS.read_text("utf-8", "surrogateescape"))
    if is_deaf(kind):
        raise DreamdError(f"state, {config.state}, is on a share ({kind}), where SQLite is not safe: keep it on a disk")
    return f"the inbox is one filesystem; the journal is on {kind}"


def _clock(config: Config) -> str:
    """Whether the time is past what has certainly been, and the inbox's filesystem agrees: a share's may be off."""
    newest = Path(__file__).stat().st_mtime
    journal = Journal.open_readonly(config.state / "journal.sqlite3")
    if journal is not None:
        with journal:
            newest = max([newest, *(job.claimed_at for job in journal.jobs(limit=1))])
    if time.time() < newest - _CLOCK_SECONDS:
        now, then = (time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) for moment in (time.time(), newest))
        raise DreamdError(f"this machine's clock says {now}, and it has been {then} already: set it by NTP")
    with tempfile.NamedTemporaryFile(dir=config.inbox, prefix=".dreamd-doctor-") as file:
        off = os.fstat(file.fileno()).st_mtime - time.time()
    if abs(off) > _CLOCK_SECONDS:
        raise DreamdError(f"the inbox's clock is {off:+.0f} s off this machine's: set both by NTP")
    return "this machine and the inbox agree"


def _daemon(config: Config) -> str:
    values = snapshot.read(config.state)
    if values is None or values["state"] == "stopped":
        return "not running"
    return f"running, pid {values['pid']}, watching by {values['watching']}"

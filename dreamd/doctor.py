"""`dreamd doctor`: looks at everything that usually goes wrong, and says of each that it is well or what to do."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamd import weights
from dreamd.catalogue import Kind
from dreamd.config import Config, load_config
from dreamd.errors import DreamdError
from dreamd.introspect import all_plugins, check_recipes, engine_plugins
from dreamd.status import snapshot

_ROOM_BYTES = 1_000_000_000
_CLOCK_SECONDS = 2.0
_INOTIFY = Path("/proc/sys/fs/inotify")


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, and what there is to say or do."""

    check: str
    ok: bool
    text: str


def examine(config_file: Path) -> list[Finding]:
    """Every finding. Without a config that can be read, only that one and the device."""
    findings = [_guarded("device", _device)]
    try:
        config = load_config(config_file)
    except DreamdError as error:
        return [*findings, Finding("config", False, str(error))]
    findings.append(Finding("config", True, str(config.file)))
    findings += _folders(config)
    findings += _plugins(config)
    findings.append(_guarded("recipes", lambda: _recipes(config)))
    findings.append(_guarded("weights", lambda: _weights(config)))
    findings.append(_watch_limit(config))
    findings.append(_guarded("clock", lambda: _clock(config)))
    findings.append(_daemon(config))
    return findings


def _guarded(check: str, look: Callable[[], str]) -> Finding:
    """The finding of a look that returns what is well and raises what is not."""
    try:
        return Finding(check, True, look())
    except DreamdError as error:
        return Finding(check, False, str(error))


def _device() -> str:
    from dreamd.engine.precision import fastest
    from dreamd.worker import choose_device, device_name

    device = choose_device("auto")
    if device.type == "cpu" and Path("/proc/driver/nvidia/version").exists():
        raise DreamdError(
            "there is an NVIDIA driver, but torch cannot use it: see `nvidia-smi`, and whether this user may open /dev/nvidia*"
        )
    return f"{device} ({device_name(device)}), precision auto is {fastest(device)}"


def _folders(config: Config) -> Iterator[Finding]:
    if not config.inbox.is_dir():
        yield Finding("inbox", False, f"{config.inbox} is not there: make it, or mount its disk")
    else:
        yield _writable("inbox", config.inbox)
    for name in ("outbox", "originals", "failed", "state"):
        folder = getattr(config, name)
        if folder is not None:
            yield _writable(name, folder)


def _writable(name: str, folder: Path) -> Finding:
    """Whether files can be made in a folder, or in the nearest one above it that exists, with room for pictures."""
    place = folder
    while not place.exists():
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".dreamd-doctor-"):
            pass
    except OSError as error:
        owner = f"`chown $(id -un) {place}`"
        return Finding(
            name, False, f"{place} cannot be written ({error.strerror}): {owner}, or choose another in the config"
        )
    free = shutil.disk_usage(place).free
    if free < _ROOM_BYTES:
        return Finding(name, False, f"{place} has {free / 1e6:.0f} MB left: make room")
    return Finding(name, True, f"{folder}, {free / 1e9:.0f} GB free")


def _plugins(config: Config) -> Iterator[Finding]:
    catalogue = all_plugins(config)
    for problem in catalogue.problems:
        yield Finding("plugin", False, f"{problem.plugin} ({problem.origin}): {problem.reason}")
    yield Finding("plugins", True, f"{len(catalogue.entries)} things to dream with")


def _recipes(config: Config) -> str:
    if not any(config.inbox.rglob("recipe.y*ml")):
        return "none but the config's defaults"
    return f"{len(list(check_recipes(config.inbox, config)))} checked"


def _weights(config: Config) -> str:
    name = config.recipe_book().for_default().recipe.backbone.name
    source = engine_plugins(config).get(Kind.BACKBONE, name).source(name)
    if source is None:
        return f"{name} has none of its own"
    state = weights.status(source)
    if state.state in ("missing", "partial"):
        raise DreamdError(f"{name}'s are {state.state}: `dreamd weights fetch {name}`, or put the file at {state.path}")
    weights.verify(source)
    return f"{name}'s are here and sound"


def _watch_limit(config: Config) -> Finding:
    limit = _INOTIFY / "max_user_watches"
    if not limit.exists():
        return Finding("watching", True, "no inotify on this system; the inbox is polled")
    folders = sum(1 for _ in os.walk(config.inbox))
    allowed = int(limit.read_text())
    if folders > allowed * 0.9:
        remedy = f"`sysctl fs.inotify.max_user_watches={max(524_288, folders * 2)}`, and in /etc/sysctl.d to keep it"
        return Finding("watching", False, f"{folders} folders, and the system allows {allowed} watches: {remedy}")
    return Finding("watching", True, f"{folders} folders of at most {allowed}")


def _clock(config: Config) -> str:
    """Whether the inbox's filesystem has the same time as this machine: a share's clock may be off."""
    with tempfile.NamedTemporaryFile(dir=config.inbox, prefix=".dreamd-doctor-") as file:
        off = os.fstat(file.fileno()).st_mtime - time.time()
    if abs(off) > _CLOCK_SECONDS:
        raise DreamdError(f"the inbox's clock is {off:+.0f} s off this machine's: set both by NTP")
    return "this machine and the inbox agree"


def _daemon(config: Config) -> Finding:
    values = snapshot.read(config.state)
    if values is None or values["state"] == "stopped":
        return Finding("daemon", True, "not running")
    return Finding("daemon", True, f"running, pid {values['pid']}, watching by {values['watching']}")

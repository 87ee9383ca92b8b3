"""`dreamd doctor`: looks at everything that usually goes wrong, and says of each that it is well or what to do."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dreamd import weights
from dreamd.catalogue import Kind, merged
from dreamd.config import Config, load_config
from dreamd.errors import DreamdError, RecipeError
from dreamd.introspect import check_whole, daemon_catalogue, engine_plugins, find_recipe, recipe_files
from dreamd.plugins import Plugins
from dreamd.recipe import BackboneChoice, Resolved
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
    except (DreamdError, OSError) as error:
        return [*findings, Finding("config", False, str(error))]
    findings.append(Finding("config", True, str(config.file)))
    folders = list(_folders(config))
    findings += folders
    plugins = engine_plugins(config)
    findings += _plugins(config, plugins)
    findings += _recipes_and_weights(config, plugins)
    findings.append(_guarded("watching", lambda: _watch_limit(config)))
    if folders[0].ok:
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
    from dreamd.studio import choose_device, device_name

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
    place = folder
    while not os.path.lexists(place):
        place = place.parent
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


def _plugins(config: Config, engine: Plugins) -> Iterator[Finding]:
    """Of the plugins that are not used, those are no trouble that the config disables."""
    catalogue = merged([engine.catalogue, daemon_catalogue(config)])
    for problem in catalogue.problems:
        if problem.plugin not in config.plugins.disable:
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
    state = weights.status(source)
    if state.state in ("missing", "partial"):
        raise DreamdError(f"{name}: {state.state}; `dreamd weights fetch {name}`, or put the file at {state.path}")
    weights.verify(source)
    return f"{name}: here and sound"


def _watch_limit(config: Config) -> str:
    limit = _INOTIFY / "max_user_watches"
    if not limit.exists():
        return "no inotify on this system; the inbox is polled"
    folders = sum(1 for _ in os.walk(config.inbox))
    allowed = int(limit.read_text())
    if folders > allowed * 0.9:
        remedy = f"`sysctl fs.inotify.max_user_watches={max(524_288, folders * 2)}`, and in /etc/sysctl.d to keep it"
        raise DreamdError(f"{folders} folders, and the system allows {allowed} watches: {remedy}")
    return f"{folders} folders of at most {allowed}"


def _clock(config: Config) -> str:
    """Whether the inbox's filesystem has the same time as this machine: a share's clock may be off."""
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

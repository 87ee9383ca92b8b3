"""Every look of the doctor, in order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dreamd.commands.doctor.engine import look_at_device, look_at_plugins, look_at_recipes_and_weights
from dreamd.commands.doctor.finding import Finding, found_by
from dreamd.commands.doctor.folders import look_at_filesystems, look_at_folders, look_at_plugin_folders
from dreamd.commands.doctor.machine import look_at_clock, look_at_page, look_at_watches
from dreamd.commands.doctor.user import look_at_rights, take_home_of
from dreamd.commands.plugins.loading import engine_plugins
from dreamd.errors import ConfigError, DreamdError
from dreamd.executors.choice import make_executor
from dreamd.executors.devices import check_devices, device_names, sharing_troubles, worker_devices
from dreamd.executors.executor import ExecutorContext
from dreamd.hardware.cores import processor_list
from dreamd.plugin_host.host import Plugins
from dreamd.settings.config import Config, load_config
from dreamd.tree import snapshot


def examine(config_file: Path, *, user: str | None = None) -> list[Finding]:
    """Look at everything; without a config that can be read, at that and the device only.

    Args:
        config_file: the config.
        user: who is to run the daemon, when that is not whoever looks. `~`, and with it the weights, is theirs then.
    """
    if user is not None:
        take_home_of(user)
    try:
        config = load_config(config_file)
    except (DreamdError, OSError) as error:
        return [*_look_at_devices("auto"), Finding("config", False, str(error))]
    folders = list(look_at_folders(config))
    findings = [*_look_at_workers(config), *folders]
    if user is not None:
        findings += look_at_rights(config, user)
    plugins = engine_plugins(config)
    findings += [*look_at_plugin_folders(config), *look_at_plugins(config, plugins)]
    findings += look_at_recipes_and_weights(config, plugins)
    findings.append(found_by("watching", lambda: look_at_watches(config)))
    if folders[0].ok:
        findings.append(found_by("filesystems", lambda: look_at_filesystems(config)))
        findings.append(found_by("clock", lambda: look_at_clock(config)))
    findings.append(found_by("daemon", lambda: look_at_daemon(config)))
    if not is_running(config):  # else the address is the daemon's own page's
        findings.append(found_by("page", lambda: look_at_page(config)))
    return findings


def _look_at_workers(config: Config) -> list[Finding]:
    """Look at the devices that workers on this machine have, and at the config that names them."""
    try:
        check_devices(config)
    except ConfigError as error:
        return [*_look_at_devices("auto"), Finding("config", False, str(error))]
    found = Finding("config", True, str(config.file))
    if config.workers.executor.name == "local":
        return [*_look_at_devices(device_names(config)), *_look_at_sharing(config), found]
    return [*_look_at_devices("auto"), found, found_by("executor", lambda: _look_at_executor(config))]


def _look_at_executor(config: Config) -> str:
    """Ask the executor whether seats can be had. Raises DreamdError with what to do."""
    name = config.workers.executor.name
    plugins = Plugins("dreamd.daemon", folders=config.plugins.daemon, disable=config.plugins.disable)
    return make_executor(plugins, ExecutorContext(config=config)).examine() or f"{name}, which says nothing of itself"


def _look_at_sharing(config: Config) -> list[Finding]:
    """Look at how workers on the processor share it; nothing where one has it for itself, as is well."""
    troubles = [Finding("workers", False, trouble) for trouble in sharing_troubles(config)]
    shares = [device.share for device in worker_devices(config) if device.share.processors]
    if troubles or not shares:
        return troubles
    threads = f"{shares[0].threads} thread{'s' if shares[0].threads != 1 else ''}"
    places = "; ".join(processor_list(share.processors) for share in shares)
    return [Finding("workers", True, f"{len(shares)} on the processor, {threads} each, on processors {places}")]


def _look_at_devices(wanted: str | Sequence[str]) -> list[Finding]:
    """Look at each device that is wanted, once."""
    names = dict.fromkeys([wanted] if isinstance(wanted, str) else wanted)
    return [found_by("device", partial(look_at_device, name)) for name in names]


def look_at_daemon(config: Config) -> str:
    """Tell whether a daemon runs, and how it watches. Raises DreamdError when its snapshot cannot be read."""
    values = snapshot.read(config.state)
    if values is None or values["state"] == "stopped":
        return "not running"
    return f"running, pid {values['pid']}, watching by {values['watching']}"


def is_running(config: Config) -> bool:
    """Tell whether a daemon runs, as far as its snapshot says; one that cannot be read is told elsewhere."""
    try:
        values = snapshot.read(config.state)
    except (DreamdError, OSError):
        return False
    return values is not None and values["state"] != "stopped"

"""The devices of this machine's workers, found without torch: a worker makes sure of its own.

Knows the config, the environment, what the NVIDIA driver shows in /proc, and what workers share. Knows no processes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dreamd.errors import ConfigError
from dreamd.executors.plan import ALL, Machine, Share, plan_shares, plan_troubles
from dreamd.settings.config import Config
from dreamd.settings.yamlfile import read_document

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that tells CUDA which GPUs a process sees, and in which order."""

GPUS = Path("/proc/driver/nvidia/gpus")
"""The folder in which the driver has an entry for each GPU."""

_CPU = "cpu"
"""The name of the processor, as a device."""

_NAME = r"(cpu|mps|(?:cuda|xpu)(?::\d{1,3})?)(?:\*([1-9]\d{0,2}))?"
"""What `workers.devices` can name on this machine, as a regular expression: a device, and how many workers it has."""


@dataclass(frozen=True, kw_only=True)
class WorkerDevice:
    """What one worker dreams on.

    Attributes:
        name: `cpu`, `cuda:1`, or `auto:1` for the second GPU if it can be used.
        card: what CUDA_VISIBLE_DEVICES is for the worker's process, so that it sees its own GPU alone; None: as it is.
        is_spare: whether another worker goes over to the processor when no GPU can be used, so that this one need not.
        sharers: how many workers share the device, and so its memory.
        share: what the worker has of the processor.
    """

    name: str
    card: str | None = None
    is_spare: bool = False
    sharers: int = 1
    share: Share = ALL

    def environment(self) -> Mapping[str, str]:
        """Return the environment variables of the worker's process. One that dreams on the processor sees no GPU."""
        card = "" if self.name == _CPU else self.card
        return os.environ if card is None else {**os.environ, VISIBLE: card}


def check_devices(config: Config) -> None:
    """Check that `workers.devices` names what can be a device of this machine, whether it is there or not.

    The executor `local` has its workers on such devices; the names that another executor takes are its own.

    Raises:
        ConfigError: a name is no device's. No worker could ever start on it, and every picture would wait for good.
    """
    if config.workers.devices == "auto" or config.workers.executor.name != "local":
        return
    for index, name in enumerate(config.workers.devices):
        if re.fullmatch(_NAME, name) is None:
            field = ("workers", "devices", index)
            problem = f"{name!r} is no device; write cpu, cuda, cuda:1, mps or xpu, or cpu*4 for four workers"
            line = read_document(config.file, ConfigError).line(field)
            raise ConfigError(problem, file=config.file, line=line, field=field)


def worker_devices(
    config: Config, environment: Mapping[str, str] = os.environ, gpus: Path = GPUS, machine: Machine | None = None
) -> list[WorkerDevice]:
    """Choose a device for each worker; `auto` is every GPU that the environment and the driver show.

    Args:
        config: whose `workers` says what is wanted.
        environment: where CUDA_VISIBLE_DEVICES may be.
        gpus: the driver's folder of GPUs.
        machine: what workers on the processor share; None: what this process may use.
    """
    visible, count = environment.get(VISIBLE), len(list(gpus.iterdir())) if gpus.is_dir() else None
    cards, threads = visible_cards(visible, count), threads_of(config)
    if config.workers.devices == "auto":
        names = [f"auto:{index}" for index in range(max(1, len(cards)))]
        return [
            WorkerDevice(name=name, card=_card_of(name, cards), is_spare=index > 0, share=Share(threads=threads))
            for index, name in enumerate(names)
        ]
    is_unknown = visible is None and count is None
    devices = [
        WorkerDevice(name=name, card=_card_of(name, cards, is_unknown=is_unknown), share=Share(threads=threads))
        for name in device_names(config)
    ]
    sharers = Counter(device.card or device.name for device in devices)
    devices = [replace(device, sharers=sharers[device.card or device.name]) for device in devices]
    return _with_shares(devices, machine or Machine.of_process(environment), threads)


def device_names(config: Config) -> list[str]:
    """List the device of each worker that the config names: `cpu*2` is two of `cpu`; of `auto`, itself."""
    if config.workers.devices == "auto":
        return ["auto"]
    names: list[str] = []
    for name in config.workers.devices:
        match = re.fullmatch(_NAME, name)
        names += [name] if match is None else [match[1]] * int(match[2] or 1)
    return names


def threads_of(config: Config) -> int | None:
    """Return how many threads the config wants for each worker; None: it leaves that to the plan."""
    return None if config.workers.threads == "auto" else config.workers.threads


def sharing_troubles(config: Config, machine: Machine | None = None) -> list[str]:
    """List what is wrong with how workers on this machine's processor would share it, for a person.

    Args:
        config: whose `workers` says what is wanted.
        machine: what they share; None: what this process may use.
    """
    if config.workers.executor.name != "local":
        return []
    devices = worker_devices(config, machine=machine)
    count = sum(device.name == _CPU or (device.name == "auto:0" and device.card is None) for device in devices)
    memory = None if config.workers.memory == "auto" else int(config.workers.memory)
    there_is = machine or Machine.of_process(os.environ)
    return list(plan_troubles(count, there_is, threads=threads_of(config), memory=memory)) if count else []


def _with_shares(devices: list[WorkerDevice], machine: Machine, threads: int | None) -> list[WorkerDevice]:
    """Give the workers that dream on the processor their shares of it."""
    count = sum(device.name == _CPU for device in devices)
    if not count:
        return devices
    shares = iter(plan_shares(count, machine, cards=len(devices) - count, threads=threads))
    return [replace(device, share=next(shares)) if device.name == _CPU else device for device in devices]


def visible_cards(visible: str | None, count: int | None) -> list[str]:
    """List the GPUs that a process sees, each as CUDA_VISIBLE_DEVICES names it, as CUDA reads that variable.

    It names them by number, by the beginning of a UUID (`GPU-8932f937`), or as part of one (`MIG-…`). What comes after
    a name that is none is not seen, and where one is named twice none is seen.

    Args:
        visible: the variable's value; None: all GPUs are seen.
        count: how many GPUs the driver shows; None: it does not say.
    """
    if visible is None:
        return [str(index) for index in range(count or 0)]
    kind = next((kind for kind in ("GPU-", "MIG-") if visible.strip().startswith(kind)), None)
    cards: list[str] = []
    for entry in (entry.strip() for entry in visible.split(",")):
        card = entry if kind and entry.startswith(kind) else None if kind else _number(entry, count)
        if card is None:
            break
        if card in cards:
            return []
        cards.append(card)
    return cards


def _number(entry: str, count: int | None) -> str | None:
    """Return the number that an entry begins with, as C's strtoul reads it; None when no GPU has it."""
    match = re.match(r"\+?(\d+)", entry)
    if match is None or (count is not None and int(match[1]) >= count):
        return None
    return str(int(match[1]))


def _card_of(name: str, cards: list[str], *, is_unknown: bool = False) -> str | None:
    """Return the card of a device's name; None for the processor, or when it is not known.

    Args:
        name: the device.
        cards: the cards that are seen.
        is_unknown: whether nothing tells which cards there are, so that any may be there.
    """
    match = re.fullmatch(r"(?:cuda|auto)(?::(\d+))?", name)
    if match is None:
        return None
    index = int(match[1] or 0)
    if index < len(cards):
        return cards[index]
    return str(index) if is_unknown else None

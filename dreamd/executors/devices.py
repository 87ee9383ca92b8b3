"""The devices of this machine's workers, found without torch: a worker makes sure of its own.

Knows the config, the environment and what the NVIDIA driver shows in /proc. Knows no processes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dreamd.errors import ConfigError
from dreamd.settings.config import Config
from dreamd.settings.yamlfile import read_document

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that tells CUDA which GPUs a process sees, and in which order."""

GPUS = Path("/proc/driver/nvidia/gpus")
"""The folder in which the driver has an entry for each GPU."""


_NAME = r"cpu|mps|(cuda|xpu)(:\d{1,3})?"
"""The names that a device of this machine can have, as a regular expression."""


@dataclass(frozen=True, kw_only=True)
class WorkerDevice:
    """What one worker dreams on.

    Attributes:
        name: `cpu`, `cuda:1`, or `auto:1` for the second GPU if it can be used.
        card: what CUDA_VISIBLE_DEVICES is for the worker's process, so that it sees its own GPU alone; None: as it is.
        is_spare: whether another worker goes over to the processor when no GPU can be used, so that this one need not.
        sharers: how many workers share the device, and so its memory and its processors.
    """

    name: str
    card: str | None = None
    is_spare: bool = False
    sharers: int = 1

    def environment(self) -> Mapping[str, str]:
        """Return the environment variables of the worker's process."""
        return os.environ if self.card is None else {**os.environ, VISIBLE: self.card}


def check_devices(config: Config) -> None:
    """Check that `workers.devices` names what can be a device of this machine, whether it is there or not.

    The executor `local` has its workers on such devices; the names that another executor takes are its own.

    Raises:
        ConfigError: a name is no device's. No worker could ever start on it, and every picture would wait for good.
    """
    if config.workers.devices == "auto" or config.workers.executor != "local":
        return
    for index, name in enumerate(config.workers.devices):
        if re.fullmatch(_NAME, name) is None:
            field = ("workers", "devices", index)
            problem = f"{name!r} is no device; write cpu, cuda, cuda:1, mps or xpu"
            line = read_document(config.file, ConfigError).line(field)
            raise ConfigError(problem, file=config.file, line=line, field=field)


def worker_devices(
    config: Config, environment: Mapping[str, str] = os.environ, gpus: Path = GPUS
) -> list[WorkerDevice]:
    """Choose a device for each worker; `auto` is every GPU that the environment and the driver show.

    Args:
        config: whose `workers.devices` says what is wanted.
        environment: where CUDA_VISIBLE_DEVICES may be.
        gpus: the driver's folder of GPUs.
    """
    cards = visible_cards(environment.get(VISIBLE), len(list(gpus.iterdir())) if gpus.is_dir() else None)
    if config.workers.devices == "auto":
        names = [f"auto:{index}" for index in range(max(1, len(cards)))]
        return [
            WorkerDevice(name=name, card=_card_of(name, cards), is_spare=index > 0) for index, name in enumerate(names)
        ]
    devices = [WorkerDevice(name=name, card=_card_of(name, cards)) for name in config.workers.devices]
    sharers = Counter(device.card or device.name for device in devices)
    return [replace(device, sharers=sharers[device.card or device.name]) for device in devices]


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


def _card_of(name: str, cards: list[str]) -> str | None:
    """Return the card of a device's name; None for the processor, or when it is not known."""
    match = re.fullmatch(r"(?:cuda|auto)(?::(\d+))?", name)
    index = int(match[1] or 0) if match else len(cards)
    return cards[index] if index < len(cards) else None

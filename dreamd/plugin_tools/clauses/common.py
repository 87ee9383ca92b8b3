"""What every kind of plugin must keep: it leaves what is not its own as it is, and gives the same each time."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dreamd.errors import PluginError

Clause = tuple[str, Callable[[], None]]
"""What is checked, in words that follow the thing's name, and what checks it: that raises PluginError with what is
wrong, or lets the plugin's own error out."""


_STATE: dict[str, Callable[[], object]] = {
    "torch's random numbers": lambda: torch.get_rng_state().tolist(),
    "Python's random numbers": random.getstate,
    "NumPy's random numbers": lambda: str(np.random.get_state()),
    "whether torch takes gradients": torch.is_grad_enabled,
    "torch's default dtype": torch.get_default_dtype,
    "torch's number of threads": torch.get_num_threads,
    "torch's deterministic mode": torch.are_deterministic_algorithms_enabled,
    "cuDNN's settings": lambda: (torch.backends.cudnn.benchmark, torch.backends.cudnn.enabled),
    "the environment variables": lambda: dict(os.environ),
    "the current folder": Path.cwd,
    "Python's import path": lambda: list(sys.path),
    "the signal handlers": lambda: [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)],
}
"""What a process has once, in words that follow "it changes", and how to look at it."""


def must(is_so: bool, otherwise: str) -> None:
    """Raise PluginError with what is wrong, unless it is so."""
    if not is_so:
        raise PluginError(otherwise)


def must_equal(result: Tensor, expected: Tensor, otherwise: str, tolerance: float = 1e-4) -> None:
    """Raise PluginError unless two tensors are equal, apart from the rounding that another order of sums brings."""
    must(result.shape == expected.shape, f"{otherwise}: shape {list(result.shape)}, not {list(expected.shape)}")
    off = float((result.double() - expected.double()).abs().max()) if result.numel() else 0.0
    scale = float(expected.double().abs().max()) if expected.numel() else 0.0
    must(off <= 1e-5 + tolerance * scale, f"{otherwise}: it is off by {off:.2g}, of values up to {scale:.2g}")


def must_be_finite(value: Tensor, what: str) -> None:
    """Raise PluginError unless every value is finite."""
    must(bool(value.isfinite().all()), f"{what} is not-a-number or infinite")


def check_leaves_no_state(work: Callable[[], object]) -> None:
    """Raise PluginError when a piece of work changes what others in the process use as well."""
    work()  # once before: what is imported or cached on first use is nobody's fault
    before = {what: look() for what, look in _STATE.items()}
    work()
    for what, look in _STATE.items():
        must(look() == before[what], f"it changes {what}, which others use as well")


def random_tensor(*shape: int, device: torch.device, seed: int = 0) -> Tensor:
    """Return normally distributed numbers, the same on every device and in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def check_repeats(work: Callable[[], Tensor]) -> None:
    """Raise PluginError unless work gives the same each time, whatever torch's random numbers are."""
    results = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            results.append(work().clone())
    must(torch.equal(results[0], results[1]), "the same call gave another result the second time")
    why = "it draws from torch's global random numbers: the same recipe would dream something else each time"
    must(torch.equal(results[0], results[2]), why)


def check_keeps_input(function: Callable[[Tensor], object], given: Tensor) -> None:
    """Raise PluginError when a function changes what it is given."""
    kept = given.clone()
    function(given)
    must(torch.equal(given, kept), "it changes what it is given, which is not its own: work on a copy")

"""What every benchmark is told, and the one error that it raises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dreamd.errors import DreamdError


class BenchmarkError(DreamdError):
    """A benchmark could not be measured, or what it measured was not the same work."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to measure.

    Attributes:
        quick: a small version of everything.
        devices: where ascents are measured.
        recipe: what the daemon dreams by, a file or a preset; None for the benchmark's own.
        say: tells a person how far it is.
    """

    quick: bool
    devices: Sequence[torch.device]
    recipe: str | None
    say: Callable[[str], None]


def run_process(arguments: Sequence[str]) -> str:
    """Run Python with arguments to its end; returns what it printed. Raises BenchmarkError when it failed."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise BenchmarkError(f"`python {' '.join(arguments)}` ended with {done.returncode}: {last}")
    return done.stdout
